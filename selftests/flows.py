#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: oldest newest
"""The flows in a tunnel stay apart for whoever queues its datagrams on this host:
each has the hash of what is in it. In GTP-U each user is a flow. What leaves
together has each its own class.

Host h is behind a, which has tunnels to b.
"""

import collections
import contextlib

from libflows import *
from libhash import *

# Any two of them have the same hash of 32 bits once in a billion runs.
FLOWS, EACH = 3, 2
DEFAULT = 1500
SEGMENT = 300
# Of each flow in one softirq; not the first of all waits for its end.
TOGETHER = 8
# Two of ECN, of one DSCP, and another DSCP.
CLASSES = 0, 1, 3, 46 << 2

h, a, b = Ns("h"), Ns("a"), Ns("b")
inside, link = veth(h, a), veth(a, b)
made = tunnels(a, b, link, [{"encap": encap, "family": family}
                            for encap in ("udp", "esp") for family in (4, 6)],
               far="bhsec")
uplink = link.if_a
door = Door(a)


def name(t):
    return f"{t.encap} over IPv{t.family}"


def pieces(t, frame, size=None):
    """The ESP datagrams of a frame of the tunnel's: more than one where they
    leave in one packet, with inner ones of one size each."""
    esp = esp_of(frame) or b""
    if esp[:4] != t.spi_out.to_bytes(4, "big"):
        return []
    step = size and HEAD + size + len(trailer(size, 0)) + ICV
    return [esp[i:i + step] for i in range(0, len(esp), step)] if step else [esp]


def inner_of(t, esp):
    plain = unseal(t.out, esp)
    return plain[:len(plain) - 2 - plain[-2]]


class Flows:
    """What leaves by a tunnel meanwhile."""

    def __init__(self, t, size=None):
        self.t, self.size, self.hashes = t, size, Hashes(a, uplink)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.hashes.__exit__(*args)

    def packets(self):
        """For each packet that left its hash and what is in it."""
        return [(number, parts) for number, _, parts in self.frames()]

    def frames(self):
        """And what it is itself."""
        return [(number, frame, parts) for number, frame in self.hashes.seen()
                if (parts := pieces(self.t, frame, self.size))]

    def wait(self, count):
        def whole():
            found = self.packets()
            return found if sum(len(parts) for _, parts in found) >= count \
                else None
        return wait_for(whole, what=f"{count} datagrams")

    def apart(self, which, flows, count):
        """So many datagrams are of so many flows, which() tells of an inner
        packet whose it is: each has a hash, and no other has it."""
        found = {}
        for number, parts in self.wait(count):
            for part in parts:
                flow = which(inner_of(self.t, part))
                found.setdefault(flow, set()).add(number)
        check_equal(len(found), flows, "flows")
        check(all(len(some) == 1 for some in found.values()),
              f"one has several hashes: {found}")
        check_equal(len(set.union(*found.values())), flows, "hashes")


def inner_header(packet):
    return 40 if packet[0] >> 4 == 6 else 20


def source_port(packet):
    return packet[inner_header(packet):][:2]


def teid(packet):
    return packet[inner_header(packet) + 12:][:4]


def stay_apart(t, kind):
    for inner in 4, 6:
        with Flows(t) as flows:
            for n in list(range(FLOWS)) * EACH:
                door.send(t, kind(t, inner, n))
            flows.apart(bytes, FLOWS, FLOWS * EACH)


@contextlib.contextmanager
def local(t, inner, count, port=SINK_PORT):
    """Connected sockets, which mark their packets with a hash."""
    target = t.inner("b", inner), port
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = stack.enter_context(a.socket(
                family_of(target[0]), socket.SOCK_DGRAM, keep=False))
            sock.bind((t.inner("a", inner), 0))
            sock.connect(target)
            socks.append(sock)
        yield socks


def of_sockets(t):
    for inner in 4, 6:
        with Flows(t) as flows, local(t, inner, FLOWS) as socks:
            for sock in socks * EACH:
                sock.send(bytes(100))
            flows.apart(source_port, FLOWS, FLOWS * EACH)


