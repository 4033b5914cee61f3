#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: oldest newest
"""What moves under a tunnel and over it: the device to another netns and
back, its underlay's netns away for ever, the endpoint to another address or
family, the underlay's link down and up, its address to another one. Traffic
goes on with the first packet after the cause is gone: nothing is sent twice
here, each packet is answered and counted once.
"""

import copy
import errno

from lib import *
from libesp import Wire, address, esp_of, outer_of, seal_packet, udp

SIZES = 0, 100, 1200
IFF_RUNNING = 0x40
LENGTH = {4: 28, 6: 64}      # of the underlay's networks
SEEN_ABOVE = itertools.count(1 << 20, 1 << 20)

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = tunnels(a, b, link, ALL_WAYS)
in_udp, raw = made[:2], made[2:]


def where(t):
    return f"{t.encap} over IPv{t.family}"


def passes(*some, ns=a):
    """Each packet there and back, each counted once, nothing else counted."""
    before = ns.all_stats(some[0].dev)
    for t in some:
        for f in 4, 6:
            udp_exchange(ns, t.inner("b", f), SIZES, t.inner("a", f))
    after = ns.all_stats(some[0].dev)
    count = 2 * len(SIZES)
    for t in some:
        moved = difference(before[t.peer], after[t.peer])
        check_equal({name: value for name, value in moved.items()
                     if not name.endswith("_bytes")},
                    {"tx_packets": count, "rx_packets": count},
                    f"counters, {where(t)}")


def is_told(ns, t, counter, number=errno.EHOSTUNREACH):
    """Packets are counted there and their sender hears why, by ICMP."""
    for f in 4, 6:
        before = ns.stats(t.dev, t.peer)
        dst = t.inner("b", f)
        check_equal(refused(ns, dst), number, "error at the sender")
        check_equal(difference(before, ns.stats(t.dev, t.peer)), {counter: 1},
                    "counters")


# The device

def inner_lines(dev):
    """What a device loses with its netns."""
    return (f"link set {dev} up\n"
            + "".join(t.route_lines("a") for t in made))


@case("to another netns and back: the tunnels stay, addresses and routes go")
def _():
    c = Ns("c")
    peers = [p["name"] for p in a.device("bh0")["peers"]]
    a.ip(f"link set bh0 netns {c}\n")
    check_equal(a.show(), [], "devices left behind")
    check_equal([p["name"] for p in c.device("bh0")["peers"]], peers, "peers")
    c.ip(inner_lines("bh0"))
    passes(*made, ns=c)
    t = made[0]
    old = t.out
    t.out = t.new_sa()
    b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    c.bhsec(t.out.bhsec("bh0", t.peer, "out")
            + f"sa del bh0 {t.peer} out spi {old.spi:#x}\n")
    passes(t, ns=c)
    c.ip(f"link set bh0 netns {a}\n")
    check_equal(c.show(), [], "devices left behind")
    a.ip(inner_lines("bh0"))
    passes(*made)


@case("its events are told where it is, and not where it was")
def _():
    c = Ns("c")
    a.ip(f"link set bh0 netns {c}\n")
    try:
        c.ip("link set bh0 up\n")
        here, there = Genl(c), Genl(a)
        for nl in here, there:
            nl.join("events")
        for t in made:
            inner = udp(t.inner("b", 4), t.inner("a", 4), 7, SINK_PORT, b"x")
            esp = seal_packet(t.in_, 1000, inner)
            Wire(t).send(esp[:-1] + bytes([esp[-1] ^ 1]))
            event = here.event(PATIENCE)
            check_equal((event["ifname"], event["peer"], event["spi"]),
                        ("bh0", t.peer, t.spi_in), "event")
        check_equal(there.event(0), None, "event where it was")
    finally:
        c.ip(f"link set bh0 netns {a}\n")
        a.ip(inner_lines("bh0"))
    passes(*made)


@case("there under another name and back, while packets come in")
def _():
    c = Ns("c")
    over = threading.Event()
    sent, before = [], a.stats("bh0", made[0].peer)
    sender = threading.Thread(target=keep_sending, args=(over, sent), daemon=True)
    sender.start()
    for ns, to, name in ((a, c, "moved"), (c, a, "bh0")):
        ns.ip(f"link set {made[0].dev} netns {to} name {name}\n")
        for t in made:
            t.dev = name
        to.ip(inner_lines(name))
    over.set()
    sender.join()
    wait_for(lambda: received(before) == len(sent), what="the last of them")
    passes(*made)


