#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""The early door: datagrams are opened where their device hands them over, but
only while nobody on their way would have seen them. Each of those is turned on:
it has every datagram from the first on, and the door opens again without it.
"""

import re

from libdoor import *
from libxdp import *

VLAN = 7


class Closer:
    """Something that closes the door. seen() says how many datagrams of each
    family it has had since on()."""

    reasons = {}            # by family; those left out stay early

    def __init__(self, reason=None, families=FAMILIES):
        if reason:
            self.reasons = dict.fromkeys(families, reason)

    def on(self):
        raise NotImplementedError

    def off(self):
        raise NotImplementedError

    seen = None

    def told(self):
        """Where all is dropped: what is said of it."""
        return self.reasons

    def doors(self):
        return {f: self.reasons.get(f, EARLY) for f in FAMILIES}


def settled(closer):
    """A capture is read later."""
    def still():
        seen = closer.seen()
        time.sleep(0.1)
        return seen == closer.seen()
    wait_for(still, what="the end of what is seen")
    return closer.seen()


def passes(closer):
    all_early()
    try:
        closer.on()
        traffic.exactly()
        traffic.all_arrive()
        check_equal(doors(), closer.doors(), "doors")
        if closer.seen:
            wanted = dict.fromkeys(closer.seen(), EXACTLY)
            wait_for(lambda: closer.seen() == wanted,
                     what=lambda: f"{wanted}, not {closer.seen()}")
            check_equal(settled(closer), wanted, "datagrams that it has seen")
    finally:
        closer.off()
    all_early()


def drops(closer):
    """All of the families whose door it closes."""
    all_early()
    try:
        closer.on()
        most = traffic.delivered()
        traffic.exactly()
        now = received()
        for f in closer.reasons:
            check(now[f] <= most[f], f"{now[f]} came of at most {most[f]}")
        check_equal({f: doors()[f] for f in closer.told()}, closer.told(),
                    "doors")
    finally:
        closer.off()
    wait_for(lambda: probe_arrives(closer), what="traffic")
    traffic.forget()
    all_early()


def probe_arrives(closer):
    before = received()
    traffic.exactly(2)
    time.sleep(0.05)
    return all(received()[f] >= before[f] + 2 for f in closer.reasons)


# Netfilter

class Nft(Closer):
    """A table that counts."""

    def __init__(self, reason, text, families=FAMILIES):
        super().__init__(reason, families)
        self.family, self.families = text.split()[1], families
        self.text = text

    def on(self):
        a.run(["nft", "-f", "-"], input=self.text)

    def off(self):
        a.run(["nft", "delete", "table", self.family, "seen"])

    def seen(self):
        listed = a.run(["nft", "-j", "list", "counters"]).stdout
        found = {entry["counter"]["name"]: entry["counter"]["packets"]
                 for entry in json.loads(listed)["nftables"]
                 if "counter" in entry}
        return {f: found[f"of{f}"] for f in self.families}


COUNTERS = "\n".join(f"\tcounter of{f} {{ }}" for f in FAMILIES)
RULES = "\n".join(f"\t\tmeta protocol {kind} udp dport {ESP_PORT} counter name of{f}"
                  for f, kind in ((4, "ip"), (6, "ip6")))


def table(family, hook, rules=RULES):
    return (f"table {family} seen {{\n{COUNTERS}\n\tchain seen {{\n"
            f"\t\ttype filter hook {hook} priority 0;\n{rules}\n\t}}\n}}\n")


class Conntrack(Nft):
    """Nothing but connection tracking's own hooks on the way in."""

    def __init__(self):
        super().__init__("netfilter", table(
            "inet", "output", "\t\tct state new counter name of4"))

    def off(self):
        super().off()
        a.run(["conntrack", "-F"])

    def seen(self):
        found = {}
        with a, open("/proc/thread-self/net/nf_conntrack") as lines:
            for line in map(str.split, lines):
                if f"dport={ESP_PORT}" in line and "udp" in line:
                    count = next(w for w in line if w.startswith("packets="))
                    found[{"ipv4": 4, "ipv6": 6}[line[0]]] = int(count[8:])
        return {f: found.get(f, 0) for f in FAMILIES}


def track_packets():
    """Loads connection tracking, which counts them from now on."""
    closer = Conntrack()
    closer.on()
    closer.off()
    a.sysctl({"netfilter/nf_conntrack_acct": 1})


# Who looks at the device

class Tap(Closer):
    def on(self):
        self.capture = Capture(a, dev, outgoing=False)

    def off(self):
        self.capture.stop()

    def seen(self):
        kinds = [outer_of(f) for f in list(self.capture.frames) if esp_of(f)]
        return {f: sum(o.family == f and o.protocol == IPPROTO_UDP
                       for o in kinds) for f in FAMILIES}


