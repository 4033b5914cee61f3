#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Fifty rekeys, make before break, under traffic in both directions: every
datagram arrives once, through bhsec's counters too, which outlive the SAs."""

from lib import *
from libprobe import *
from libstream import *

REKEYS = 50
IN, OUT = 0, 1
SEGMENT, SEGMENTS = 100, 40
ROUNDS = 30
# So many at one place hold a packet there for longer than two requests take.
PROBES = 32
# Until there is something to read.
FLOOD = f"""
import select, socket, sys
source, address, port = sys.argv[1:]
sent, sock = 0, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_UDP, {UDP_SEGMENT}, {SEGMENT})
sock.bind((source, 0))
while not select.select([sys.stdin], [], [], 0)[0]:
    sock.sendto(bytes({SEGMENTS * SEGMENT}), (address, int(port)))
    sent += {SEGMENTS}
print(sent)
"""


def add(ns, peer, direction, sa):
    ns.nl.do("sa-add", ifname="bh0", peer=peer, direction=direction,
             spi=sa.spi, cipher=list(CIPHERS).index(sa.cipher), key=sa.key)


def remove(ns, peer, direction, sa):
    ns.nl.do("sa-del", ifname="bh0", peer=peer, direction=direction,
             spi=sa.spi)


class Roller:
    """Make before break, no process for what is bhsec's: what the last rekey
    replaced is deleted by the next one, when nothing of it is on the way."""

    def __init__(self, tunnel):
        self.t, self.old = tunnel, None

    def near_gone(self):
        if self.old:
            out, in_ = self.old
            remove(self.t.a, "b", OUT, out)
            remove(self.t.a, "b", IN, in_)

    def far_bhsec(self):
        t = self.t
        if self.old:
            out, in_ = self.old
            remove(t.b, "a", IN, out)
            remove(t.b, "a", OUT, in_)
        add(t.b, "a", IN, t.out)
        add(t.b, "a", OUT, t.in_)

    def far_xfrm(self, replaced):
        """It goes on with the older of two states: that has to go."""
        t = self.t
        gone = [(t.b_outer, t.a_outer, replaced)]
        if self.old:
            gone.append((t.a_outer, t.b_outer, self.old[0]))
        t.b.ip(t.state_lines() + "".join(
            f"xfrm state delete src {src} dst {dst} proto esp spi {sa.spi}\n"
            for src, dst, sa in gone))

    def roll(self):
        t, replaced = self.t, (self.t.out, self.t.in_)
        t.out, t.in_ = t.new_sa(), t.new_sa()
        self.near_gone()
        add(t.a, "b", IN, t.in_)
        if t.far == "bhsec":
            self.far_bhsec()
        else:
            self.far_xfrm(replaced[1])
        add(t.a, "b", OUT, t.out)
        self.old = replaced


def check_counters(stats, tx, rx, size):
    check_equal({name: value for name, value in stats.items() if value},
                {"tx_packets": tx, "rx_packets": rx, "tx_bytes": tx * size,
                 "rx_bytes": rx * size}, "counters")


def rekey(make, inner):
    a, b = Ns("a"), Ns("b")
    tunnel = make(a, b, veth(a, b))
    near, far = tunnel.inner("a", inner), tunnel.inner("b", inner)
    udp_echo(b, far)
    udp_exchange(a, far, [100], near)
    before = tunnel.stats()
    flows = [Flow(a, b, near, far), Flow(b, a, far, near, tunnel.far == "xfrm")]
    roller = Roller(tunnel)
    for _ in range(REKEYS):
        roller.roll()
        for flow in flows:
            flow.drained()
    roller.near_gone()
    for flow in flows:
        flow.stop()
    size = 100 + (28 if inner == 4 else 48)
    check_counters(difference(before, tunnel.stats()), flows[0].sent,
                   flows[1].sent, size)
    ksft.print_msg(f"{flows[0].sent} + {flows[1].sent} datagrams")
    check_equal(len(tunnel.a.peer("bh0", "b")["sas"]), 2, "SAs left")


def slow(function):
    """Probes write the stack down there each time."""
    return probes({f"slow{n}": f"bhsec:{function}" for n in range(PROBES)},
                  "stacktrace")


class Flood:
    """Datagrams from a through the tunnel, 40 at a time, by a process of its
    own: a thread of this one would stand still where a request begins."""

    def __init__(self, t):
        self.t = t
        udp_sink(t.b)
        self.process = t.a.popen([sys.executable, "-c", FLOOD, t.a_inner4,
                                  t.b_inner4, str(SINK_PORT)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True)

    def more(self):
        before = self.t.stats()
        wait_for(lambda: sum(difference(before, self.t.stats()).values()) > 0,
                 what="the flood")

    def stop(self):
        """Returns how many were sent."""
        return int(self.process.communicate("\n", timeout=PATIENCE)[0])


def deleted(replaced):
    """Packets that found the old SA just before take the new one, or say that
    there is none."""
    a, b = Ns("a"), Ns("b")
    t = tunnel_bhsec(a, b, veth(a, b))
    before = t.stats()
    with slow("bhsec_sa_reserve"):
        flood = Flood(t)
        for _ in range(ROUNDS):
            flood.more()
            old, t.out = t.out, t.new_sa()
            none = t.stats()["no_key"]
            if replaced:
                add(a, "b", OUT, t.out)
            remove(a, "b", OUT, old)
            if not replaced:
                wait_for(lambda: t.stats()["no_key"] > none, what="no_key")
                add(a, "b", OUT, t.out)
        sent = flood.stop()
    moved = wait_counted(t.stats, before, sent)
    ksft.print_msg(f"{sent} datagrams: {moved}")
    check_equal(set(moved), {"tx_packets", "tx_bytes"} |
                (set() if replaced else {"no_key"}), "counters")
    check_equal(moved["tx_packets"] + moved.get("no_key", 0), sent,
                "datagrams counted")


add_case("50 rekeys against xfrm lose nothing and repeat nothing", rekey,
         tunnel_xfrm, 4)
add_case("50 rekeys between bhsec and bhsec lose nothing and repeat nothing",
         rekey, tunnel_bhsec, 6)
add_case("an SA deleted as soon as it is replaced: nothing is dropped", deleted,
         True)
add_case("an SA deleted under a flood: no_key, and nothing else", deleted, False)
main()
