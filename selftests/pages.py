#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
"""Memory that others hold, in the shapes that the stack makes of packets:
lists of fragments, aggregates of one page, copies of multicast, packets made
by XDP. Decryption changes none of it, encryption shows none of it.

shared_memory.py has the plain ones. r is a router, or a wire made by XDP; so
is w, a host behind a, before h.
"""

import contextlib

from lib import *
from libesp import *
from libpages import *
from libxdp import *

PAGE = 4096
PACKETS = 8
GROUPS = {4: "239.1.2.3", 6: "ff35::1:2:3"}
GROUP_NETS = {4: "239.0.0.0/8", 6: "ff30::/12"}
IP_MULTICAST_IF, IPV6_MULTICAST_IF = 32, 17
GROUP_PORT, CLEAR_PORT = 7040, 7041
TRACKING = """
table inet tracking {
	counter whole { }
	chain prerouting {
		type filter hook prerouting priority 0;
		ct state new udp dport %d counter name whole
	}
}
""" % CLEAR_PORT

h, w, a, r, b = (Ns(name) for name in "hwarb")
path = Path(a, r, b)
near, far = path.near, path.far
outmost, inside = veth(h, w), veth(w, a)
a.be_router()
udp_sink(a)
udp_sink(b)
made = tunnels(a, b, path, [{}, {"family": 6},
                            {"encap": "esp", "family": 6},
                            {"encap": "esp", "cipher": "chacha20-poly1305"}])
add_inbound(a, made)
# What is in clear behind a is the same for all.
outward = made[::3]
for t in outward:
    put_behind(t, inside)


def name(t):
    return f"{t.cipher} {t.encap} over IPv{t.family}"


def both_families(t, size=900, count=PACKETS):
    return zip(*(incoming(t, family, size) for family in (4, 6)
                 for _ in range(count // 2)))


# Lists of fragments

def fragments_with_clones(t):
    """Of a reassembled packet each fragment's bytes are in the clones too."""
    inners, esps = both_families(t, 2000)
    wire = Wire(t, near)
    pieces = [piece(outer, start, end, n + 1)
              for n, outer in enumerate(wire.packet(esp) for esp in esps)
              for start, end in ((0, 800), (800, 1600), (1600, 9000))]
    clones = Late(a, near.if_a)
    delivered(t, lambda: [wire.send_ip(one) for one in pieces], inners)
    all_among(pieces, clones.frames(), "among the fragments")


def fragments_of_a_file(t):
    """Fragments whose bytes are pages of the cache."""
    inner, esp = incoming(t, size=1800)
    file, sock = with_file(esp), sender(t)
    for ns in r, b:
        ns.set_mtu(far.if_a, 1280)
    try:
        path_mtu_discovery(sock, PMTUDISC_DONT)
        delivered(t, lambda: os.sendfile(sock.fileno(), file.fileno(), 0,
                                         len(esp)), [inner])
    finally:
        set_mtu(far, 1500)
    unchanged(file, esp)


@contextlib.contextmanager
def switched(switches):
    """Features of devices, put back at the end."""
    def put(ns, ifname, names, state):
        ns.run(f"ethtool -K {ifname} " + " ".join(
            f"{word} {state}" for word in names.split()))
    try:
        for ns, ifname, names, state, _ in switches:
            put(ns, ifname, names, state)
        yield
    finally:
        for ns, ifname, names, _, state in switches:
            put(ns, ifname, names, state)


def aggregate_with_clones(t, switches):
    """What comes put together, or what GRO has put together, and a packet
    socket that has the whole of it as one."""
    inners, esps = zip(*(incoming(t, size=400) for _ in range(PACKETS)))
    clones, sock = Late(a, near.if_a), sender(t)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(esps[0]))
    with switched(switches):
        delivered(t, lambda: sock.send(b"".join(esps)), inners)
    frames = clones.frames()
    check(max(map(len, frames)) > sum(map(len, esps)), "no aggregate came")
    all_among(esps, frames, "in the aggregate")


def aggregate_of_a_page(t):
    """One page of the cache, which holds many datagrams, in one packet."""
    inners, esps = zip(*(incoming(t, size=400) for _ in range(PACKETS)))
    content = b"".join(esps)
    check(len(content) <= PAGE, "more than a page")
    file, sock = with_file(content), sender(t)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(esps[0]))
    delivered(t, lambda: os.sendfile(sock.fileno(), file.fileno(), 0,
                                     len(content)), inners)
    unchanged(file, content)


# Multicast

def multicast_sender(t, family):
    sock = a.socket(family_of(GROUPS[family]), socket.SOCK_DGRAM)
    index = a.ifindex(t.dev)
    if family == 4:
        sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF,
                        bytes(8) + struct.pack("=I", index))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_IF, index)
    sock.bind((t.inner("a", family), 0))
    return sock


