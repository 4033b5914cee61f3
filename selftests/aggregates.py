#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Aggregates that others made: many datagrams in one packet, by a sender's
UDP_SEGMENT over veth, by GRO on a router that forwards or on the host itself.
Each is opened once, and in order; what is foreign among them is counted.

All of them come from b through router r, whose GRO may put them together.
"""

import itertools

from lib import *
from libesp import *

MAX_SEGMENTS = 64
PER_CALL, PAYLOAD, CALLS = 40, 700, 3
# Inner payload and number: 44 times 1,440 bytes of ESP, as UDP just takes.
LONGEST, LONGEST_CALL = 1378, 44
JUMBO, LARGE = 9000, 8000
STREAM = 400_000

h, a, r, b = (Ns(name) for name in "harb")
inside = veth(h, a)
path = Path(a, r, b)
a.be_router()
udp_sink(a)
udp_sink(h, ESP_PORT)
# A sender that moves to another CPU may overtake itself.
os.sched_setaffinity(0, {0})
# The far ends are sockets of this test: xfrm at b only serves the streams.
made = tunnels(a, b, path, [{}, {"family": 6}, {"encap": "esp"},
                            {"encap": "esp", "family": 6}])
by_udp, raw = made[:2], made[2:]
in_sas = {t: t.new_sa() for t in made}
numbers = {t: itertools.count(1) for t in made}
a.bhsec("".join(sa.bhsec(t.dev, t.peer, "in") for t, sa in in_sas.items()))
for t in made:
    put_behind(t, inside)


def name(t):
    return f"{t.encap} over IPv{t.family}"


class Sender:
    """A socket at b whose datagrams seem to be those of the far end: as good
    as its port are others, for only endpoint and SPI count inward."""

    def __init__(self, t, to=None):
        self.sock = b.socket(family_of(t.a_outer), socket.SOCK_DGRAM)
        self.sock.connect((to or t.a_outer, t.port))

    def send(self, esps):
        """All in one call, as long as all but the last are of one length."""
        self.sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(esps[0]))
        self.sock.send(b"".join(esps))


def incoming(t, size=PAYLOAD, family=4, sa=None):
    inner = udp(t.inner("b", family), t.inner("a", family), 7, SINK_PORT,
                secrets.token_bytes(size))
    return inner, seal_packet(sa or in_sas[t], next(numbers[t]), inner)


def no_sa():
    return a.no_sa("bh0")


def opened(t, send, inners, aggregated=True, foreign=0):
    """What is sent comes out of the device once, in order; aggregated: the
    underlay did see more in one packet than a datagram."""
    seen = Capture(a, path.near.if_a, outgoing=False)
    capture = Capture(a, t.dev, outgoing=False)
    before, unknown = t.stats(), no_sa()
    send()
    check_equal(wait_counted(t.stats, before, len(inners)), {
        "rx_packets": len(inners), "rx_bytes": sum(map(len, inners))},
        "counters")
    check_equal(no_sa() - unknown, foreign, "no_sa")
    frames, packets = seen.stop(), capture.stop(len(inners))
    largest = max(map(len, frames)) - 14
    check(not aggregated or largest > 2 * len(inners[0]),
          f"the largest packet on the underlay had {largest} bytes")
    check_equal(len(packets), len(inners), "number of packets on the device")
    for packet, wanted in zip(packets, inners):
        check_equal(packet, wanted, "a packet in its place")
    return largest


def in_calls(t, pairs, calls=CALLS):
    """Sends pairs of incoming() in so many calls."""
    sender, size = Sender(t), len(pairs) // calls
    return lambda: [sender.send([esp for _, esp in pairs[i:i + size]])
                    for i in range(0, len(pairs), size)]


def inners_of(pairs):
    return [inner for inner, _ in pairs]


def segmented(t):
    for family in 4, 6:
        pairs = [incoming(t, family=family) for _ in range(PER_CALL * CALLS)]
        opened(t, in_calls(t, pairs), inners_of(pairs))


def sixty_four(t):
    """As many as the kernel takes in one packet, and as small as they are."""
    pairs = [incoming(t, 1) for _ in range(MAX_SEGMENTS * 2)]
    opened(t, in_calls(t, pairs, 2), inners_of(pairs))


def longest(t):
    """A packet that is about as long as one may be."""
    pairs = [incoming(t, LONGEST) for _ in range(LONGEST_CALL)]
    largest = opened(t, in_calls(t, pairs, 1), inners_of(pairs))
    check(largest > 60_000, f"the largest packet had {largest} bytes")


def short_last(t):
    pairs = [incoming(t) for _ in range(PER_CALL)] + [incoming(t, 30)]
    opened(t, in_calls(t, pairs, 1), inners_of(pairs))


def foreign_among(t):
    """Another SPI of ours, one that nobody has, IKE as the short last one."""
    other = t.new_sa()
    a.bhsec(other.bhsec(t.dev, t.peer, "in"))
    pairs = [incoming(t, sa=other if i % 3 == 1 else None) for i in range(30)]
    nobody = incoming(t, sa=t.new_sa())[1]
    esps = [esp for _, esp in pairs]
    esps[10:10], esps[20:20] = [nobody], [nobody]
    esps.append(bytes(4) + b"IKE")
    opened(t, lambda: Sender(t).send(esps), inners_of(pairs), foreign=3)


def keepalive_last(t):
    pairs = [incoming(t) for _ in range(PER_CALL)]
    esps = [esp for _, esp in pairs] + [b"\xff"]
    opened(t, lambda: Sender(t).send(esps), inners_of(pairs))


def jumbo(t):
    """Of raw ESP single datagrams, for nobody aggregates those."""
    for link in path.near, path.far:
        set_mtu(link, JUMBO)
    try:
        pairs = [incoming(t, LARGE) for _ in range(14)]
        if t in by_udp:
            opened(t, in_calls(t, pairs, 2), inners_of(pairs))
        else:
            opened(t, singly(t, pairs), inners_of(pairs), aggregated=False)
    finally:
        for link in path.near, path.far:
            set_mtu(link, 1500)


def singly(t, pairs):
    wire = Wire(t, path.near)
    return lambda: [wire.send(esp) for _, esp in pairs]


class Features:
    """Switches of ethtool, put back at the end."""

    def __init__(self, *switches):
        self.switches = switches

    def set(self, state, other):
        for ns, ifname, *names in self.switches:
            words = " ".join(f"{name.lstrip('!')} "
                             f"{other if name[0] == '!' else state}"
                             for name in names)
            ns.run(f"ethtool -K {ifname} {words}")

    def __enter__(self):
        self.set("on", "off")

    def __exit__(self, *_):
        self.set("off", "on")


# Segmented before it leaves b, for GRO to have something to put together.
SINGLE = b, path.far.if_b, "!tx-udp-segmentation"
ROUTER, HOST = (r, path.far.if_a), (a, path.near.if_a)
# veth leaves GRO out where what it received could have been one packet before.
ROUTER_OUT = r, path.near.if_b, "!tso"


def put_together(t, *switches, aggregated=True):
    """Single datagrams of which GRO makes one. Enough of them have to come in
    before the receiver gets to them, so that may take several tries."""
    def tries():
        pairs = [incoming(t) for _ in range(PER_CALL)]
        return opened(t, in_calls(t, pairs, 1), inners_of(pairs),
                      aggregated=False) > 2 * PAYLOAD or not aggregated
    with Features(SINGLE, *switches):
        wait_for(tries, what="an aggregate")


def beside_offload(t):
    """With esp4_offload GRO asks xfrm about every ESP datagram first."""
    pairs = [incoming(t) for _ in range(PER_CALL)]
    try:
        for module in "esp4_offload", "esp6_offload":
            subprocess.run(["modprobe", module], check=True)
        with Features(ROUTER_OUT, (*HOST, "gro")):
            opened(t, singly(t, pairs), inners_of(pairs), aggregated=False)
    finally:
        subprocess.run(["modprobe", "-r", "esp4_offload", "esp6_offload"],
                       check=True)


# What comes to our port and is another's

# As by cards that have nothing to do with checksums, nor with segmentation.
BY_WIRE = (SINGLE, (*ROUTER_OUT, "!tx"),
           (a, inside.if_b, "!tx-udp-segmentation", "!tx-gso-list", "!tx"),
           (*HOST, "gro"))
HOPS = 2


def goes_on(t, to, chain):
    """Each datagram gets to h as it was sent."""
    sender = Sender(t, to)
    sent = [secrets.token_bytes(PAYLOAD) for _ in range(PER_CALL * CALLS)]
    a.run(["nft", "-f", "-"],
          input=f"table inet moved {{\n\tchain moved {{\n\t\t{chain}\n\t}}\n}}\n")
    try:
        with Features(*BY_WIRE):
            seen = Capture(h, inside.if_a, outgoing=False)
            for i in range(0, len(sent), PER_CALL):
                sender.send(sent[i:i + PER_CALL])
            seen.wait(len(sent), of=lambda frame: is_of(t, frame))
            frames = [frame for frame in seen.stop() if is_of(t, frame)]
    finally:
        a.run("nft delete table inet moved")
    check_equal([outer_of(frame).payload[8:] for frame in frames], sent,
                "datagrams in order")
    check_equal({outer_of(frame).ttl for frame in frames}, {64 - HOPS},
                "hop limits")
    check(all(map(is_checksum_right, frames)), "a checksum is wrong")


def is_of(t, frame):
    outer = outer_of(frame)
    return (outer and outer.family == t.family and
            outer.protocol == IPPROTO_UDP and
            struct.unpack_from("!H", outer.payload, 2) == (t.port,))


def is_checksum_right(frame):
    outer = outer_of(frame)
    return not checksum(outer.src + outer.dst + struct.pack(
        "!IHBB", len(outer.payload), 0, 0, IPPROTO_UDP) + outer.payload)


def add_way_to_h(f):
    net = ipaddress.ip_network(f"{inside.address(a, f)}/{28 if f == 4 else 64}",
                               strict=False)
    b.ip(f"route add {net} via {path.far.gateway(b, f)}\n")
    r.ip(f"route add {net} via {path.near.gateway(r, f)}\n")


def for_another(t):
    goes_on(t, inside.address(h, t.family),
            "type filter hook prerouting priority 0;")


def redirected(t):
    there = inside.address(h, t.family)
    ip_word = "ip" if t.family == 4 else "ip6"
    goes_on(t, None, "type nat hook prerouting priority -100; "
            f"udp dport {t.port} dnat {ip_word} to {there}")


# Large packets that are to go through the tunnel

def datagrams_through(t):
    """h's super-packets leave as one datagram each, in order."""
    for family in 4, 6:
        there = t.inner("b", family), 7030
        with b.socket(family_of(there[0]), socket.SOCK_DGRAM,
                      keep=False) as sink, \
                h.socket(family_of(there[0]), socket.SOCK_DGRAM,
                         keep=False) as sock:
            sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            sink.settimeout(PATIENCE)
            sink.bind(there)
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, PAYLOAD)
            sock.connect(there)
            sent = [secrets.token_bytes(PAYLOAD) for _ in range(PER_CALL)]
            sock.send(b"".join(sent))
            check_equal(receive(sink, PER_CALL), sent, "datagrams in order")


