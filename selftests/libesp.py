# SPDX-License-Identifier: GPL-2.0
"""ESP by hand, for what no implementation would send: sealed by the
cryptography package, put on the wire as Ethernet frames."""

import secrets
import socket
import struct

from cryptography.hazmat.primitives.ciphers import aead

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86dd
IPPROTO_ESP, IPPROTO_UDP = 50, 17
NEXT_IPV4, NEXT_IPV6, NEXT_NONE = 4, 41, 59
ICV, IV, HEAD = 16, 8, 16


def cipher_of(sa):
    """The AEAD and the salt of an SA."""
    if sa.cipher.startswith("aes-gcm"):
        return aead.AESGCM(sa.key[:-4]), sa.key[-4:]
    if sa.cipher.startswith("aes-ccm"):
        return aead.AESCCM(sa.key[:-3], tag_length=ICV), sa.key[-3:]
    return aead.ChaCha20Poly1305(sa.key[:-4]), sa.key[-4:]


def associated_data(sa, seq):
    if sa.esn:
        return struct.pack("!IQ", sa.spi, seq)
    return struct.pack("!II", sa.spi, seq)


def trailer(length, next_header, pad=None):
    """Padding 1, 2, 3 ... to four bytes, or so many; what RFC 4303 2.4 says."""
    if pad is None:
        pad = -(length + 2) % 4
    return bytes(range(1, pad + 1)) + bytes((pad, next_header))


def seal(sa, seq, plain, iv=None):
    """ESP around a plaintext that has its trailer."""
    iv = iv or secrets.token_bytes(IV)
    cipher, salt = cipher_of(sa)
    head = struct.pack("!II", sa.spi, seq & 0xffffffff)
    return head + iv + cipher.encrypt(salt + iv, plain,
                                      associated_data(sa, seq))


def seal_packet(sa, seq, packet, **kw):
    """ESP around an inner packet as a peer would send it."""
    version = NEXT_IPV6 if packet[0] >> 4 == 6 else NEXT_IPV4
    return seal(sa, seq, packet + trailer(len(packet), version), **kw)


def unseal(sa, esp, high=0):
    """The plaintext with its trailer; high: what ESN does not send."""
    cipher, salt = cipher_of(sa)
    seq = high << 32 | struct.unpack_from("!I", esp, 4)[0]
    return cipher.decrypt(salt + esp[8:HEAD], esp[HEAD:],
                          associated_data(sa, seq))


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


def ip(src, dst, protocol, payload, tos=0):
    """An IP packet, the version by its addresses."""
    source, destination = address(src), address(dst)
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload),
                           protocol, 64) + source + destination + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 0,
                       0x4000, 64, protocol, 0, source, destination)
    return (head[:10] + struct.pack("!H", checksum(head)) + head[12:]
            + payload)


def udp(src, dst, sport, dport, data):
    """A UDP datagram in an IP packet, checksums right."""
    length = 8 + len(data)
    head = struct.pack("!HHH", sport, dport, length)
    pseudo = address(src) + address(dst) + struct.pack("!IHBB", length, 0, 0,
                                                       IPPROTO_UDP)
    total = checksum(pseudo + head + b"\0\0" + data) or 0xffff
    return ip(src, dst, IPPROTO_UDP, head + struct.pack("!H", total) + data)


class Wire:
    """Sends frames as the far end of a tunnel would: from b to a."""

    def __init__(self, tunnel):
        self.tunnel = tunnel
        link = tunnel.link
        self.sock = link.ns_b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((link.if_b, 0))
        self.macs = link.mac_a + link.mac_b

    def send_ip(self, packet):
        kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
        self.sock.send(self.macs + struct.pack("!H", kind) + packet)

    def send(self, esp, encap=None, source=None):
        """ESP in the tunnel's encapsulation, or in the one given."""
        t = self.tunnel
        src, dst = source or t.b_outer, t.a_outer
        if (encap or t.encap) == "udp":
            self.send_ip(udp(src, dst, t.port, t.port, esp))
        else:
            self.send_ip(ip(src, dst, IPPROTO_ESP, esp))


def esp_of(frame):
    """The ESP of an Ethernet frame, raw or in UDP; None if it is neither."""
    kind, packet = struct.unpack_from("!H", frame, 12)[0], frame[14:]
    if kind == ETH_P_IP:
        head, protocol = (packet[0] & 15) * 4, packet[9]
        end = struct.unpack_from("!H", packet, 2)[0]
    elif kind == ETH_P_IPV6:
        head, protocol = 40, packet[6]
        end = 40 + struct.unpack_from("!H", packet, 4)[0]
    else:
        return None
    if protocol == IPPROTO_ESP:
        return packet[head:end]
    if protocol == IPPROTO_UDP and packet[head + 8:head + 12] != b"\0\0\0\0":
        return packet[head + 8:end]
    return None
