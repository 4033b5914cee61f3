#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""CHILD_SAs of one site that are told apart by protocol and ports: each packet
goes by the SA whose policy the kernel would choose, and is taken from no other.
The far end is the kernel's own IPsec, which drops what comes by another SA than
its own policies choose."""

import random

from libbound import *
from libesp import Wire, ip, piece, seal_packet, udp
from libstream import FLOW_PORT, Flow

GTPU, ECHO = 2152, 7007
ICMP = {4: ("icmp", 8, 0), 6: ("ipv6-icmp", 128, 129)}
WAYS = [(t["encap"], t["family"]) for t in ALL_WAYS]


class Child(Bound):
    """One of the CHILD_SAs of a tunnel; out, back: what the selectors name beside
    addresses, seen from a, for a family."""

    reqids = itertools.count(1)

    def __init__(self, *args, name, out, back, priority=100, **kw):
        super().__init__(*args, **kw)
        self.name, self.priority = name, priority
        self.words = {"out": out, "in": back}
        self.nets = {f: [getattr(self, f"{e}_net{f}") for e in "ab"]
                     for f in (4, 6)}
        self.reqid = next(self.reqids)
        self.peer = f"ike-{self.reqid}"

    def policy(self, verb, f, direction, near):
        """Of the near end, or as its mirror of the far one."""
        way = "in" if (direction == "out") != near else "out"
        ends, outer = self.nets[f], [self.a_outer, self.b_outer]
        if way == "in":
            ends, outer = ends[::-1], outer[::-1]
        line = (f"xfrm policy {verb} src {ends[0]} dst {ends[1]} "
                f"{self.words[way](f)} dir {direction} ")
        if near:
            line += f"if_id {self.if_id} "
        if verb == "delete":
            return line + "\n"
        pin = f"spi {self.out.spi:#x} " if near and direction == "out" else ""
        return (f"{line}priority {self.priority} tmpl src {outer[0]} "
                f"dst {outer[1]} proto esp {pin}reqid {self.reqid} "
                "mode tunnel\n")

    def near_policy_lines(self, verb="add"):
        return "".join(self.policy(verb, f, direction, True) for f in self.nets
                       for direction in ("out", "in", "fwd"))

    def policy_lines(self, verb="add"):
        return "".join(self.policy(verb, f, direction, False)
                       for f in self.nets for direction in ("out", "in"))

    def new_pair(self):
        self.out, self.in_ = self.new_sa(), self.new_sa()


def icmp_of(n):
    return lambda f: f"proto {ICMP[f][0]} type {ICMP[f][n]}"


KINDS = {
    "gtpu": (lambda f: f"proto udp dport {GTPU}",
             lambda f: f"proto udp sport {GTPU}"),
    "flow": (lambda f: f"proto udp dport {FLOW_PORT}",
             lambda f: f"proto udp sport {FLOW_PORT}"),
    "tcp": (lambda f: "proto tcp",) * 2,
    "echo": (icmp_of(1), icmp_of(2)),
    "rest": (lambda f: "",) * 2,
}


class Site:
    """The children of one tunnel, by name."""

    def __init__(self, n, encap, family, kinds=KINDS, **kw):
        self.encap, self.family = encap, family
        self.child = {
            name: Child(a, b, link, n=n, encap=encap, family=family, name=name,
                        out=words[0], back=words[1],
                        priority=200 if name == "rest" else 100, **kw)
            for name, words in kinds.items()}
        self.any = next(iter(self.child.values()))

    def install(self):
        self.any.a.ip(self.any.route_lines("a"))
        b.ip(self.any.route_lines("b"))
        for t in self.child.values():
            a.ip(t.near_state_lines() + t.near_policy_lines())
            b.ip(t.state_lines() + t.policy_lines())
        for t in self.child.values():
            t.adopted()
        wait_for(lambda: self.shown() == set(self.child) - {"rest"},
                 what=lambda: f"policies, {self.shown()}")

    def shown(self):
        return {name for name, t in self.child.items()
                if t.adopted().get("traffic-selector")}

    def inner(self, end, family):
        return self.any.inner(end, family)

    def stats(self):
        every = a.all_stats("bh0")
        return {name: every[t.peer] for name, t in self.child.items()}

    def moved(self, before):
        """{child: its counters that moved}"""
        after = self.stats()
        moved = {name: difference(before[name], after[name]) for name in after}
        return {name: counts for name, counts in moved.items() if counts}

    def where(self):
        return f"{self.encap} over IPv{self.family}"


def goes_by(site, name, do, *args, **kw):
    """All of it, both ways, by this child and no other."""
    before = site.stats()
    do(*args, **kw)
    moved = site.moved(before)
    check_equal(set(moved), {name}, f"children with traffic, {site.where()}")
    check_equal({"tx_packets", "tx_bytes", "rx_packets", "rx_bytes"},
                set(moved[name]), f"what moved of {name}")
    return moved[name]


def ping(source, target, family):
    """An echo request and its answer."""
    protocol, request, reply = ICMP[family]
    number = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
    token = secrets.token_bytes(16)
    with a.socket(family_of(target), socket.SOCK_RAW, number, keep=False) as sock:
        sock.settimeout(PATIENCE)
        sock.bind((source, 0))
        message = struct.pack("!BBHHH", request, 0, 0, 7, 1) + token
        if family == 4:
            total = sum(struct.unpack(f"!{len(message) // 2}H", message))
            total = (total & 0xffff) + (total >> 16)
            total = ~(total + (total >> 16)) & 0xffff
            message = message[:2] + struct.pack("!H", total) + message[4:]
        sock.sendto(message, (target, 0))
        while True:
            answer = sock.recv(2048)[20 if family == 4 else 0:]
            if answer[0] == reply and token in answer:
                return


a, b = Ns("a"), Ns("b")
link = veth(a, b)
for number in GTPU, ECHO:
    udp_echo(b, "0.0.0.0", number)
    udp_echo(b, "::", number)
a.ip("link add bh0 type bhsec\nlink set bh0 up\n")
bind(a, "bh0", 42)
for end in a, b:
    end.encap_sockets()
sites = [Site(n, encap, family) for n, (encap, family) in enumerate(WAYS)]
for site in sites:
    site.install()


for site in sites:
    @case(f"{site.where()}: each child carries its own, both ways")
    def _(site=site):
        for f in 4, 6:
            near, far = site.inner("a", f), site.inner("b", f)
            goes_by(site, "gtpu", udp_exchange, a, far, SIZES, near, port=GTPU)
            goes_by(site, "rest", udp_exchange, a, far, SIZES, near, port=ECHO)
            goes_by(site, "echo", ping, near, far, f)
            goes_by(site, "tcp", tcp_transfer, a, b, far, 300_000, near)
            goes_by(site, "tcp", tcp_transfer, b, a, near, 300_000, far)


@case("show says protocol, ports, type and code, as text and as JSON")
def _():
    text = unwrapped(a.cli("show", "bh0").stdout)
    for site in sites:
        nets = {f: site.any.nets[f] for f in (4, 6)}
        wanted = {
            "gtpu": lambda f: {"protocol": "udp", "remote_port": str(GTPU)},
            "flow": lambda f: {"protocol": "udp", "remote_port": str(FLOW_PORT)},
            "tcp": lambda f: {"protocol": "tcp"},
            "echo": lambda f: {"protocol": ICMP[f][0], "type": ICMP[f][1]},
            "rest": None}
        for name, t in site.child.items():
            peer = a.peer("bh0", t.peer)
            here = [{**wanted[name](f), "local": nets[f][0],
                     "remote": nets[f][1]} for f in nets] if wanted[name] else []
            check_equal(peer["traffic_selectors"], here, name)
            check_equal(bool(peer["selectors"]), name == "rest", "selectors")
            check_equal(peer["problems"], [], "problems")
            for one in here:
                line = "traffic-selector protocol " + " ".join(
                    f"{word.replace('_', '-')} {one[word]}" for word in
                    ("type", "local", "remote", "remote_port") if word in one)
                line = line.replace("protocol ", f"protocol {one['protocol']} ")
                check(any(line == have.strip() for have in text),
                      f"no line: {line}")


@case("a super-packet goes by one SA")
def _():
    for site in sites:
        for f in 4, 6:
            near, far = site.inner("a", f), site.inner("b", f)
            before = site.stats()
            with a.socket(family_of(far), socket.SOCK_DGRAM, keep=False) as sock:
                sock.bind((near, 0))
                sock.connect((far, GTPU))
                sock.settimeout(PATIENCE)
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
                sock.send(bytes(40_000))
                check_equal(len(receive(sock, 40)), 40, "datagrams back")
            moved = site.moved(before)
            check_equal(set(moved), {"gtpu"}, "children with traffic")
            check_equal(moved["gtpu"]["tx_packets"], 40, "packets")


def host_behind(site):
    """A namespace behind a with its own addresses in a's networks."""
    host = Ns("host")
    inside = veth(host, a)
    a.be_router()
    put = {f: ipaddress.ip_network(site.any.nets[f][0])[2] for f in (4, 6)}
    host.ip("".join(
        f"addr add {put[f]} dev lo{' nodad' * (f == 6)}\n"
        f"route add {site.any.nets[f][1]} via {inside.address(a, f)} "
        f"src {put[f]}\n" for f in (4, 6)))
    a.ip("".join(f"route add {put[f]} via {inside.address(host, f)}\n"
                 for f in (4, 6)))
    return host, put


