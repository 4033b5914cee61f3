#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
# measured
"""A peer that does not answer is down, one that has nothing to say is not. The
clock of a guest that counts instructions goes on at once where nobody runs."""

from libmetrics import *
import libmeasure  # leaves a guest that does not count

# Seconds, by bhsec(8).
SILENCE = 180

a, b = Ns("a"), Ns("b")
link = veth(a, b)
for ns in a, b:
    link.know_other_end(ns)
t = tunnel_bhsec(a, b, link)
udp_echo(b, t.b_inner4)


def talk():
    udp_exchange(a, t.b_inner4, [100], t.a_inner4)


def say():
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(b"to nobody", (t.b_inner4, 7099))


def is_up():
    return sample(scrape(a), "bhsec_peer_up", device="bh0", peer=t.peer)


def deaf(ns):
    """It loses what comes, and tells nobody."""
    ns.run("nft add table ip deaf; nft add chain ip deaf input "
           "'{ type filter hook input priority 0; policy drop; }'")


def hearing(ns):
    ns.run("nft delete table ip deaf")


@case("a peer to which nothing was sent stays up")
def _():
    talk()
    time.sleep(SILENCE + 20)
    check_equal(is_up(), 1, "up")


@case("one that was sent to and does not answer is down, until it does")
def _():
    deaf(b)
    begun = time.monotonic()
    say()
    check_equal(is_up(), 0, "long silent, and sent to")
    hearing(b)
    talk()
    check_equal(is_up(), 1, "answered")
    check(time.monotonic() - begun < SILENCE, "no patience is left")


@case("it has so many seconds to answer in, by whatever came last")
def _():
    deaf(b)
    talked = time.monotonic()
    while time.monotonic() - talked < SILENCE - 10:
        say()
        check_equal(is_up(), 1, f"after {time.monotonic() - talked} s")
        time.sleep(20)
    time.sleep(max(0, talked + SILENCE + 2 - time.monotonic()))
    check_equal(is_up(), 0, f"after {time.monotonic() - talked} s")
    hearing(b)


@case("when nothing is sent any more it is not known to be down")
def _():
    time.sleep(SILENCE + 2)
    check_equal(is_up(), 1, "nobody asks")


@case("of several keys the newest is told")
def _():
    t.rekey(delete_old=False)
    metrics = scrape(a)
    check_equal(len(a.peer("bh0", t.peer)["sas"]), 4, "SAs")
    for direction, added in by(metrics, "bhsec_peer_key_added_timestamp_seconds",
                               "direction").items():
        check(time.time() - added < SILENCE, f"{direction}: {added}")


main()
