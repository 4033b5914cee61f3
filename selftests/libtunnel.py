# SPDX-License-Identifier: GPL-2.0
"""Keys, SPIs, SAs, tunnels against xfrm or another bhsec."""

from libns import *

_spis = set()


def new_spi():
    """Never the same twice in one run."""
    while True:
        spi = 0x1000 + secrets.randbelow(0xffffe000)
        if spi not in _spis:
            _spis.add(spi)
            return spi


def new_key(cipher):
    return secrets.token_bytes(CIPHERS[cipher])


class Sa:
    """One direction of a tunnel: what both ends have to know."""

    def __init__(self, cipher="aes-gcm-256", esn=True, window=None, seq=None,
                 key=None, spi=None):
        self.cipher, self.esn, self.window = cipher, esn, window
        self.seq = seq
        self.key = key or new_key(cipher)
        self.spi = spi or new_spi()

    def bhsec(self, dev, peer, direction, extra=""):
        """The line that adds it to a bhsec device."""
        line = (f"sa add {dev} {peer} {direction} spi {self.spi:#x} "
                f"cipher {self.cipher} key {self.key.hex()}")
        if not self.esn:
            line += " esn off"
        if self.window and direction == "in":
            line += f" window {self.window}"
        if self.seq:
            line += f" seq {self.seq}"
        return f"{line} {extra}\n"

    def xfrm_cipher(self):
        suite, key = SUITES[self.cipher], self.key
        if not suite.mac:
            return f"aead {suite.name} 0x{key.hex()} 128"
        # of a key that has no byte ip reads none
        enc = f"0x{key[:suite.key].hex()}" if suite.key else '""'
        return (f"enc {suite.name} {enc} auth-trunc {suite.mac} "
                f"0x{key[suite.key:].hex()} {8 * suite.icv}")

    def xfrm(self, src, dst, reqid, encap, port=ESP_PORT):
        """The line that adds it to the kernel's own SAD."""
        # The kernel's window ends at 4096, and at 32 without ESN.
        window = min(self.window or 128, 4096)
        replay = (f"flag esn flag af-unspec replay-window {window}" if self.esn
                  else f"flag af-unspec replay-window {min(window, 32)}")
        line = (f"xfrm state add src {src} dst {dst} proto esp "
                f"spi {self.spi:#x} reqid {reqid} mode tunnel {replay} ")
        if self.seq:
            line += (f"replay-seq {self.seq & 0xffffffff:#x} "
                     f"replay-oseq {self.seq & 0xffffffff:#x} ")
            if self.esn:
                line += (f"replay-seq-hi {self.seq >> 32:#x} "
                         f"replay-oseq-hi {self.seq >> 32:#x} ")
        line += self.xfrm_cipher()
        if encap == "udp":
            line += f" encap espinudp {port} {port} 0.0.0.0"
        return line + "\n"


# Outer headers, by (encapsulation, family): the largest inner packet at 1500
# with an AEAD.
INNER_MAX = {("esp", 4): 1446, ("udp", 4): 1438,
             ("esp", 6): 1426, ("udp", 6): 1418}

# What Tunnel takes for each encapsulation over each family.
ALL_WAYS = [{"encap": encap, "family": family}
            for encap in ("udp", "esp") for family in (4, 6)]


def inner_max(encap, family, mtu, cipher="aes-gcm-256"):
    """The same for any path: two bytes and the inner packet are padded to a
    block (RFC 4303 2), ESP's header, IV and ICV are around it."""
    suite = SUITES[cipher]
    around = ({4: 20, 6: 40}[family] + 8 * (encap == "udp")
              + 8 + suite.iv + suite.icv)
    return (mtu - around) // suite.block * suite.block - 2


