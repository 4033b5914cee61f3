#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec show --why: who drops packets now, how many, and what to do about it."""

from lib import *

a, b = Ns("a"), Ns("b")
link = veth(a, b)
t = tunnel_bhsec(a, b, link)
a.bhsec("peer add bh0 idle selectors 10.9.0.0/24\n")
a.ip("route add 10.8.0.0/24 dev bh0\nroute add 10.9.0.0/24 dev bh0\n")


def send(to):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.a_inner4, 0))
        try:
            sock.sendto(b"x", (to, SINK_PORT))
        except OSError:
            pass
    time.sleep(0.01)


def forge():
    """What has the SPI of b's SA to a, and no right ICV."""
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(struct.pack("!II", t.spi_in, 1 << 20) + bytes(64),
                    (t.a_outer, ESP_PORT))
    time.sleep(0.01)


def why(*words):
    return {(one["device"], one["peer"], one["drop"]): one
            for one in json.loads(a.cli("show", *words, "--why", "-j").stdout)}


@case("what was dropped before is not told")
def _():
    send("10.8.0.1")
    send("10.9.0.1")
    forge()
    wait_for(lambda: t.stats()["auth"] and a.own_stats("bh0")["no_peer"] and
             a.stats("bh0", "idle")["no_key"])
    check_equal(why(), {}, "drops")
    check_equal(a.cli("show", "--why").stdout, "no drops\n", "text")


@case("what is dropped now is told by device, peer and cause, with advice")
def _():
    before = t.stats()["auth"]
    with meanwhile(lambda: send("10.8.0.1"), lambda: send("10.9.0.1"), forge):
        told = why()
        one = why("bh0", "peer", "b")
    after = t.stats()["auth"]
    check_equal(set(told), {("bh0", None, "no_peer"), ("bh0", "idle", "no_key"),
                            ("bh0", "b", "auth")}, "drops")
    for row in told.values():
        check_equal(set(row), {"device", "peer", "drop", "packets", "advice"},
                    "keys")
        check(row["packets"] > 0, row)
    check(told["bh0", "b", "auth"]["packets"] + one["bh0", "b", "auth"]["packets"]
          <= after - before, f"{told} {one}: {after - before} were dropped")
    check("keys or ESN" in told["bh0", "b", "auth"]["advice"], told)
    check(("bh0", "idle", "no_key") not in one, one)


@case("an SPI that nobody has belongs to no peer")
def _():
    def stray():
        with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.sendto(struct.pack("!II", 0x4242, 1) + bytes(64),
                        (t.a_outer, ESP_PORT))
        time.sleep(0.01)
    with meanwhile(stray):
        check_equal(list(why()), [("bh0", None, "no_sa")], "drops")


@case("a peer that is made anew has all that it counted since")
def _():
    for _ in range(20):
        send("10.9.0.1")
    old = wait_for(lambda: a.stats("bh0", "idle")["no_key"])

    def renew():
        a.bhsec("peer del bh0 idle\npeer add bh0 idle selectors 10.9.0.0/24\n")
        send("10.9.0.1")
    with meanwhile(renew):
        told = why().get(("bh0", "idle", "no_key"))
    check(not told or told["packets"] <= old + 1000, told)


@case("text has a line for each, its sentence last")
def _():
    with meanwhile(forge):
        line, = unwrapped(a.cli("show", "bh0", "--why").stdout)
    check(re.fullmatch(r"bh0 peer b drop auth packets \d+ - the keys or ESN .*",
                       line), line)


@case("what cannot be asked gets one sentence")
def _():
    for words, status in ((["--why", "--stats"], 2), (["--stats", "bh0", "--why"], 2),
                          (["--why", "--openmetrics"], 2), (["none", "--why"], 1),
                          (["bh0", "peer", "none", "--why"], 1)):
        done = a.cli("show", *words, check=False)
        check(done.returncode == status and done.stdout == "" and
              done.stderr.count("\n") == 1, f"{words}: {done}")


main()
