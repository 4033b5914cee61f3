#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What is not to be accepted: each datagram ends in the counter of its cause,
nothing else moves, nothing is delivered, and the SA goes on working. What is
auditable is told to who listens, and told so often and no more."""

import itertools

from lib import *
from libbad import *
from libnetlink import EVENTS, Genl

WINDOWS = 1, 32, 64, 65536
DEFAULT_WINDOW = 4096
IN = 0
EVENTS_PER_SECOND, FLOOD = 20, 200

a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
made = tunnels(a, b, link, [
    {"cipher": cipher, "encap": encap, "family": family, "esn": esn}
    for cipher in AEADS
    for encap, family, esn in (("udp", 4, True), ("esp", 6, False))])
in_udp, in_esp = made[0], made[1]
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(3) for t in made}


def name(t):
    return (f"{t.cipher} {t.encap} over IPv{t.family} "
            f"{'with' if t.esn else 'without'} ESN")


def snapshot():
    """Every counter on host a, by its place."""
    seen = {"no_sa": a.no_sa("bh0")}
    for peer, stats in a.all_stats("bh0").items():
        for counter, value in stats.items():
            seen[f"{peer}.{counter}"] = value
    with a, open("/proc/thread-self/net/xfrm_stat") as lines:
        seen.update((name, int(value)) for name, value in map(str.split, lines))
    return seen


def ends_in(wanted, send, delivered=()):
    """Sends, and compares all counters and all that reaches the device."""
    before = snapshot()
    capture = Capture(a, "bh0", outgoing=False)
    send()
    packets = sum(count for place, count in wanted.items()
                  if not place.endswith("_bytes"))
    check_equal(wait_counted(snapshot, before, packets), wanted, "counters")
    check_packets(capture.stop(len(delivered)), list(delivered))


def all_refused(t, counter, packets, **how):
    def send():
        for esp in packets:
            wires[t].send(esp, **how)
    place = counter if counter[0].isupper() or counter == "no_sa" else \
        f"{t.peer}.{counter}"
    ends_in({place: len(packets)}, send)


def delivers(t, plains, inners, sa=None, peer=None):
    """Plaintexts that have to be accepted, and what is in them."""
    def send():
        for plain in plains:
            wires[t].send(seal(sa or t.in_, next(numbers[t]), plain))
    peer = peer or t.peer
    ends_in({f"{peer}.rx_packets": len(inners),
             f"{peer}.rx_bytes": sum(map(len, inners))}, send, inners)


def goes_on(t):
    """Nothing of what came before has hurt the SA."""
    inner = inner_of(t)
    delivers(t, [inner + trailer(len(inner), NEXT_IPV4)], [inner])


def sealed(t, plain):
    return seal(t.in_, next(numbers[t]), plain)


def flipped(t, start, end):
    """One good packet, once for each bit of some of its bytes."""
    # Three keeps a number with a bit flipped from being zero.
    good = seal_packet(t.in_, 3, inner_of(t))
    end = len(good) + end if end <= 0 else end
    return [with_bit(good, bit) for bit in range(8 * start, 8 * end)]


def tampered(t):
    others = flipped(t, 0, 4)
    wanted = {"no_sa": len(others)}
    if t.encap == "esp":    # xfrm knows none either
        wanted["XfrmInNoStates"] = len(others)
    ends_in(wanted, lambda: [wires[t].send(esp) for esp in others])
    for start, end in (4, 8), (8, HEAD), (HEAD, -ICV), (-ICV, 0):
        good = len(seal_packet(t.in_, 3, inner_of(t)))
        start = good + start if start < 0 else start
        all_refused(t, "auth", flipped(t, start, end))
    goes_on(t)


def truncated(t):
    good = seal_packet(t.in_, next(numbers[t]), inner_of(t))
    all_refused(t, "malformed", [good[:n] for n in range(4, ESP_MIN)])
    all_refused(t, "auth", [good[:n] for n in range(ESP_MIN, len(good))]
                + [good + bytes(n) for n in range(1, 9)])
    goes_on(t)


def no_esp():
    """RFC 3948: IKE has no business here; 0xff keeps a NAT mapping alive."""
    no_sa = [b"\x01", b"\x01\x02", b"\x01\x02\x03", b"\0\0\0\0",
             b"\0\0\0\0" + bytes(40)]

    def send():
        for data in [b"\xff", *no_sa]:
            wires[in_udp].send(data)
    ends_in({"no_sa": len(no_sa)}, send)
    goes_on(in_udp)


def replayed(t):
    inners = [inner_of(t, bytes(n)) for n in range(20)]
    packets = [seal_packet(t.in_, next(numbers[t]), inner) for inner in inners]
    ends_in({f"{t.peer}.rx_packets": 20,
             f"{t.peer}.rx_bytes": sum(map(len, inners))},
            lambda: [wires[t].send(esp) for esp in packets], inners)
    all_refused(t, "replay", packets)
    all_refused(t, "replay", packets[::-1])
    # Number zero is never sent, so never fresh (RFC 4303 3.3.3).
    all_refused(t, "replay", [seal_packet(t.in_, 0, inner_of(t))])


def window_edge(t, window, said=True):
    """A new inbound SA: up to the window's width behind the top is fresh."""
    sa = Sa(t.cipher, t.esn, window if said else None)
    a.bhsec(sa.bhsec(t.dev, t.peer, "in"))
    top = window + 200
    inner = inner_of(t)

    def send(seqs):
        return lambda: [wires[t].send(seal_packet(sa, seq, inner))
                        for seq in seqs]

    fresh = [seq for seq in (top, top - window + 1, top - window + 2, top - 1)
             if top - window < seq <= top]
    fresh = list(dict.fromkeys(fresh))
    ends_in({f"{t.peer}.rx_packets": len(fresh),
             f"{t.peer}.rx_bytes": len(fresh) * len(inner)},
            send(fresh), [inner] * len(fresh))
    ends_in({f"{t.peer}.replay": len(fresh)}, send(fresh))
    # A low half from before the window stands, with ESN, for a number of the
    # next 2^32 (RFC 4303 A2.2), and for that the ICV is wrong.
    old = [top - window, top - window - 1, top - window - 64, 1]
    ends_in({f"{t.peer}.{'auth' if t.esn else 'replay'}": len(old)}, send(old))
    a.bhsec(f"sa del {t.dev} {t.peer} in spi {sa.spi:#x}\n")


