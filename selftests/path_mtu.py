#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Sizes: what fits goes, what does not is fragmented before ESP or refused with
the number that fits, and the path's own limit is learned from ICMP errors that
are about datagrams of ours.

Host h is behind a, which has tunnels to b, the kernel's own IPsec, through
router r. All traffic is h's, so a forwards it.
"""

import collections
import functools

from lib import *
from libesp import *

IPPROTO_SCTP = 132
GTPU = 2152
GTPU_SIZES = range(1430, 1450)
DEFAULT = 1500
# What the router's link takes in the cases of a smaller path.
SMALL = 1400, 1280
JUMBO = 9000
STREAM = 50_000
UDP_HEAD = {4: 28, 6: 48}
IPV6_MIN = 1280
# Less than the kernel believes of a path: on IPv4 it takes the least that it does
# instead, and clears DF itself.
TINY = 68
LEAST = {4: 552, 6: 1280}
# A firewall mark, and the routing table for it.
MARK = "100"

h, a, r, b = (Ns(name) for name in "harb")
inside = veth(h, a)
path = Path(a, r, b)
# As most links do: what is captured there are the datagrams, not a batch.
a.run(f"ethtool -K {path.near.if_a} tx-udp-segmentation off tx-gso-list off")
a.be_router()
made = tunnels(a, b, path, ALL_WAYS)
ports = itertools.count(7001)
receivers = {}
for t in made:
    put_behind(t, inside)
    for inner in 4, 6:
        there = t.inner("b", inner), GTPU
        sock = b.socket(family_of(there[0]), socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        sock.settimeout(PATIENCE)
        sock.bind(there)
        receivers[t, inner] = sock


def name(t):
    return f"{t.encap} over IPv{t.family}"


def fits(t, mtu):
    return inner_max(t.encap, t.family, mtu)


def told(t, inner, mtu):
    """The number that a sender hears; IPv6 heeds none below 1280."""
    return max(fits(t, mtu), IPV6_MIN) if inner == 6 else fits(t, mtu)


def sender(t, inner, how=PMTUDISC_DO):
    """A socket at h whose datagrams go through the tunnel."""
    sock = h.socket(family_of(t.inner("b", inner)), socket.SOCK_DGRAM)
    path_mtu_discovery(sock, how)
    sock.bind((behind(t, inner), 0))
    sock.connect((t.inner("b", inner), GTPU))
    return sock


def packet_of(inner, size):
    """The payload that makes an inner packet of so many bytes."""
    return secrets.token_bytes(size - UDP_HEAD[inner])


def arrive(t, inner, sizes, how=PMTUDISC_DO, burst=32):
    """Inner packets of these sizes reach b once each, as they went."""
    sizes = list(sizes)
    with sender(t, inner, how) as sock:
        for start in range(0, len(sizes), burst):
            sent = [packet_of(inner, size)
                    for size in sizes[start:start + burst]]
            for data in sent:
                sock.send(data)
            seen = receive(receivers[t, inner], len(sent))
            check(sorted(seen) == sorted(sent),
                  f"inner sizes {sizes[start:start + burst]}: payloads of "
                  f"{[len(d) for d in seen]} bytes came, or others")


def forget(*hosts):
    """No path MTU is known any more to these, or to h and a."""
    for ns in hosts or (h, a):
        ns.sysctl({"ipv4/route/flush": 1})
        ns.run(["ip", "-6", "route", "flush", "cache"])


def small_behind_router(mtu):
    """Nobody has heard of another: each case forgets behind itself."""
    set_mtu(path.far, mtu)


def small_everywhere(mtu):
    for link in path.near, path.far:
        set_mtu(link, mtu)
    forget()


def restored(function):
    """A case that leaves all paths at 1500, whatever becomes of it."""
    def run(*args):
        try:
            function(*args)
        finally:
            small_everywhere(DEFAULT)
    return run


def capture():
    """What a sends to the underlay, as the router gets it."""
    return Capture(r, path.near.if_b, outgoing=False)


def of_tunnels(frames):
    """Outer headers of what may be ESP."""
    return [outer for outer in map(outer_of, frames)
            if outer and outer.protocol in (IPPROTO_ESP, IPPROTO_UDP)]


def no_fragments(frames, df=True, mtu=DEFAULT):
    outers = of_tunnels(frames)
    check(outers, "nothing was captured")
    check_equal(sum(map(is_fragment, outers)), 0, "outer fragments")
    check_equal({outer.df for outer in outers}, {df}, "outer DF bits")
    longest = max(map(len, frames)) - 14
    check(longest <= mtu, f"a packet of {longest} bytes on a link of {mtu}")


# Sizes, over links whose limit a knows

def the_numbers():
    for (encap, family), size in INNER_MAX.items():
        check_equal(inner_max(encap, family, 1500), size,
                    f"{encap} over IPv{family}")


def all_sizes(t):
    """IPv4 without DF up to 1500, IPv6 as far as it fits; each size once over
    one tunnel, those around the limits over all."""
    most = fits(t, DEFAULT)
    edges = {*range(60, 80), *range(most - 4, most + 9), 1280, 1281, 1498, 1500}
    wanted = range(40, 1501) if t is made[0] else sorted(edges)
    seen = capture()
    arrive(t, 4, wanted, PMTUDISC_DONT)
    arrive(t, 6, (size for size in wanted if 60 <= size <= most))
    no_fragments(seen.stop())


def is_told(t, mtu):
    """A packet that may not be fragmented and is a byte too long: h hears what
    fits, and that does go."""
    for inner in 4, 6:
        before = t.stats()
        seen = capture()
        wanted = told(t, inner, mtu)
        with sender(t, inner) as sock:
            unknown = path_mtu(sock, inner)
            sock.send(packet_of(inner, wanted + 1))
            wait_for(lambda: path_mtu(sock, inner) != unknown,
                     what="an ICMP error")
            check_equal(path_mtu(sock, inner), wanted, "path MTU at h")
        check_equal(difference(before, t.stats()), {"too_big": 1}, "counters")
        arrive(t, inner, [wanted - 1, wanted])
        if wanted == fits(t, mtu):
            no_fragments(seen.stop(), mtu=mtu)
        else:
            only_the_exception(t, seen.stop(), mtu)


def fragmented_before_esp(t, mtu, sizes):
    """By a, as h is not told."""
    seen = capture()
    arrive(t, 4, sizes, PMTUDISC_DONT)
    no_fragments(seen.stop(), mtu=mtu)


@restored
def known_limit(t, mtu):
    if mtu != DEFAULT:
        small_everywhere(mtu)
    fragmented_before_esp(t, mtu, (fits(t, mtu) + 1, 1500))
    is_told(t, mtu)


@restored
def jumbo(t):
    try:
        small_everywhere(JUMBO)
        set_mtu(inside, JUMBO)
        a.set_mtu(t.dev, JUMBO)
        fragmented_before_esp(t, JUMBO, (1500, 4000, fits(t, JUMBO) + 1, JUMBO))
        is_told(t, JUMBO)
    finally:
        a.set_mtu(t.dev, t.mtu)
        set_mtu(inside, DEFAULT)


# A router whose next link takes less

def hears(sock, t, inner):
    """Has it, now that one more packet is too large?"""
    try:
        sock.send(packet_of(inner, fits(t, DEFAULT)))
    except OSError:
        pass    # EMSGSIZE: it has heard
    return path_mtu(sock, inner) < DEFAULT


def learned(t, inner, mtu):
    """The next packet after the router's error is refused with the number that
    fits, and such a one arrives."""
    wanted = told(t, inner, mtu)
    with sender(t, inner) as sock:
        wait_for(lambda: hears(sock, t, inner), what="an ICMP error")
        check_equal(path_mtu(sock, inner), wanted, "path MTU at h")
    arrive(t, inner, [wanted])


def only_the_exception(t, frames, mtu):
    """Fragments carry nothing but IPv6 of at most 1280 bytes that does not fit
    (RFC 2473 7.1), and no part of them is too long for the path."""
    parts = collections.defaultdict(list)
    for outer in of_tunnels(frames):
        if is_fragment(outer):
            parts[outer.ident].append(outer)
    check(parts, "no outer fragments at all")
    for group in parts.values():
        plain = unseal(t.out, esp_in(joined(group)))
        size = 40 + int.from_bytes(plain[4:6], "big")
        check_equal(plain[0] >> 4, 6, "inner version of an outer fragment")
        check(fits(t, mtu) < size <= IPV6_MIN,
              f"an inner packet of {size} bytes in outer fragments")
        for part in group:
            head = 20 if part.family == 4 else 48
            check(head + len(part.payload) <= mtu, "a fragment is too long")


def stream(t, inner, protocol):
    """Content from h to b over TCP or SCTP, whole."""
    there = t.inner("b", inner), next(ports)
    data = secrets.token_bytes(STREAM)
    kind = family_of(there[0]), socket.SOCK_STREAM, protocol
    with b.socket(*kind, keep=False) as server, \
            h.socket(*kind, keep=False) as client:
        for sock in server, client:
            sock.settimeout(2 * PATIENCE)
        server.bind(there)
        server.listen()
        client.bind((behind(t, inner), 0))
        thread = threading.Thread(target=send_stream, daemon=True,
                                  args=(client, there, data))
        thread.start()
        conn, _ = server.accept()
        received = b""
        with conn:
            conn.settimeout(2 * PATIENCE)
            while len(received) < STREAM and (chunk := conn.recv(1 << 16)):
                received += chunk
        thread.join()
    check(received == data, f"{len(received)} bytes of {STREAM}, or changed")


def send_stream(sock, address, data):
    """In writes, for an SCTP message has to fit into the socket's buffer."""
    sock.connect(address)
    for start in range(0, len(data), 10_000):
        sock.sendall(data[start:start + 10_000])
    sock.shutdown(socket.SHUT_WR)


