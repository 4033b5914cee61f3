# SPDX-License-Identifier: GPL-2.0
"""Datagrams that are not to be accepted, of which RFC 4303 wants to be told."""

from libesp import *
from libcase import SINK_PORT

CE = 3                      # congestion experienced, in the outer TOS
PAYLOAD = b"0123456789abcdef"
# Below this an ESP packet cannot hold its own header, trailer and ICV.
ESP_MIN = HEAD + 2 + ICV


def with_bit(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def inner_of(t, data=PAYLOAD, family=4):
    return udp(t.inner("b", family), t.inner("a", family), 7, SINK_PORT, data)


def audited(t, numbers):
    """(event, number, ESP, how it is sent) of each that a peer has; numbers that
    are new to its SA."""
    inner = inner_of(t)
    plain = inner + trailer(len(inner), NEXT_IPV4)
    foreign = udp("10.99.0.1", t.inner("a", 4), 7, SINK_PORT, PAYLOAD)
    unpadded = inner + b"\2\1" + bytes((2, NEXT_IPV4))
    other = {"encap": "esp" if t.encap == "udp" else "udp"}

    def one(event, plain, change=bytes, **how):
        seq = next(numbers)
        return event, seq, change(seal(t.in_, seq, plain)), how
    first = one("selector", foreign + trailer(len(foreign), NEXT_IPV4))
    return [
        first, ("replay", *first[1:]),
        one("auth", plain, lambda esp: with_bit(esp, 8 * len(esp) - 1)),
        one("malformed", plain, lambda esp: esp[:ESP_MIN - 1]),
        one("malformed", bytes(38) + trailer(38, NEXT_IPV4)),
        one("malformed", plain, tos=CE),
        one("padding", unpadded),
        one("encap", plain, **other),
    ]
