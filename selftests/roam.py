#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""A peer that moves, or whose NAT does: only an authentic packet newer than
all others changes the endpoint, and only where that is allowed. Keepalives
hold a NAT's mapping (RFC 3948 2.3)."""

from lib import *
from libesp import *

OTHER_PORT = 40007
KEEPALIVE = b"\xff"
EF = 46

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = tunnels(a, b, link, ALL_WAYS)
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(100) for t in made}
b.ip("".join(f"addr add {addr}/{28 if f == 4 else 64} dev {link.if_b}"
             f"{' nodad' * (f == 6)}\n" for f in (4, 6) for addr in SPARE[f]))
udp_sink(a)
udp_sink(b)


def name(t):
    return f"{t.encap} over IPv{t.family}"


def inner_of(t):
    return udp(t.inner("b", 4), t.inner("a", 4), 7, SINK_PORT, b"x")


def arrive(t, esp, source, sport=None, spoil=False):
    """A datagram from somewhere."""
    if t.encap == "esp":
        wires[t].send(esp, source=source)
        return
    packet = bytearray(udp(source, t.a_outer, sport or t.port, t.port, esp))
    if spoil:
        packet[(20 if t.family == 4 else 40) + 6] ^= 0x55
    wires[t].send_ip(bytes(packet))


def text_of(t, addr, port=None):
    if t.encap == "esp":
        return addr
    return (f"[{addr}]" if t.family == 6 else addr) + f":{port or t.port}"


def endpoint(t):
    return a.peer(t.dev, t.peer)["endpoint"]


def moves(t, counter, count, act):
    """Waits until the packets that act() sends are counted."""
    before = t.stats()[counter]
    act()
    wait_for(lambda: t.stats()[counter] == before + count,
             what=f"{count} more {counter}")


def accepted(t, source, seq=None, plain=None, sa=None, **how):
    inner = inner_of(t)
    plain = plain or inner + trailer(len(inner), NEXT_IPV4)
    esp = seal(sa or t.in_, seq or next(numbers[t]), plain)
    moves(t, "rx_packets", 1, lambda: arrive(t, esp, source, **how))


def goes_to(t, addr, port=None):
    """The next packet out, and what show says."""
    def is_sent(frame):
        # xfrm shows what it opened on the same interface.
        outer = outer_of(frame)
        return outer and outer.src == address(t.a_outer) and esp_in(outer)

    check_equal(endpoint(t), text_of(t, addr, port), "endpoint shown")
    capture = Capture(b, link.if_b, outgoing=False)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(b"y", (t.inner("b", 4), SINK_PORT))
    capture.wait(1, is_sent)
    outers = [outer_of(frame) for frame in capture.stop() if is_sent(frame)]
    check_equal([outer.dst for outer in outers], [address(addr)], "destinations")
    if t.encap == "udp":
        check_equal(struct.unpack_from("!H", outers[0].payload, 2)[0],
                    port or t.port, "destination port")


def errors_are_about(t, addr):
    """Those about what goes to where the peer now is are its, no others."""
    def errors():
        peer, = a.nl.do("peer-get", ifname=t.dev, name=t.peer)
        return peer["icmp"]["host"]

    before, kind = errors(), (3, 1) if t.family == 4 else (1, 3)
    for dst in t.b_outer, addr:
        wires[t].send_ip(icmp_error(t.b_outer, t.a_outer, kind, quoted(t, dst)))
    wait_for(lambda: errors() > before, what="an error counted")
    check_equal(errors(), before + 1, "errors counted")


def stays(t):
    """A configured endpoint is not left for any packet."""
    check_equal(a.peer(t.dev, t.peer)["roam"], False, "roam by default")
    accepted(t, SPARE[t.family][0])
    goes_to(t, t.b_outer)


def follows(t):
    a.cli("peer", "set", t.dev, t.peer, "roam", "on")
    first, second = SPARE[t.family][:2]
    goes_to(t, t.b_outer)
    accepted(t, first)
    goes_to(t, first)
    errors_are_about(t, first)
    if t.encap == "udp":
        accepted(t, first, sport=OTHER_PORT)
        goes_to(t, first, OTHER_PORT)
    # RFC 4303 2.6: a dummy packet is authentic all the same.
    esp = seal(t.in_, next(numbers[t]), trailer(0, NEXT_NONE))
    moves(t, "dummy", 1, lambda: arrive(t, esp, second))
    goes_to(t, second)


def late_packet(t):
    """One from the old address that comes after one from the new."""
    old, new = SPARE[t.family][2:]
    late, newer = next(numbers[t]), next(numbers[t])
    accepted(t, old, seq=next(numbers[t]))
    accepted(t, new, seq=next(numbers[t]))
    accepted(t, old, seq=late)
    accepted(t, old, seq=newer)
    goes_to(t, new)