@case("forwarded in turns: none of a train is by another's SA")
def _():
    site = sites[0]
    host, mine = host_behind(site)
    for f in 4, 6:
        far, before = site.inner("b", f), site.stats()
        with host.socket(family_of(far), socket.SOCK_DGRAM, keep=False) as sock:
            sock.settimeout(PATIENCE)
            sock.bind((str(mine[f]), 0))
            for _ in range(8):
                for n in range(16):
                    sock.sendto(bytes(200), (far, (GTPU, ECHO)[n % 2]))
                check_equal(len(receive(sock, 16)), 16, "datagrams back")
        moved = site.moved(before)
        check_equal({name: (counts["tx_packets"], counts["rx_packets"])
                     for name, counts in moved.items()},
                    {"gtpu": (64, 64), "rest": (64, 64)}, "packets")


# What comes by an SA whose policies it does not match

numbers = {}


def send_in(t, packet):
    """By the SA of a child, as the far end would; what that counts."""
    wire, seq = numbers.setdefault(t.name, (Wire(t), itertools.count(1000)))
    before = t.stats()
    wire.send(seal_packet(t.in_, next(seq), packet))
    return wait_counted(t.stats, before, 1)


def is_taken(t, packet, how):
    counts = send_in(t, packet)
    check_equal(counts.get("rx_packets"), 1, f"{how}, by {t.name}: {counts}")


