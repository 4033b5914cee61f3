#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a bound device leaves in the kernel's states and policies for others to
find: when a policy was used, and a window that takes nothing again; and what it
reads there, which of a peer's states is to be replaced soon."""

import contextlib

from libbound import *
from libesp import Wire, esp_of

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = [Bound(a, b, link, n=n, encap=encap, family=family, esn=esn)
        for n, (encap, family, esn) in enumerate(itertools.product(
            ("udp", "esp"), (4, 6), (True, False)))]
SOFT = 2


def name(t):
    return (f"{t.encap} over IPv{t.family}, "
            f"{'with' if t.esn else 'without'} ESN")


def send(ns, t, to, count=1):
    """Datagrams that nobody answers, and that are waited for at a."""
    end = "b" if to == "a" else "a"
    counter = "rx_packets" if to == "a" else "tx_packets"
    before = t.stats()[counter]
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.inner(end, 4), 0))
        for _ in range(count):
            sock.sendto(b"x", (t.inner(to, 4), SINK_PORT))
    wait_for(lambda: t.stats()[counter] == before + count, what=counter)


def used(t):
    """Directions of the tunnel's policies that say when they were used."""
    text = a.run(["ip", "-s", "xfrm", "policy", "list"]).stdout
    found = {}
    for policy in re.split(r"^(?=src )", text, flags=re.M):
        if f"reqid {t.reqid}(" in policy:
            direction = re.search(r"dir (\w+)", policy)[1]
            last = re.search(r"add .* use (.*)", policy)[1]
            found.setdefault(direction, set()).add(last.strip() != "-")
    check_equal({way: len(said) for way, said in found.items()},
                {"in": 1, "out": 1, "fwd": 1}, "policies say the same")
    return {way for way, said in found.items() if said == {True}}


def use_is_told(t):
    """A daemon takes a peer for dead that was not heard for a while."""
    check_equal(used(t), set(), "policies used before")
    send(a, t, "b")
    check_equal(used(t), {"out"}, "policies used after a packet out")
    send(b, t, "a")
    check_equal(used(t), {"out", "in", "fwd"}, "and after one in")


def seen_by_xfrm(what):
    return a.xfrm_stat().get(what, 0)


@contextlib.contextmanager
def unbound():
    """The states are the kernel's alone meanwhile."""
    bind(a, made[0].dev, 0)
    try:
        yield
    finally:
        bind(a, made[0].dev, made[0].if_id)
        for t in made:
            t.adopted()


def window_is_closed(t):
    """What the device has taken is a replay for the kernel."""
    capture = Capture(a, link.if_a, outgoing=False)
    send(b, t, "a", 5)
    spi = t.spi_in.to_bytes(4, "big")
    capture.wait(5, lambda frame: (esp_of(frame) or b"")[:4] == spi)
    frames = [frame for frame in capture.stop()
              if (esp_of(frame) or b"")[:4] == spi]
    wire = Wire(t)
    with unbound():
        before = seen_by_xfrm("XfrmInStateSeqError")
        for frame in frames:
            wire.send_ip(frame[14:])
        wait_for(lambda: seen_by_xfrm("XfrmInStateSeqError")
                 == before + len(frames), what="replays, by xfrm's count")


def sent_by(t):
    """{SPI: packets}"""
    return {sa["spi"]: sa["stats"]["tx-packets"] for sa in
            a.nl.dump("sa-get", ifname=t.dev, peer=t.peer) if sa["direction"]}


def dying_one_is_left(t):
    """As xfrm itself chooses: not by the newest if that is to go soon."""
    def state(sa, more=""):
        line = sa.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap)
        return line.replace("\n", more)

    older, newer = t.new_sa(), t.new_sa()
    b.ip("".join(f"{state(sa)}\n" for sa in (older, newer)))
    for sa, limit in (older, ""), (newer, f" limit packet-soft {SOFT}"):
        a.ip(state(sa, f" if_id {t.if_id}{limit}\n"))
        wait_for(lambda sa=sa: sa.spi in sent_by(t), what="the state")
    send(a, t, "b", SOFT + 1)
    check_equal(sent_by(t)[newer.spi], SOFT + 1, "packets by the newest")
    # What is left is looked at when one goes.
    a.ip(f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
         f"spi {t.out.spi:#x}\n")
    wait_for(lambda: t.out.spi not in sent_by(t), what="the first one's end")
    t.out = older
    send(a, t, "b")
    check_equal(sent_by(t), {older.spi: 1, newer.spi: SOFT + 1}, "packets sent")


udp_sink(a)
udp_sink(b)
install_bound(made)
for t in made:
    add_case(f"{name(t)}: policies say when they were used", use_is_told, t)
for t in made:
    add_case(f"{name(t)}: nothing is taken again when the device lets go",
             window_is_closed, t)
for t in made:
    add_case(f"{name(t)}: a state that is to go soon is left",
             dying_one_is_left, t)

main()
