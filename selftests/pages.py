#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Memory that others hold, in the shapes that the stack makes of packets:
lists of fragments, aggregates of one page, copies of multicast, packets made
by XDP. Decryption changes none of it, encryption shows none of it.

shared_memory.py has the plain ones. r is a router, or a wire made by XDP.
"""

from lib import *
from libesp import *
from libpages import *
from libxdp import *

UDP_SEGMENT, PAGE = 103, 4096
PACKETS = 8
GROUPS = {4: "239.1.2.3", 6: "ff35::1:2:3"}
GROUP_NETS = {4: "239.0.0.0/8", 6: "ff30::/12"}
IP_MULTICAST_IF, IPV6_MULTICAST_IF = 32, 17
GROUP_PORT = 7040

a, r, b = (Ns(name) for name in "arb")
path = Path(a, r, b)
near, far = path.near, path.far
udp_sink(a)
udp_sink(b)
made = tunnels(a, b, path, [{}, {"family": 6},
                            {"encap": "esp", "family": 6},
                            {"encap": "esp", "cipher": "chacha20-poly1305"}])
add_inbound(a, made)


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


def aggregate_with_clones(t, switches):
    """What comes put together, or what GRO has put together, and a packet
    socket that has the whole of it as one."""
    inners, esps = zip(*(incoming(t, size=400) for _ in range(PACKETS)))
    clones, sock = Late(a, near.if_a), sender(t)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(esps[0]))
    try:
        for ns, ifname, names, state, _ in switches:
            ns.run(f"ethtool -K {ifname} " + " ".join(
                f"{word} {state}" for word in names.split()))
        delivered(t, lambda: sock.send(b"".join(esps)), inners)
    finally:
        for ns, ifname, names, _, state in switches:
            ns.run(f"ethtool -K {ifname} " + " ".join(
                f"{word} {state}" for word in names.split()))
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
            plains = [unseal(t.out, esp) for esp in
                      map(esp_of, capture.stop())
                      if esp and esp[:4] == t.spi_out.to_bytes(4, "big")]
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
        with Xdp(r, far.if_a, redirect(r.ifindex(near.if_b))):
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
for t in made:
    for description, function in CASES:
        add_case(f"{name(t)}: {description}", function, t)
    if t.encap == "udp":    # raw ESP has no aggregates
        for description, switches in AGGREGATES:
            add_case(f"{name(t)}: {description}", aggregate_with_clones, t,
                     switches)
        add_case(f"{name(t)}: one page of a file", aggregate_of_a_page, t)

main()