def in_one_go(t):
    """Ten datagrams in one packet of the stack."""
    for inner in 4, 6:
        size = SEGMENT + 8 + (40 if inner == 6 else 20)
        with Flows(t, size) as flows, local(t, inner, FLOWS) as socks:
            for sock in socks:
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
                sock.send(bytes(SEGMENT * 10))
            flows.apart(source_port, FLOWS, FLOWS * 10)


def users_of_one_socket(t):
    for inner in 4, 6:
        with Flows(t) as flows, local(t, inner, 1, GTPU_PORT) as (sock,):
            for n in list(range(FLOWS)) * EACH:
                sock.send(gtpu(n))
            flows.apart(teid, FLOWS, FLOWS * EACH)


def without_df(packet):
    return with_checksum(packet[:6] + b"\0\0" + packet[8:])


def one_flow(_):
    return True


def fragments(t):
    """Of a packet that does not fit, and those that were fragments before."""
    with Flows(t) as flows:
        for _ in range(EACH):
            door.send(t, without_df(by_udp(t, 4, 0, DEFAULT - 28)))
        flows.apart(one_flow, 1, 2 * EACH)
    for inner in 4, 6:
        with Flows(t) as flows:
            for ident in range(EACH):
                whole = by_udp(t, inner, 0, 400)
                for part in (0, 200), (200, 408):
                    door.send(t, piece(whole, *part, ident))
            flows.apart(one_flow, 1, 2 * EACH)


def plug(verb):
    h.run(f"tc qdisc {verb} dev {inside.if_a} root handle 1: plug "
          + ("limit 1000000" if verb == "add" else "release_indefinite"))


def at_once(t, packets, look):
    """So many of each of h's packets come in one softirq: look() is shown what
    becomes of them, and several have left in one packet."""
    wire = LinkWire(inside)
    order = [packet for packet in packets for _ in range(TOGETHER)]

    def tries():
        plug("add")
        try:
            with Flows(t, len(packets[0])) as flows:
                for packet in order:
                    wire.send_ip(packet)
                plug("change")
                look(flows, len(order))
                return any(len(parts) > 1 for _, parts in flows.packets())
        finally:
            h.run(f"tc qdisc del dev {inside.if_a} root")
    wait_for(lambda: tries() or t.encap == "esp",
             what="several datagrams in one packet")


def of_host(t, inner, n=0, tos=0):
    return udp(behind(t, inner), t.inner("b", inner), 10000 + n, SINK_PORT,
               bytes(60), tos)


def forwarded_at_once(t):
    """What waits for others leaves with its own flow's."""
    for inner in 4, 6:
        at_once(t, [of_host(t, inner, n) for n in range(FLOWS)],
                lambda flows, count: flows.apart(bytes, FLOWS, count))


def classes_at_once(t):
    """Those of one flow, whose classes differ."""
    def look(flows, count):
        flows.wait(count)
        seen = collections.Counter(
            (outer_of(frame).tos, class_of(inner_of(t, part)))
            for _, frame, parts in flows.frames() for part in parts)
        check_equal(seen, {(tos, tos): TOGETHER for tos in CLASSES},
                    "classes outside and inside")
    for inner in 4, 6:
        at_once(t, [of_host(t, inner, tos=tos) for tos in CLASSES], look)


def class_of(packet):
    return int.from_bytes(packet[:2], "big") >> (
        4 if packet[0] >> 4 == 6 else 0) & 0xff


udp_sink(b)
udp_sink(b, GTPU_PORT)
a.be_router()
for t in made:
    put_behind(t, inside)
for t in made:
    for kind, packet in KINDS.items():
        add_case(f"{name(t)}: flows of {kind} stay apart", stay_apart, t, packet)
    add_case(f"{name(t)}: those of sockets", of_sockets, t)
    add_case(f"{name(t)}: those of datagrams in one packet", in_one_go, t)
    add_case(f"{name(t)}: GTP-U of one socket, for each user",
             users_of_one_socket, t)
    add_case(f"{name(t)}: those that are forwarded at once", forwarded_at_once, t)
    add_case(f"{name(t)}: of those the classes", classes_at_once, t)
    add_case(f"{name(t)}: fragments stay together", fragments, t)

main()
