# SPDX-License-Identifier: GPL-2.0
"""ESP by hand, for what no implementation would send: sealed by the
cryptography package, put on the wire as Ethernet frames."""

import collections
import secrets
import socket
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, aead, algorithms, modes

from libcase import SUITES, check_equal, wait_for
from libtraffic import Capture

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86dd
IPPROTO_ESP, IPPROTO_UDP, IPPROTO_FRAGMENT = 50, 17, 44
ICMP, ICMPV6 = 1, 58
NEXT_IPV4, NEXT_IPV6, NEXT_NONE = 4, 41, 59
ICV, IV, HEAD = 16, 8, 16


class Combined:
    """An AEAD, with its salt."""

    def __init__(self, sa):
        short = 3 if sa.cipher.startswith("aes-ccm") else 4
        key, self.salt = sa.key[:-short], sa.key[-short:]
        self.aead = (aead.AESCCM(key, tag_length=ICV) if short == 3 else
                     aead.ChaCha20Poly1305(key) if "poly" in sa.cipher else
                     aead.AESGCM(key))

    def encrypt(self, head, iv, plain, ad):
        return self.aead.encrypt(self.salt + iv, plain, ad)

    def decrypt(self, head, iv, text, ad):
        return self.aead.decrypt(self.salt + iv, text, ad)


class Gmac(Combined):
    """RFC 4543: all of the packet is associated data."""

    def encrypt(self, head, iv, plain, ad):
        return plain + super().encrypt(head, iv, b"", ad + iv + plain)

    def decrypt(self, head, iv, text, ad):
        super().decrypt(head, iv, text[-ICV:], ad + iv + text[:-ICV])
        return text[:-ICV]


class Pair:
    """A cipher, and a MAC over its text: of an ESN the high half comes last
    (RFC 4303 2.2.1)."""

    def __init__(self, sa):
        self.suite, self.esn = SUITES[sa.cipher], sa.esn
        self.key, self.mac_key = sa.key[:self.suite.key], sa.key[self.suite.key:]
        self.hash = {32: hashes.SHA256, 48: hashes.SHA384,
                     64: hashes.SHA512}[self.suite.mac_key]

    def cipher(self, iv):
        return Cipher(algorithms.AES(self.key), modes.CBC(iv))

    def mac(self, head, iv, text, ad):
        mac = hmac.HMAC(self.mac_key, self.hash())
        mac.update(head + iv + text + (ad[4:8] if self.esn else b""))
        return mac.finalize()[:self.suite.icv]

    def encrypt(self, head, iv, plain, ad):
        text = plain
        if iv:
            enc = self.cipher(iv).encryptor()
            text = enc.update(plain) + enc.finalize()
        return text + self.mac(head, iv, text, ad)

    def decrypt(self, head, iv, text, ad):
        text, icv = text[:-self.suite.icv], text[-self.suite.icv:]
        if self.mac(head, iv, text, ad) != icv:
            raise InvalidTag
        if not iv:
            return text
        dec = self.cipher(iv).decryptor()
        return dec.update(text) + dec.finalize()


def cipher_of(sa):
    kind = (Pair if SUITES[sa.cipher].mac else
            Gmac if "gmac" in sa.cipher else Combined)
    return kind(sa)


def associated_data(sa, seq):
    if sa.esn:
        return struct.pack("!IQ", sa.spi, seq)
    return struct.pack("!II", sa.spi, seq)


def trailer(length, next_header, pad=None, block=4):
    """Padding 1, 2, 3 ... to a block, or so many; what RFC 4303 2.4 says."""
    if pad is None:
        pad = -(length + 2) % block
    return bytes(range(1, pad + 1)) + bytes((pad, next_header))


def seal(sa, seq, plain, iv=None):
    """ESP around a plaintext that has its trailer."""
    iv = iv or secrets.token_bytes(SUITES[sa.cipher].iv)
    head = struct.pack("!II", sa.spi, seq & 0xffffffff)
    return head + iv + cipher_of(sa).encrypt(head, iv, plain,
                                             associated_data(sa, seq))


