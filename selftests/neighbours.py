#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Who else lives on the host: an IKE daemon on port 4500, the tunnels it makes,
an xfrm interface, another bhsec device, a VRF. Each datagram reaches whom it
belongs to, and a port has one owner.

A UDP socket with UDP_ENCAP stands in for the daemon. What host b, or c on
another link, sends is made by hand. That a datagram stays out is seen by the
next one, which comes: both go the same way.
"""

import copy
import errno

from libesp import *
from libxfrm import *

BH0_PORT, BH1_PORT, TAKEN = 4501, 4502, 4511
INNER_PORT = 47300
MARKER = bytes(4)               # RFC 3948 2.2: not ESP, but IKE
BROADCAST = b"\xff" * 6

a, b, c = Ns("a"), Ns("b"), Ns("c")
link = veth(a, b)
side = veth(a, c)


class Feed:
    """An inbound SA of a tunnel; each datagram in it is told from others."""

    def __init__(self, t, dev="bh0"):
        self.t, self.dev, self.sa = t, dev, Sa()
        self.numbers = itertools.count(1)
        a.bhsec(self.sa.bhsec(dev, t.peer, "in"))
        self.wire = Wire(t)
        self.inside = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.settimeout(PATIENCE)
        self.inside.bind((t.a_inner4, INNER_PORT + t.n))

    def esp(self):
        data = secrets.token_bytes(24)
        return data, seal_packet(self.sa, next(self.numbers), udp(
            self.t.b_inner4, self.t.a_inner4, 1, INNER_PORT + self.t.n, data))

    def outer(self, esp, dst=None, port=None):
        t = self.t
        if t.encap == "esp":
            return ip(t.b_outer, dst or t.a_outer, IPPROTO_ESP, esp)
        return udp(t.b_outer, dst or t.a_outer, port or t.port, port or t.port,
                   esp)

    def comes(self, wire=None, **how):
        data, esp = self.esp()
        (wire or self.wire).send_ip(self.outer(esp, **how))
        check_equal(self.inside.recv(100), data, "what comes out of the device")

    def stays_out(self, wire=None, **how):
        (wire or self.wire).send_ip(self.outer(self.esp()[1], **how))
        if wire and wire.tunnel.link is not self.t.link:
            settle()
        self.comes()


def wire_of(t, other, macs=None):
    """From another link, or to another link-layer address."""
    twin = copy.copy(t)
    twin.link = other
    wire = Wire(twin)
    wire.macs = macs or wire.macs
    return wire


def settle():
    """What c sent before has been through a's stack."""
    with c.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.settimeout(PATIENCE)
        sock.sendto(b"settled", (side.a4, 7007))
        check_equal(sock.recv(100), b"settled", "echo")


def name(t):
    return f"{t.encap} over IPv{t.family}"


def no_sa():
    return a.no_sa("bh0")


def without_state():
    """Datagrams for which xfrm found no SA."""
    with a, open("/proc/thread-self/net/xfrm_stat") as lines:
        return dict((w[0], int(w[1])) for w in map(str.split, lines)
                    )["XfrmInNoStates"]


class Daemon:
    """An IKE daemon's sockets, as xfrm needs them."""

    def __init__(self, port=ESP_PORT):
        self.port = port
        self.socks = {}
        for f, any_address in ((4, "0.0.0.0"), (6, "::")):
            sock = a.socket(socket.AF_INET if f == 4 else socket.AF_INET6,
                            socket.SOCK_DGRAM)
            sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
            sock.settimeout(PATIENCE)
            sock.bind((any_address, port))
            self.socks[f] = sock


# The hosts: a daemon and its tunnels, an xfrm interface, two bhsec devices.

daemon = Daemon()
b.encap_sockets(ESP_PORT)
# What is sent after a packet comes after it, where one CPU sends both.
os.sched_setaffinity(0, {0})
for _ns in a, b, c:
    udp_echo(_ns, "0.0.0.0")
    udp_echo(_ns, "::")
plain = [Plain(link, n, *what)
         for n, what in enumerate((("udp", 4), ("udp", 6), ("esp", 4)))]
if not os.environ.get("BHSEC_CRYPTO"):
    # With a cipher that answers later 6.1's xfrm puts references to its
    # interface that it never took.
    plain.append(Plain(link, 3, "udp", 4, 7))
made = [Tunnel(a, b, link, "xfrm", n=n, peer=f"b{n}" if n else "b",
               port=BH0_PORT, encap=encap, family=family)
        for n, (encap, family) in enumerate((("udp", 4), ("udp", 6),
                                             ("esp", 4), ("esp", 6)))]
install(made)
other = Tunnel(a, b, link, "xfrm", n=4, dev="bh1", peer="b", port=BH1_PORT)
a.ip(other.device_lines("a") + other.route_lines("a"))
a.bhsec(f"set bh1 port {BH1_PORT}\n" + other.peer_lines("a"))
b.encap_sockets(BH1_PORT)
b.ip(other.route_lines("b") + other.state_lines() + other.policy_lines())
feeds = [Feed(t) for t in made]
feed_other = Feed(other, "bh1")
in_udp, raw = feeds[:2], feeds[2:]


