#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The route to a peer is that of the outer packet's DSCP, as rules of the host
would have it: a class has its own way and its own path MTU, and a peer whose
classes go the same way is looked for no more often than one with a single class.

a and b have addresses that two routers, r0 and r1, lead to.
"""

import contextlib

from lib import *
from libesp import *

# A class that all kernels' rules know by its old name, "low delay".
CLASS, TABLE = 4, 46
SMALL, DEFAULT = 1400, 1500
ROUNDS = 30
TRACE = "/sys/kernel/debug/tracing"
HOME = {4: {"a": "198.51.100.1", "b": "198.51.100.2"},
        6: {"a": "2001:db8:f::1", "b": "2001:db8:f::2"}}

a, b = Ns("a"), Ns("b")
routers = Ns("r0"), Ns("r1")
paths = [Path(a, router, b) for router in routers]


def length(family):
    return 32 if family == 4 else 128


class Ends:
    """Addresses that are on no link, by both ways."""

    def address(self, ns, family):
        return HOME[family]["a" if ns is a else "b"]


def settle():
    for end, other, ns in ("a", "b", a), ("b", "a", b):
        lines = ""
        for f in 4, 6:
            mine, there = HOME[f][end], HOME[f][other]
            lines += (f"addr add {mine}/{length(f)} dev lo"
                      f"{' nodad' * (f == 6)}\n")
            for path, table in zip(paths, ("main", TABLE)):
                lines += (f"route add {there} via {path.gateway(ns, f)} "
                          f"src {mine} table {table}\n")
                path.router.ip(f"route add {mine} via {path.address(ns, f)}\n")
        ns.ip(lines)


def of_class(dscp, t, inner, size=100):
    head = 48 if inner == 6 else 28
    return udp(t.inner("a", inner), t.inner("b", inner), 7, SINK_PORT,
               bytes(size - head), dscp << 2)


def send(t, *packets):
    for packet in packets:
        door.sendto(packet, (t.dev, ETH_P_IPV6 if packet[0] >> 4 == 6
                             else ETH_P_IP))


def name(t):
    return f"{t.encap} over IPv{t.family}"


@contextlib.contextmanager
def rule(family, action=f"lookup {TABLE}"):
    """For the class."""
    def ip(verb):
        a.run(f"ip -{family} rule {verb} tos {CLASS << 2:#x} pref 100 {action}")
    ip("add")
    try:
        yield
    finally:
        ip("del")


class Ways:
    """Outer DSCPs of the tunnel's packets that come by either router."""

    def __init__(self, t):
        self.t = t
        self.captures = [Capture(b, path.far.if_b, outgoing=False)
                         for path in paths]

    def seen(self):
        spi = self.t.spi_out.to_bytes(4, "big")
        return [[outer.tos >> 2 for outer in map(outer_of, list(capture.frames))
                 if outer and (esp_in(outer) or b"")[:4] == spi]
                for capture in self.captures]

    def wait(self, *wanted):
        count = sum(map(len, wanted))
        wait_for(lambda: sum(map(len, self.seen())) >= count,
                 what=lambda: f"{wanted} instead of {self.seen()}")
        check_equal([sorted(way) for way in self.seen()],
                    [sorted(way) for way in wanted], "DSCPs by r0, and by r1")

    def stop(self):
        for capture in self.captures:
            capture.stop()


@contextlib.contextmanager
def ways(t):
    found = Ways(t)
    try:
        yield found
    finally:
        found.stop()


def by_class(t, inner):
    """Whoever comes first does not choose for the others."""
    with rule(t.family):
        for first, second in (0, CLASS), (CLASS, 0):
            a.cli("peer", "set", t.dev, t.peer, "endpoint", t.endpoint("b"))
            with ways(t) as found:
                for dscp in (first, second) * 3:
                    send(t, of_class(dscp, t, inner))
                found.wait([0] * 3, [CLASS] * 3)


def ecn_is_no_class(t):
    """The two bits below it choose no way."""
    with rule(t.family), ways(t) as found:
        for ecn in range(4):
            packet = udp(t.a_inner4, t.b_inner4, 7, SINK_PORT, b"ecn",
                         CLASS << 2 | ecn)
            send(t, packet)
        found.wait([], [CLASS] * 4)


def fixed(t):
    """What counts is the DSCP outside."""
    with rule(t.family):
        try:
            for dscp, wanted in (CLASS, ([], [CLASS] * 2)), (0, ([0] * 2, [])):
                a.cli("set", t.dev, "dscp", dscp)
                with ways(t) as found:
                    send(t, of_class(0, t, 4), of_class(CLASS, t, 4))
                    found.wait(*wanted)
        finally:
            a.cli("set", t.dev, "dscp", "copy")