def seal_packet(sa, seq, packet, **kw):
    """ESP around an inner packet as a peer would send it."""
    version = NEXT_IPV6 if packet[0] >> 4 == 6 else NEXT_IPV4
    end = trailer(len(packet), version, block=SUITES[sa.cipher].block)
    return seal(sa, seq, packet + end, **kw)


def unseal(sa, esp, high=0):
    """The plaintext with its trailer; high: what ESN does not send."""
    seq = high << 32 | struct.unpack_from("!I", esp, 4)[0]
    return cipher_of(sa).decrypt(esp[:8], iv_of(sa, esp),
                                 esp[8 + SUITES[sa.cipher].iv:],
                                 associated_data(sa, seq))


def iv_of(sa, esp):
    return esp[8:8 + SUITES[sa.cipher].iv]


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return socket.inet_pton(family, text)


def with_checksum(packet):
    """An IPv4 packet whose header's is right."""
    total = checksum(packet[:10] + b"\0\0" + packet[12:20])
    return packet[:10] + struct.pack("!H", total) + packet[12:]


def ip(src, dst, protocol, payload, tos=0):
    """An IP packet, the version by its addresses."""
    source, destination = address(src), address(dst)
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload),
                           protocol, 64) + source + destination + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 0,
                       0x4000, 64, protocol, 0, source, destination)
    return with_checksum(head + payload)


def udp(src, dst, sport, dport, data, tos=0):
    """A UDP datagram in an IP packet, checksums right."""
    length = 8 + len(data)
    head = struct.pack("!HHH", sport, dport, length)
    pseudo = address(src) + address(dst) + struct.pack("!IHBB", length, 0, 0,
                                                       IPPROTO_UDP)
    total = checksum(pseudo + head + b"\0\0" + data) or 0xffff
    return ip(src, dst, IPPROTO_UDP, head + struct.pack("!H", total) + data,
              tos)


def quoted(t, dst=None, spi=None, seq=1):
    """The start of a datagram that a tunnel's first end may have sent."""
    esp = struct.pack("!II", spi or t.spi_out, seq) + bytes(40)
    if t.encap == "udp":
        return udp(t.a_outer, dst or t.b_outer, t.port, t.port, esp)
    return ip(t.a_outer, dst or t.b_outer, IPPROTO_ESP, esp)


def icmp_error(src, dst, kind, about, info=0):
    """An ICMP message of a type and code about the packet that it begins."""
    body = struct.pack("!BBHI", *kind, 0, info) + about
    if ":" not in src:
        total = checksum(body)
    else:
        total = checksum(address(src) + address(dst)
                         + struct.pack("!II", len(body), ICMPV6) + body)
    return ip(src, dst, ICMPV6 if ":" in src else ICMP,
              body[:2] + struct.pack("!H", total) + body[4:])


class LinkWire:
    """Sends frames from a to b, or to all on the link."""

    def __init__(self, link, target=None):
        self.sock = link.ns_a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((link.if_a, 0))
        self.macs = (target or link.mac_b) + link.mac_a

    def send_ip(self, packet):
        kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
        self.sock.send(self.macs + struct.pack("!H", kind) + packet)


class Wire(LinkWire):
    """Sends frames as the far end of a tunnel would: from b to a."""

    def __init__(self, tunnel, link=None):
        self.tunnel = tunnel
        link = link or tunnel.link
        self.sock = link.ns_b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((link.if_b, 0))
        self.macs = link.mac_a + link.mac_b

    def send(self, esp, encap=None, source=None, **kw):
        """ESP in the tunnel's encapsulation, or in the one given."""
        self.send_ip(self.packet(esp, encap, source, **kw))

    def packet(self, esp, encap=None, source=None, tos=0):
        t = self.tunnel
        src, dst = source or t.b_outer, t.a_outer
        if (encap or t.encap) == "udp":
            return udp(src, dst, t.port, t.port, esp, tos)
        return ip(src, dst, IPPROTO_ESP, esp, tos)