@restored
def through_router(t, mtu):
    """GTP-U neither sets DF nor sends again: once the path is known, each of
    its datagrams arrives. The streams have to find it out."""
    small_behind_router(mtu)
    for inner in 4, 6:
        seen = capture()
        learned(t, inner, mtu)
        if inner == 4:
            forget(h)   # or it would not leave fragmenting to a
        arrive(t, inner, GTPU_SIZES, PMTUDISC_DONT)
        forget()
        stream(t, inner, 0)
        stream(t, inner, IPPROTO_SCTP)
        frames = seen.stop()
        if told(t, inner, mtu) == fits(t, mtu):
            no_fragments(frames)
        else:
            only_the_exception(t, frames, mtu)
        forget()


@restored
def marked(t):
    """The way to b is one for the device's mark alone: what is learned has to
    be learned for that, not for the way of packets without."""
    ip_command = ["ip", f"-{t.family}"]
    net = str(ipaddress.ip_network(
        f"{t.b_outer}/{28 if t.family == 4 else 64}", strict=False))
    way = [net, "via", path.near.gateway(a, t.family)]
    a.cli("set", t.dev, "fwmark", MARK)
    try:
        for words in (["rule", "add", "fwmark", MARK, "lookup", MARK],
                      ["route", "add", *way, "table", MARK],
                      ["route", "del", *way]):
            a.run([*ip_command, *words])
        small_behind_router(SMALL[0])
        learned(t, 4, SMALL[0])
    finally:
        for words in (["route", "add", *way], ["route", "del", *way, "table", MARK],
                      ["rule", "del", "fwmark", MARK]):
            a.run([*ip_command, *words])
        a.cli("set", t.dev, "fwmark", 0)