def rules_change(t):
    """A rule counts from the next packet on, and no longer than it stands."""
    for _ in range(2):
        with ways(t) as found:
            send(t, of_class(0, t, 4), of_class(CLASS, t, 4))
            found.wait([0, CLASS], [])
        with rule(t.family), ways(t) as found:
            send(t, of_class(CLASS, t, 4), of_class(0, t, 4))
            found.wait([0], [CLASS])


def no_way(t):
    """A class whose way is closed does not take another's."""
    send(t, of_class(0, t, 4))
    with rule(t.family, "unreachable"):
        before = t.stats()
        send(t, of_class(CLASS, t, 4), of_class(0, t, 4), of_class(CLASS, t, 4))
        moved = wait_counted(t.stats, before, 3)
        check_equal((moved.get("no_route"), moved.get("tx_packets")), (2, 1),
                    "packets without a way, and with one")


def path_mtu_of_class(t):
    """r1's next link takes less, and nobody but who goes there has to care."""
    large = inner_max(t.encap, t.family, DEFAULT)
    def refused(dscp, size):
        before = t.stats()
        send(t, of_class(dscp, t, 4, size))
        return "too_big" in difference(before, t.stats())

    set_mtu(paths[1].far, SMALL)
    try:
        with rule(t.family):
            wait_for(lambda: refused(CLASS, large), what="an ICMP error")
            fits = inner_max(t.encap, t.family, SMALL)
            check(refused(CLASS, fits + 1), "a byte too many")
            with ways(t) as found:
                send(t, of_class(CLASS, t, 4, fits), of_class(0, t, 4, large))
                found.wait([0], [CLASS])
    finally:
        set_mtu(paths[1].far, DEFAULT)
        a.sysctl({"ipv4/route/flush": 1})
        a.run(["ip", "-6", "route", "flush", "cache"])


class LookUps:
    """How often the host looks for its own route to the other end; what a
    router looks for came by an interface."""

    def __init__(self, t):
        self.event = "fib" if t.family == 4 else "fib6"
        self.dst = t.b_outer

    def set(self, file, value):
        with open(f"{TRACE}/{file}", "w") as setting:
            setting.write(value)

    def __enter__(self):
        self.set("trace", "")
        self.set(f"events/{self.event}/enable", "1")
        return self

    def __exit__(self, *_):
        self.set(f"events/{self.event}/enable", "0")

    def count(self):
        dst = ipaddress.ip_address(self.dst).exploded
        with open(f"{TRACE}/trace") as lines:
            return sum(1 for line in lines if any(
                ipaddress.ip_address(word).exploded == dst for word in
                re.findall(r"iif 1 .*-> ([0-9a-f:.]+)/", line)))


def looked_up_once(t):
    """Sixty packets of two classes that go the same way, on one CPU, which has
    each class looked up in some tables."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        for classes in (0,), (0, CLASS):
            a.cli("peer", "set", t.dev, t.peer, "endpoint", t.endpoint("b"))
            with LookUps(t) as found, ways(t) as seen:
                sent = list(classes) * (ROUNDS * 2 // len(classes))
                for dscp in sent:
                    send(t, of_class(dscp, t, 4))
                seen.wait(sent, [])
                count = found.count()
            check(0 < count < ROUNDS // 2, f"{count} look-ups for {classes}")
    finally:
        os.sched_setaffinity(0, cpus)


settle()
made = tunnels(a, b, Ends(), [{"encap": encap, "family": family}
                              for encap in ("udp", "esp") for family in (4, 6)],
               far="bhsec")
door = a.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
udp_sink(b)

for t in made:
    for inner in 4, 6:
        add_case(f"{name(t)}, inner IPv{inner}: each class goes its way",
                 by_class, t, inner)
    add_case(f"{name(t)}: ECN chooses no way", ecn_is_no_class, t)
    add_case(f"{name(t)}: a fixed DSCP chooses for all", fixed, t)
    add_case(f"{name(t)}: rules come and go", rules_change, t)
    add_case(f"{name(t)}: a class whose way is closed", no_way, t)
    add_case(f"{name(t)}: a path MTU is its class's", path_mtu_of_class, t)
    add_case(f"{name(t)}: classes of one way are looked up once", looked_up_once,
             t)

main()
