#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: oldest newest
"""What an operator puts on a network device works on this one: VRF, policy
routing, multicast, a flowtable, XDP, tc, captures, counters. Host h is behind
a, which has a tunnel to the kernel's own IPsec at b; forwarded and local
traffic goes both ways through whatever stands on bh0.
"""

import errno

from lib import *
from libesp import (ETH_P_IP, ETH_P_IPV6, Wire, esp_of, seal_packet, udp,
                    unseal)
from libxdp import *

SIZES = 0, 100, 1200
MTU = 1500                      # of bh0: no segment is larger
GROUPS = {4: "239.1.2.3", 6: "ff05::1:3"}
MEMBER_PORT = 47200
SO_MARK = 36
SOL_PACKET, PACKET_VNET_HDR = 263, 15
VNET_NEEDS_CSUM = 1

h, a, b = Ns("h"), Ns("a"), Ns("b")
inside = veth(h, a)
link = veth(a, b)
t, raw = made = tunnels(a, b, link, [{}, {"encap": "esp", "family": 6}])


class Paths:
    """Every way through a tunnel: who asks whom, by which addresses."""

    def __init__(self, tunnel):
        self.tunnel = tunnel
        self.all = [way for f in (4, 6) for way in (
            (a, tunnel.inner("a", f), tunnel.inner("b", f)),
            (h, behind(tunnel, f), tunnel.inner("b", f)),
            (b, tunnel.inner("b", f), tunnel.inner("a", f)),
            (b, tunnel.inner("b", f), behind(tunnel, f)))]

    def pass_(self, sizes=SIZES):
        before = self.tunnel.stats()
        for ns, source, dst in self.all:
            udp_exchange(ns, dst, sizes, source)
        moved = difference(before, self.tunnel.stats())
        count = len(self.all) * len(sizes)
        check_equal({name: value for name, value in moved.items()
                     if not name.endswith("_bytes")},
                    {"tx_packets": count, "rx_packets": count}, "counters")
        return moved


paths = Paths(t)


def link_counters(ns, dev):
    """What `ip -s link` prints."""
    both = json.loads(ns.run(["ip", "-s", "-j", "link", "show", "dev",
                              dev]).stdout)[0]["stats64"]
    return {f"{way} {name}": both[way][name] for way in ("rx", "tx")
            for name in ("packets", "bytes", "errors", "dropped")}


# Counters and captures

@case("ip -s link counts inner packets and bytes, and drops")
def _():
    before = link_counters(a, "bh0")
    moved = paths.pass_()
    check_equal(difference(before, link_counters(a, "bh0")), {
        f"{way} {name}": moved[f"{way}_{name}"] for way in ("rx", "tx")
        for name in ("packets", "bytes")}, "ip -s link")
    before = link_counters(a, "bh0")
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        a.ip("route add 10.99.0.0/16 dev bh0\n")
        sock.sendto(b"no peer has this", ("10.99.0.1", SINK_PORT))
    check_equal(difference(before, link_counters(a, "bh0")),
                {"tx dropped": 1}, "ip -s link after a drop")


def by_a_machine(f, start, offset):
    """A packet from h, as a virtual machine sends it: its checksum is to be
    put so many bytes behind start, of which the Ethernet header is a part."""
    packet = udp(behind(t, f), t.inner("b", f), 9, SINK_PORT, b"machine")
    kind = ETH_P_IPV6 if f == 6 else ETH_P_IP
    with h.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, keep=False) as sock:
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sock.bind((inside.if_a, 0))
        sock.send(struct.pack("=BBHHHH", VNET_NEEDS_CSUM, 0, 0, 0, start, offset)
                  + inside.mac_b + inside.mac_a + struct.pack("!H", kind) + packet)