def is_of(t, frame):
    return (esp_of(frame) or b"")[:4] == t.spi_out.to_bytes(4, "big")


def multicast_out(t):
    """The copies for the host's own members, read when the packets have gone,
    and what is sealed, are what was sent."""
    nets = [net for f in (4, 6) for net in (getattr(t, f"b_net{f}"),
                                            GROUP_NETS[f])]
    plain = ",".join(nets[::2])
    a.bhsec(f"peer set {t.dev} {t.peer} selectors {','.join(nets)}\n")
    try:
        for family in 4, 6:
            members = [join(a, t.dev, GROUPS[family], GROUP_PORT) for _ in range(2)]
            sent = [secrets.token_bytes(900) for _ in range(PACKETS)]
            capture = Capture(r, near.if_b, outgoing=False)
            before = t.stats()
            sock = multicast_sender(t, family)
            for data in sent:
                sock.sendto(data, (GROUPS[family], GROUP_PORT))
            wait_counted(t.stats, before, PACKETS)
            capture.wait(PACKETS, lambda frame: is_of(t, frame))
            plains = [unseal(t.out, esp_of(frame)) for frame in capture.stop()
                      if is_of(t, frame)]
            for data in sent:
                check_equal(sum(data in plain for plain in plains), 1,
                            "sealed packets with a payload")
            for member in members:
                check_equal(sorted(receive(member, PACKETS)), sorted(sent),
                            "a member's datagrams")
                member.close()
            sock.close()
    finally:
        a.bhsec(f"peer set {t.dev} {t.peer} selectors {plain}\n")


def multicast_in(t):
    """A decrypted packet for several members, and for a packet socket."""
    for family in 4, 6:
        members = [join(a, t.dev, GROUPS[family], GROUP_PORT) for _ in range(2)]
        inners, esps = zip(*(incoming(t, family, to=GROUPS[family],
                                      port=GROUP_PORT)
                             for _ in range(PACKETS)))
        wire = Wire(t, near)
        delivered(t, lambda esps=esps: [wire.send(esp) for esp in esps], inners)
        head = 28 if family == 4 else 48
        for member in members:
            check_equal(sorted(receive(member, PACKETS)),
                        sorted(inner[head:] for inner in inners),
                        "a member's datagrams")
            member.close()


# XDP

def with_clones_and_file(t):
    """Pages of the cache, and a packet socket at the sender that is read late:
    ESP from both comes in, and neither changes."""
    pairs = [incoming(t, family) for family in (4, 6)]
    file, sock = with_file(b"".join(esp for _, esp in pairs)), sender(t)
    clones = Late(b, far.if_b)

    def send():
        offset = 0
        for _, esp in pairs:
            os.sendfile(sock.fileno(), file.fileno(), offset, len(esp))
            offset += len(esp)
        for esp in esps:
            sock.send(esp)
    inners, esps = both_families(t)
    delivered(t, send, [inner for inner, _ in pairs] + list(inners))
    unchanged(file, b"".join(esp for _, esp in pairs))
    all_among(esps, clones.frames(), "at the sender")


def passed_by_xdp(t):
    """A program in the driver: it makes the packet anew around its bytes."""
    with Xdp(a, near.if_a, always(XDP_PASS)):
        with_clones_and_file(t)


def redirected_by_xdp(t):
    """r's driver sends frames of its own pages on to a."""
    def neighbours(words):
        b.ip("".join(f"neigh {words.format(mac=near.mac_a.hex(':'))}\n"
                     .replace("GATEWAY", far.gateway(b, f)) for f in (4, 6)))
    a.run(f"ethtool -K {near.if_a} gro on")
    # XDP forgets that a checksum was left to the device
    b.run(f"ethtool -K {far.if_b} tx off")
    neighbours(f"replace GATEWAY lladdr {{mac}} nud permanent dev {far.if_b}")
    try:
        with Xdp(r, far.if_a, redirect_unicast(r.ifindex(near.if_b))):
            with_clones_and_file(t)
    finally:
        neighbours(f"del GATEWAY dev {far.if_b}")
        b.run(f"ethtool -K {far.if_b} tx on")
        a.run(f"ethtool -K {near.if_a} gro off")


