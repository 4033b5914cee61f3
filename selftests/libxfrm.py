# SPDX-License-Identifier: GPL-2.0
"""Tunnels of the kernel's own IPsec at both ends, for what stands beside
bhsec."""

from lib import *
from libnetlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, \
    attr, parse

# linux/xfrm.h
NETLINK_XFRM = 6
XFRM_MSG_NEWAE, XFRM_MSG_GETAE, XFRMA_REPLAY_ESN_VAL = 0x1e, 0x1f, 23
NLM_F_REPLACE = 0x100
AEVENT_SIZE = 48

SIZES = 0, 1, 100, 1000, 1300


class Plain:
    """A tunnel between two xfrm ends, on networks of its own; with an if_id,
    through an xfrm interface, which lives by its callback in the ESP chain."""

    def __init__(self, link, n, encap, family, if_id=None, port=ESP_PORT):
        self.link, self.encap, self.if_id, self.port = link, encap, if_id, port
        a, b = self.hosts = link.ns_a, link.ns_b
        self.near, self.far = f"10.3.{n}.1", f"10.4.{n}.1"
        self.ends = link.address(a, family), link.address(b, family)
        self.sas = Sa(), Sa()
        self.reqid = 100 + n
        for ns, mine, other, end in ((a, self.near, self.far, 0),
                                     (b, self.far, self.near, 1)):
            ns.ip(self.way(mine, other, link.address((b, a)[end], 4))
                  + self.states(end) + self.policies(mine, other, end))

    def way(self, mine, other, via):
        if not self.if_id:
            return (f"addr add {mine}/32 dev lo\n"
                    f"route add {other}/32 via {via} src {mine}\n")
        dev = f"xfrm{self.if_id}"
        return (f"link add {dev} type xfrm dev {self.link.if_a} if_id {self.if_id}\n"
                f"link set {dev} up\naddr add {mine}/32 dev {dev}\n"
                f"route add {other}/32 dev {dev} src {mine}\n")

    def mark(self, line):
        return f"{line} if_id {self.if_id}\n" if self.if_id else f"{line}\n"

    def states(self, end):
        here, there = self.ends[end], self.ends[1 - end]
        return "".join(
            self.mark(sa.xfrm(src, dst, self.reqid, self.encap,
                              self.port).rstrip())
            for sa, src, dst in ((self.sas[end], here, there),
                                 (self.sas[1 - end], there, here)))

    def policies(self, mine, other, end):
        here, there = self.ends[end], self.ends[1 - end]
        mark = f"if_id {self.if_id}" if self.if_id else ""
        return "".join(
            f"xfrm policy add src {src} dst {dst} dir {direction} {mark} "
            f"tmpl src {tsrc} dst {tdst} proto esp reqid {self.reqid} "
            "mode tunnel\n"
            for direction, src, dst, tsrc, tdst in (
                ("out", mine, other, here, there),
                ("in", other, mine, there, here)))

    def works(self):
        """Both ways, each asking first once, and in ESP."""
        a, b = self.hosts
        capture = Capture(b, self.link.if_b)
        udp_exchange(a, self.far, SIZES, self.near)
        udp_exchange(b, self.near, SIZES, self.far)
        tcp_transfer(a, b, self.far, 100_000, self.near)
        frames = capture.stop()
        spis = [sa.spi.to_bytes(4, "big") for sa in self.sas]
        for spi in spis:
            seen = sum(spi in frame[:80] for frame in frames)
            check(seen >= 2 * len(SIZES), f"{seen} packets of {spi.hex()}")


# States, by messages

def ask(ns, kind, payload=b"", flags=NLM_F_ACK):
    """The payloads that come back, until all is said."""
    with ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM,
                   keep=False) as sock:
        sock.send(struct.pack("=IHHII", 16 + len(payload), kind,
                              NLM_F_REQUEST | flags, 1, 0) + payload)
        out = []
        while True:
            data = sock.recv(1 << 20)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if kind == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return out
                out.append(body)


def asked_of(ns, dst, spi, kind, flags=0, more=b""):
    """The same about one state: struct xfrm_aevent_id and attributes."""
    family = family_of(dst)
    message = struct.pack("=16sIHBx24x", socket.inet_pton(family, dst),
                          socket.htonl(spi), family, socket.IPPROTO_ESP) + more
    return ask(ns, kind, message, NLM_F_ACK | flags)


def replay_of(ns, dst, spi):
    """A struct xfrm_replay_state_esn, as a list."""
    answer, = asked_of(ns, dst, spi, XFRM_MSG_GETAE)
    value = dict(parse(answer[AEVENT_SIZE:]))[XFRMA_REPLAY_ESN_VAL]
    return list(struct.unpack(f"={len(value) // 4}I", value))


def last_numbers(ns, dst, spi):
    """Sent, and received, of the state."""
    _, sent, received, sent_high, received_high, *_ = replay_of(ns, dst, spi)
    return sent_high << 32 | sent, received_high << 32 | received


def set_last_number(ns, dst, spi, number):
    """As if so much had been sent by it."""
    replay = replay_of(ns, dst, spi)
    replay[1], replay[3] = number & 0xffffffff, number >> 32
    asked_of(ns, dst, spi, XFRM_MSG_NEWAE, NLM_F_REPLACE,
             attr(XFRMA_REPLAY_ESN_VAL,
                  struct.pack(f"={len(replay)}I", *replay)))