def bad_checksum_place(f):
    """In the inner header, or behind the packet's end: nothing is written
    there; a kernel may refuse the machine itself."""
    header = 14 + (40 if f == 6 else 20)
    paths.pass_(SIZES[:1])      # h has its neighbours
    for start, offset in ((14, 6), (14 + 8, 4), (header - 2, 6),
                          (header, 400)):
        before = a.own_stats("bh0"), t.stats()
        try:
            by_a_machine(f, start, offset)
        except OSError as error:
            check_equal(error.errno, errno.EINVAL, "refused by the kernel")
            continue
        moved = wait_counted(lambda: a.own_stats("bh0"), before[0], 1)
        check_equal((moved, difference(before[1], t.stats())),
                    ({"malformed": 1}, {}), f"counters at {start}, {offset}")
    before = t.stats()
    by_a_machine(f, header, 6)
    check_equal(wait_counted(t.stats, before, 1).get("tx_packets"), 1,
                "where it belongs")


for _f in 4, 6:
    add_case(f"IPv{_f}: a checksum's place that a virtual machine made up",
             bad_checksum_place, _f)


@case("captures: inner packets from their IP header on bh0, ESP outside")
def _():
    on_bh0, outside = Capture(a, "bh0"), Capture(a, link.if_a)
    moved = paths.pass_()
    count = moved["rx_packets"] + moved["tx_packets"]
    on_bh0.wait(count)
    inner = on_bh0.stop()
    check_equal(len(inner), count, "packets on bh0")
    check_equal(sum(map(len, inner)), moved["rx_bytes"] + moved["tx_bytes"],
                "bytes on bh0")
    check_equal({packet[0] >> 4 for packet in inner}, {4, 6}, "IP versions")
    spis = {esp[:4] for esp in map(esp_of, outside.stop()) if esp}
    check_equal(spis, {sa.spi.to_bytes(4, "big") for sa in (t.out, t.in_)},
                "SPIs outside")


# Routing

@case("a VRF around bh0: traffic of the VRF and of nobody else")
def _():
    a.ip("link add red type vrf table 7\nlink set red up\n"
         "link set bh0 master red\n")
    try:
        a.ip("".join(f"addr replace {t.inner('a', f)}/{32 if f == 4 else 128} "
                     f"dev bh0{' nodad' * (f == 6)}\n" for f in (4, 6))
             + "".join(f"route replace {getattr(t, f'b_net{f}')} dev bh0 "
                       f"src {t.inner('a', f)} table 7\n" for f in (4, 6)))
        before = t.stats()
        for f in 4, 6:
            in_vrf(a, t.inner("b", f), t.inner("a", f))
        moved = difference(before, t.stats())
        check_equal((moved["tx_packets"], moved["rx_packets"]), (8, 8), "packets")
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.settimeout(0)
            try:
                sock.sendto(b"outside the VRF", (t.b_inner4, 7007))
                raise Failure("a route outside the VRF")
            except OSError as error:
                check_equal(error.errno, errno.ENETUNREACH, "error")
    finally:
        a.ip("link set bh0 nomaster\nlink del red\n")
        restore_routes()
    paths.pass_()


def in_vrf(ns, dst, source):
    """Asked from inside, and answered."""
    with ns.socket(family_of(dst), socket.SOCK_DGRAM, keep=False) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"red")
        sock.settimeout(PATIENCE)
        sock.bind((source, 0))
        sock.connect((dst, 7007))
        for _ in range(4):
            data = secrets.token_bytes(100)
            sock.send(data)
            check_equal(sock.recv(200), data, "echo")


def restore_routes():
    """A change of VRF takes IPv6 addresses, and routes, with it."""
    a.ip("".join(one.route_lines("a").replace("route add", "route replace")
                 .replace("addr add", "addr replace") for one in made))


@case("policy routing into the tunnel; an inner mark stays inside")
def _():
    a.ip(f"route del {t.b_net4}\n"
         f"route add {t.b_net4} dev bh0 table 9\n"
         f"rule add from {behind(t, 4)} lookup 9 pref 100\n"
         f"rule add to {t.b_net4} iif lo lookup 9 pref 101\n"
         f"rule add fwmark 9 to {link.b4} unreachable pref 90\n")
    try:
        paths.pass_()
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 9)
            sock.settimeout(PATIENCE)
            sock.bind((t.a_inner4, 0))
            sock.sendto(b"marked", (t.b_inner4, 7007))
            check_equal(sock.recv(100), b"marked", "echo")
        before = t.stats()
        a.cli("set", "bh0", "fwmark", 9)
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.bind((t.a_inner4, 0))
            sock.sendto(b"the outer mark", (t.b_inner4, 7007))
        check_equal(difference(before, t.stats()), {"no_route": 1}, "counters")
    finally:
        a.cli("set", "bh0", "fwmark", 0)
        a.ip("rule del pref 90\nrule del pref 100\nrule del pref 101\n")
        restore_routes()
    paths.pass_()