class Tc(Closer):
    def on(self):
        a.run(["tc", "-batch", "-"], input=(
            f"qdisc add dev {dev} clsact\n" + "".join(
                f"filter add dev {dev} ingress protocol {kind} prio {prio} "
                f"flower ip_proto udp dst_port {ESP_PORT} action gact ok\n"
                for prio, kind in ((4, "ip"), (6, "ipv6")))))

    def off(self):
        a.run(f"tc qdisc del dev {dev} clsact")

    def seen(self):
        text = a.run(f"tc -s filter show dev {dev} ingress").stdout
        return {f: sum(map(int, re.findall(r"Sent \d+ bytes (\d+) pkt", part)))
                for f in FAMILIES for part in [part_of(text, f"pref {f} ")]}


def part_of(text, word):
    """Of tc's filters those of a priority."""
    return "".join(part for part in re.split(r"(?m)^(?=filter )", text)
                   if word in part)


class Program(Closer):
    def __init__(self, reason, verdict, flags):
        super().__init__(reason)
        self.program = always(verdict), flags

    def on(self):
        self.xdp = Xdp(a, dev, *self.program)
        self.xdp.__enter__()

    def off(self):
        self.xdp.__exit__()

    def told(self):
        """What is dropped has come to no door."""
        return {}


# What a datagram goes through besides

class Lines(Closer):
    """Lines for ip."""

    def __init__(self, reason, on, off, families=FAMILIES):
        super().__init__(reason, families)
        self.lines_on, self.lines_off = on, off

    def on(self):
        a.ip(self.lines_on)

    def off(self):
        a.ip(self.lines_off)


class Bound(Closer):
    """Closes nothing: a device beside it whose door is for a daemon's port."""

    def on(self):
        a.ip("link add bh2 type bhsec\n")
        a.bhsec("set bh2 if-id 7\n")

    def off(self):
        a.ip("link del bh2\n")


AGAIN = f"addr replace {link.a6}/64 dev {dev} nodad\n"


class Vrf(Lines):
    """The sockets are not in it; dev names it where they are."""

    def __init__(self, inside):
        super().__init__("vrf", "link add red type vrf table 7\nlink set red up\n"
                         f"link set {dev} master red\n{AGAIN}",
                         f"link set {dev} nomaster\nlink del red\n{AGAIN}")
        self.inside = inside

    def on(self):
        super().on()
        if self.inside:
            a.cli("set", "bh0", "dev", "red")

    def off(self):
        if self.inside:
            a.cli("set", "bh0", "dev", "any")
        super().off()

    def told(self):
        """GRO looks for a socket where the stack does."""
        return {}


class Above(Lines):
    """A device above the underlay's, which has its addresses then."""

    def __init__(self, name, make):
        def moved(here, there):
            return (f"addr flush dev {here}\n"
                    f"addr add {link.a4}/28 dev {there}\n"
                    f"addr add {link.a6}/64 dev {there} nodad\n")
        super().__init__("device", f"{make}\nlink set {name} up\n"
                         + moved(dev, name),
                         moved(name, dev) + f"link del {name}\n")


class RpFilter(Lines):
    """b's address is to be found elsewhere."""

    def __init__(self):
        super().__init__("route", "", "", [4])

    def on(self):
        a.sysctl({f"ipv4/conf/{dev}/rp_filter": 1})

    def off(self):
        a.sysctl({f"ipv4/conf/{dev}/rp_filter": 0})


def take(name):
    """b's datagrams go out of this device from now on."""
    b.ip(f"route add {link.a4}/32 dev {name} src {link.b4}\n"
         f"route add {link.a6}/128 dev {name} src {link.b6}\n")


def leave(name):
    """And no more; it goes at both ends when the last has arrived."""
    try:
        traffic.leaves([f"{link.a4}/32 dev {name}", f"{link.a6}/128 dev {name}"])
    finally:
        for ns in b, a:
            ns.ip(f"link del {name}\n")


class Vlan(Closer):
    def on(self):
        for ns in a, b:
            ns.ip(f"link add link {dev} name tagged type vlan id {VLAN}\n"
                  "link set tagged up\n")
        self.neighbours("add")
        take("tagged")

    @staticmethod
    def neighbours(verb):
        b.ip("".join(f"neigh {verb} {address} lladdr {link.mac_a.hex(':')} "
                     "nud permanent dev tagged\n"
                     for address in (link.a4, link.a6)))

    def off(self):
        leave("tagged")


