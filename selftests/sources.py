#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What goes to a peer leaves from the address that the peer asked: the local
one that its last authentic packet came to, wherever "local" is not set and as
long as the address is there. A stateful firewall before the peer sees to it."""

from lib import *
from libesp import *

LENGTH = {4: 28, 6: 64}
ON_LINK = "fe80::a7"

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = tunnels(a, b, link, ALL_WAYS)
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(100) for t in made}
far = {4: "192.0.2.12", 6: "2001:db8::12"}


def line(verb, f, addr):
    return (f"addr {verb} {addr}/{LENGTH[f]} dev {link.if_a}"
            # a deprecated one is not what a route chooses
            f"{' nodad preferred_lft 0' * (f == 6 and verb == 'add')}\n")


a.ip("".join(line("add", f, addr) for f in (4, 6) for addr in SPARE[f]))
b.ip("".join(line("add", f, far[f]) for f in (4, 6)))
for ns in a, b:
    link.know_other_end(ns)
a.ip("".join(f"neigh replace {far[f]} lladdr {link.mac_b.hex(':')} "
             f"nud permanent dev {link.if_a}\n" for f in (4, 6)))
udp_sink(a)
udp_sink(b)


def esp_of_number(t, seq=None, change=bytes):
    inner = udp(t.inner("b", 4), t.inner("a", 4), 7, SINK_PORT, b"x")
    return change(seal_packet(t.in_, seq or next(numbers[t]), inner))


def packet(t, esp, to, source=None):
    source = source or t.b_outer
    if t.encap == "udp":
        return udp(source, to, t.port, t.port, esp)
    return ip(source, to, IPPROTO_ESP, esp)


def counted(t, counter, act):
    before = t.stats()[counter]
    act()
    wait_for(lambda: t.stats()[counter] == before + 1, what=counter)


def comes(t, to, counter="rx_packets", source=None, esp=None, **how):
    """A packet of the peer to one of a's addresses."""
    esp = esp or esp_of_number(t, **how)
    counted(t, counter, lambda: wires[t].send_ip(packet(t, esp, to, source)))
    return esp


def leaves(t, source, to=None):
    """The next packet to the peer."""
    def is_sent(frame):
        outer = outer_of(frame)
        esp = outer and esp_in(outer)
        return esp and esp[:4] == t.spi_out.to_bytes(4, "big")
    capture = Capture(b, link.if_b, outgoing=False)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(b"y", (t.inner("b", 4), SINK_PORT))
    capture.wait(1, is_sent)
    # xfrm shows what it opened on the same interface.
    seen = {(outer.src, outer.dst) for outer in
            map(outer_of, filter(is_sent, capture.stop()))}
    check_equal(seen, {(address(source), address(to or t.b_outer))},
                "source and destination")


def answers(t):
    """Of a configured endpoint, which does not roam."""
    check_equal(a.peer(t.dev, t.peer)["roam"], False, "roam")
    leaves(t, t.a_outer)
    for to in (*SPARE[t.family][:2], t.a_outer, SPARE[t.family][0]):
        comes(t, to)
        leaves(t, to)
    a.cli("peer", "set", t.dev, t.peer, "endpoint", t.endpoint("b"))
    leaves(t, t.a_outer)


def no_proof(t):
    """What is not authentic, was seen before or is late, or comes from elsewhere
    than the peer is."""
    here, there = SPARE[t.family][:2]
    late = next(numbers[t])
    esp = comes(t, here)
    comes(t, there, "auth", change=lambda esp: esp[:-1] + bytes([esp[-1] ^ 1]))
    comes(t, there, "replay", esp=esp)
    comes(t, there, seq=late)
    comes(t, there, source=far[t.family])
    leaves(t, here)


def by_local(t):
    """'local' is what was asked for; without it the peer's choice is back."""
    one, other = SPARE[t.family][:2]
    a.cli("set", t.dev, "local", other)
    try:
        leaves(t, other)
        comes(t, other)
        leaves(t, other)
    finally:
        a.cli("set", t.dev, "local", "::" if t.family == 6 else "0.0.0.0")
    comes(t, one)
    leaves(t, one)


def address_goes(t):
    """Nothing leaves with it any more, and when it is back the peer has to ask
    for it again."""
    gone = SPARE[t.family][2]
    comes(t, gone)
    leaves(t, gone)
    a.ip(line("del", t.family, gone))
    leaves(t, t.a_outer)
    a.ip(line("add", t.family, gone))
    leaves(t, t.a_outer)
    comes(t, gone)
    leaves(t, gone)


def of_the_link(t):
    """It would be no source for what a router is to forward."""
    addr = f"{ON_LINK}/64 dev {link.if_a}"
    a.ip(f"addr add {addr} nodad\n")
    try:
        comes(t, SPARE[6][0])
        comes(t, ON_LINK)
        leaves(t, SPARE[6][0])
        a.cli("peer", "set", t.dev, t.peer, "endpoint", t.endpoint("b"))
        comes(t, ON_LINK)
        leaves(t, t.a_outer)
    finally:
        a.ip(f"addr del {addr}\n")


def moves_too(t):
    """With roam on both are learned by one packet."""
    a.cli("peer", "set", t.dev, t.peer, "roam", "on")
    try:
        for to, source in ((SPARE[t.family][3], far[t.family]),
                           (SPARE[t.family][0], t.b_outer),
                           (SPARE[t.family][1], t.b_outer)):
            comes(t, to, source=source)
            leaves(t, to, source)
    finally:
        a.cli("peer", "set", t.dev, t.peer, "roam", "off", "endpoint",
              t.endpoint("b"))


@case("a firewall before the peer lets the answers pass")
def _():
    """Both ends bhsec; the far one's asks the other address of a host, and takes
    from outside what it has asked for."""
    c, d = Ns("c"), Ns("d")
    wall = veth(c, d)
    second = "192.0.2.21"
    c.ip(f"addr add {second}/28 dev {wall.if_a}\n")
    t = Tunnel(c, d, wall, "bhsec", n=9, peer="d")
    install([t])
    d.cli("peer", "set", t.far_dev, t.far_peer, "endpoint", second)
    d.run(["nft", "-f", "-"], input="""table inet wall {
        chain in {
            type filter hook input priority 0; policy accept;
            udp sport 4500 ct state new drop;
        }
    }
""")
    udp_echo(c, t.a_inner4)
    udp_exchange(d, t.a_inner4, range(8), t.b_inner4)


for t in made:
    where = f"{t.encap} over IPv{t.family}"
    add_case(f"{where}: the address that was asked", answers, t)
    add_case(f"{where}: only what is authentic and new moves it", no_proof, t)
    add_case(f"{where}: 'local' stays", by_local, t)
    add_case(f"{where}: an address that goes", address_goes, t)
    if t.family == 6:
        add_case(f"{where}: none of a link, for a peer that is elsewhere",
                 of_the_link, t)
    add_case(f"{where}: with the endpoint, where it roams", moves_too, t)

main()
