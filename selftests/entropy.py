#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""With entropy the UDP source port is the inner flow's, so that whatever spreads
traffic by ports spreads one tunnel; without, nothing of its flows is outside.

a and b have a router between them.
"""

import contextlib

from libflows import *

# All but two of them have a port of 16,384 to themselves, but for one run in a
# hundred million.
FLOWS, EACH = 8, 2
PORTS = range(49152, 65536)
DEFAULT, SMALL = 1500, 1400

a, r, b = (Ns(name) for name in "arb")
path = Path(a, r, b)
# A sender that moves to another CPU may overtake itself.
os.sched_setaffinity(0, {0})
made = tunnels(a, b, path, [{"encap": encap, "family": family}
                            for encap, family in (("udp", 4), ("udp", 6),
                                                  ("esp", 4), ("esp", 6))],
               far="bhsec")
in_udp, esp, esp6 = made[:2], made[2], made[3]
uplink = path.near.if_a
door = Door(a)
udp_sink(b)
udp_sink(b, GTPU_PORT)


def name(t):
    return f"UDP over IPv{t.family}"


def enter(t, word):
    """At both ends."""
    t.a.cli("peer", "set", t.dev, t.peer, "entropy", word)
    t.b.cli("peer", "set", t.far_dev, t.far_peer, "entropy", word)


@contextlib.contextmanager
def entropy(t):
    enter(t, "on")
    try:
        yield
    finally:
        enter(t, "off")


def datagrams(t, packets):
    """What is seen of each packet at b, in order: (packet, outer, source port)."""
    capture = Capture(b, path.far.if_b, outgoing=False)
    spi = t.spi_out.to_bytes(4, "big")
    def is_ours(frame):
        return (esp_of(frame) or b"")[:4] == spi
    before = t.far_stats()
    for packet in packets:
        door.send(t, packet)
    capture.wait(len(packets), is_ours)
    seen = []
    for outer in map(outer_of, filter(is_ours, capture.stop())):
        plain = unseal(t.out, esp_in(outer))
        packet = plain[:len(plain) - 2 - plain[-2]]
        seen.append((packet, outer, int.from_bytes(outer.payload[:2], "big")))
    wait_for(lambda: difference(before, t.far_stats()).get("rx_packets")
             == len(packets), what="the last packet at b")
    return seen


def one_port(t):
    """Nothing of the hash is outside: neither ports nor a flow label."""
    for inner in 4, 6:
        packets = [by_udp(t, inner, n) for n in range(FLOWS)]
        seen = datagrams(t, packets)
        check_equal({port for *_, port in seen}, {t.port}, "source ports")
    no_label(t)


def no_label(t):
    """Not even where the host has one for all else."""
    a.sysctl({"ipv6/auto_flowlabels": 3})
    check_equal(labels(t), {0}, "flow labels")


def labels(t):
    capture = Capture(b, path.far.if_b, outgoing=False)
    for n in range(FLOWS):
        door.send(t, by_udp(t, 4, n))
    capture.wait(FLOWS, esp_of)
    return {int.from_bytes(frame[14:18], "big") & 0xfffff
            if t.family == 6 else 0 for frame in capture.stop()
            if esp_of(frame)}


def spread(t, kind):
    """Each flow has a port, and its packets keep their order."""
    with entropy(t):
        for inner in 4, 6:
            flows = {kind(t, inner, n): n for n in range(FLOWS)}
            seen = datagrams(t, list(flows) * EACH)
            ports = {n: set() for n in range(FLOWS)}
            numbers = {n: [] for n in range(FLOWS)}
            for packet, outer, port in seen:
                ports[flows[packet]].add(port)
                numbers[flows[packet]].append(esp_in(outer)[4:8])
            check_equal({len(some) for some in ports.values()}, {1},
                        "ports of one flow")
            found = set.union(*ports.values())
            check(all(port in PORTS for port in found), f"ports: {found}")
            check(len(found) >= FLOWS - 2, f"{len(found)} ports")
            check(all(some == sorted(some) for some in numbers.values()),
                  "order inside a flow")


def endpoint(t):
    return t.b.peer(t.far_dev, t.far_peer)["endpoint"]


def exchange(t):
    for inner in 4, 6:
        udp_exchange(a, t.inner("b", inner), [10, 500, 1300] * 4,
                     t.inner("a", inner))
        udp_exchange(b, t.inner("a", inner), [10, 500, 1300] * 4,
                     t.inner("b", inner))
        tcp_transfer(a, b, t.inner("b", inner), 300_000, t.inner("a", inner))


def both_ways(t):
    """Ports that vary are nobody's endpoint, also where the peer roams: it has
    moved when its address has."""
    there = endpoint(t)
    other = {4: "192.0.2.9", 6: "2001:db8::9"}[t.family]
    b.cli("peer", "set", t.far_dev, t.far_peer, "roam", "on")
    a.ip(f"addr add {other}/{28 if t.family == 4 else 64} dev {uplink}"
         f"{' nodad' * (t.family == 6)}\n")
    try:
        with entropy(t):
            exchange(t)
            check_equal(endpoint(t), there, "endpoint")
            a.cli("set", t.dev, "local", other)
            exchange(t)
            check_equal(endpoint(t), there.replace(t.a_outer, other),
                        "endpoint after it has moved")
            a.cli("set", t.dev, "local", "::" if t.family == 6 else "0.0.0.0")
            exchange(t)
            check_equal(endpoint(t), there, "endpoint after it is back")
    finally:
        b.cli("peer", "set", t.far_dev, t.far_peer, "roam", "off")
        a.ip(f"addr del {other}/{28 if t.family == 4 else 64} dev {uplink}\n")


def peer_mtu(t):
    peer, = a.nl.do("peer-get", ifname=t.dev, name=t.peer)
    return peer["mtu"]


def path_mtu_is_learned(t):
    """From an error about a datagram of any port."""
    set_mtu(path.far, SMALL)
    try:
        with entropy(t):
            numbers = itertools.count()
            def learned():
                door.send(t, by_udp(t, 4, next(numbers), t.inner_max - 28))
                return peer_mtu(t) < t.inner_max
            wait_for(learned, what="a smaller MTU")
            check_equal(peer_mtu(t), inner_max("udp", t.family, SMALL), "MTU")
    finally:
        set_mtu(path.far, DEFAULT)
        a.sysctl({"ipv4/route/flush": 1})
        a.run(["ip", "-6", "route", "flush", "cache"])


def refused(command, words):
    result = a.cli(*command.split(), check=False)
    check_equal(result.returncode, 1, f"{command}: exit status")
    check_equal(result.stderr.count("\n"), 1, f"{command}: lines")
    for word in words:
        check(word in result.stderr, f"{command}: {result.stderr}")


for ns in a, b:
    udp_echo(ns, "0.0.0.0")
    udp_echo(ns, "::")
for ns in a, r:
    path.near.know_other_end(ns)
for ns in r, b:
    path.far.know_other_end(ns)

for t in in_udp:
    add_case(f"{name(t)}: without it all flows have one port, and no label",
             one_port, t)
    for kind, packet in KINDS.items():
        add_case(f"{name(t)}: flows of {kind} have ports of their own", spread,
                 t, packet)
    add_case(f"{name(t)}: traffic both ways, and a peer that roams", both_ways,
             t)
    add_case(f"{name(t)}: a path MTU is learned", path_mtu_is_learned, t)
add_case("raw ESP over IPv6: no label", no_label, esp6)


@case("it is for UDP")
def _():
    refused(f"peer set {esp.dev} {esp.peer} entropy on", ["entropy", "UDP"])
    refused(f"peer add {esp.dev} x encap esp entropy on", ["entropy", "UDP"])
    a.cli("peer", "add", esp.dev, "x", "entropy", "on")
    check_equal(a.peer(esp.dev, "x")["entropy"], True, "entropy shown")
    check("entropy on" in a.cli("show", esp.dev, "peer", "x").stdout, "in text")
    refused(f"peer set {esp.dev} x encap esp", ["entropy", "UDP"])
    a.cli("peer", "set", esp.dev, "x", "encap", "esp", "entropy", "off")
    a.cli("peer", "del", esp.dev, "x")


main()