def is_refused(t, packet, how):
    check_equal(send_in(t, packet), {"selector": 1}, f"{how}, by {t.name}")


@case("what comes by an SA that is not its own is selector, and goes no further")
def _():
    site = Site(7, "esp", 4)
    site.install()
    child = site.child
    echo_request = bytes([0, 0, 0, 0, 0, 7, 0, 1])      # type 0: an answer
    for f in (4, 6):
        far, near = site.inner("b", f), site.inner("a", f)
        number = socket.IPPROTO_ICMP if f == 4 else socket.IPPROTO_ICMPV6
        answer = bytes([ICMP[f][2], *echo_request[1:]])
        asked = bytes([ICMP[f][1], *echo_request[1:]])
        tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 5, 6, 0)
        packets = {
            "gtpu": udp(far, near, GTPU, 3333, b"from GTP-U"),
            "rest": udp(far, near, ECHO, 3333, b"from elsewhere"),
            "tcp": ip(far, near, socket.IPPROTO_TCP, tcp),
            "echo": ip(far, near, number, answer)}
        for by, t in child.items():
            for what, packet in packets.items():
                (is_taken if by == what else is_refused)(t, packet, what)
        is_refused(child["echo"], ip(far, near, number, asked), "a request")
        is_taken(child["rest"], ip(far, near, number, asked), "a request")
        # the port on the other side
        is_refused(child["gtpu"], udp(far, near, 3333, GTPU, b"turned"), "turned")
        # cut off before its ports
        short = ip(far, near, socket.IPPROTO_UDP, b"\x08")
        is_refused(child["gtpu"], short, "no ports")