def received(before):
    """Datagrams since then, whatever became of them."""
    moved = difference(before, a.stats("bh0", made[0].peer))
    return sum(count for name, count in moved.items()
               if name == "rx_packets" or name in DROPS)


def keep_sending(over, sent):
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((made[0].b_inner4, 0))
        while not over.wait(0.002):
            sock.sendto(b"on its way", (made[0].a_inner4, SINK_PORT))
            sent.append(1)


def underlay_gone(n, encap, family):
    """The device stays where it is, says what is wrong, and can be deleted."""
    under, c = Ns("under"), Ns("c")
    lost = veth(under, b)
    t = Tunnel(under, b, lost, "xfrm", n=n, peer="p", dev="bh7",
               encap=encap, family=family)
    under.ip(f"link add bh7 type bhsec\nlink set bh7 netns {c}\n")
    c.ip("link set bh7 mtu 1500\n"
         "link set bh7 up\n" + t.route_lines("a"))
    c.bhsec(t.peer_lines("a"))
    b.ip(t.route_lines("b") + t.state_lines() + t.policy_lines())
    passes(t, ns=c)
    under.close()
    wait_for(lambda: "reason" in c.device("bh7"), what="the underlay's end")
    check_equal(c.device("bh7")["reason"],
                "the underlay's network namespace is gone", "reason")
    check("the underlay's network namespace is gone" in
          c.cli("show", "bh7").stdout, "no reason in the text")
    before = c.own_stats("bh7")
    with c.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        hear_errors(sock)
        sock.connect((t.b_inner4, 7007))
        sock.settimeout(PATIENCE)
        sock.send(b"never")
        try:
            sock.recv(1)
            raise Failure("an answer")
        except OSError as error:
            check_equal(error.errno, errno.EHOSTUNREACH, "error at the sender")
    check_equal(difference(before, c.own_stats("bh7")), {"no_route": 1},
                "counters of the device")
    check_equal(c.peer("bh7", "p")["sas"], [], "SAs left")
    refused = c.bhsec(t.new_sa().bhsec("bh7", "p", "out"), check=False)
    check_equal((refused.returncode, refused.stderr.count("\n")), (1, 1),
                "a new SA's refusal")
    check("the underlay's network namespace is gone" in refused.stderr,
          refused.stderr)
    c.ip("link del bh7\n")
    check_equal(c.show(), [], "devices")


add_case("UDP over IPv4: the underlay's netns deleted first", underlay_gone,
         len(made), "udp", 4)
add_case("raw over IPv6: the underlay's netns deleted first", underlay_gone,
         len(made) + 1, "esp", 6)


# The endpoint

def far_end_at(t, a_outer, b_outer):
    """The same SAs at the far end, between other addresses. What it sends is
    numbered on above all before, as by a daemon that moves its states."""
    old = t.a_outer, t.b_outer
    t.a_outer, t.b_outer = a_outer, b_outer
    on = copy.copy(t.in_)
    on.seq = next(SEEN_ABOVE)
    b.ip("".join(f"xfrm state delete src {src} dst {dst} proto esp spi "
                 f"{sa.spi:#x}\n" for sa, src, dst in (
                     (t.out, *old), (t.in_, *reversed(old))))
         + t.out.xfrm(a_outer, b_outer, t.reqid, t.encap, t.port)
         + on.xfrm(b_outer, a_outer, t.reqid, t.encap, t.port)
         + t.policy_lines().replace("policy add", "policy update"))


def other_family(t):
    """Only the endpoint changes at our end; what has begun goes on."""
    first, second = t.family, 10 - t.family
    for family in second, first:
        t.family = family
        far_end_at(t, link.address(a, family), link.address(b, family))
        wire = Capture(a, link.if_a)
        a.bhsec(f"peer set {t.dev} {t.peer} endpoint {t.endpoint('b')}\n")
        passes(t)
        families = {outer_of(f).family for f in wire.stop() if esp_of(f)}
        check_equal(families, {family}, "outer families")


