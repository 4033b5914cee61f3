#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What an operator or a daemon may say of states and policies besides: marks,
windows, limits, an action, another if_id. A bound device takes each at its word,
and no number goes out twice, whatever somebody sets a state back to."""

import contextlib

from libbound import *
from libesp import esp_of
from libnetlink import attr
from libxfrm import NLM_F_REPLACE, XFRM_MSG_NEWAE, asked_of

XFRMA_REPLAY_VAL, GROUP_EXPIRE = 10, 2
REFUSED_MAX = 32    # what one message says of a device
TRANSPORT = ("mode transport aead rfc4106(gcm(aes)) "
             f"0x{secrets.token_hex(20)} 128")
REQID = 800
AWAY = "10.90.0.0/24"

a, b, link, made = bound_pair()
# with ESN, and without
WITH, WITHOUT = (next(t for t in made if t.encap == "udp" and t.family == 4
                      and t.esn == esn) for esn in (True, False))
udp_sink(b)
OUT = f"src 0.0.0.0/0 dst {AWAY} dir out"


def policy(rest, verb="add", if_id=42, way=OUT):
    return f"xfrm policy {verb} {way} if_id {if_id} {rest}\n"


def template(reqid=REQID, mode="tunnel", level=""):
    return (f"tmpl src {link.a4} dst {link.b4} proto esp reqid {reqid} "
            f"mode {mode} {level}")


def prefixes(reqid=REQID):
    """Those of a peer; None if there is no such peer."""
    found = [peer["selectors"].get("prefix", [])
             for peer in a.nl.dump("peer-get", ifname="bh0")
             if peer.get("reqid") == reqid]
    return len(found[0]) if found else None


def looked_at():
    """All that was told before has been looked at: it is in order."""
    spi = new_spi()
    way = f"src {link.a4} dst {link.b4} proto esp spi {spi:#x}"
    a.ip(f"xfrm state add {way} reqid {REQID} if_id 42 {TRANSPORT}\n")
    wait_for(lambda: spi in {spi for spi, _ in not_taken(a)})
    a.ip(f"xfrm state delete {way}\n")
    wait_for(lambda: spi not in {spi for spi, _ in not_taken(a)})


@case("a state with a mark is taken, and let go")
def _():
    way = f"src {link.b4} dst {link.a4} proto esp spi {new_spi():#x} mark 7"
    a.ip(f"xfrm state add {way} reqid {WITH.reqid} mode tunnel if_id 42 "
         f"{Sa().xfrm_cipher()} encap espinudp 4500 4500 0.0.0.0\n")
    WITH.adopted(3)
    a.ip(f"xfrm state delete {way}\n")
    WITH.adopted(2)


@case("a policy of one prefix for each of two marks: one prefix, as long as either")
def _():
    marked = [f"mark {mark} " for mark in (1, 2)]
    for mark in marked:
        a.ip(policy(mark + template()))
    looked_at()
    check_equal((prefixes(), not_taken(a)), (1, set()), "prefixes, refused")
    for mark, left in zip(reversed(marked), (1, None)):
        a.ip(policy(mark, "delete"))
        looked_at()
        check_equal(prefixes(), left, "prefixes")


@case("a state that an update gives to another if_id is let go, and taken again")
def _():
    inbound = WITH.near_state_lines(out=False).replace("state add", "state update")
    a.ip(inbound.replace("if_id 42", "if_id 43"))
    WITH.adopted(1)
    a.ip(inbound)
    WITH.adopted(2)
    WITH.works()


@case("policies that are for no ESP tunnel alone are refused, those that block none's")
def _():
    for rest in (template(mode="transport"), f"{template()} {template()}"):
        a.ip(policy(rest))
        wanted = {(None, "the policy is not for one ESP tunnel")}
        wait_for(lambda: not_taken(a) == wanted, what=lambda: f"{not_taken(a)}")
        check_equal(prefixes(), None, "prefixes")
        a.ip(policy("", "delete"))
        wait_for(lambda: not not_taken(a) or None)
    a.ip(policy(f"action block {template()}"))
    looked_at()
    check_equal((prefixes(), not_taken(a)), (None, set()), "prefixes, refused")
    a.ip(policy("", "delete"))


@case("a policy whose soft limit has passed goes on")
def _():
    expiries = listen(a, GROUP_EXPIRE)
    expiries.settimeout(PATIENCE)
    a.ip(policy(f"limit time-soft 1 {template()}"))
    wait_for(lambda: prefixes() == 1)
    expiries.recv(1 << 16)
    looked_at()
    check_equal(prefixes(), 1, "prefixes")
    a.ip(policy("", "delete"))
    wait_for(lambda: prefixes() is None)


@case("of more refusals than a message holds the latest are shown, all are counted")
def _():
    spis = [0x7000 + n for n in range(REFUSED_MAX + 8)]
    ways = [f"src {link.a6} dst {link.b6} proto esp spi {spi:#x}" for spi in spis]
    a.ip("".join(f"xfrm state add {way} reqid {REQID} if_id 42 {TRANSPORT}\n"
                 for way in ways))
    device, = wait_for(lambda: [
        device for device in a.nl.do("dev-get", ifname="bh0")
        if device["refusals"] == len(spis)])
    shown = device["refused"]
    check_equal([refusal["spi"] for refusal in shown],
                spis[:-REFUSED_MAX - 1:-1], "SPIs that are shown")
    check_equal({(r["src"], r["dst"]) for r in shown},
                {tuple(ipaddress.ip_address(x).packed
                       for x in (link.a6, link.b6))}, "addresses")
    seen = a.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                  "bhsec", "show", "bh0", "-j"]).stdout
    refused, = [device["refused"] for device in json.loads(seen)]
    check_equal({tuple(sorted(refusal)) for refusal in refused},
                {("reason", "reqid")}, "what anybody sees of a refusal")
    a.ip("".join(f"xfrm state delete {way}\n" for way in ways))
    wait_for(lambda: a.nl.do("dev-get", ifname="bh0")[0]["refusals"] == 0)


@case("a prefix that a peer has no room for is taken once there is room")
def _():
    ways = [f"src 0.0.0.0/0 dst 10.91.{n >> 8}.{n & 255}/32 dir out"
            for n in range(257)]
    a.ip("".join(policy(template(), way=way) for way in ways))
    wait_for(lambda: not_taken(a) == {
        (None, "a peer has at most 256 selectors of a kind")})
    a.ip(policy("", "delete", way=ways[0]))
    wait_for(lambda: not not_taken(a) or None, what=lambda: f"{not_taken(a)}")
    check_equal(prefixes(), 256, "prefixes")
    a.ip("".join(policy("", "delete", way=way) for way in ways[1:]))
    wait_for(lambda: prefixes() is None)


@case("the wider window counts, the state's or the device's")
def _():
    def windows():
        return {sa["spi"]: sa["window"] for sa in WITH.sas()
                if not sa["direction"]}
    narrow, wide = Sa(window=32), Sa(window=1024)
    a.nl.do("dev-set", ifname="bh0", window=64)
    try:
        a.ip("".join(sa.xfrm(link.b4, link.a4, WITH.reqid, "udp").replace(
            "\n", " if_id 42\n") for sa in (narrow, wide)))
        WITH.adopted(4)
        seen = windows()
        check_equal((seen[narrow.spi], seen[wide.spi]), (64, 1024), "windows")
    finally:
        a.nl.do("dev-set", ifname="bh0", window=4096)
        a.ip("".join(f"xfrm state delete src {link.b4} dst {link.a4} proto esp "
                     f"spi {sa.spi:#x}\n" for sa in (narrow, wide)))
    WITH.adopted(2)


@case("AH's states of the if_id are not looked at")
def _():
    way = f"src {link.b4} dst {link.a4} proto ah spi 0x7100"
    a.ip(f"xfrm state add {way} reqid {REQID} mode tunnel if_id 42 "
         f"auth-trunc hmac(sha256) 0x{secrets.token_hex(32)} 128\n")
    # A flush of what is none of bhsec's has everything looked at.
    a.ip("xfrm state flush proto comp\n")
    looked_at()
    check_equal(not_taken(a), set(), "refused")
    a.ip(f"xfrm state delete {way}\n")


@contextlib.contextmanager
def another_out(t, seq=None, limit=""):
    """An SA out of its own at both ends, for a while."""
    old, t.out = t.out, t.new_sa(seq)
    line = t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap)
    # what the other end expects begins there, too
    b.ip(line)
    a.ip(line.replace("\n", f" if_id {t.if_id}{limit}\n"))
    t.adopted(3)
    try:
        yield t.out
    finally:
        for ns in a, b:
            ns.ip(f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
                  f"spi {t.out.spi:#x}\n", check=False)
        t.out = old
        t.adopted(2)
        t.works()


def numbers(frames, spi):
    return [int.from_bytes(esp[4:8], "big") for frame in frames
            if (esp := esp_of(frame)) and esp[:4] == spi.to_bytes(4, "big")]


def send(t, count):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.inner("a", 4), 0))
        for _ in range(count):
            try:
                sock.sendto(b"x", (t.inner("b", 4), SINK_PORT))
            except OSError:
                pass    # of the one before


@case("without ESN a state's numbers end, and none goes out twice")
def _():
    last = (1 << 32) - 1
    with another_out(WITHOUT, seq=last - 3) as sa:
        capture = Capture(a, link.if_a, outgoing=True)
        before = WITHOUT.stats()
        send(WITHOUT, 5)
        moved = wait_counted(WITHOUT.stats, before, 5)
        check_equal((moved["tx_packets"], moved.get("exhausted")), (3, 2),
                    f"tx_packets, exhausted: {moved}")
        check_equal(sorted(numbers(capture.stop(), sa.spi)),
                    list(range(last - 2, last + 1)), "numbers")


def set_back(t):
    """The number that its state has sent last becomes 0, as a daemon could."""
    asked_of(a, t.b_outer, t.out.spi, XFRM_MSG_NEWAE, NLM_F_REPLACE,
             attr(XFRMA_REPLAY_VAL, bytes(12)))


@case("a state that is set back sends no number twice")
def _():
    with another_out(WITHOUT) as sa:
        capture = Capture(a, link.if_a, outgoing=True)
        WITHOUT.works()
        set_back(WITHOUT)
        WITHOUT.works()
        count = 4 * len(SIZES)
        check_equal(sorted(numbers(capture.stop(), sa.spi)),
                    list(range(1, count + 1)), "numbers")
        check_equal(WITHOUT.state(True)["oseq"], count, "the state's")


@case("of packets that come at once a hard limit lets pass what is left")
def _():
    with another_out(WITH, limit=" limit packet-hard 3") as sa:
        before = WITH.stats()
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
            sock.bind((WITH.inner("a", 4), 0))
            sock.sendto(bytes(500), (WITH.inner("b", 4), SINK_PORT))
        moved = wait_counted(WITH.stats, before, 5)
        check_equal((moved["tx_packets"], sum(moved[word] for word in moved
                                              if word in DROPS)), (3, 2),
                    f"tx_packets, drops: {moved}")
        check_equal(WITH.state(True)["packets"], 3, "the state's")
        # the next one ends it, as with xfrm
        send(WITH, 1)
        wait_for(lambda: sa.spi not in {x["spi"] for x in WITH.sas()})


@case("a state says when it was used last")
def _():
    with another_out(WITH) as sa:
        def used():
            text = a.run(["ip", "-s", "xfrm", "state", "get", "src", link.a4,
                          "dst", link.b4, "proto", "esp", "spi", hex(sa.spi)])
            return "lastused" in text.stdout
        check(not used(), "it was used before")
        WITH.works()
        check(used(), "it does not say so")


main()