@case("a fragment has no ports, the first one neither")
def _():
    site = Site(8, "esp", 4)
    site.install()
    child = site.child
    for f in (4, 6):
        far, near = site.inner("b", f), site.inner("a", f)
        whole = udp(far, near, GTPU, 3333, bytes(64))
        for start, end in ((0, 32), (32, 72)):
            part = piece(whole, start, end, 0x1234)
            is_refused(child["gtpu"], part, f"bytes {start} to {end}")
            is_taken(child["rest"], part, f"bytes {start} to {end}")
        # and out: the sender lets it be cut
        before = site.stats()
        with a.socket(family_of(far), socket.SOCK_DGRAM, keep=False) as sock:
            path_mtu_discovery(sock, PMTUDISC_DONT)
            sock.bind((near, 0))
            sock.sendto(bytes(3000), (far, GTPU))
        moved = site.moved(before)
        check_equal({name: counts.get("tx_packets")
                     for name, counts in moved.items()}, {"rest": 3}, "fragments")


@case("the policy that xfrm would choose: priority, then age")
def _():
    """The far end's kernel has the same ones, and drops what another has sent;
    this end does the same with what that has chosen."""
    dice = random.Random(611)
    for n in range(20, 24):
        # no two have the same selector: for xfrm they would be one policy
        picked = dice.sample(list(itertools.product(
            ("", f"dport {GTPU}", f"dport {ECHO}"),
            ((16, 32), (24, 64), (30, 126), (32, 128)))), 6)
        kinds = {"rest": KINDS["rest"]} | {
            f"k{number}": (
                lambda f, port=port: f"proto udp {port}",
                lambda f, port=port: f"proto udp {port.replace('d', 's')}")
            for number, (port, _) in enumerate(picked)}
        site = Site(n, "udp", 4, kinds)
        for number, (_, lengths) in enumerate(picked):
            t = site.child[f"k{number}"]
            # of equal ones Linux 6.1 prefers that of two hosts, whatever its age
            t.priority = dice.choice((50, 100, 250)) + (lengths == (32, 128))
            t.nets = {f: [str(ipaddress.ip_network(
                f"{t.inner(end, f)}/{length}", strict=False)) for end in "ab"]
                for f, length in zip((4, 6), lengths)}
        site.install()
        for f in 4, 6:
            for port in GTPU, ECHO:
                udp_exchange(a, site.inner("b", f), SIZES, site.inner("a", f),
                             port=port)
        check_equal(not_taken(a), set(), "refused")
        for t in site.child.values():
            a.ip(t.near_policy_lines("delete") + t.near_state_ends())
            b.ip(t.policy_lines("delete"))


def main_traffic(site):
    for f in 4, 6:
        near, far = site.inner("a", f), site.inner("b", f)
        goes_by(site, "gtpu", udp_exchange, a, far, SIZES, near, port=GTPU)
        goes_by(site, "rest", udp_exchange, a, far, SIZES, near, port=ECHO)