@case("a bridge refuses the device, which goes on")
def _():
    a.ip("link add br0 type bridge\n")
    result = a.ip("link set bh0 master br0\n", check=False)
    check(result.returncode, "bh0 is in a bridge")
    check("master" not in a.run("ip link show bh0").stdout, "a master")
    a.ip("link del br0\n")
    paths.pass_()


def multicast_out(f):
    """To the peer whose selector holds the group, and to no other."""
    group = GROUPS[f]
    selectors = ",".join([t.b_net4, t.b_net6, *GROUPS.values()])
    a.cli("peer", "set", "bh0", t.peer, "selectors", selectors)
    a.ip(f"route replace {group} dev bh0\n" if f == 4 else
         f"route replace multicast {group} dev bh0 table local\n")
    wire = Capture(a, link.if_a, outgoing=True)
    before = raw.stats()
    data = secrets.token_bytes(64)
    with a.socket(family_of(group), socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.inner("a", f), 0))
        sock.sendto(data, (group, SINK_PORT))
    wire.wait(1, esp_of)
    esps = [esp for esp in map(esp_of, wire.stop()) if esp]
    check_equal(len(esps), 1, "ESP packets")
    plain = unseal(t.out, esps[0])
    check(data in plain and socket.inet_pton(family_of(group), group) in
          plain[:40], "the packet to the group")
    check_equal(difference(before, raw.stats()), {}, "the other peer")


def multicast_in(f):
    """A member on bh0 gets what a peer sends to the group."""
    group = GROUPS[f]
    with join(a, "bh0", group, MEMBER_PORT) as sock:
        sa, data = Sa(), secrets.token_bytes(64)
        a.bhsec(sa.bhsec("bh0", t.peer, "in"))
        Wire(t).send(seal_packet(sa, 1, udp(t.inner("b", f), group, 1,
                                            MEMBER_PORT, data)))
        check_equal(sock.recv(100), data, "what the member gets")


# What hooks into the path of packets

@case("nftables' flowtable over bh0: flows are offloaded, nothing is lost")
def _():
    if os.environ.get("BHSEC_KERNEL") == "debug":
        raise Skip("its nf_tables makes lockdep complain by itself")
    a.run(["nft", "-f", "-"], input=f"""table inet fast {{
        flowtable ft {{ hook ingress priority 0;
            devices = {{ bh0, {inside.if_b} }}; }}
        chain forward {{ type filter hook forward priority 0;
            ct state established counter flow add @ft; }}
        }}\n""")
    try:
        for source, dst in ((behind(t, f), t.inner("b", f)) for f in (4, 6)):
            tcp_transfer(h, b, dst, 200_000, source)
            udp_exchange(h, dst, [100] * 40, source, burst=4)
        with a, open("/proc/thread-self/net/nf_conntrack") as lines:
            flows = [line for line in lines if "[OFFLOAD]" in line]
        check(any(t.b_inner4 in line for line in flows)
              and any("ipv6" in line for line in flows), f"offloaded: {flows}")
        paths.pass_()
    finally:
        a.run("nft delete table inet fast")


@case("XDP generic on bh0, generic and native on the underlay: all pass")
def _():
    for ifname, flags in (("bh0", XDP_FLAGS_SKB_MODE),
                          (link.if_a, XDP_FLAGS_SKB_MODE),
                          (link.if_a, XDP_FLAGS_DRV_MODE)):
        with Xdp(a, ifname, always(XDP_PASS), flags):
            paths.pass_()
            tcp_transfer(b, a, t.a_inner4, 200_000, t.b_inner4)