class Tunnel:
    """Between ns a (always a bhsec device) and ns b (bhsec or xfrm).

    Number n joins 10.1.n.0/24 and fd01:0:0:n::/64 behind a with 10.2.n.0/24
    and fd02:0:0:n::/64 behind b; each end has address 1 of its networks.
    .out is the SA from a to b, .in_ the one back.
    """

    def __init__(self, a, b, link, far="xfrm", cipher="aes-gcm-256",
                 encap="udp", family=4, esn=True, window=None, n=0, dev="bh0",
                 peer="b", mtu=1500, port=ESP_PORT, seq_out=None, seq_in=None,
                 queues=1):
        self.a, self.b, self.link, self.far = a, b, link, far
        self.cipher, self.encap, self.family = cipher, encap, family
        self.esn, self.window, self.n = esn, window, n
        self.dev, self.peer, self.mtu, self.port = dev, peer, mtu, port
        self.far_dev, self.far_peer = dev, "a" if n == 0 else f"a{n}"
        self.reqid = n + 1
        self.a_outer = link.address(a, family)
        self.b_outer = link.address(b, family)
        self.a_net4, self.b_net4 = f"10.1.{n}.0/24", f"10.2.{n}.0/24"
        self.a_inner4, self.b_inner4 = f"10.1.{n}.1", f"10.2.{n}.1"
        group = f"0:0:{n:x}:" if n else ""
        self.a_net6, self.b_net6 = f"fd01:{group}:/64", f"fd02:{group}:/64"
        self.a_inner6, self.b_inner6 = f"fd01:{group}:1", f"fd02:{group}:1"
        self.inner_max = inner_max(encap, family, 1500, cipher)
        self.queues = queues
        self.out, self.in_ = self.new_sa(seq_out), self.new_sa(seq_in)

    def new_sa(self, seq=None):
        return Sa(self.cipher, self.esn, self.window, seq)

    spi_out = property(lambda self: self.out.spi)
    spi_in = property(lambda self: self.in_.spi)
    key_out = property(lambda self: self.out.key)
    key_in = property(lambda self: self.in_.key)

    def inner(self, end, family):
        return getattr(self, f"{end}_inner{family}")

    def endpoint(self, end):
        address = getattr(self, f"{end}_outer")
        if self.encap == "esp":
            return address
        return f"[{address}]:{self.port}" if self.family == 6 else \
            f"{address}:{self.port}"

    # Text for ip and bhsec, so that many tunnels go in one batch.

    def device_lines(self, end):
        dev = self.dev if end == "a" else self.far_dev
        return (f"link add {dev} mtu {self.mtu} numtxqueues {self.queues} "
                "type bhsec\n"
                f"link set {dev} up\n")

    def route_lines(self, end):
        """Addresses of this end's networks, and the way to the other's."""
        other = "b" if end == "a" else "a"
        mine4, mine6 = self.inner(end, 4), self.inner(end, 6)
        net4 = getattr(self, f"{other}_net4")
        net6 = getattr(self, f"{other}_net6")
        if end == "b" and self.far == "xfrm":
            via4 = f"via {self.link.gateway(self.b, 4)}"
            via6 = f"via {self.link.gateway(self.b, 6)}"
            dev = "lo"
        else:
            dev = self.dev if end == "a" else self.far_dev
            via4 = via6 = f"dev {dev}"
        return (f"addr add {mine4}/32 dev {dev}\n"
                f"addr add {mine6}/128 dev {dev} nodad\n"
                f"route add {net4} {via4} src {mine4}\n"
                f"route add {net6} {via6} src {mine6}\n")

    def peer_lines(self, end):
        """The peer at one end and both SAs."""
        other = "b" if end == "a" else "a"
        dev, peer = ((self.dev, self.peer) if end == "a"
                     else (self.far_dev, self.far_peer))
        nets = ",".join(getattr(self, f"{other}_net{f}") for f in (4, 6))
        port = "" if self.port == ESP_PORT or self.n else \
            f"set {dev} port {self.port}\n"
        into, out = ((self.in_, self.out) if end == "a"
                     else (self.out, self.in_))
        return (f"{port}peer add {dev} {peer} endpoint {self.endpoint(other)} "
                f"encap {self.encap} selectors {nets}\n"
                + into.bhsec(dev, peer, "in") + out.bhsec(dev, peer, "out"))

    def state_lines(self):
        """The far end's states."""
        a, b = self.a_outer, self.b_outer
        return (self.out.xfrm(a, b, self.reqid, self.encap, self.port)
                + self.in_.xfrm(b, a, self.reqid, self.encap, self.port))

    def policy_lines(self):
        lines = ""
        for f in (4, 6):
            near, far = (getattr(self, f"{e}_net{f}") for e in "ab")
            for direction, src, dst, tsrc, tdst in (
                    ("out", far, near, self.b_outer, self.a_outer),
                    ("in", near, far, self.a_outer, self.b_outer)):
                lines += (f"xfrm policy add src {src} dst {dst} dir {direction} "
                          f"tmpl src {tsrc} dst {tdst} proto esp "
                          f"reqid {self.reqid} mode tunnel\n")
        return lines

    def stats(self):
        return self.a.stats(self.dev, self.peer)

    def far_stats(self):
        return self.b.stats(self.far_dev, self.far_peer)

    def rekey(self, delete_old=True):
        """Make before break: in at both ends, then out. Returns the old."""
        old = self.out, self.in_
        self.out, self.in_ = self.new_sa(), self.new_sa()
        near = self.dev, self.peer
        far = self.far_dev, self.far_peer
        self.a.bhsec(self.in_.bhsec(*near, "in"))
        if self.far == "bhsec":
            self.b.bhsec(self.out.bhsec(*far, "in")
                         + self.in_.bhsec(*far, "out"))
        else:
            # xfrm goes on with the older of two states: it has to go.
            self.b.ip(self.state_lines()
                      + f"xfrm state delete src {self.b_outer} "
                        f"dst {self.a_outer} proto esp spi {old[1].spi:#x}\n")
        self.a.bhsec(self.out.bhsec(*near, "out"))
        if delete_old:
            self.delete(*old)
        return old

    def delete(self, out, in_):
        """Takes a pair of SAs away, the far end's outbound xfrm state was."""
        near = f"{self.dev} {self.peer}"
        far = f"{self.far_dev} {self.far_peer}"
        self.a.bhsec(f"sa del {near} out spi {out.spi:#x}\n"
                     f"sa del {near} in spi {in_.spi:#x}\n")
        if self.far == "bhsec":
            self.b.bhsec(f"sa del {far} in spi {out.spi:#x}\n"
                         f"sa del {far} out spi {in_.spi:#x}\n")
        else:
            self.b.ip(f"xfrm state delete src {self.a_outer} "
                      f"dst {self.b_outer} proto esp spi {out.spi:#x}\n")


