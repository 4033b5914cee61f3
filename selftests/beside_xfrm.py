#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's own IPsec works beside the loaded module: with nothing made,
with a bhsec tunnel up between the same hosts, and after that has gone."""

from lib import *

SIZES = 0, 1, 100, 1000, 1300
XFRM_PORT = 4510

a, b = Ns("a"), Ns("b")
link = veth(a, b)


class Plain:
    """A tunnel between two xfrm ends, on networks of its own."""

    def __init__(self, n, encap, family):
        self.encap, self.family = encap, family
        self.near, self.far = f"10.3.{n}.1", f"10.4.{n}.1"
        self.ends = link.address(a, family), link.address(b, family)
        self.sas = Sa(), Sa()
        for ns, mine, other, end in ((a, self.near, self.far, 0),
                                     (b, self.far, self.near, 1)):
            ns.ip(self.lines(n, mine, other, end))

    def lines(self, n, mine, other, end):
        here, there = self.ends[end], self.ends[1 - end]
        out, into = self.sas[end], self.sas[1 - end]
        reqid = 100 + n
        via = link.address(b if end == 0 else a, 4)
        templ = f"proto esp reqid {reqid} mode tunnel"
        return (f"addr add {mine}/32 dev lo\n"
                f"route add {other}/32 via {via} src {mine}\n"
                + out.xfrm(here, there, reqid, self.encap, XFRM_PORT)
                + into.xfrm(there, here, reqid, self.encap, XFRM_PORT)
                + f"xfrm policy add src {mine} dst {other} dir out "
                  f"tmpl src {here} dst {there} {templ}\n"
                  f"xfrm policy add src {other} dst {mine} dir in "
                  f"tmpl src {there} dst {here} {templ}\n")

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
plain = [Plain(n, encap, family) for n, (encap, family) in enumerate(
    (encap, family) for encap in ("esp", "udp") for family in (4, 6))]


@case("the module loaded: xfrm raw and in UDP over both families")
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