def sent_to_a(count=10):
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.b_inner4, 0))
        for _ in range(count):
            sock.sendto(b"to a", (t.a_inner4, SINK_PORT))
    return count


@case("XDP generic on bh0 drops, and sends back what no peer has")
def _():
    capture = Capture(a, "bh0")
    with Xdp(a, "bh0", always(XDP_DROP), XDP_FLAGS_SKB_MODE):
        before = t.stats()
        count = sent_to_a()
        moved = wait_counted(t.stats, before, count)
        check_equal(moved["rx_packets"], count, "packets opened")
        frames = capture.stop()     # while the program has what comes late
    check(not any(b"to a" in frame for frame in frames), "it passed the program")
    with Xdp(a, "bh0", always(XDP_TX), XDP_FLAGS_SKB_MODE):
        device = lambda: a.own_stats("bh0")
        before = device()
        check_equal(wait_counted(device, before, sent_to_a())["no_peer"],
                    10, "sent back")
    paths.pass_()


@case("tc on bh0: a queue counts what leaves, filters drop either way")
def _():
    def tc(text):
        a.run(["tc", "-batch", "-"], input=text)

    tc("qdisc replace dev bh0 root handle 1: prio\n"
       "qdisc add dev bh0 clsact\n")
    try:
        moved = paths.pass_()
        seen = qdisc_packets()
        check(seen >= moved["tx_packets"], f"the queue saw {seen}")
        tc("filter add dev bh0 ingress matchall action drop\n"
           "filter add dev bh0 egress matchall action drop\n")
        before = t.stats()
        capture = Capture(h, inside.if_a)
        with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.bind((t.b_inner4, 0))
            sock.sendto(b"not to h", (behind(t, 4), 7007))
        with h.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.bind((behind(t, 4), 0))
            sock.sendto(b"not to b", (t.b_inner4, 7007))
        moved = wait_counted(t.stats, before, 1)
        check_equal((moved.get("rx_packets"), moved.get("tx_packets")),
                    (1, None), "packets opened and sealed")
        check(not any(b"not to h" in frame for frame in capture.stop()),
              "it came to h")
    finally:
        tc("qdisc del dev bh0 clsact\nqdisc del dev bh0 root\n")
    paths.pass_()


def qdisc_packets():
    text = a.run(["tc", "-s", "-j", "qdisc", "show", "dev", "bh0"]).stdout
    return next(q["packets"] for q in json.loads(text) if q["kind"] == "prio")


# Coalescing

def coalesces(ns, dst, source, ifname, offset):
    """TCP in segments from b is handed on in packets larger than one. The
    link hands them over in bunches, as an interface card does; slow machines
    need longer ones for more than one segment."""
    if os.environ.get("BHSEC_CRYPTO") == "cryptd":
        raise Skip("cryptd hands over one packet at a time")
    for bunch in "3ms", "30ms", "300ms":
        b.run(["tc", "qdisc", "replace", "dev", link.if_b, "root", "netem",
               "limit", "10000", "slot", bunch])
        try:
            capture = Capture(ns, ifname, outgoing=False)
            tcp_transfer(b, ns, dst, 200_000, source)
            largest = max(len(frame) - offset for frame in capture.stop())
        finally:
            b.run(["tc", "qdisc", "del", "dev", link.if_b, "root"])
        if largest > MTU:
            return
    raise Failure(f"no packet is larger than {largest}")


for _f in 4, 6:
    add_case(f"IPv{_f} multicast by selector, outbound", multicast_out, _f)
    add_case(f"IPv{_f} multicast inbound, to a member", multicast_in, _f)
    add_case(f"IPv{_f} TCP to a itself comes in packets larger than a segment",
             coalesces, a, t.inner("a", _f), t.inner("b", _f), "bh0", 0)
    add_case(f"IPv{_f} TCP forwarded to h too", coalesces, h, behind(t, _f),
             t.inner("b", _f), inside.if_a, 14)

a.be_router()
put_behind(t, inside)
for ns in h, a, b:
    udp_echo(ns, "0.0.0.0")
    udp_echo(ns, "::")
    udp_sink(ns)
main()