@case("a child is keyed anew under traffic: nothing is lost, nothing goes astray")
def _():
    for site in sites:
        t = site.child["flow"]
        flow = Flow(a, b, site.inner("a", 4), site.inner("b", 4))
        try:
            for _ in range(3):
                old_out, old_in, gone = t.out, t.in_, t.near_state_ends()
                t.new_pair()
                b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
                a.ip(t.near_state_lines() + t.near_policy_lines("update"))
                t.adopted(4)
                b.ip(t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap)
                     + f"xfrm state delete src {t.b_outer} dst {t.a_outer} "
                       f"proto esp spi {old_in.spi:#x}\n"
                     + f"xfrm state delete src {t.a_outer} dst {t.b_outer} "
                       f"proto esp spi {old_out.spi:#x}\n")
                a.ip(gone)
                t.adopted(2)
            flow.drained()
            flow.stop()
        finally:
            flow.close()
        main_traffic(site)


@case("a policy deleted: its traffic is the rest's; without that it is told")
def _():
    site = sites[1]
    t, rest = site.child["gtpu"], site.child["rest"]
    for end, lines in ((a, "near_policy_lines"), (b, "policy_lines")):
        end.ip(getattr(t, lines)("delete"))
    wait_for(lambda: not t.adopted().get("traffic-selector"))
    for f in 4, 6:
        goes_by(site, "rest", udp_exchange, a, site.inner("b", f), SIZES,
                site.inner("a", f), port=GTPU)
    a.ip(t.near_policy_lines() + rest.near_policy_lines("delete"))
    b.ip(t.policy_lines())
    wait_for(lambda: len(t.adopted().get("traffic-selector", [])) == 2)
    wait_for(lambda: not rest.adopted()["selectors"].get("prefix"))
    for f in 4, 6:
        goes_by(site, "gtpu", udp_exchange, a, site.inner("b", f), SIZES,
                site.inner("a", f), port=GTPU)
    rest.is_told("no_peer", rest.own_stats)
    a.ip(rest.near_policy_lines())
    wait_for(lambda: len(rest.adopted()["selectors"].get("prefix", [])) == 2)
    main_traffic(site)


@case("without an SA the daemon is asked by protocol and port, and the rest goes on")
def _():
    site = sites[2]
    t = site.child["gtpu"]
    a.ip(t.near_state_ends())
    wait_for(lambda: not t.sas() or None)
    acquires, far = listen(a, GROUP_ACQUIRE), site.inner("b", 4)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((site.inner("a", 4), 3333))
        sock.sendto(b"who asks", (far, GTPU))
    asked, = told(acquires, XFRM_MSG_ACQUIRE)
    acquires.close()
    # struct xfrm_user_acquire: of its selector the ports, and the protocol
    check_equal(struct.unpack_from("!HHHH", asked, 72),
                (GTPU, 0xffff, 3333, 0xffff), "ports with their masks")
    check_equal(asked[84], socket.IPPROTO_UDP, "protocol")
    goes_by(site, "rest", udp_exchange, a, far, SIZES, site.inner("a", 4))


@case("more than a peer can have are refused, the others carry on")
def _():
    out = "src 0.0.0.0/0 dst 10.78.0.0/24 proto tcp dport"
    into = "src 10.78.0.0/24 dst 0.0.0.0/0 proto tcp sport"
    lines = "".join(
        f"xfrm policy add {whose} {n} dir {way} if_id 42 tmpl src {src} dst {dst} "
        "proto esp reqid 900 mode tunnel\n"
        for n in range(1, 130)
        for whose, way, src, dst in ((out, "out", link.a4, link.b4),
                                     (into, "in", link.b4, link.a4),
                                     (into, "fwd", link.b4, link.a4)))
    a.ip(lines)
    reason = "a peer has at most 128 selectors with protocol or ports"
    wait_for(lambda: not_taken(a) == {(None, reason)},
             what=lambda: f"{not_taken(a)}")
    peer = a.peer("bh0", "ike-900")
    check_equal(len(peer["traffic_selectors"]), 128, "traffic selectors")
    wait_for(lambda: a.device("bh0")["refusals"] == 3,
             what="one of each direction")
    main_traffic(sites[0])
    a.ip("".join(line.partition(" tmpl ")[0].replace("add", "delete", 1) + "\n"
                 for line in lines.splitlines()))
    wait_for(lambda: not not_taken(a) or None)


main()