def old_sa(t):
    """Nor one of the old SA, whose number says nothing beside the new one's,
    in the second after that one's first."""
    first, second, old = SPARE[t.family][:3]
    sa = t.new_sa()
    a.bhsec(sa.bhsec(t.dev, t.peer, "in"))

    def moved():
        accepted(t, first, sa=sa)
        return endpoint(t) == text_of(t, first)

    def within_a_second():
        wait_for(moved, what="the new SA's turn")
        begin = time.monotonic()
        accepted(t, second, sa=sa)
        accepted(t, old)
        return time.monotonic() - begin < 0.9

    wait_for(within_a_second, what="two packets within a second")
    goes_to(t, second)
    a.bhsec(f"sa del {t.dev} {t.peer} in spi {sa.spi:#x}\n")

    def turned():
        accepted(t, first)
        return endpoint(t) == text_of(t, first)

    # The next case takes for granted that its SA moves the peer.
    wait_for(turned, what="the old SA's turn")


def no_proof(t):
    """What is not authentic, or was seen before, moves nothing."""
    here, there = t.b_outer, SPARE[t.family][0]
    inner = inner_of(t)
    accepted(t, here)
    plain = inner + trailer(len(inner), NEXT_IPV4)
    esp = seal(t.in_, next(numbers[t]), plain)
    moves(t, "auth", 1, lambda: arrive(t, esp[:-1] + bytes([esp[-1] ^ 1]), there))
    moves(t, "rx_packets", 1, lambda: arrive(t, esp, here))
    moves(t, "replay", 1, lambda: arrive(t, esp, there))
    if t.encap == "udp":
        before = t.stats()["rx_packets"]
        arrive(t, seal(t.in_, next(numbers[t]), plain), there, spoil=True)
        accepted(t, here)
        check_equal(t.stats()["rx_packets"] - before, 1,
                    "accepted of a wrong checksum and a right one")
    goes_to(t, here)


def no_answer(t):
    """What `peer set endpoint` would not take: port 0, and an address of nobody."""
    here = t.b_outer
    accepted(t, here, sport=OTHER_PORT)
    if t.encap == "udp":
        esp = seal_packet(t.in_, next(numbers[t]), inner_of(t))
        moves(t, "rx_packets", 1, lambda: wires[t].send_ip(
            udp(here, t.a_outer, 0, t.port, esp)))
    if t.family == 6:   # as a source of IPv4 the stack takes none
        accepted(t, "::", sport=OTHER_PORT)
    goes_to(t, here, OTHER_PORT)
    accepted(t, here)


def by_port(t):
    """The host's rules are asked anew where the port is."""
    kind = "-6 " * (t.family == 6)
    rule = f"rule {{}} ipproto udp dport {OTHER_PORT} blackhole\n"
    here = t.b_outer
    accepted(t, here)
    goes_to(t, here)
    a.run(["ip", *kind.split(), "-batch", "-"], input=rule.format("add"))
    try:
        accepted(t, here, sport=OTHER_PORT)
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            moves(t, "no_route", 1, lambda: sock.sendto(
                b"y", (t.inner("b", 4), SINK_PORT)))
        accepted(t, here)
        goes_to(t, here)
    finally:
        a.run(["ip", *kind.split(), "-batch", "-"], input=rule.format("del"))


def off_again(t):
    a.cli("peer", "set", t.dev, t.peer, "roam", "off")
    accepted(t, SPARE[t.family][0])
    goes_to(t, t.b_outer)
    a.cli("peer", "set", t.dev, t.peer, "roam", "on", "endpoint",
          t.endpoint("b"))
    check_equal(a.peer(t.dev, t.peer)["roam"], True, "roam, said beside")
    accepted(t, SPARE[t.family][1])
    goes_to(t, SPARE[t.family][1])


for t in made:
    add_case(f"{name(t)}: a configured endpoint stays", stays, t)
for t in made:
    add_case(f"{name(t)}: with roam on the next packet moves it", follows, t)
for t in made:
    add_case(f"{name(t)}: a late packet does not move it back", late_packet, t)
for t in made:
    add_case(f"{name(t)}: nor does one of the old SA after a rekey", old_sa, t)
for t in made:
    add_case(f"{name(t)}: only what is authentic and new moves it", no_proof, t)
for t in made[1:2] + made[:1] + made[3:]:
    add_case(f"{name(t)}: nor what cannot be answered", no_answer, t)
for t in made[:2]:
    add_case(f"{name(t)}: rules by port hold for the port that is learned",
             by_port, t)
for t in made:
    add_case(f"{name(t)}: roam off holds it again", off_again, t)


@case("a peer without endpoint is found by its first packet")
def _():
    t = Tunnel(a, b, link, n=len(made), peer="late")
    wires[t], numbers[t] = Wire(t), itertools.count(1)
    a.ip(t.route_lines("a"))
    a.bhsec(f"peer add {t.dev} late selectors {t.b_net4}\n"
            + t.in_.bhsec(t.dev, "late", "in") + t.out.bhsec(t.dev, "late", "out"))
    check_equal(a.peer(t.dev, "late")["roam"], True, "roam by default")
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        moves(t, "no_endpoint", 1, lambda: sock.sendto(b"y", (t.b_inner4, SINK_PORT)))
    accepted(t, SPARE[4][0], sport=OTHER_PORT)
    goes_to(t, SPARE[4][0], OTHER_PORT)
    a.cli("peer", "set", t.dev, "late", "endpoint", t.b_outer)
    check_equal(a.peer(t.dev, "late")["roam"], False, "roam with an endpoint")
    accepted(t, SPARE[4][1])
    goes_to(t, t.b_outer)
    a.cli("peer", "del", t.dev, "late")


