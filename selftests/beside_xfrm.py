#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's own IPsec works beside the loaded module, by policies alone and
by xfrm interfaces: with nothing made, with bhsec tunnels up between the same
hosts, and after those have gone."""

from lib import *
from libxfrm import *

XFRM_PORT = 4510

a, b = Ns("a"), Ns("b")
link = veth(a, b)


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
plain = [Plain(link, n, *what, port=XFRM_PORT) for n, what in enumerate((
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