Outer = collections.namedtuple(
    "Outer", "family src dst tos ttl df protocol ident start more payload")


def outer_of(frame):
    """The IP header of an Ethernet frame and what follows; None if there is
    none. start and more are those of a fragment, in bytes."""
    kind, packet = struct.unpack_from("!H", frame, 12)[0], frame[14:]
    if kind == ETH_P_IP:
        tos, length, ident, field, ttl, protocol = struct.unpack_from(
            "!xBHHHBB", packet)
        return Outer(4, packet[12:16], packet[16:20], tos, ttl,
                     bool(field & 0x4000), protocol, ident,
                     (field & 0x1fff) * 8, bool(field & 0x2000),
                     packet[(packet[0] & 15) * 4:length])
    if kind == ETH_P_IPV6:
        first, length, protocol, ttl = struct.unpack_from("!IHBB", packet)
        payload = packet[40:40 + length]
        ident = field = 0
        if protocol == IPPROTO_FRAGMENT:
            protocol, field, ident = struct.unpack_from("!BxHI", payload)
            payload = payload[8:]
        return Outer(6, packet[8:24], packet[24:40], first >> 20 & 0xff, ttl,
                     True, protocol, ident, field & ~7, bool(field & 1),
                     payload)
    return None


def is_fragment(outer):
    return outer.more or outer.start > 0


def esp_in(outer):
    """The ESP of a whole outer packet, raw or in UDP; None if it is neither."""
    if outer.protocol == IPPROTO_ESP:
        return outer.payload
    if outer.protocol == IPPROTO_UDP and outer.payload[8:12] != b"\0\0\0\0":
        return outer.payload[8:]
    return None


def esp_of(frame):
    """The same of an Ethernet frame."""
    outer = outer_of(frame)
    return esp_in(outer) if outer else None


def sealed_by(t, inners):
    """Inner packets go in through a packet socket of the device; the ESP that
    comes out on the underlay."""
    capture = Capture(t.b, t.link.if_b, outgoing=False)
    with t.a.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0,
                    keep=False) as sock:
        for inner in inners:
            kind = ETH_P_IPV6 if inner[0] >> 4 == 6 else ETH_P_IP
            sock.sendto(inner, (t.dev, kind))

    def ours():
        return [frame for frame in list(capture.frames)
                if (esp_of(frame) or b"")[:4] == t.spi_out.to_bytes(4, "big")]
    wait_for(lambda: len(ours()) >= len(inners), what="ESP on the underlay")
    capture.stop()
    check_equal(len(ours()), len(inners), "ESP packets")
    return ours()


def joined(outers):
    """A packet of which these are the fragments; None while one is missing."""
    end, payload = 0, b""
    for part in sorted(outers, key=lambda o: o.start):
        if part.start != end:
            return None
        end, payload = end + len(part.payload), payload + part.payload
    whole = outers and not max(outers, key=lambda o: o.start).more
    return outers[0]._replace(start=0, more=False, payload=payload) \
        if whole else None


def piece(packet, start, end, ident):
    """A fragment of an IP packet that has these bytes of its payload."""
    if packet[0] >> 4 == 6:
        head, payload = packet[:40], packet[40:]
        more = end < len(payload)
        extra = struct.pack("!BxHI", head[6], start | more, ident)
        data = extra + payload[start:end]
        return (head[:4] + struct.pack("!HB", len(data), IPPROTO_FRAGMENT)
                + head[7:] + data)
    head, payload = packet[:20], packet[20:]
    field = start // 8 | 0x2000 * (end < len(payload))
    head = (head[:2] + struct.pack("!HHH", 20 + len(payload[start:end]),
                                   ident & 0xffff, field) + head[8:])
    return with_checksum(head + payload[start:end])