# Keepalives

def keepalives(capture, t):
    """(source port, destination port, class) of each one to the peer."""
    outers = filter(None, map(outer_of, list(capture.frames)))
    return [(*struct.unpack_from("!HH", outer.payload), outer.tos)
            for outer in outers if outer.dst == address(t.b_outer)
            and outer.protocol == IPPROTO_UDP
            and outer.payload[8:] == KEEPALIVE]


@case("keepalives when nothing else is sent, until they are set to 0")
def _():
    udp_ones = made[:2]
    a.bhsec("".join(f"peer set {t.dev} {t.peer} roam off endpoint "
                    f"{t.endpoint('b')}\n" for t in udp_ones))
    before = [t.stats() for t in udp_ones]
    capture = Capture(b, link.if_b, outgoing=False)
    a.bhsec("".join(f"peer set {t.dev} {t.peer} keepalive 1\n"
                    for t in udp_ones))
    for t in udp_ones:
        check_equal(a.peer(t.dev, t.peer)["keepalive"], 1, "keepalive shown")
        wait_for(lambda: len(keepalives(capture, t)) >= 3,
                 what=f"keepalives, {name(t)}")
        check_equal(set(keepalives(capture, t)), {(t.port, t.port, 0)},
                    "their ports and class")
    check_equal([t.stats() for t in udp_ones], before, "counters")
    a.bhsec("".join(f"peer set {t.dev} {t.peer} keepalive 0\n"
                    for t in udp_ones))
    capture.stop()
    check_equal(silent(udp_ones, 1.5), [], "keepalives after the end")


def silent(some, seconds):
    capture = Capture(b, link.if_b, outgoing=False)
    time.sleep(seconds)
    capture.stop()
    return [one for t in some for one in keepalives(capture, t)]


@case("a keepalive has the class that all datagrams have")
def _():
    t = made[0]
    capture = Capture(b, link.if_b, outgoing=False)
    a.cli("set", t.dev, "dscp", EF)
    try:
        a.cli("peer", "set", t.dev, t.peer, "keepalive", 1)
        wait_for(lambda: keepalives(capture, t), what="a keepalive")
    finally:
        a.cli("peer", "set", t.dev, t.peer, "keepalive", 0)
        a.cli("set", t.dev, "dscp", "copy")
    check_equal({tos for *_, tos in keepalives(capture, t)}, {EF << 2},
                "classes")
    capture.stop()


@case("traffic takes the place of keepalives")
def _():
    t = made[0]
    a.cli("peer", "set", t.dev, t.peer, "keepalive", 4)
    capture = Capture(b, link.if_b, outgoing=False)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        allowed, last = 1, time.monotonic()
        for _ in range(100):
            begin = time.monotonic()
            sock.sendto(b"y", (t.b_inner4, SINK_PORT))
            allowed += int((time.monotonic() - last) // 4)  # it stood still
            last = begin
            time.sleep(0.1)
    seen = len(keepalives(capture, t))
    allowed += int((time.monotonic() - last) // 4)
    check(seen <= allowed, f"{seen} keepalives beside 10 s of traffic")
    wait_for(lambda: len(keepalives(capture, t)) > seen,
             what="keepalives after the traffic")
    capture.stop()


@case("without an outbound SA that lives, or a device that is up, none")
def _():
    t = made[0]
    a.cli("peer", "set", t.dev, t.peer, "keepalive", 1)
    a.ip(f"link set {t.dev} down\n")
    check_equal(silent([t], 2.5), [], "keepalives of a device that is down")
    a.ip(f"link set {t.dev} up\n")
    a.bhsec(f"sa del {t.dev} {t.peer} out spi {t.out.spi}\n")
    check_equal(silent([t], 2.5), [], "keepalives without an outbound SA")
    a.ip(f"route replace {t.b_net4} dev {t.dev} src {t.a_inner4}\n")
    a.bhsec(t.new_sa().bhsec(t.dev, t.peer, "out", "hard-packets 1"))
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        moves(t, "tx_packets", 1,
              lambda: sock.sendto(b"y", (t.inner("b", 4), SINK_PORT)))
    check_equal(silent([t], 2.5), [], "keepalives by an SA that has expired")


@case("raw ESP has no keepalives")
def _():
    t = made[2]
    for args in (("peer", "set", t.dev, t.peer, "keepalive", 20),
                 ("peer", "add", t.dev, "raw", "encap", "esp", "keepalive", 5)):
        refusal = a.cli(*args, check=False)
        check_equal(refusal.returncode, 1, "exit status")
        check("keepalives are for ESP in UDP" in refusal.stderr, refusal.stderr)
    check_equal(a.peer(t.dev, t.peer)["keepalive"], 0, "keepalive")


main()