class Tunnelled(Closer):
    """What carried it is kept with it."""

    def on(self):
        a.ip("link add vx0 address 02:00:00:00:00:07 type vxlan external "
             "dstport 4789\nlink set vx0 up\n")
        b.ip(f"link add vx0 type vxlan id 7 local {aside.b4} "
             f"remote {aside.a4} dstport 4789\nlink set vx0 up\n")
        b.ip("".join(f"neigh add {address} lladdr 02:00:00:00:00:07 "
                     "nud permanent dev vx0\n"
                     for address in (link.a4, link.a6)))
        take("vx0")

    def off(self):
        leave("vx0")


class Rps(Closer):
    def put(self, mask):
        a.run(["ip", "netns", "exec", a.name, "sh", "-c",
               f"echo {mask} >/sys/class/net/{dev}/queues/rx-0/rps_cpus"])

    def on(self):
        self.put(1)

    def off(self):
        self.put(0)


class NoGro(Closer):

    def on(self):
        a.run(f"ethtool -K {dev} gro off")

    def off(self):
        a.run(f"ethtool -K {dev} gro on")


def several_in_one():
    """From a machine beside, which leaves it to its device to take them apart."""
    all_early()
    b.ip(f"link set {link.if_b} gso_max_segs 64\n")
    try:
        for f, t in by_family.items():
            with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
                sock.bind((t.b_inner4, 0))
                sock.connect((t.a_inner4, SINK_PORT))
                sock.send(bytes(100 * EXACTLY))
        traffic.begun += EXACTLY
        traffic.all_arrive()
        check_equal(doors(), dict.fromkeys(FAMILIES, "batch"), "doors")
    finally:
        b.ip(f"link set {link.if_b} gso_max_segs 1\n")
    all_early()


# What the stack drops by itself

def tricks():
    """An SA at a whose datagrams this test sends."""
    sas = {f: t.new_sa() for f, t in by_family.items()}
    a.bhsec("".join(sas[f].bhsec("bh0", t.peer, "in")
                    for f, t in by_family.items()))
    return sas, itertools.count(1)


def esp(f):
    t = by_family[f]
    inner = udp(t.b_inner4, t.a_inner4, 7, SINK_PORT, b"datagram")
    return seal_packet(trick_sas[f], next(trick_numbers), inner)


def by_hand(f, src, dst):
    return udp(src, dst, ESP_PORT, ESP_PORT, esp(f))


def snmp6(name):
    with a, open("/proc/thread-self/net/snmp6") as lines:
        return next(int(line.split()[1]) for line in lines
                    if line.split()[0] == name)


def refused(counter, make):
    """The stack counts it, and the tunnel does not."""
    all_early()
    before, arrived = snmp6(counter), received()
    wire.send_ip(make())
    wait_for(lambda: snmp6(counter) == before + 1, what=counter)
    check_equal(received(), arrived, "datagrams received")
    wire.send_ip(by_hand(6, aside.b6, aside.a6))
    traffic.count_own(6)
    all_early()


def without_checksum():
    packet = by_hand(6, aside.b6, aside.a6)
    return packet[:46] + bytes(2) + packet[48:]


def no_ipv6():
    """Though the host has the address, it is not the device's."""
    a.ip("link add other type dummy\nlink set other up\n"
         "addr add 2001:db8:ff::1/128 dev other nodad\n")
    setting = f"ipv6/conf/{aside.if_a}/disable_ipv6"
    a.sysctl({setting: 1})
    try:
        before, arrived = snmp6("Ip6InDiscards"), received()
        wire.send_ip(by_hand(6, aside.b6, "2001:db8:ff::1"))
        wait_for(lambda: snmp6("Ip6InDiscards") == before + 1, what="discards")
        check_equal(received(), arrived, "datagrams received")
    finally:
        a.sysctl({setting: 0})
        a.ip(f"link del other\naddr replace {aside.a6}/64 dev {aside.if_a} "
             "nodad\n")
    all_early()


def to_another_machine():
    """It is not opened, by a tap that gives GRO pages."""
    tap = Tun(a, "pages", IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS)
    a.ip("link set pages address 02:00:00:00:00:01 up\n"
         "addr add 198.51.100.1/24 dev pages\n")
    a.sysctl({"ipv4/conf/pages/rp_filter": 0})
    try:
        for last, count in ((1, 1), (2, 0), (1, 1)):
            all_early()
            packet = by_hand(4, "198.51.100.2", "198.51.100.1")
            tap.send(bytes((2, 0, 0, 0, 0, last)) + bytes((2, 0, 0, 0, 0, 9))
                     + struct.pack("!H", ETH_P_IP) + packet)
            traffic.count_own(4, count)
            traffic.all_arrive()
            check_equal(doors()[4], EARLY, "door")
    finally:
        tap.stop()
        open_servers.remove(tap)