class Site:
    """A peer more, with selectors of its own and one SA."""

    def __init__(self, name, selectors, more=""):
        self.name, self.sa = name, Sa()
        self.numbers = itertools.count(1)
        a.bhsec(f"peer add bh0 {name} endpoint {link.b4} "
                f"selectors {selectors} {more}\n"
                + self.sa.bhsec("bh0", name, "in"))

    def sends(self, src, dst, accepted):
        inner = udp(src, dst, 7, SINK_PORT, PAYLOAD)
        esp = seal_packet(self.sa, next(self.numbers), inner)
        wanted = {f"{self.name}.rx_packets": 1,
                  f"{self.name}.rx_bytes": len(inner)} if accepted else \
            {f"{self.name}.selector": 1}
        ends_in(wanted, lambda: wires[in_udp].send(esp),
                [inner] if accepted else [])


def others_source():
    wide = Site("wide", "10.8.0.0/16,fd08::/16")
    narrow = Site("narrow", "10.8.1.0/24,fd08:1::/32")
    for dst, outside, inside, nobody in (
            ("10.1.0.1", "10.8.2.1", "10.8.1.5", "10.9.0.1"),
            ("fd01::1", "fd08:2::1", "fd08:1::5", "fd09::1")):
        wide.sends(outside, dst, True)
        narrow.sends(inside, dst, True)
        wide.sends(inside, dst, False)
        narrow.sends(outside, dst, False)
        for site in wide, narrow:
            site.sends(nobody, dst, False)
            site.sends(in_udp.inner("b", family_number(dst)), dst, False)


def local_selectors():
    site = Site("part", "10.7.0.0/24", "local-selectors 10.1.0.0/31")
    site.sends("10.7.0.1", "10.1.0.1", True)
    site.sends("10.7.0.1", "10.1.0.2", False)
    site.sends("10.7.0.1", "10.1.1.1", False)


def family_number(text):
    return 6 if ":" in text else 4


def dummies(t):
    """RFC 4303 2.6: whatever is in them, nothing too."""
    all_refused(t, "dummy", [
        sealed(t, data + trailer(len(data), NEXT_NONE))
        for data in (b"", b"\0", PAYLOAD, inner_of(t), bytes(1000))])


