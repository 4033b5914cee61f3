# SPDX-License-Identifier: GPL-2.0
"""Tunnels keyed by XFRM states and policies of an if_id, put in as a daemon
would; the far end is the kernel's own IPsec."""

import errno

from lib import *
from libnetlink import EVENTS, Genl
from libxfrm import NETLINK_XFRM

IKE, HAND = 1, 0
SIZES = 0, 1, 100, 1300
XFRM_MSG_ACQUIRE, GROUP_ACQUIRE = 0x17, 1


class Bound(Tunnel):
    """Like Tunnel, but a's end is bound to if_id and its states are given to
    the kernel. The peer's name is ike-REQID."""

    def __init__(self, a, b, link, if_id=42, **spec):
        super().__init__(a, b, link, "xfrm", **spec)
        self.if_id = if_id
        self.peer = f"ike-{self.reqid}"

    def near_state_lines(self, out=True, in_=True):
        lines = ""
        if in_:
            lines += self.in_.xfrm(self.b_outer, self.a_outer, self.reqid,
                                   self.encap, self.port)
        if out:
            lines += self.out.xfrm(self.a_outer, self.b_outer, self.reqid,
                                   self.encap, self.port)
        return lines.replace("\n", f" if_id {self.if_id}\n")

    def near_policy_lines(self, verb="add", spi=None):
        lines = ""
        for f in (4, 6):
            near, far = (getattr(self, f"{e}_net{f}") for e in "ab")
            for direction, src, dst, tsrc, tdst in (
                    ("out", near, far, self.a_outer, self.b_outer),
                    ("in", far, near, self.b_outer, self.a_outer),
                    ("fwd", far, near, self.b_outer, self.a_outer)):
                pin = f"spi {spi:#x} " if spi and direction == "out" else ""
                lines += (f"xfrm policy {verb} src {src} dst {dst} "
                          f"dir {direction} if_id {self.if_id} "
                          f"tmpl src {tsrc} dst {tdst} proto esp {pin}"
                          f"reqid {self.reqid} mode tunnel\n")
        return lines

    def near_policy_ends(self):
        return "".join(
            f"xfrm policy delete src {src} dst {dst} dir {direction} "
            f"if_id {self.if_id}\n"
            for f in (4, 6)
            for near, far in [[getattr(self, f"{e}_net{f}") for e in "ab"]]
            for direction, src, dst in (("out", near, far), ("in", far, near),
                                        ("fwd", far, near)))

    def near_state_ends(self):
        return "".join(
            f"xfrm state delete src {src} dst {dst} proto esp spi {sa.spi:#x}\n"
            for sa, src, dst in ((self.in_, self.b_outer, self.a_outer),
                                 (self.out, self.a_outer, self.b_outer)))

    def adopted(self, count=2):
        """Waits until the peer has so many SAs; its description."""
        def seen():
            for peer in self.a.nl.dump("peer-get", ifname=self.dev):
                if peer["name"] == self.peer:
                    sas = self.a.nl.dump("sa-get", ifname=self.dev,
                                         peer=self.peer)
                    return peer if len(sas) == count else None
        return wait_for(seen)

    def where(self):
        return f"{self.encap} over IPv{self.family}, {self.cipher}"

    def works(self):
        """To what echoes UDP there."""
        for f in 4, 6:
            udp_exchange(self.a, self.inner("b", f), SIZES, self.inner("a", f))

    def state(self, outbound):
        """What the kernel says of one: {word: number}"""
        ends = [self.a_outer, self.b_outer]
        src, dst = ends if outbound else reversed(ends)
        spi = self.out.spi if outbound else self.in_.spi
        text = self.a.run(["ip", "-s", "xfrm", "state", "get", "src", src,
                           "dst", dst, "proto", "esp", "spi", hex(spi)]).stdout
        found = {word: int(number, 0) for word, number in
                 re.findall(r"\b(o?seq(?:-hi)?) (0x[0-9a-f]+)", text)}
        current = re.search(
            r"lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)", text)
        return found | {"bytes": int(current[1]), "packets": int(current[2])}

    def sas(self):
        return self.a.nl.dump("sa-get", ifname=self.dev, peer=self.peer)

    def own_stats(self):
        return self.a.own_stats(self.dev)

    def is_told(self, counter, stats=None, number=errno.EHOSTUNREACH):
        """A packet is counted there, its sender hears, nothing is sent."""
        stats = stats or self.stats
        for f in 4, 6:
            before, dst = stats(), self.inner("b", f)
            capture = Capture(self.b, self.link.if_b)
            check_equal(refused(self.a, dst, self.inner("a", f)), number,
                        "error at the sender")
            check_equal(difference(before, stats()), {counter: 1}, "counters")
            check(not any(b"never" in frame for frame in capture.stop()),
                  "it left in clear")


