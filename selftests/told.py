#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Who sends what cannot go is told, also where the packet has no route: tc or an
XDP program has redirected it into the device, or it comes of a packet socket.

Host h is behind a, which has tunnels to b. Answers are for h or for a itself,
whoever put the packet onto the device.
"""

from lib import *
from libesp import *
from libxdp import *

DEFAULT, IPV6_MIN = 1500, 1280
IPPROTO_ICMP, IPPROTO_ICMPV6 = 1, 58
ECHO, UNREACHABLE = 8, 3

h, a, b = Ns("h"), Ns("a"), Ns("b")
inside, link = veth(h, a), veth(a, b)
made = tunnels(a, b, link, ALL_WAYS)
near = made[0]


# How a packet without a route comes to the device

def by_tc(packet):
    """h sends, and a's filter redirects it."""
    wire.send_ip(packet)


def by_xdp(packet):
    """The program of a device without a link layer redirects it."""
    tun.send(packet)


def by_packet_socket(packet):
    kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
    door.sendto(packet, (near.dev, kind))


def redirect_by_tc():
    """All of IPv4, and what is no neighbour discovery of IPv6."""
    to = f"action mirred egress redirect dev {near.dev}\n"
    head = f"filter add dev {inside.if_b} ingress protocol"
    a.run(["tc", "-batch", "-"], input=(
        f"{head} ip prio 1 matchall {to}"
        f"{head} ipv6 prio 2 flower ip_proto udp {to}"
        f"{head} ipv6 prio 3 flower ip_proto icmpv6 type 1 {to}"))


WAYS = {"tc redirects": by_tc, "XDP redirects": by_xdp,
        "a packet socket sends": by_packet_socket}


# What is said

Answer = collections.namedtuple("Answer", "src dst kind code info about")


def answer_in(frame):
    """The ICMP error of an Ethernet frame, None if it is none."""
    outer = outer_of(frame)
    if not outer or outer.protocol not in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        return None
    kind, code, info = struct.unpack_from("!BBxxI", outer.payload)
    if kind not in ((3,) if outer.protocol == IPPROTO_ICMP else (1, 2)):
        return None
    return Answer(outer.src, outer.dst, kind, code, info, outer.payload[8:])


class Answers:
    """ICMP errors that leave a on its way to h, or stay inside."""

    def __init__(self):
        self.captures = [Capture(a, inside.if_b, outgoing=True),
                         Capture(a, "lo", outgoing=True)]

    def mark(self):
        return [len(capture.frames) for capture in self.captures]

    def since(self, mark):
        return [answer for capture, start in zip(self.captures, mark)
                for answer in map(answer_in, list(capture.frames)[start:])
                if answer]


def counters():
    """Of all peers and of the device."""
    return {f"{who}: {name}": value for who, stats in
            [*a.all_stats(near.dev).items(), (None, a.own_stats(near.dev))]
            for name, value in stats.items()}


def told(send, packet, counter):
    """The answer to one packet, which is counted once."""
    before, mark = counters(), answers.mark()
    send(packet)
    answer = wait_for(lambda: answers.since(mark), what="an answer")
    moved = wait_counted(counters, before, 1)
    check_equal([f"{name.partition(': ')[2]}: {count}"
                 for name, count in moved.items()], [f"{counter}: 1"],
                "counters")
    check_equal(len(answer), 1, "answers")
    answer = answer[0]
    check_equal(answer.dst, packet[12:16] if packet[0] >> 4 == 4
                else packet[8:24], "who is told")
    check(packet.startswith(answer.about[:60]), "about another packet")
    return answer


def datagram(source, target, size=100):
    """An IP packet of so many bytes, DF set."""
    head = 48 if ":" in source else 28
    return udp(source, target, 9, SINK_PORT, bytes(size - head))


def sources(t, inner):
    """h, and a itself."""
    return behind(t, inner), t.inner("a", inner)


def too_big(t, send):
    for inner in 4, 6:
        wanted = inner_max(t.encap, t.family, DEFAULT)
        for source in sources(t, inner):
            answer = told(send, datagram(source, t.inner("b", inner),
                                         wanted + 1), "too_big")
            check_equal((answer.kind, answer.code, answer.info),
                        (3, 4, wanted) if inner == 4 else (2, 0, wanted),
                        "type, code and MTU")


def unreachable(number, counter, send):
    for inner in 4, 6:
        for source in sources(near, inner):
            answer = told(send, datagram(source, closed_address(number, inner)),
                          counter)
            check_equal((answer.kind, answer.code),
                        (3, 1) if inner == 4 else (1, 3), "type and code")


# What is closed, each in a way of its own: 10.3.n.0/24 and fd03:0:0:n::/64

def closed_address(number, inner):
    return f"10.3.{number}.1" if inner == 4 else f"fd03:0:0:{number:x}::1"