def wrong_padding(t):
    inner = inner_of(t, PAYLOAD + b"!!")    # two bytes of padding are due
    pads = [b"\0\0", b"\1\1", b"\2\2", b"\1\0", b"\2\1"]
    packets = [sealed(t, inner + pad + bytes((2, NEXT_IPV4))) for pad in pads]
    correct = trailer(len(inner), NEXT_IPV4, 250)
    packets += [sealed(t, inner + with_bit(correct, 8 * n))
                for n in range(250)]
    # more padding than there is
    packets += [sealed(t, bytes(range(1, n + 1)) + bytes((pad, NEXT_IPV4)))
                for n in range(8) for pad in (n + 1, n + 5, 255)]
    all_refused(t, "padding", packets)
    goes_on(t)


def long_padding(t):
    """Up to 255 bytes are legal (RFC 4303 2.4)."""
    inners = [inner_of(t, b""), inner_of(t, b"", 6)]
    plains = [(inner, inner + trailer(len(inner), kind, pad))
              for inner, kind in zip(inners, (NEXT_IPV4, NEXT_IPV6))
              for pad in range(-(len(inner) + 2) % 4, 256, 4)]
    delivers(t, [plain for _, plain in plains], [inner for inner, _ in plains])


def flow_padding(t):
    """RFC 4303 2.7: what lies behind the inner packet is cut off."""
    pairs = []
    for kind, family in ((NEXT_IPV4, 4), (NEXT_IPV6, 6)):
        inner = inner_of(t, PAYLOAD, family)
        for extra in (1, 2, 3, 4, 5, 64, 1000):
            body = inner + secrets.token_bytes(extra)
            pairs.append((inner, body + trailer(len(body), kind)))
    delivers(t, [plain for _, plain in pairs], [inner for inner, _ in pairs])


def changed(packet, offset, value):
    """An IPv4 header with a byte changed and its checksum right."""
    return with_checksum(packet[:offset] + bytes([value])
                         + packet[offset + 1:])


def garbage_inside(t):
    v4, v6 = inner_of(t), inner_of(t, PAYLOAD, 6)
    bodies = [(v4[:n], NEXT_IPV4) for n in range(len(v4))]
    bodies += [(v6[:n], NEXT_IPV6) for n in range(len(v6))]
    bodies += [(v4, NEXT_IPV6), (v6, NEXT_IPV4)]
    bodies += [(changed(v4, 0, version << 4 | 5), NEXT_IPV4)
               for version in range(16) if version != 4]
    bodies += [(bytes([version << 4]) + v6[1:], NEXT_IPV6)
               for version in range(16) if version != 6]
    bodies += [(changed(v4, 0, 0x40 | words), NEXT_IPV4) for words in range(5)]
    # header of 60 bytes in a packet of 44; total length below the header's
    bodies.append((changed(v4, 0, 0x4f), NEXT_IPV4))
    bodies += [(changed(v4, 3, length), NEXT_IPV4) for length in range(20)]
    bodies += [(changed(v4, 3, len(v4) + more), NEXT_IPV4) for more in (4, 200)]
    bodies.append((v6[:4] + struct.pack("!H", len(v6)) + v6[6:], NEXT_IPV6))
    bodies.append((v4[:10] + b"\xba\xad" + v4[12:], NEXT_IPV4))
    bodies += [(v4, kind) for kind in range(256)
               if kind not in (NEXT_IPV4, NEXT_NONE)]
    packets = [sealed(t, body + trailer(len(body), kind))
               for body, kind in bodies]
    all_refused(t, "malformed", packets)
    goes_on(t)


def wrong_encapsulation():
    for t, other in (in_udp, "esp"), (in_esp, "udp"):
        packets = [sealed(t, b"") for _ in range(5)]
        all_refused(t, "encap", packets, encap=other)
        goes_on(t)


# Events

def listener():
    """Limits count what somebody listens to only, so they begin with it."""
    nl = Genl(a)
    nl.join("events")
    return nl