# ICMP errors that anybody can forge

class Forger:
    """Sends ICMP errors to the host at the first end of a link."""

    def __init__(self, link, family):
        self.ns, self.family = link.ns_a, family
        self.wire = Wire(made[0], link)
        self.to = link.address(self.ns, family)
        self.source = link.gateway(self.ns, family)

    def send(self, mtu, about):
        """And waits until the host has seen it."""
        before = self.seen()
        if self.family == 4:
            message = self.sum(struct.pack("!BBHI", 3, 4, 0, mtu) + about, b"")
            self.wire.send_ip(ip(self.source, self.to, 1, message))
        else:
            body = struct.pack("!BBHI", 2, 0, 0, mtu) + about
            pseudo = (address(self.source) + address(self.to)
                      + struct.pack("!II", len(body), 58))
            self.wire.send_ip(ip(self.source, self.to, 58,
                                 self.sum(body, pseudo)))
        wait_for(lambda: self.seen() > before, what="the error's arrival")

    @staticmethod
    def sum(message, pseudo):
        total = struct.pack("!H", checksum(pseudo + message))
        return message[:2] + total + message[4:]

    def seen(self):
        file, word = (("snmp6", "Icmp6InPktTooBigs") if self.family == 6
                      else ("snmp", "IcmpMsg:"))
        with self.ns, open(f"/proc/thread-self/net/{file}") as lines:
            found = [line for line in lines if line.startswith(word)]
        if self.family == 6:
            return int(found[0].split()[1])
        if not found:   # before the first one
            return 0
        names, values = (line.split()[1:] for line in found)
        return int(dict(zip(names, values)).get("InType3", 0))