def listen(ns, group):
    sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    sock.bind((0, 1 << (group - 1)))
    return sock


def told(sock, kind):
    """The payloads of the messages of one kind that have come."""
    sock.setblocking(False)
    out = []
    while True:
        try:
            data = sock.recv(1 << 16)
        except BlockingIOError:
            return out
        if struct.unpack_from("=H", data, 4)[0] == kind:
            out.append(data[16:])


class Ears:
    """What monitor would have shown since it was cleared."""

    def __init__(self, ns):
        self.heard, self.nl = [], Genl(ns)
        self.nl.join("events")

    def of(self, kind):
        while event := self.nl.event(0.2):
            self.heard.append(event)
        return [event for event in self.heard
                if EVENTS[event["event"]] == kind]

    def clear(self):
        while self.nl.event(0):
            pass
        self.heard.clear()


def every_kind(a, b, link):
    """Both encapsulations, both families, with ESN and without."""
    kinds = itertools.product(
        ("udp", "esp"), (4, 6),
        (("aes-gcm-128", True), ("chacha20-poly1305", False)))
    return [Bound(a, b, link, n=n, encap=encap, family=family, cipher=cipher,
                  esn=esn)
            for n, (encap, family, (cipher, esn)) in enumerate(kinds)]


def bound_pair():
    """Host a, whose bh0 takes the states of tunnels of every kind, host b, which
    answers by xfrm, their link and the tunnels."""
    a, b = Ns("a"), Ns("b")
    link = veth(a, b)
    made = every_kind(a, b, link)
    udp_echo(b, "0.0.0.0")
    udp_echo(b, "::")
    install_bound(made)
    return a, b, link, made


def first_of_kind(made):
    return {(t.encap, t.family): t for t in made if t.esn}


def not_taken(ns, dev="bh0"):
    """What is refused there: (SPI or None, the reason)."""
    device, = ns.nl.do("dev-get", ifname=dev)
    return {(r.get("spi"), r["reason"]) for r in device.get("refused", [])}


def no_peer_left(ns, dev="bh0"):
    wait_for(lambda: not ns.nl.dump("peer-get", ifname=dev) or None)


def bind(ns, dev, if_id, **more):
    ns.nl.do("dev-set", ifname=dev, if_id=if_id, **more)


def install_bound(made, late=False):
    """Sets tunnels up that share their ends; late: binds when all is there."""
    first = made[0]

    def text(lines, *args):
        return "".join(getattr(t, lines)(*args) for t in made)

    first.a.ip(first.device_lines("a") + text("route_lines", "a"))
    if not late:
        bind(first.a, first.dev, first.if_id)
    if any(t.encap == "udp" for t in made):
        first.a.encap_sockets(first.port)
        first.b.encap_sockets(first.port)
    first.a.ip(text("near_state_lines") + text("near_policy_lines"))
    first.b.ip(text("route_lines", "b") + text("state_lines")
               + text("policy_lines"))
    if late:
        bind(first.a, first.dev, first.if_id)
    for t in made:
        t.adopted()