def of_a_peer(t):
    nl = listener()
    for event, seq, esp, how in audited(t, numbers[t]):
        wires[t].send(esp, **how)
        check_equal(nl.event(PATIENCE), {
            "event": EVENTS.index(event), "ifindex": a.ifindex("bh0"),
            "ifname": "bh0", "peer": t.peer, "direction": IN,
            "spi": t.in_.spi, "seq": seq, "src": address(t.b_outer),
            "dst": address(t.a_outer), "suppressed": 0}, f"event {event}")
    goes_on(t)
    check_equal(nl.event(0), None, "one more event")


def of_nobody(t):
    nl = listener()
    sa = t.new_sa()
    wires[t].send(seal_packet(sa, 77, inner_of(t)))
    check_equal(nl.event(PATIENCE), {
        "event": EVENTS.index("no-sa"), "spi": sa.spi, "seq": 77,
        "src": address(t.b_outer), "dst": address(t.a_outer),
        "suppressed": 0}, "event")
    goes_on(t)
    check_equal(nl.event(0), None, "one more event")


def flood():
    """One kind's limit is none of another's, and what it holds back is told
    by the first event after it."""
    nl, t, seen = listener(), in_udp, []

    def told():
        seen.extend(iter(lambda: nl.event(0), None))
        return len(seen) + sum(event["suppressed"] for event in seen)
    esp, other = (seal_packet(t.in_, next(numbers[t]), inner_of(t))
                     for _ in range(2))
    time.sleep(1.1)     # the limit's second ends, whoever began it
    first = t.stats()
    wires[t].send(esp)
    wait_counted(t.stats, first, 1)
    before, begin = t.stats(), time.monotonic()
    for _ in range(FLOOD):
        wires[t].send(esp)
    check_equal(wait_counted(t.stats, before, FLOOD), {"replay": FLOOD},
                "counters")
    seconds = int(time.monotonic() - begin + 0.1) + 1     # jiffies lag
    wires[t].send(with_bit(other, 8 * len(other) - 1))
    time.sleep(1.1)
    for count in FLOOD + 2, FLOOD + 3:
        wires[t].send(esp)
        wait_for(lambda: told() >= count, what="events")
        check_equal(told(), count, "events and suppressed ones")
    auth = EVENTS.index("auth")
    check_equal([event["suppressed"] for event in seen
                 if event["event"] == auth], [0], "suppressed by another kind")
    held = [event["suppressed"] for event in seen if event["event"] != auth]
    check_equal(held[:EVENTS_PER_SECOND], [0] * EVENTS_PER_SECOND,
                "suppressed before the limit")
    check(len(held) - 2 <= EVENTS_PER_SECOND * seconds,
          f"{len(held) - 2} events within {seconds} s")
    check_equal(held[-1], 0, "suppressed since the last one")


for t in made:
    add_case(f"{name(t)}: every bit of a packet counts", tampered, t)
for t in made:
    add_case(f"{name(t)}: truncated at every length", truncated, t)
add_case("too short for an SPI, keepalives and IKE move nothing",
         no_esp)
for t in made[:2]:
    add_case(f"{name(t)}: replayed packets are replay", replayed, t)
for t in made[:2]:
    for window in WINDOWS:
        add_case(f"{name(t)}: a window of {window} ends where it says",
                 window_edge, t, window)
    add_case(f"{name(t)}: a window is {DEFAULT_WINDOW} where nothing is said",
             window_edge, t, DEFAULT_WINDOW, said=False)
add_case("a source of another peer's, or nobody's, is selector", others_source)
add_case("a destination outside local-selectors is selector", local_selectors)
for t in made[:2]:
    add_case(f"{name(t)}: dummies are dummy", dummies, t)
    add_case(f"{name(t)}: padding other than 1, 2, 3 is padding",
             wrong_padding, t)
    add_case(f"{name(t)}: longer correct padding is accepted", long_padding, t)
    add_case(f"{name(t)}: flow confidentiality bytes are cut", flow_padding, t)
    add_case(f"{name(t)}: garbage inside is malformed", garbage_inside, t)
add_case("the other encapsulation is encap", wrong_encapsulation)
for t in made[:2]:
    add_case(f"{name(t)}: an event says what was refused, and whose",
             of_a_peer, t)
for t in made[:2]:
    add_case(f"{name(t)}: an SPI that nobody has is an event too", of_nobody, t)
add_case(f"{EVENTS_PER_SECOND} events of a kind a second, the rest are counted",
         flood)

main()