def about(t, spi=None, dst=None):
    """The start of a datagram that a may have sent."""
    esp = struct.pack("!II", spi or t.spi_out, 1) + bytes(40)
    if t.encap == "udp":
        return udp(t.a_outer, dst or t.b_outer, t.port, t.port, esp)
    return ip(t.a_outer, dst or t.b_outer, IPPROTO_ESP, esp)


@functools.cache
def learns_by_itself(family):
    """Does the kernel believe an error about UDP that no socket has sent? Then
    nobody's encap_err_lookup is asked: h has no tunnel at all."""
    t = made[0]
    ends = behind(t, family), t.inner("b", family)
    Forger(inside, family).send(1300, udp(*ends, 9, 9, bytes(48)))
    with sender(t, family) as sock:
        learned_it = path_mtu(sock, family) == 1300
    forget()
    return learned_it


def unmoved(t, what):
    """The largest packet goes as before."""
    data = packet_of(4, fits(t, DEFAULT))
    with sender(t, 4) as sock:
        try:
            sock.send(data)
            sock.send(data)
        except OSError:
            pass    # EMSGSIZE: it has heard
        check_equal(path_mtu(sock, 4), DEFAULT,
                    f"path MTU at h after an error about {what}")
    check_equal(receive(receivers[t, 4], 2), [data] * 2, "datagrams")


@restored
def forged(t):
    if t.encap == "udp" and learns_by_itself(t.family):
        raise Skip("this kernel learns from all errors about UDP")
    forger = Forger(path.near, t.family)
    whole = about(t)
    others = {"another SPI": about(t, spi=new_spi()),
              "an SPI inward": about(t, spi=t.spi_in),
              "another endpoint": about(t, dst=path.far.address(r, t.family)),
              "no SPI": whole[:len(whole) - 48]}
    unmoved(t, "nothing")
    for what, other in others.items():
        forger.send(1300, other)
        unmoved(t, what)
    elsewhere = path.far.address(r, t.family)
    with a.socket(family_of(elsewhere), socket.SOCK_DGRAM, keep=False) as sock:
        sock.connect((elsewhere, 9))
        check_equal(path_mtu(sock, t.family), DEFAULT, "path MTU to another")
    # The control: an error such as theirs, but about what was sent.
    forger.send(1300, whole)
    with sender(t, 4) as sock:
        wait_for(lambda: hears(sock, t, 4), what="an ICMP error")
        check_equal(path_mtu(sock, 4), fits(t, 1300), "path MTU at h")


