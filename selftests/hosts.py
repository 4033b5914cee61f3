#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""From host to host: the inner addresses are the endpoints. The way to the far
one leads into the tunnel, so "dev" says what its packets leave by. It is kept
whatever source they have and however long the prefixes elsewhere are."""

from lib import *
from libesp import *

ALL_BITS = {4: 32, 6: 128}
ANY = {4: "0.0.0.0", 6: "::"}


class Hosts:
    """Two of them, with a tunnel that they have no "dev" for yet."""

    def __init__(self, encap, family):
        self.encap, self.family = encap, family
        self.a, self.b = Ns("a"), Ns("b")
        self.link = veth(self.a, self.b)
        there, back = Sa(), Sa()
        self.there = there
        for ns, into, out in (self.a, back, there), (self.b, there, back):
            other = self.link.gateway(ns, family)
            net = f"{other}/{ALL_BITS[family]}"
            ns.ip("link add bh0 type bhsec\nlink set bh0 up\n"
                  f"route add {net} dev bh0\n")
            ns.bhsec(f"peer add bh0 p endpoint {other} encap {encap} "
                     f"selectors {net}\n" + into.bhsec("bh0", "p", "in")
                     + out.bhsec("bh0", "p", "out"))
        self.addr_a, self.addr_b = (self.link.address(ns, family)
                                    for ns in (self.a, self.b))
        udp_echo(self.b, self.addr_b)
        udp_sink(self.b)

    def set(self, words):
        for ns in self.a, self.b:
            ns.cli("set", "bh0", *words.split())

    def exchange(self):
        """Often enough for whatever is learned from what came back."""
        for _ in range(3):
            udp_exchange(self.a, self.addr_b, [10, 700, 1300])

    def send(self):
        """One that may be told that it did not go."""
        with self.a.socket(family_of(self.addr_b), socket.SOCK_DGRAM,
                           keep=False) as sock:
            try:
                sock.sendto(b"x", (self.addr_b, SINK_PORT))
            except OSError:
                pass


def needs_dev(hosts):
    """Without it the route to the endpoint leads into the tunnel."""
    before = hosts.a.stats("bh0", "p")
    hosts.send()
    check_equal(wait_counted(lambda: hosts.a.stats("bh0", "p"), before, 1),
                {"loop": 1}, "counters")


def nothing_in_clear(hosts, capture):
    """All that passed between the two, but for the search for a neighbour."""
    ends = {address(hosts.addr_a), address(hosts.addr_b)}
    seen = {(outer.protocol, outer.protocol == IPPROTO_UDP
             and ESP_PORT in struct.unpack_from("!HH", outer.payload))
            for outer in map(outer_of, capture.stop())
            if outer and {outer.src, outer.dst} == ends
            and outer.protocol != socket.IPPROTO_ICMPV6}
    check_equal(seen, {(IPPROTO_UDP, True) if hosts.encap == "udp" else
                       (IPPROTO_ESP, False)}, "protocols on the wire")


def by_dev(hosts):
    hosts.set(f"dev {hosts.link.if_a}")
    capture = Capture(hosts.a, hosts.link.if_a)
    before = hosts.a.stats("bh0", "p")
    hosts.exchange()
    tcp_transfer(hosts.a, hosts.b, hosts.addr_b, 1 << 20)
    nothing_in_clear(hosts, capture)
    moved = difference(before, hosts.a.stats("bh0", "p"))
    check_equal(set(moved), {"rx_packets", "rx_bytes", "tx_packets",
                             "tx_bytes"}, "counters that moved")


def with_local(hosts):
    """A source that is set, where by_dev() had one that was learned."""
    hosts.set(f"dev {hosts.link.if_a}")
    for ns in hosts.a, hosts.b:
        ns.cli("set", "bh0", "local", hosts.link.address(ns, hosts.family))
    hosts.exchange()
    hosts.set(f"local {ANY[hosts.family]}")


def other_link(hosts):
    """The longest prefix is on another link: "dev" is kept, with a source and
    without."""
    family = hosts.family
    other, dev = veth(hosts.a, hosts.b), hosts.link.if_a
    far = {4: "198.51.100.1", 6: "2001:db8:ffff::1"}[family]
    # A gateway that the host knows, and whose own way is not the tunnel.
    gateway = ipaddress.ip_address(hosts.addr_b) + 7
    hosts.a.ip(
        f"neigh add {gateway} lladdr {hosts.link.mac_b.hex(':')} dev {dev}\n"
        f"route add {far}/{ALL_BITS[family]} dev {other.if_a} "
        f"via {other.gateway(hosts.a, family)}\n"
        f"route add default via {gateway} dev {dev}\n")
    hosts.a.cli("set", "bh0", "dev", dev)
    hosts.a.cli("peer", "set", "bh0", "p", "endpoint", far)
    for source in ANY[family], hosts.addr_a:
        hosts.a.cli("set", "bh0", "local", source)
        leaves_by(hosts, far)


def refused_sources(ns):
    """Packets whose way back is not the way they came by."""
    with ns, open("/proc/thread-self/net/netstat", encoding="ascii") as lines:
        words, values = [line.split() for line in lines
                         if line.startswith("TcpExt:")]
    return int(values[words.index("IPReversePathFilter")])


def checked_sources(hosts):
    """The way to the other host is the tunnel: a check of sources that wants
    packets of theirs to come by it lets none pass, a loose one does."""
    hosts.set(f"dev {hosts.link.if_a}")

    def check_sources(how):
        for ns in hosts.a, hosts.b:
            ns.sysctl({f"ipv4/conf/{hosts.link.if_a}/rp_filter": how})
    check_sources(2)
    hosts.exchange()
    check_sources(1)
    before = refused_sources(hosts.b)
    hosts.send()
    wait_for(lambda: refused_sources(hosts.b) > before, what="a refused source")
    check_sources(0)


def leaves_by(hosts, far):
    def is_sent(frame):
        outer = outer_of(frame)
        return outer and outer.dst == address(far) and esp_in(outer)
    capture = Capture(hosts.b, hosts.link.if_b, outgoing=False)
    hosts.send()
    capture.wait(1, is_sent)
    capture.stop()


for encap in "udp", "esp":
    for family in 4, 6:
        pair, where = Hosts(encap, family), f"{encap} over IPv{family}"
        add_case(f"{where}: without 'dev' it is a loop", needs_dev, pair)
        add_case(f"{where}: with 'dev' all passes, and none in clear", by_dev,
                 pair)
        add_case(f"{where}: with 'local', too", with_local, pair)
        if family == 4:
            add_case(f"{where}: where sources are checked", checked_sources, pair)
        add_case(f"{where}: a longer prefix elsewhere", other_link, pair)

main()
