#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What the stack gives in one piece leaves as the packets that it stands for,
byte for byte: lengths, numbers, flags and checksums are those of each."""

import errno

from lib import *
from libesp import *

# linux/if_packet.h, linux/virtio_net.h
SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM = 1
ALONE, TCP4, TCP6, UDP_L4, ECN = 0, 1, 4, 5, 0x80
TCP = 6
FIN, PSH, ACK, CWR = 1, 8, 16, 128
# Where their checksums are.
CHECKSUM = {TCP: 16, IPPROTO_UDP: 6}
COUNT, SIZE, LAST = 4, 500, 77
# Both come round.
IDENT, SEQ = 0xfffe, 0xfffffe00
TIMESTAMPS = struct.pack("!BBBBII", 1, 1, 8, 10, 7, 0)

a, b = Ns("a"), Ns("b")
link = veth(a, b)
# As most links do: what is captured at b are datagrams, not a batch.
a.run(f"ethtool -K {link.if_a} tx-udp-segmentation off tx-gso-list off")
udp_sink(b)
made = tunnels(a, b, link, [ALL_WAYS[0], ALL_WAYS[-1]])


def name(t, inner):
    return f"{t.encap} over IPv{t.family}, IPv{inner} inside"


def head_of(protocol, length, seq=0, flags=0):
    if protocol == TCP:
        return struct.pack("!HHIIBBHHH", 7, 9, seq & 0xffffffff, 1, 8 << 4,
                           flags, 1000, 0, 0) + TIMESTAMPS
    return struct.pack("!HHHH", 7, SINK_PORT, 8 + length, 0)


def packet(ends, protocol, data, ident=0, finish=True, **more):
    """finish: not as it is given to a device that makes the checksum."""
    head, at = head_of(protocol, len(data), **more), CHECKSUM[protocol]
    pseudo = b"".join(map(address, ends)) + struct.pack(
        "!IHBB", len(head) + len(data), 0, 0, protocol)
    total = (checksum(pseudo + head + data) or 0xffff if finish else
             ~checksum(pseudo) & 0xffff)
    whole = ip(*ends, protocol, head[:at] + struct.pack("!H", total)
               + head[at + 2:] + data)
    if whole[0] >> 4 == 6:
        return whole
    return with_checksum(whole[:4] + struct.pack("!H", ident & 0xffff)
                         + whole[6:])


def zero_sum(ends, n):
    """A payload whose datagram has a checksum of zero."""
    data = bytes([n]) * (SIZE - 2)
    about = packet(ends, IPPROTO_UDP, data + bytes(2))
    at = (40 if about[0] >> 4 == 6 else 20) + CHECKSUM[IPPROTO_UDP]
    return data + about[at:at + 2]


def give(t, protocol, kind, size, one):
    """As a virtual machine's: it is to be taken apart, and sums to be made."""
    is_ipv6 = one[0] >> 4 == 6
    start = 40 if is_ipv6 else 20
    head = start + len(head_of(protocol, 0))
    with a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, keep=False) as sock:
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        try:
            sock.sendto(struct.pack("=BBHHHH", NEEDS_CSUM, kind, head, size,
                                    start, CHECKSUM[protocol]) + one,
                        (t.dev, ETH_P_IPV6 if is_ipv6 else ETH_P_IP))
        except OSError as error:
            # Linux 6.1 does not know it by this way
            check(error.errno == errno.EINVAL and kind == UDP_L4, f"{error}")
            raise Skip("no packet socket gives UDP's datagrams in one") from error


def leaves_as(t, wanted, *given):
    """In this order."""
    spi = t.spi_out.to_bytes(4, "big")

    def is_ours(frame):
        return (esp_of(frame) or b"")[:4] == spi
    capture = Capture(b, link.if_b, outgoing=False)
    give(t, *given)
    capture.wait(len(wanted), is_ours)
    plain = [unseal(t.out, esp_of(frame)) for frame in capture.stop()
             if is_ours(frame)]
    seen = [one[:len(one) - 2 - one[-2]] for one in plain]
    check_equal([one.hex() for one in seen], [one.hex() for one in wanted],
                "inner packets")


def ends_of(t, inner):
    return t.inner("a", inner), t.inner("b", inner)


def tcp(t, inner):
    """RFC 9293: FIN and PSH are of the last; RFC 3168 6.1.2: CWR of the first."""
    ends = ends_of(t, inner)
    data = secrets.token_bytes((COUNT - 1) * SIZE + LAST)
    flags = [ACK | (CWR if not n else 0) | (FIN | PSH if n == COUNT - 1 else 0)
             for n in range(COUNT)]
    leaves_as(t, [packet(ends, TCP, data[n * SIZE:(n + 1) * SIZE], IDENT + n,
                         seq=SEQ + n * SIZE, flags=flags[n])
                  for n in range(COUNT)],
              TCP, (TCP6 if inner == 6 else TCP4) | ECN, SIZE,
              packet(ends, TCP, data, IDENT, False, seq=SEQ,
                     flags=CWR | ACK | PSH | FIN))


def datagrams(t, inner):
    """The last one is shorter; of the others the checksum is zero, which is
    sent as all ones (RFC 768)."""
    ends = ends_of(t, inner)
    parts = [zero_sum(ends, n) for n in range(COUNT - 1)]
    parts.append(secrets.token_bytes(LAST))
    leaves_as(t, [packet(ends, IPPROTO_UDP, part, IDENT + n)
                  for n, part in enumerate(parts)],
              IPPROTO_UDP, UDP_L4, SIZE,
              packet(ends, IPPROTO_UDP, b"".join(parts), IDENT, False))


def alone(t, inner):
    """Its own memory, and where somebody has a copy of it."""
    ends = ends_of(t, inner)
    for watched in False, True:
        capture = Capture(a, t.dev) if watched else None
        for data in zero_sum(ends, 9), secrets.token_bytes(LAST):
            leaves_as(t, [packet(ends, IPPROTO_UDP, data, IDENT)], IPPROTO_UDP,
                      ALONE, 0, packet(ends, IPPROTO_UDP, data, IDENT, False))
        if capture:
            capture.stop()


for _t in made:
    for _inner in 4, 6:
        where = name(_t, _inner)
        add_case(f"{where}: TCP's segments", tcp, _t, _inner)
        add_case(f"{where}: UDP's datagrams", datagrams, _t, _inner)
        add_case(f"{where}: one packet, whose checksum is to be made", alone, _t,
                 _inner)

main()
