#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Every cipher of the table alike (TS 33.210, RFC 8221): packets that the
cryptography package seals are delivered byte for byte and ours are opened by
it, what was altered, cut or comes again is refused, IVs are what the cipher
asks for, and states of it are taken from the kernel."""

from lib import *
from libbound import Bound, install_bound
from libesp import *

from cryptography.exceptions import InvalidTag

LENGTHS = range(34)
FIRST_PORT = 47000
IVS = 200
# With ESN, numbers on both sides of where their low half starts anew.
NEAR_WRAP = (1 << 32) - 10
WEAK = ("3des", "des-md5", "3des-sha1", "aes-cbc-128-sha1", "aes-cbc-128-md5",
        "AES-CBC-128-SHA1")

a, b, c, d = (Ns(name) for name in "abcd")
link, other_link = veth(a, b), veth(c, d)
udp_sink(a)
# What one CPU sends overtakes what another has in its queue.
os.sched_setaffinity(0, {0})
made = tunnels(a, b, link, [
    {"cipher": cipher, "esn": esn, "encap": encap, "family": family,
     "seq_in": NEAR_WRAP if esn else None, "seq_out": NEAR_WRAP if esn else None}
    for cipher in CIPHERS
    for esn, encap, family in ((True, "udp", 4), (False, "esp", 6))])
numbers = {t: itertools.count((t.in_.seq or 0) + 1) for t in made}
taken = [Bound(c, d, other_link, n=n, cipher=cipher, encap=encap, family=family,
               esn=esn)
         for n, cipher in enumerate(CIPHERS)
         for encap, family, esn in [(("udp", 4, True), ("esp", 6, False),
                                     ("udp", 6, False), ("esp", 4, True))[n % 4]]]


def name(t):
    return f"{t.cipher} {'with' if t.esn else 'without'} ESN"


def inner_to(t, i=16, src="b", dst="a"):
    family = 6 if i % 2 else 4
    return udp(t.inner(src, family), t.inner(dst, family), FIRST_PORT + i,
               SINK_PORT, bytes(range(i)))


def delivered(t):
    wire, before = Wire(t), t.stats()
    capture = Capture(a, t.dev, outgoing=False)
    sent = [inner_to(t, i) for i in LENGTHS]
    for inner in sent:
        wire.send(seal_packet(t.in_, next(numbers[t]), inner))
    capture.wait(len(sent))
    check_packets(capture.stop(), sent)
    check_equal(difference(before, t.stats()),
                {"rx_packets": len(sent), "rx_bytes": sum(map(len, sent))},
                "counters")


def opened(t):
    suite, first = SUITES[t.cipher], (t.out.seq or 0) + 1
    inners = [inner_to(t, i, "a", "b") for i in LENGTHS]
    sealed = map(esp_of, sealed_by(t, inners))
    for seq, (inner, esp) in enumerate(zip(inners, sealed), first):
        version = NEXT_IPV6 if inner[0] >> 4 == 6 else NEXT_IPV4
        check_equal(struct.unpack_from("!I", esp, 4)[0], seq & 0xffffffff,
                    "sequence number")
        end = trailer(len(inner), version, block=suite.block)
        check_equal(unseal(t.out, esp, seq >> 32), inner + end, "plaintext")
        check_equal(len(esp), 8 + suite.iv + len(inner + end) + suite.icv,
                    "length")
        altered = esp[:-1] + bytes([esp[-1] ^ 1])
        try:
            unseal(t.out, altered, seq >> 32)
            raise Failure("any ICV is taken")
        except InvalidTag:
            pass


def regions(suite):
    """A byte of each part that somebody may have altered."""
    head = 8 + suite.iv
    return [7, *([8, head - 1] if suite.iv else []), head, head + 20,
            -suite.icv - 1, -suite.icv, -1]


def refused_as(t, counter, packets):
    wire, before = Wire(t), t.stats()
    capture = Capture(a, t.dev, outgoing=False)
    for esp in packets:
        wire.send(esp)
    check_equal(wait_counted(t.stats, before, len(packets)),
                {counter: len(packets)}, "counters")
    check_packets(capture.stop(), [])


def altered(t):
    def flip(esp, at):
        esp = bytearray(esp)
        esp[at] ^= 0x10
        return bytes(esp)
    # the number that byte 7 makes of it has to be inside the window
    packets = [flip(seal_packet(t.in_, next(numbers[t]) + 32, inner_to(t)), at)
               for at in regions(SUITES[t.cipher])]
    refused_as(t, "auth", packets)


def cut(t):
    """Too short for what a cipher has, or no multiple of its block."""
    suite = SUITES[t.cipher]
    least = 8 + suite.iv + 2 + suite.icv
    esp = seal_packet(t.in_, next(numbers[t]), inner_to(t))
    packets = [esp[:least - 1], esp[:8], esp[:12]]
    if suite.block > 4:
        packets += [esp[:-4], esp[:-8], esp + bytes(4), esp[:least]]
    refused_as(t, "malformed", packets)


def again(t):
    esp = seal_packet(t.in_, next(numbers[t]), inner_to(t))
    Wire(t).send(esp)
    before = t.stats()
    wait_for(lambda: t.stats()["rx_packets"] or None)
    refused_as(t, "replay", [esp] * 3)


def padding(t):
    suite, inner = SUITES[t.cipher], inner_to(t)
    # So much that a whole block more is in it, and bytes that are not 1, 2, 3.
    pad = -(len(inner) + 2) % suite.block + suite.block
    right = inner + trailer(len(inner), NEXT_IPV4, pad)
    wrong = inner + bytes(pad) + bytes((pad, NEXT_IPV4))
    beyond = inner + bytes(pad) + bytes((255, NEXT_IPV4))
    refused_as(t, "padding", [seal(t.in_, next(numbers[t]), plain)
                              for plain in (wrong, beyond)])
    capture = Capture(a, t.dev, outgoing=False)
    Wire(t).send(seal(t.in_, next(numbers[t]), right))
    capture.wait(1)
    check_packets(capture.stop(), [inner])


def ivs(t):
    """A counter behind a mask for an AEAD; for CBC none can be told from those
    before it (RFC 3602 3): each bit is as often set as not."""
    suite = SUITES[t.cipher]
    inner = inner_to(t, src="a", dst="b")
    packets = [esp_of(frame) for frame in sealed_by(t, [inner] * IVS)]
    seen = [iv_of(t.out, esp) for esp in packets]
    check_equal(len(set(seen)), IVS, "different IVs")
    values = [int.from_bytes(iv, "big") for iv in seen]
    if suite.iv == 8:
        masks = {value ^ int.from_bytes(esp[4:8], "big")
                 for value, esp in zip(values, packets)}
        check_equal(len(masks), 1, "masks")
        return
    pairs = [x ^ y for x, y in zip(values, values[1:])]
    for bit in range(8 * suite.iv):
        for some, what in (values, "IVs"), (pairs, "differences"):
            count = sum(value >> bit & 1 for value in some)
            check(IVS // 5 < count < IVS * 4 // 5,
                  f"bit {bit} of {count} {what}")


def from_states(t):
    for f in 4, 6:
        sizes = 0, 1, 100, t.inner_max - {4: 28, 6: 48}[f]
        udp_exchange(c, t.inner("b", f), sizes, t.inner("a", f))
    shown = c.peer(t.dev, t.peer)["sas"]
    check_equal([sa["cipher"] for sa in shown], [t.cipher] * 2, "ciphers")
    check_equal([sa["origin"] for sa in shown], ["ike"] * 2, "origins")


udp_echo(d, "0.0.0.0")
udp_echo(d, "::")
install_bound(taken)
for t in made:
    for what, check_that in (
            ("what others seal is delivered as it was", delivered),
            ("others open ours, padded and as long as the RFCs say", opened),
            ("what was altered anywhere is not authentic", altered),
            ("what is cut is malformed", cut),
            ("padding is looked at", padding),
            ("nothing is taken twice", again)):
        add_case(f"{name(t)}: {what}", check_that, t)
    if SUITES[t.cipher].iv and not t.esn:
        add_case(f"{name(t)}: IVs", ivs, t)
for t in taken:
    add_case(f"{name(t)} {t.encap} over IPv{t.family}, from the kernel's states",
             from_states, t)


@case("what is not allowed any more is refused by name")
def _():
    for cipher in WEAK:
        for line in (f"genkey {cipher}",
                     f"sa add bh0 b in spi 0x9999 cipher {cipher} key-file -"):
            result = a.cli(*line.split(), check=False, input="00\n")
            check_equal(result.returncode, 1, line)
            check("not allowed (TS 33.210)" in result.stderr
                  and cipher in result.stderr, result.stderr)


main()
