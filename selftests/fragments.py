#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Outer fragments: the kernel puts them together before any door sees them.
Whatever way they come in, their packet is opened once; overlapping ones end in
the kernel (RFC 5722, RFC 4301 7), and an incomplete one costs nothing for long.
"""

import itertools

from lib import *
from libesp import *

CE, ECT0 = 3, 2
INCOMPLETE = 20
PAYLOAD = 1000
LARGE = 6000
NUMBERED = 10

a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
udp_sink(b)
made = tunnels(a, b, link, ALL_WAYS)
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(1) for t in made}
idents = itertools.count(1)


def name(t):
    return f"{t.encap} over IPv{t.family}"


def datagram(t, size=PAYLOAD, inner=4, tos=0, outer_tos=0):
    """An inner packet and the outer one that carries it."""
    packet = udp(t.inner("b", inner), t.inner("a", inner), 7, SINK_PORT,
                 secrets.token_bytes(size), tos)
    esp = seal_packet(t.in_, next(numbers[t]), packet)
    return packet, wires[t].packet(esp, tos=outer_tos)


def payload_length(outer):
    return len(outer) - (40 if outer[0] >> 4 == 6 else 20)


def pieces(outer, *cuts):
    """Fragments that begin at 0 and at these offsets."""
    edges = [0, *cuts, payload_length(outer)]
    ident = next(idents)
    return [piece(outer, start, end, ident)
            for start, end in zip(edges, edges[1:])]


def comes_in(t, inners, fragments):
    """These fragments make a deliver these packets, in this order."""
    capture = Capture(a, t.dev, outgoing=False)
    before = t.stats()
    for fragment in fragments:
        wires[t].send_ip(fragment)
    wanted = {"rx_packets": len(inners), "rx_bytes": sum(map(len, inners))}
    check_equal(wait_counted(t.stats, before, len(inners)), wanted, "counters")
    check_packets(capture.stop(len(inners)), inners)


def whole(t):
    """An unfragmented one still comes in, and comes alone."""
    inner, outer = datagram(t)
    comes_in(t, [inner], [outer])


def in_two(t):
    for inner in 4, 6:
        packet, outer = datagram(t, inner=inner)
        comes_in(t, [packet], pieces(outer, 504))


def reversed_order(t):
    packet, outer = datagram(t)
    comes_in(t, [packet], pieces(outer, 200, 400, 600, 800)[::-1])


def header_apart(t):
    """The first fragment holds not even the whole ESP header."""
    packet, outer = datagram(t)
    comes_in(t, [packet], pieces(outer, 8, 16))


def smallest(t):
    """Eight bytes each, the ICV in pieces too."""
    packet, outer = datagram(t, size=200)
    comes_in(t, [packet], pieces(outer, *range(8, payload_length(outer), 8)))


def large(t):
    """More than the link takes at once, three at a time, mixed."""
    packets, outers = zip(*(datagram(t, size=LARGE, inner=inner)
                            for inner in (4, 6, 4)))
    columns = zip(*(pieces(outer, 1400, 2800, 4200, 5600) for outer in outers))
    comes_in(t, list(packets), [one for column in columns for one in column])


def atomic(t):
    """An IPv6 fragment that is all (RFC 6946)."""
    packet, outer = datagram(t)
    comes_in(t, [packet], pieces(outer))


def twice(t):
    """Again the same fragments: one more packet, which is a replay."""
    packet, outer = datagram(t)
    parts = pieces(outer, 504)
    comes_in(t, [packet], parts)
    before = t.stats()
    for part in parts:
        wires[t].send_ip(part)
    check_equal(wait_counted(t.stats, before, 1), {"replay": 1}, "counters")


def by_device(t):
    """What is put together has come by the link that "dev" names."""
    try:
        a.cli("set", t.dev, "dev", link.if_a)
        in_two(t)
    finally:
        a.cli("set", t.dev, "dev", "any")


def congestion(t):
    """One fragment that met congestion marks the packet (RFC 3168 5.3)."""
    packet, outer = datagram(t, tos=ECT0, outer_tos=ECT0)
    marked = outer[:1] + bytes([outer[1] | CE]) + outer[2:]
    if t.family == 6:
        marked = outer[:1] + bytes([outer[1] | CE << 4]) + outer[2:]
    first, second = pieces(outer, 504)
    last = piece(marked, 504, payload_length(outer), next(idents) - 1)
    check_equal(len(last), len(second), "length")
    expected = with_checksum(packet[:1] + bytes([CE]) + packet[2:])
    comes_in(t, [expected], [first, last])


def refused(family):
    """Packets whose fragments overlap, of those that a has given up; of IPv6
    the kernel counts the sum, and those that came to their time."""
    file, group = (("netstat", "IpExt:") if family == 4 else ("snmp6", "Ip6"))
    with a, open(f"/proc/thread-self/net/{file}") as lines:
        rows = [line.split() for line in lines if line.startswith(group)]
    if family == 4:
        return int(dict(zip(*rows))["ReasmOverlaps"])
    counted = {word: int(value) for word, value in rows}
    return counted["Ip6ReasmFails"] - counted["Ip6ReasmTimeout"]


def overlapping(t):
    """Even where both say the same, nothing comes of it, nor once there comes
    what was missing: all of such a packet is dropped."""
    before = refused(t.family)
    both, missing = [], []
    for start in 496, 8:
        _, outer = datagram(t)
        ident, end = next(idents), payload_length(outer)
        both += [piece(outer, 0, 504, ident), piece(outer, start, end, ident)]
        missing.append(piece(outer, 504, end, ident))
    counted = t.stats()
    for part in both:
        wires[t].send_ip(part)
    wait_for(lambda: refused(t.family) == before + 2,
             what="the kernel's refusal of overlapping fragments")
    packet, outer = datagram(t)
    comes_in(t, [packet], [*missing, outer])
    check_equal(difference(counted, t.stats()),
                {"rx_packets": 1, "rx_bytes": len(packet)}, "counters")


def held(family):
    """Packets that a waits to be completed."""
    file, word = (("sockstat6", "FRAG6:") if family == 6
                  else ("sockstat", "FRAG:"))
    with a, open(f"/proc/thread-self/net/{file}") as lines:
        words = next(line.split() for line in lines if line.startswith(word))
    return int(words[2]), int(words[4])


def nothing_held():
    return held(4) == held(6) == (0, 0)


def incomplete():
    """First, middle or last missing: each is given up."""
    wait_for(nothing_held, what="earlier ones to be given up")
    for t in made:
        for i in range(INCOMPLETE):
            _, outer = datagram(t)
            parts = pieces(outer, 304, 600)
            del parts[i % len(parts)]
            for part in parts:
                wires[t].send_ip(part)
    wait_for(lambda: held(4)[0] and held(6)[0], what="fragments to be held")
    for t in made:
        whole(t)
    wait_for(nothing_held, what="incomplete packets to be given up")
    for t in made:
        whole(t)


class Singly:
    """a segments what is many in one before it leaves."""

    def set(self, state):
        a.run(f"ethtool -K {link.if_a} tx-udp-segmentation {state} "
              f"tx-gso-list {state}")

    def __enter__(self):
        self.set("off")

    def __exit__(self, *_):
        self.set("on")


def numbered(t):
    """What may be fragmented on its way can be told apart by its number."""
    capture = Capture(b, link.if_b, outgoing=False)
    a.cli("set", t.dev, "df", "clear")
    try:
        with Singly(), a.socket(socket.AF_INET, socket.SOCK_DGRAM,
                                keep=False) as sock:
            sock.bind((t.a_inner4, 0))
            sock.connect((t.b_inner4, SINK_PORT))
            for _ in range(NUMBERED):
                sock.send(bytes(100))
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
            sock.send(bytes(100 * NUMBERED))
            capture.wait(2 * NUMBERED, lambda frame: is_outbound(t, frame))
    finally:
        a.cli("set", t.dev, "df", "copy")
    outers = [outer_of(frame) for frame in capture.stop()
              if is_outbound(t, frame)]
    check_equal({outer.df for outer in outers}, {False}, "DF")
    check_equal(len({outer.ident for outer in outers}), len(outers), "numbers")


def is_outbound(t, frame):
    return (esp_of(frame) or b"")[:4] == t.spi_out.to_bytes(4, "big")


def fragments_of(t):
    return [(description, function, t) for description, function in (
        ("two fragments, IPv4 and IPv6 inside", in_two),
        ("five, the last first", reversed_order),
        ("the ESP header in two", header_apart),
        ("of eight bytes each", smallest),
        (f"of {LARGE} bytes, three packets at a time", large),
        ("the same ones again are a replay", twice),
        ("by the device that is set", by_device),
        ("a mark of congestion on one", congestion),
        ("overlapping ones", overlapping))]


# What is incomplete is given up after this, and not after half a minute.
a.sysctl({"ipv4/ipfrag_time": 2, "ipv6/ip6frag_time": 2})
for t in made:
    for description, function, *args in fragments_of(t):
        add_case(f"{name(t)}: {description}", function, *args)
    if t.family == 6:
        add_case(f"{name(t)}: a fragment that is all", atomic, t)
    else:
        add_case(f"{name(t)}: each without DF has its number", numbered, t)
add_case("incomplete ones, in all tunnels", incomplete)

main()
