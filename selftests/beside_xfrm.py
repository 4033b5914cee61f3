#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's own IPsec works beside the loaded module, by policies alone and
by xfrm interfaces: with nothing made, with bhsec tunnels up between the same
hosts, and after those have gone."""

from lib import *

SIZES = 0, 1, 100, 1000, 1300
XFRM_PORT = 4510

a, b = Ns("a"), Ns("b")
link = veth(a, b)


class Plain:
    """A tunnel between two xfrm ends, on networks of its own; with an if_id,
    through an xfrm interface, which lives by its callback in the ESP chain."""

    def __init__(self, n, encap, family, if_id=None):
        self.encap, self.if_id = encap, if_id
        self.near, self.far = f"10.3.{n}.1", f"10.4.{n}.1"
        self.ends = link.address(a, family), link.address(b, family)
        self.sas = Sa(), Sa()
        self.reqid = 100 + n
        for ns, mine, other, end in ((a, self.near, self.far, 0),
                                     (b, self.far, self.near, 1)):
            ns.ip(self.way(mine, other, link.address((b, a)[end], 4))
                  + self.states(end) + self.policies(mine, other, end))

    def way(self, mine, other, via):
        if not self.if_id:
            return (f"addr add {mine}/32 dev lo\n"
                    f"route add {other}/32 via {via} src {mine}\n")
        dev = f"xfrm{self.if_id}"
        return (f"link add {dev} type xfrm dev {link.if_a} if_id {self.if_id}\n"
                f"link set {dev} up\naddr add {mine}/32 dev {dev}\n"
                f"route add {other}/32 dev {dev} src {mine}\n")

    def mark(self, line):
        return f"{line} if_id {self.if_id}\n" if self.if_id else f"{line}\n"

    def states(self, end):
        here, there = self.ends[end], self.ends[1 - end]
        return "".join(
            self.mark(sa.xfrm(src, dst, self.reqid, self.encap,
                              XFRM_PORT).rstrip())
            for sa, src, dst in ((self.sas[end], here, there),
                                 (self.sas[1 - end], there, here)))

    def policies(self, mine, other, end):
        here, there = self.ends[end], self.ends[1 - end]
        mark = f"if_id {self.if_id}" if self.if_id else ""
        return "".join(
            f"xfrm policy add src {src} dst {dst} dir {direction} {mark} "
            f"tmpl src {tsrc} dst {tdst} proto esp reqid {self.reqid} "
            "mode tunnel\n"
            for direction, src, dst, tsrc, tdst in (
                ("out", mine, other, here, there),
                ("in", other, mine, there, here)))

    def works(self):
        """Both ways, each asking first once, and in ESP."""
        capture = Capture(b, link.if_b)
        udp_exchange(a, self.far, SIZES, self.near)
        udp_exchange(b, self.near, SIZES, self.far)
        tcp_transfer(a, b, self.far, 100_000, self.near)
        frames = capture.stop()
        spis = [sa.spi.to_bytes(4, "big") for sa in self.sas]
        for spi in spis:
            seen = sum(spi in frame[:80] for frame in frames)
            check(seen >= 2 * len(SIZES), f"{seen} packets of {spi.hex()}")


def all_work():
    for tunnel in plain:
        tunnel.works()


def bhsec_works(t):
    for family in 4, 6:
        udp_exchange(a, t.inner("b", family), SIZES, t.inner("a", family))
    tcp_transfer(t.b, a, t.inner("a", 4), 100_000, t.inner("b", 4))


for ns in a, b:
    udp_echo(ns, "0.0.0.0")
    udp_echo(ns, "::")
    ns.encap_sockets(XFRM_PORT)
plain = [Plain(n, *what) for n, what in enumerate((
    ("esp", 4), ("esp", 6), ("udp", 4), ("udp", 6),
    ("esp", 4, 7), ("esp", 6, 8), ("udp", 4, 9)))]


@case("the module loaded: xfrm raw and in UDP, by policy and by interface")
def _():
    all_work()


@case("bhsec tunnels in UDP and raw between the same hosts: all work")
def _():
    global made
    made = tunnels(a, b, link, [{"encap": "udp"}, {"encap": "esp"},
                                {"encap": "esp", "family": 6}], far="bhsec")
    for t in made:
        bhsec_works(t)
    all_work()
    for t in made:
        bhsec_works(t)


@case("xfrm at one end of a host that is bhsec at another: all work")
def _():
    c = Ns("c")
    other = veth(a, c)
    udp_echo(c, "0.0.0.0")
    udp_echo(c, "::")
    t = Tunnel(a, c, other, "xfrm", n=9, peer="c", encap="esp")
    a.ip(t.route_lines("a"))
    a.bhsec(t.peer_lines("a"))
    c.ip(t.route_lines("b") + t.state_lines() + t.policy_lines())
    bhsec_works(t)
    all_work()


@case("the device deleted: xfrm goes on")
def _():
    for ns in a, b:
        ns.ip("link del bh0\n")
    all_work()


main()
