# SPDX-License-Identifier: GPL-2.0
"""Packets of flows, by what tells those of two hosts apart."""

from lib import *
from libesp import *

GTPU_PORT = 2152
IPPROTO_TCP, IPPROTO_DCCP, IPPROTO_AH, IPPROTO_SCTP = 6, 33, 51, 132

# Packet number n of a kind is of flow n.

def ends(t, inner):
    return t.inner("a", inner), t.inner("b", inner)


def by_udp(t, inner, n, size=60):
    return udp(*ends(t, inner), 10000 + n, SINK_PORT, bytes(size))


def by_ports(protocol):
    def packet(t, inner, n):
        return ip(*ends(t, inner), protocol,
                  struct.pack("!HH", 10000 + n, 9) + bytes(28))
    return packet


def by_spi(protocol):
    def packet(t, inner, n):
        head = bytes(4 if protocol == IPPROTO_AH else 0)
        return ip(*ends(t, inner), protocol,
                  head + struct.pack("!I", 0x1000 + n) + bytes(40))
    return packet


def by_source(t, inner, n):
    source, target = ends(t, inner)
    return ip(f"{source[:-1]}{n + 10}", target, 89, bytes(40))


def gtpu(n):
    return struct.pack("!BBHI", 0x30, 255, 32, n + 1) + bytes(32)


def by_teid(t, inner, n):
    return udp(*ends(t, inner), GTPU_PORT, GTPU_PORT, gtpu(n))


KINDS = {"UDP": by_udp, "TCP": by_ports(IPPROTO_TCP),
         "SCTP": by_ports(IPPROTO_SCTP), "DCCP": by_ports(IPPROTO_DCCP),
         "ESP": by_spi(IPPROTO_ESP), "AH": by_spi(IPPROTO_AH),
         "hosts": by_source, "GTP-U": by_teid}


class Door:
    """A packet socket: what comes of it has no hash yet."""

    def __init__(self, ns):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)

    def send(self, t, packet):
        self.sock.sendto(packet, (t.dev, ETH_P_IPV6 if packet[0] >> 4 == 6
                                  else ETH_P_IP))