def tunnels(a, b, link, specs, far="xfrm"):
    """Many at once, on one device, each spec a dict for Tunnel; in few batches."""
    made = [Tunnel(a, b, link, far, n=n, peer=f"b{n}" if n else "b", **spec)
            for n, spec in enumerate(specs)]
    install(made)
    return made


def install(made):
    """Sets tunnels up that share their two ends and devices."""
    first = made[0]

    def text(lines, *args):
        return "".join(getattr(t, lines)(*args) for t in made)

    first.a.ip(first.device_lines("a") + text("route_lines", "a"))
    first.a.bhsec(text("peer_lines", "a"))
    if first.far == "bhsec":
        first.b.ip(first.device_lines("b") + text("route_lines", "b"))
        first.b.bhsec(text("peer_lines", "b"))
    else:
        if any(t.encap == "udp" for t in made):
            first.b.encap_sockets(first.port)
        first.b.ip(text("route_lines", "b") + text("state_lines")
                   + text("policy_lines"))


def tunnel_xfrm(a, b, link, **spec):
    """bhsec at a, the kernel's own IPsec at b."""
    made = Tunnel(a, b, link, "xfrm", **spec)
    install([made])
    return made


def tunnel_bhsec(a, b, link, **spec):
    """bhsec at both ends."""
    made = Tunnel(a, b, link, "bhsec", **spec)
    install([made])
    return made


def behind(t, family):
    """The address of a host behind a."""
    return t.inner("a", family)[:-1] + "2"


def put_behind(t, inside):
    """The host at the other end of a link of a's gets it, and both the routes."""
    host, there = inside.ns_a, {4: t.b_net4, 6: t.b_net6}
    host.ip("".join(
        f"addr add {behind(t, f)} dev lo{' nodad' * (f == 6)}\n"
        f"route add {there[f]} via {inside.address(t.a, f)} "
        f"src {behind(t, f)}\n" for f in (4, 6)))
    t.a.ip("".join(f"route add {behind(t, f)} via {inside.address(host, f)}\n"
                   for f in (4, 6)))


def difference(before, after):
    """The counters that moved, and by how much."""
    return {name: after[name] - before[name] for name in after
            if after[name] != before[name]}


def wait_counted(read, before, packets):
    """What moved in read() since before, once so many packets were counted,
    or as it is when patience ends."""
    def moved():
        now = difference(before, read())
        count = sum(value for name, value in now.items()
                    if not name.endswith("_bytes"))
        return (now,) if count >= packets else None
    try:
        return wait_for(moved)[0]
    except Failure:
        return difference(before, read())