def made_by_xdp(t):
    """Packets in pages of a page pool, which are used again."""
    inners, esps = both_families(t)
    wire, clones = Wire(t, near), Late(a, near.if_a)
    kind = ETH_P_IPV6 if t.family == 6 else ETH_P_IP
    delivered(t, lambda: [come_in(a, near.if_a, wire.macs
                                  + struct.pack("!H", kind) + wire.packet(esp))
                          for esp in esps], inners)
    all_among(esps, clones.frames(), "on the device")


# Outward: what a host behind a sends, in clear on the inside

sinks = {}
for _family, _any in (4, "0.0.0.0"), (6, "::"):
    sinks[_family] = b.socket(family_of(_any), socket.SOCK_DGRAM)
    sinks[_family].setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    sinks[_family].settimeout(PATIENCE)
    sinks[_family].bind((_any, CLEAR_PORT))


def in_clear(t, family, size=900):
    return udp(behind(t, family), t.inner("b", family), 7, CLEAR_PORT,
               secrets.token_bytes(size))


def of_both(t, size=900):
    return [in_clear(t, family, size) for family in (4, 6)
            for _ in range(PACKETS // 2)]


def payload(packet):
    """Behind UDP's header, or behind a fragment's in IPv6; what is left of an
    IPv4 fragment without its first eight bytes."""
    return packet[28 if packet[0] >> 4 == 4 else 48:]


def frame_for_a(inner):
    kind = ETH_P_IPV6 if inner[0] >> 4 == 6 else ETH_P_IP
    return inside.mac_b + inside.mac_a + struct.pack("!H", kind) + inner


def frames_from(ns, ifname):
    sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((ifname, 0))
    return lambda packets: [sock.send(frame_for_a(one)) for one in packets]


def carried(t, send, payloads, packets=PACKETS):
    """What is sent goes through the tunnel in so many packets, and what the
    far end gets of it, by family, is as it was."""
    before = t.stats()
    send()
    moved = wait_counted(t.stats, before, packets)
    check_equal(moved.pop("tx_packets", 0), packets, "tx_packets")
    check_equal(set(moved), {"tx_bytes"}, "other counters")
    for family, wanted in payloads.items():
        check_packets(receive(sinks[family], len(wanted)), wanted,
                      "datagrams at the far end")


def by_family(inners):
    return {f: [payload(inner) for inner in inners if inner[0] >> 4 == f]
            for f in (4, 6)}


def fragments_put_together(t):
    """Connection tracking has each datagram in one packet, whose fragments are
    the clones' as well."""
    inners = of_both(t, 2000)
    pieces = [piece(inner, start, end, n + 1) for n, inner in enumerate(inners)
              for start, end in ((0, 800), (800, 1600), (1600, 9000))]
    # The kernel cuts those of IPv4 anew: the room that the tunnel asks for is
    # not in the old ones, and two are enough.
    packets = sum(2 if inner[0] >> 4 == 4 else 3 for inner in inners)
    a.run(["nft", "-f", "-"], input=TRACKING)
    try:
        clones = Late(a, inside.if_b)
        carried(t, lambda: frames_from(w, inside.if_a)(pieces),
                by_family(inners), packets)
        listed = a.run(["nft", "-j", "list", "counters"]).stdout
        check_equal([entry["counter"]["packets"] for entry
                     in json.loads(listed)["nftables"] if "counter" in entry],
                    [PACKETS], "packets that were whole")
    finally:
        a.run(["nft", "delete", "table", "inet", "tracking"])
    # New headers are the kernel's business: it writes them before the payload.
    all_among([payload(one) for one in pieces], clones.frames(),
              "among the fragments")


def aggregate_in_clear(t, switches):
    """GRO's list of whole datagrams, on its way to the tunnel."""
    with switched(switches):
        for family in 4, 6:
            sent = [secrets.token_bytes(400) for _ in range(PACKETS)]
            clones = Late(a, inside.if_b)
            with w.socket(family_of(behind(t, family)), socket.SOCK_DGRAM,
                          keep=False) as sock:
                sock.bind((behind(t, family), 0))
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(sent[0]))
                sock.connect((t.inner("b", family), CLEAR_PORT))
                carried(t, lambda: sock.send(b"".join(sent)), {family: sent})
            frames = clones.frames()
            check(max(map(len, frames)) > sum(map(len, sent)),
                  "no aggregate came")
            all_among(sent, frames, "in the aggregate")


def made_by_xdp_in_clear(t):
    inners, clones = of_both(t), Late(a, inside.if_b)
    carried(t, lambda: [come_in(a, inside.if_b, frame_for_a(inner))
                        for inner in inners], by_family(inners))
    all_among(inners, clones.frames(), "on the device")


def redirected_by_xdp_in_clear(t):
    """w's driver sends the frames of h, which they are in w's pages, to a."""
    inners, clones = of_both(t), Late(h, outmost.if_a)
    with switched([(a, inside.if_b, "gro", "on", "off")]), \
            Xdp(w, outmost.if_b, redirect_unicast(w.ifindex(inside.if_a))):
        carried(t, lambda: frames_from(h, outmost.if_a)(inners),
                by_family(inners))
    all_among(inners, clones.frames(), "at the sender")


def redirected_into_the_tunnel(t):
    """An Ethernet device's program may send to the tunnel's device by itself,
    but what it sends begins with a MAC address."""
    inners = of_both(t)
    # The program takes all unicasts from w, what the kernel sends too.
    inside.know_other_end(w)
    before, own = t.stats(), a.own_stats(t.dev)
    seen = Late(a, near.if_a)
    with Xdp(a, inside.if_b, redirect_unicast(a.ifindex(t.dev)),
             XDP_FLAGS_SKB_MODE):
        frames_from(w, inside.if_a)(inners)
        check_equal(wait_counted(lambda: a.own_stats(t.dev), own, PACKETS),
                    {"malformed": PACKETS}, "counters of the device")
    check_equal(difference(before, t.stats()), {}, "counters of the peer")
    check_equal(list(filter(esp_of, seen.frames())), [], "sent")


# Datagrams leave b one by one, and veth at r lets GRO have them.
ONE_BY_ONE = [(b, far.if_b, "tx-udp-segmentation", "off", "on"),
              (r, near.if_b, "tso", "off", "on"),
              (a, near.if_a, "gro rx-gro-list", "on", "off")]
AGGREGATES = [
    ("aggregate by UDP_SEGMENT, with clones", []),
    ("aggregate by rx-gro-list, with clones", ONE_BY_ONE),
    ("aggregate by rx-gro-list without pages, with clones",
     [(b, far.if_b, "sg", "off", "on"), *ONE_BY_ONE]),
]
CASES = [
    ("fragments, with clones", fragments_with_clones),
    ("fragments of a file", fragments_of_a_file),
    ("multicast out", multicast_out),
    ("multicast in", multicast_in),
    ("XDP passes packets", passed_by_xdp),
    ("XDP redirects packets", redirected_by_xdp),
    ("XDP makes packets", made_by_xdp),
]
SEGMENTS = [(w, inside.if_a, "tx-udp-segmentation tso", "off", "on"),
            (a, inside.if_b, "gro rx-gro-list", "on", "off")]
OUTWARD = [
    ("fragments that connection tracking puts together",
     fragments_put_together),
    ("aggregates by rx-gro-list", aggregate_in_clear, SEGMENTS),
    ("aggregates by rx-gro-list without pages", aggregate_in_clear,
     [(w, inside.if_a, "sg", "off", "on"), *SEGMENTS]),
    ("packets made by XDP", made_by_xdp_in_clear),
    ("packets redirected by XDP", redirected_by_xdp_in_clear),
    ("XDP redirects to the tunnel's device", redirected_into_the_tunnel),
]
for t in made:
    for description, function in CASES:
        add_case(f"{name(t)}: {description}", function, t)
    if t.encap == "udp":    # raw ESP has no aggregates
        for description, switches in AGGREGATES:
            add_case(f"{name(t)}: {description}", aggregate_with_clones, t,
                     switches)
        add_case(f"{name(t)}: one page of a file", aggregate_of_a_page, t)
for t in outward:
    for description, function, *args in OUTWARD:
        add_case(f"{name(t)}, outward: {description}", function, t, *args)

main()