def other_address(t):
    """The far end renumbered."""
    near, far = t.a_outer, t.b_outer
    new, length = f"{far[:-1]}5", LENGTH[t.family]
    b.ip(f"addr add {new}/{length} dev {link.if_b} nodad\n")
    for end in new, far:
        far_end_at(t, near, end)
        a.bhsec(f"peer set {t.dev} {t.peer} endpoint {t.endpoint('b')}\n")
        passes(t)
    b.ip(f"addr del {new}/{length} dev {link.if_b}\n")


for _t in made:
    add_case(f"{where(_t)}: the endpoint in the other family and back",
             other_family, _t)
for _t in made[0], made[3]:
    add_case(f"{where(_t)}: the endpoint at another address and back",
             other_address, _t)


# The underlay

def carrier_again():
    """The flag is set before the queue is there, but under one lock."""
    for ns, ifname in ((a, link.if_a), (b, link.if_b)):
        wait_for(lambda: ns.flags(ifname) & IFF_RUNNING, what="carrier")
        ns.ip(f"link set {ifname} up\n")


@case("the underlay's link down and up: the first packet passes")
def _():
    a.ip(f"link set {link.if_a} down\n")
    for t in made:
        is_told(a, t, "no_route")
    a.ip(f"link set {link.if_a} up\n"
         f"addr add {link.a6}/64 dev {link.if_a} nodad\n")
    carrier_again()
    passes(*made)


@case("the far end's link down and up: the first packet passes")
def _():
    b.ip(f"link set {link.if_b} down\n")
    wait_for(lambda: not a.flags(link.if_a) & IFF_RUNNING, what="no carrier")
    b.ip(f"link set {link.if_b} up\n"
         f"addr add {link.b6}/64 dev {link.if_b} nodad\n"
         + "".join(t.route_lines("b").replace("route add", "route replace")
                   .replace("addr add", "addr replace") for t in made))
    carrier_again()
    passes(*made)


def renumbered(order):
    """The near end's address changes, at our end nobody says a word."""
    ends = {4: f"{link.a4[:-1]}9", 6: f"{link.a6[:-1]}9"}
    for new in ends, {4: link.a4, 6: link.a6}:
        for f in 4, 6:
            old = next(t.a_outer for t in made if t.family == f)
            lines = [f"addr add {new[f]}/{LENGTH[f]} dev {link.if_a} nodad\n",
                     f"addr del {old}/{LENGTH[f]} dev {link.if_a}\n"]
            a.ip("".join(lines if order == "added" else reversed(lines)))
        # its routes to us name our address as the gateway
        b.ip("".join(t.route_lines("b").replace(link.a4, new[4])
                     .replace(link.a6, new[6])
                     .replace("route add", "route replace")
                     .replace("addr add", "addr replace") for t in made))
        for t in made:
            far_end_at(t, new[t.family], t.b_outer)
        # xfrm does not look at the source, so here it is looked at
        wire = Capture(a, link.if_a, outgoing=True)
        passes(*made)
        left_from = {outer_of(f).src for f in wire.stop() if esp_of(f)}
        check_equal(left_from, set(map(address, new.values())), "outer sources")


a.sysctl({"ipv4/conf/all/promote_secondaries": 1})
add_case("the address renumbered, the old one deleted first", renumbered,
         "deleted")
add_case("the address renumbered, the new one added first", renumbered, "added")


def local_follows(t):
    """Bound to an address that goes: nothing leaves with it."""
    length = LENGTH[t.family]
    a.cli("set", "bh0", "local", t.a_outer)
    passes(t)
    a.ip(f"addr del {t.a_outer}/{length} dev {link.if_a}\n"
         f"addr add {t.a_outer[:-1]}7/{length} dev {link.if_a} nodad\n")
    is_told(a, t, "no_route")
    a.ip(f"addr add {t.a_outer}/{length} dev {link.if_a} nodad\n")
    passes(t)
    a.ip(f"addr del {t.a_outer[:-1]}7/{length} dev {link.if_a}\n")
    a.cli("set", "bh0", "local", "0.0.0.0" if t.family == 4 else "::")
    passes(t)


for _t in in_udp:
    add_case(f"IPv{_t.family}: 'local' names an address that goes and comes",
             local_follows, _t)

udp_sink(a)
udp_echo(b, "0.0.0.0")
udp_echo(b, "::")
main()