def tunnels_work():
    for t in (*made, other):
        for f in 4, 6:
            udp_exchange(a, t.inner("b", f), (0, 1000), t.inner("a", f))


@case("bhsec on two ports, xfrm and an xfrm interface on 4500: all work")
def _():
    tunnels_work()
    for tunnel in plain:
        tunnel.works()
    tunnels_work()


def ike(f):
    """IKE, its answer, and of keepalives none, as without bhsec."""
    sock = daemon.socks[f]
    with b.socket(sock.family, socket.SOCK_DGRAM, keep=False) as far:
        far.settimeout(PATIENCE)
        far.connect((link.address(a, f), ESP_PORT))
        before = no_sa()
        far.send(b"\xff")
        far.send(MARKER + b"IKE_SA_INIT")
        data, peer = sock.recvfrom(100)
        check_equal(data, MARKER + b"IKE_SA_INIT", "what the daemon reads")
        sock.sendto(MARKER + b"answer", peer)
        check_equal(far.recv(100), MARKER + b"answer", "what comes back")
        check_equal(no_sa(), before, "no_sa")


def own_port(f):
    """On bhsec's own: a keepalive is nothing, IKE is no_sa, both stay there."""
    feed = in_udp[f == 6]
    before = no_sa(), without_state()
    for data in b"\xff", MARKER + b"IKE_SA_INIT", b"\x12\x34\x56\x78" * 10:
        feed.wire.send_ip(feed.outer(data))
    feed.comes()
    check_equal((no_sa(), without_state()), (before[0] + 2, before[1]),
                "no_sa, without state in xfrm")


def unknown_spi(f):
    """At the daemon's port it is xfrm's that knows no such SPI; raw it is
    nobody's, whatever xfrm counts (RFC 4303 3.4.2)."""
    before = no_sa(), without_state()
    data = struct.pack("!II", new_spi(), 1) + bytes(60)
    in_udp[f == 6].wire.send_ip(in_udp[f == 6].outer(data, port=ESP_PORT))
    raw[f == 6].wire.send_ip(raw[f == 6].outer(data))
    raw[f == 6].comes()
    check_equal((no_sa(), without_state()), (before[0] + 1, before[1] + 2),
                "no_sa, without state in xfrm")


def other_doors(feed):
    """By the SPI, whatever port it comes to (RFC 4303 2.1, 3.4.2)."""
    for port in BH0_PORT, BH1_PORT, ESP_PORT:
        feed.comes(port=port)


for _f in 4, 6:
    add_case(f"IPv{_f}: IKE and keepalives reach the daemon", ike, _f)
    add_case(f"IPv{_f}: what is not ESP stays on bhsec's own port", own_port, _f)
    add_case(f"IPv{_f}: an unknown SPI elsewhere", unknown_spi, _f)
    add_case(f"IPv{_f}: an SPI of bhsec at the daemon's port, or at another "
             "device's", other_doors, in_udp[_f == 6])


# Where a datagram comes from and goes to

def by_dev(feed):
    """Another device than `dev` is not its way, raw goes on to xfrm."""
    wrong = wire_of(feed.t, side)
    feed.comes(wire=wrong)
    a.cli("set", "bh0", "dev", link.if_a)
    try:
        before = without_state()
        feed.comes()
        feed.stays_out(wire=wrong)
        check_equal(without_state() - before, int(feed in raw), "left to xfrm")
    finally:
        a.cli("set", "bh0", "dev", "any")
    feed.comes(wire=wrong)


def elsewhere(feed):
    """Broadcast by the link layer, for another host, to an address not ours."""
    t, before = feed.t, feed.t.stats()["rx_packets"]
    foreign = "192.0.2.77" if t.family == 4 else "2001:db8::77"
    stays = [feed.stays_out(wire=wire_of(t, link, macs + link.mac_b))
             for macs in (BROADCAST, b"\x02\x00\x00\x00\x00\x99")]
    feed.stays_out(dst=foreign)
    if t.family == 4:
        feed.stays_out(dst="255.255.255.255",
                       wire=wire_of(t, link, BROADCAST + link.mac_b))
        stays.append(None)
    check_equal(t.stats()["rx_packets"] - before, len(stays) + 1, "delivered")


for _feed in feeds:
    add_case(f"{name(_feed.t)}: only by the device that 'dev' names", by_dev,
             _feed)
    add_case(f"{name(_feed.t)}: not what is for all or for others", elsewhere,
             _feed)