NOWHERE, ROUND = "203.0.113.1", "203.0.113.2"
CLOSED = {   # counter: options of the peer, whether it has an SA, and that one's
    "no_key": (f"endpoint {link.b4}", None),
    "no_endpoint": ("", Sa()),
    "no_route": (f"endpoint {NOWHERE}", Sa()),
    "loop": (f"endpoint {ROUND}", Sa()),
    "selector": (f"endpoint {link.b4} local-selectors 10.9.0.0/16", Sa()),
    "exhausted": (f"endpoint {link.b4}", Sa(esn=False, seq=(1 << 32) - 1)),
    "expired": (f"endpoint {link.b4}", Sa()),
}


def close():
    lines = ""
    for number, (counter, (options, sa)) in enumerate(CLOSED.items()):
        name = counter.replace("_", "-")
        lines += (f"peer add {near.dev} {name} {options} selectors "
                  f"10.3.{number}.0/24,fd03:0:0:{number:x}::/64\n")
        if sa:
            extra = "hard-packets 1" if counter == "expired" else ""
            lines += sa.bhsec(near.dev, name, "out", extra)
    a.bhsec(lines)
    # Both networks lead into the tunnel, as does the endpoint of one.
    a.ip(f"route add {ROUND} dev {near.dev}\nroute add 10.3.0.0/16 dev "
         f"{near.dev}\nroute add fd03::/48 dev {near.dev}\n")
    by_packet_socket(datagram(near.a_inner4, closed_address(
        list(CLOSED).index("expired"), 4)))


# What ICMP says nothing about

def about_icmp(kind, source, target):
    message = struct.pack("!BBHI", kind, 0, 0, 0) + bytes(28)
    total = struct.pack("!H", checksum(message))
    return ip(source, target, IPPROTO_ICMP, message[:2] + total + message[4:])


def later_fragment(packet):
    return with_checksum(packet[:6] + struct.pack("!H", 100) + packet[8:])


def silent_about(packets, send=by_tc):
    """They are counted, and none is answered but the one that follows them."""
    before, mark = counters(), answers.mark()
    for packet in packets:
        send(packet)
    source = behind(near, 4)
    by_tc(datagram(source, closed_address(0, 4)))
    moved = wait_counted(counters, before, len(packets) + 1)
    check_equal(sum(moved.values()), len(packets) + 1, f"counters: {moved}")
    wait_for(lambda: answers.since(mark), what="the control's answer")
    check_equal([answer.dst for answer in answers.since(mark)],
                [address(source)], "who is told")


a.be_router()
for t in made:
    put_behind(t, inside)
for ns in h, a:
    inside.know_other_end(ns)
udp_sink(b)
udp_sink(h)
wire, shouting = LinkWire(inside), LinkWire(inside, b"\xff" * 6)
door = a.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
close()
a.run(["tc", "qdisc", "add", "dev", inside.if_b, "clsact"])
redirect_by_tc()
tun = Tun(a, "t0", IFF_TUN | IFF_NO_PI)
a.ip("link set t0 addrgenmode none\nlink set t0 up\n")
answers = Answers()

UNSPOKEN = {
    "an ICMP error": [about_icmp(UNREACHABLE, behind(near, 4),
                                 closed_address(0, 4))],
    "a later fragment": [later_fragment(datagram(behind(near, 4),
                                                 closed_address(0, 4)))],
    "what is for many": [datagram(behind(near, 4), target) for target in
                         ("224.0.1.9", "255.255.255.255", "192.0.2.15")],
    "what comes from no single host": [
        datagram(source, closed_address(0, 4)) for source in
        ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.1.9", "255.255.255.255",
         "192.0.2.15")],
    "a header whose checksum is wrong": [
        datagram(behind(near, 4), closed_address(0, 4))[:10] + b"\x12\x34"
        + datagram(behind(near, 4), closed_address(0, 4))[12:]],
    "IPv6 from no single host": [
        datagram(source, closed_address(0, 6)) for source in ("::", "ff02::9")],
}

for way, send in WAYS.items():
    for t in made:
        add_case(f"{t.encap} over IPv{t.family}: {way} what is too big", too_big,
                 t, send)
    for number, counter in enumerate(CLOSED):
        add_case(f"{way} what is {counter}", unreachable, number, counter, send)
    add_case(f"{way} what no peer has", unreachable, len(CLOSED),
             "no_peer", send)
for what, packets in UNSPOKEN.items():
    add_case(f"nothing is said about {what}", silent_about, packets)


@case("nothing is said about what was sent to all on the link")
def _():
    silent_about([datagram(behind(near, 4), closed_address(0, 4))],
                 shouting.send_ip)


@case("an echo request is no error")
def _():
    told(by_packet_socket, about_icmp(ECHO, behind(near, 4),
                                      closed_address(0, 4)), "no_key")


with Xdp(a, "t0", redirect(a.ifindex(near.dev)), XDP_FLAGS_SKB_MODE):
    main()