def streams_through(t):
    """TCP's super-packets, from h's stack and by GRO at a, both ways."""
    with Features(ROUTER_OUT, (a, inside.if_b, "gro"), (*HOST, "gro")):
        for family in 4, 6:
            ends = behind(t, family), t.inner("b", family)
            tcp_transfer(h, b, ends[1], STREAM, ends[0])
            tcp_transfer(b, h, ends[0], STREAM, ends[1])


CASES = [
    ("UDP_SEGMENT at the sender, IPv4 and IPv6 inside", segmented),
    (f"{MAX_SEGMENTS} of them in one packet", sixty_four),
    ("64 KB in one packet", longest),
    ("a shorter last one", short_last),
    ("another SA's, nobody's and IKE's among them", foreign_among),
    ("a keepalive is the last", keepalive_last),
    ("rx-udp-gro-forwarding on a router", put_together,
     (*ROUTER, "gro", "rx-udp-gro-forwarding")),
    ("rx-gro-list on a router", put_together, (*ROUTER, "gro", "rx-gro-list")),
    ("rx-gro-list on the host", put_together, ROUTER_OUT,
     (*HOST, "gro", "rx-gro-list")),
]
# What one CPU sends overtakes what another has in its queue.
os.sched_setaffinity(0, {0})
for t in by_udp:
    for description, function, *args in CASES:
        add_case(f"{name(t)}: {description}", function, t, *args)
    add_case(f"{name(t)}: rx-udp-gro-forwarding on the host", put_together, t,
             ROUTER_OUT, (*HOST, "gro", "rx-udp-gro-forwarding"), aggregated=False)
    add_way_to_h(t.family)
    add_case(f"{name(t)}: datagrams to our port that are forwarded",
             for_another, t)
    add_case(f"{name(t)}: datagrams that a firewall sends elsewhere",
             redirected, t)
for t in made:
    add_case(f"{name(t)}: jumbo frames", jumbo, t)
for t in raw:
    add_case(f"{name(t)}: GRO with ESP offload loaded", beside_offload, t)
for t in made:
    add_case(f"{name(t)}: super-packets of UDP through the tunnel",
             datagrams_through, t)
    add_case(f"{name(t)}: super-packets of TCP through the tunnel",
             streams_through, t)

main()