@case("the underlay in a VRF: what comes by it, and nothing else")
def _():
    lines = (f"addr replace {link.a6}/64 dev {link.if_a} nodad\n")
    a.ip("link add red type vrf table 7\nlink set red up\n"
         f"link set {link.if_a} master red\n" + lines)
    a.cli("set", "bh0", "dev", "red")
    try:
        for feed in feeds:
            feed.comes()
            feed.stays_out(wire=wire_of(feed.t, side))
        for t in made:
            udp_exchange(a, t.b_inner4, (0, 1000), t.a_inner4)
    finally:
        a.cli("set", "bh0", "dev", "any")
        a.ip(f"link set {link.if_a} nomaster\nlink del red\n" + lines)
    # what the VRF took of the routes to b
    a.ip("".join(t.route_lines("a").replace(" add ", " replace ")
                 for t in (*made, other)))
    tunnels_work()


# Who has a port

def bound(f, port, address=None, **options):
    sock = a.socket(socket.AF_INET if f == 4 else socket.AF_INET6,
                    socket.SOCK_DGRAM)
    try:
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        sock.bind((address or ("0.0.0.0", "::")[f == 6], port))
    except OSError:
        sock.close()
        raise
    return sock


def port_taken(f, how):
    """One sentence, nothing half made; later it is free and it goes."""
    def settings():
        state = a.device("bh9")
        state.pop("no_sa", None)
        return state

    address = link.address(a, f) if how == "on an address" else None
    sock = bound(f, TAKEN, address)
    a.ip("link add bh9 type bhsec\n")
    a.bhsec(f"set bh9 port {TAKEN}\npeer add bh9 p endpoint 192.0.2.99\n")
    try:
        before, line = settings(), Sa().bhsec("bh9", "p", "in")
        refused = a.bhsec(line, check=False)
        check_equal((refused.returncode, refused.stderr.count("\n")), (1, 1),
                    f"status and lines of {refused.stderr}")
        check("another socket has the device's UDP port" in refused.stderr,
              refused.stderr)
        check_equal(settings(), before, "state of the device")
        # neither family's socket was left behind
        bound(10 - f, TAKEN).close()
        sock.close()
        a.bhsec(line)
        check_equal(len(a.peer("bh9", "p")["sas"]), 1, "SAs")
    finally:
        sock.close()
        a.ip("link del bh9\n")
    bound(f, TAKEN).close()


for _f in 4, 6:
    for _how in "on any address", "on an address":
        add_case(f"IPv{_f}: the port taken by another socket, {_how}",
                 port_taken, _f, _how)


@case("a daemon that wants bhsec's port is told so, the tunnels go on")
def _():
    for f in 4, 6:
        for options in ({}, {"SO_REUSEADDR": 1}, {"SO_REUSEPORT": 1},
                        {"address": link.address(a, f)}):
            try:
                bound(f, BH0_PORT, **options)
                raise Failure(f"IPv{f}, {options}: has the port too")
            except OSError as error:
                check_equal(error.errno, errno.EADDRINUSE, "error")
    for feed in feeds:
        feed.comes()
    tunnels_work()


@case("one port of two devices: with another fwmark it is refused")
def _():
    a.ip("link add bh9 type bhsec\n")
    a.bhsec(f"set bh9 port {BH1_PORT} fwmark 9\n"
            "peer add bh9 p endpoint 192.0.2.99\n")
    try:
        line = Sa().bhsec("bh9", "p", "in")
        refused = a.bhsec(line, check=False)
        check_equal(refused.returncode, 1, "exit status")
        check("a bhsec device with another fwmark has the UDP port"
              in refused.stderr, refused.stderr)
        check_equal(a.peer("bh9", "p")["sas"], [], "SAs")
        a.cli("set", "bh9", "fwmark", 0)
        a.bhsec(line)
        # the sockets are the other's, too, and stay as they are
        refused = a.cli("set", "bh9", "fwmark", 9, check=False)
        check_equal(refused.returncode, 1, "exit status")
        check("another fwmark" in refused.stderr, refused.stderr)
        check_equal(a.device("bh9")["fwmark"], 0, "fwmark")
    finally:
        a.ip("link del bh9\n")
    feed_other.comes()


@case("one port of two devices: the last SA gives it back")
def _():
    a.ip("link add bh9 type bhsec\n")
    a.bhsec(f"set bh9 port {BH1_PORT}\npeer add bh9 p endpoint 192.0.2.99\n"
            + Sa().bhsec("bh9", "p", "in"))
    feed_other.comes()
    a.ip("link del bh9\n")
    feed_other.comes()
    a.bhsec(f"peer del bh1 {other.peer}\n")
    for f in 4, 6:
        bound(f, BH1_PORT).close()


@case("the same port on two underlay devices: a daemon's and bhsec's")
def _():
    a.cli("set", "bh0", "dev", link.if_a)
    try:
        for f in 4, 6:
            with bound(f, BH0_PORT, SO_BINDTODEVICE=side.if_a.encode()) as sock, \
                    c.socket(sock.family, socket.SOCK_DGRAM, keep=False) as far:
                sock.settimeout(PATIENCE)
                far.sendto(MARKER + b"IKE", (side.address(a, f), BH0_PORT))
                check_equal(sock.recv(100), MARKER + b"IKE", "IKE")
                in_udp[f == 6].comes()
    finally:
        a.cli("set", "bh0", "dev", "any")


main()