def peer_mtu(t):
    """What a takes to fit through the tunnel now."""
    peer, = a.nl.do("peer-get", ifname=t.dev, name=t.peer)
    return peer["mtu"]


@restored
def tiny(t):
    """It makes the tunnel slow, and has it fragment outside nothing but what it
    would on any such path."""
    least = LEAST[t.family]
    arrive(t, 4, [1400])
    check_equal(peer_mtu(t), fits(t, DEFAULT), "the peer's MTU before")
    forger = Forger(path.near, t.family)
    forger.send(TINY, about(t))
    if t.family == 6:
        # RFC 8201 4: nothing is to be made of that, but of this.
        arrive(t, 4, [1400])
        forger.send(least, about(t))
    wait_for(lambda: peer_mtu(t) < fits(t, DEFAULT), what="a smaller MTU")
    check_equal(peer_mtu(t), fits(t, least), "the peer's MTU")
    seen = capture()
    arrive(t, 4, [100, 500, 1000, 1400, 1500], PMTUDISC_DONT)
    arrive(t, 4, [400])
    no_fragments(seen.stop(), mtu=least)
    seen = capture()
    arrive(t, 6, [100, 400, fits(t, least) + 1, IPV6_MIN])
    only_the_exception(t, seen.stop(), least)


# DF

def outer_df(t, inner, how):
    seen = capture()
    arrive(t, inner, [200], how)
    bits = {outer.df for outer in of_tunnels(seen.stop())}
    check_equal(len(bits), 1, "different outer DF bits")
    return bits.pop()


def df_bits(t):
    modes = {"set": (True, True, True), "clear": (False, False, False),
             "copy": (True, False, True)}
    try:
        for mode in "copy", "clear", "set":
            a.cli("set", t.dev, "df", mode)
            bits = (outer_df(t, 4, PMTUDISC_DO), outer_df(t, 4, PMTUDISC_DONT),
                    outer_df(t, 6, PMTUDISC_DO))
            check_equal(bits, modes[mode], f"df {mode}: DF for inner IPv4 with "
                        "DF, without, and IPv6")
    finally:
        a.cli("set", t.dev, "df", "set")


@restored
def df_clear_on_path(t):
    """The router may fragment, b puts it together, and a hears of nothing."""
    try:
        a.cli("set", t.dev, "df", "clear")
        small_behind_router(SMALL[1])
        seen = capture()
        arrive(t, 4, [fits(t, DEFAULT)])
        no_fragments(seen.stop(), df=False)
    finally:
        a.cli("set", t.dev, "df", "set")


add_case("the formula gives the numbers of STANDARDS.md", the_numbers)
for t in made:
    add_case(f"{name(t)}: inner 40 to 1500, no outer fragment", all_sizes, t)
for mtu in DEFAULT, SMALL[-1]:
    for t in made:
        add_case(f"{name(t)}: {fits(t, mtu)} bytes are the most on links of "
                 f"{mtu}, and the sender is told", known_limit, t, mtu)
for t in made:
    add_case(f"{name(t)}: {fits(t, JUMBO)} bytes are the most on links of "
             f"{JUMBO}", jumbo, t)
for mtu in SMALL:
    for t in made:
        add_case(f"{name(t)}: a router's limit of {mtu} is learned; GTP-U, TCP "
                 "and SCTP get through", through_router, t, mtu)
for t in made:
    add_case(f"{name(t)}: a router's limit is learned for the device's fwmark",
             marked, t)
for t in made:
    add_case(f"{name(t)}: ICMP errors about other datagrams change nothing",
             forged, t)
    add_case(f"{name(t)}: an ICMP error with a tiny MTU brings no outer "
             "fragments", tiny, t)
for t in made:
    if t.family == 4:
        add_case(f"{name(t)}: df copy, clear and set", df_bits, t)
        add_case(f"{name(t)}: with df clear a router may fragment",
                 df_clear_on_path, t)

main()
