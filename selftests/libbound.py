# SPDX-License-Identifier: GPL-2.0
"""Tunnels keyed by XFRM states and policies of an if_id, put in as a daemon
would; the far end is the kernel's own IPsec."""

from lib import *

ESP_IN_UDP_PORT = ESP_PORT


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