def reverse_path():
    a.ip(f"link add other type dummy\nlink set other up\n"
         f"route add {link.b4}/32 dev other\n")
    try:
        drops(RpFilter())
    finally:
        a.ip("link del other\n")


def shown():
    """The tool's words are those of the family's definition."""
    device = a.device("bh0")
    check_equal((device["door4"], device["door6"]), (EARLY, EARLY), "JSON")
    text = a.cli("show", "bh0").stdout
    check("door4 early door6 early" in " ".join(text.split()), text)


def unused():
    """Of a port that has just been opened, and none without one."""
    check("door4" not in a.nl.do("dev-get", ifname="bh1")[0], "a door")
    a.bhsec("peer add bh1 p endpoint 192.0.2.99\n" + Sa().bhsec("bh1", "p", "in"))
    device = a.device("bh1")
    check_equal((device["door4"], device["door6"]), ("unused", "unused"), "doors")


POLICIES = "".join(f"xfrm policy add dir in src {net} dst {net} action block\n"
                   for net in ("0.0.0.0/0", "::/0"))
CASES = [
    ("nftables at prerouting", passes,
     Nft("netfilter", table("inet", "prerouting"))),
    ("nftables at input", passes, Nft("netfilter", table("inet", "input"))),
    ("nftables for IPv4 alone", passes,
     Nft("netfilter", table("ip", "input", RULES.split("\n", 1)[0]), [4])),
    ("nftables for IPv6 alone", passes,
     Nft("netfilter", table("ip6", "input", RULES.split("\n", 1)[1]), [6])),
    ("nftables at the device's ingress", passes,
     Nft("ingress", table("netdev", f"ingress device {dev}"))),
    ("a device that is bound to an if-id", passes, Bound()),
    ("connection tracking", passes, Conntrack()),
    ("a capture", passes, Tap("capture")),
    ("tc at ingress", passes, Tc("ingress")),
    ("a generic XDP program that passes all", passes,
     Program("xdp", XDP_PASS, XDP_FLAGS_SKB_MODE)),
    ("a generic XDP program that drops all", drops,
     Program("xdp", XDP_DROP, XDP_FLAGS_SKB_MODE)),
    ("an XDP program of the driver's that passes all", passes,
     Program(None, XDP_PASS, XDP_FLAGS_DRV_MODE)),
    ("an XDP program of the driver's that drops all", drops,
     Program("early", XDP_DROP, XDP_FLAGS_DRV_MODE)),
    ("a VRF that the device is not set to", drops, Vrf(False)),
    ("a VRF that the device is set to", passes, Vrf(True)),
    ("rp_filter, and a source that is elsewhere", reverse_path),
    ("a bridge", passes, Above(
        "br0", f"link add br0 type bridge\nlink set {dev} master br0")),
    ("a macvlan", passes, Above(
        "mv0", f"link add mv0 link {dev} type macvlan mode passthru")),
    ("a VLAN", passes, Vlan("vlan")),
    ("a tunnel with external control", passes, Tunnelled("tunnel")),
    ("an XFRM policy that blocks all", drops,
     Lines("policy", POLICIES, "xfrm policy deleteall\n")),
    ("XFRM's default is to block", drops,
     Lines("policy", "xfrm policy setdefault in block\n",
           "xfrm policy setdefault in accept\n")),
    ("receive packet steering", passes, Rps("rps")),
    ("a device without GRO", passes, NoGro("gro")),
    ("datagrams that come in one packet", several_in_one),
    ("IPv6 without a UDP checksum", refused, "Udp6InCsumErrors",
     without_checksum),
    ("IPv6 from a group", refused, "Ip6InHdrErrors",
     lambda: by_hand(6, "ff02::1", aside.a6)),
    ("IPv6 from the loopback address", refused, "Ip6InHdrErrors",
     lambda: by_hand(6, "::1", aside.a6)),
    ("IPv6 to the loopback address", refused, "Ip6InHdrErrors",
     lambda: by_hand(6, aside.b6, "::1")),
    ("a device without IPv6", no_ipv6),
    ("a frame to another machine", to_another_machine),
]


def begins(function, *args):
    """Whatever became of the one before."""
    traffic.forget()
    function(*args)


a.ip("link add bh1 type bhsec\n")
a.bhsec("set bh1 port 4509\n")
add_case("a port that nothing has come to", unused)
trick_sas, trick_numbers = tricks()
wire = Wire(by_family[6], aside)
all_early()
track_packets()
add_case("what the tool shows", shown)
for description, function, *args in CASES:
    add_case(description, begins, function, *args)
main()
