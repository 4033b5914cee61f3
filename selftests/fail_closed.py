#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Whatever is missing, no inner packet leaves in clear: the sender is told,
the counter of the cause moves, and traffic returns once that is mended.

Host h is behind a, which has a tunnel to b; h and a itself send to b, b sends
to h, in both families, all the time.
"""

import errno

from lib import *

MARK = b"never in clear on the underlay: " + secrets.token_hex(8).encode()
TRAFFIC = {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes"}
# Drops that are enough to say that it goes on and on.
SOME = 20

h, a, b = Ns("h"), Ns("a"), Ns("b")
inside = veth(h, a)
link = veth(a, b)


class Flow:
    def __init__(self, ns, src, dst):
        self.name = f"{src} to {dst}"
        self.replies, self.errors = 0, set()
        self.sock = ns.socket(family_of(dst), socket.SOCK_DGRAM)
        hear_errors(self.sock)
        self.sock.bind((src, 0))
        self.peer = dst, 7007
        self.connected = False
        self.sock.setblocking(False)

    def step(self):
        for act in self.send, self.receive, self.hear:
            try:
                act()
            except BlockingIOError:
                pass
            except OSError as error:
                self.errors.add(error.errno)

    def send(self):
        # Without a route to start with, connecting fails as sending does.
        if not self.connected:
            self.sock.connect(self.peer)
            self.connected = True
        self.sock.send(MARK)

    def receive(self):
        check_equal(self.sock.recv(2048), MARK, "echo")
        self.replies += 1

    def hear(self):
        """Errors that stay in their queue take the room of the answers."""
        for *_, data in self.sock.recvmsg(1, 256, socket.MSG_ERRQUEUE)[1]:
            self.errors.add(struct.unpack_from("=I", data)[0])

    def __repr__(self):
        return f"{self.name}: {self.replies} replies, errors {self.errors}"


class Traffic:
    """Flows through one tunnel, sent by one thread."""

    def __init__(self, t):
        near, far = "a", "b"
        self.outward = [Flow(ns, src, t.inner(far, f)) for f in (4, 6)
                        for ns, src in ((h, behind(t, f)),
                                        (a, t.inner(near, f)))]
        self.inward = [Flow(b, t.inner(far, f), behind(t, f)) for f in (4, 6)]
        self.all = self.outward + self.inward
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.003):
            for flow in self.all:
                flow.step()

    def stop(self):
        self.over.set()
        self.thread.join()

    def replies(self):
        return [flow.replies for flow in self.all]

    def flows(self):
        """Every flow is answered again."""
        before = self.replies()
        wait_for(lambda: all(now > then + 2 for now, then in
                             zip(self.replies(), before)),
                 what=lambda: f"replies after {before}: {self.all}")

    def is_told(self, errors):
        for flow in self.outward:
            flow.errors.clear()
        wait_for(lambda: all(errors & flow.errors for flow in self.outward),
                 what=lambda: f"one of {errors} at each: {self.outward}")


def clear_packets(frames):
    return [frame for frame in frames if MARK in frame]


def drops(t, counter, more_than):
    return wait_for(lambda: (t.stats()[counter] > more_than + SOME)
                    and t.stats()[counter], what=f"drops counted {counter}")


def stands_still(t, traffic, counter):
    """Drops go on, and nothing gets through."""
    def still():
        before, count = traffic.replies(), t.stats()[counter]
        drops(t, counter, count)
        return traffic.replies() == before
    wait_for(still, what="the last reply")


def closes(t, counter, take, mend, errors=frozenset([errno.EHOSTUNREACH])):
    before = t.stats()
    capture = Capture(a, link.if_a)
    traffic = Traffic(t)
    try:
        if take:
            traffic.flows()
            take()
        drops(t, counter, before[counter])
        traffic.is_told(errors)
        stands_still(t, traffic, counter)
        mend()
        traffic.flows()
    finally:
        traffic.stop()
        frames = capture.stop()
    moved = set(difference(before, t.stats()))
    check_equal(moved - TRAFFIC, {counter}, "counters that moved")
    check_equal(len(clear_packets(frames)), 0, "packets in clear")
    check(frames, "nothing was captured at all")


def new_out(t, extra="", **spec):
    """Another outbound SA takes over; the far end knows it before."""
    old, t.out = t.out, Sa(t.cipher, **spec)
    b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    a.bhsec(t.out.bhsec(t.dev, t.peer, "out", extra)
            + f"sa del {t.dev} {t.peer} out spi {old.spi:#x}\n")


def remove_out(t):
    a.bhsec(f"sa del {t.dev} {t.peer} out spi {t.spi_out:#x}\n")


def add_out(t):
    t.out = t.new_sa()
    b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    a.bhsec(t.out.bhsec(t.dev, t.peer, "out"))


def sa_removed(t):
    closes(t, "no_key", lambda: remove_out(t), lambda: add_out(t))


def sa_expired(t):
    closes(t, "expired", lambda: new_out(t, f"hard-packets {SOME}"),
           lambda: new_out(t))


def sa_exhausted(t):
    closes(t, "exhausted",
           lambda: new_out(t, esn=False, seq=(1 << 32) - 1 - SOME),
           lambda: new_out(t))


def route_gone(t):
    net, src = (("192.0.2.16/28", t.a_outer) if t.family == 4
                else ("2001:db8:1::/64", None))
    back = f"route add {net} dev {link.if_a}" + (f" src {src}" if src else "")
    closes(t, "no_route", lambda: a.ip(f"route del {net} dev {link.if_a}\n"),
           lambda: a.ip(back + "\n"))


def policy_without_sa(t):
    """A host-wide policy wants the tunnel's packets, and has no SA for them:
    the kernel's route then discards them."""
    which = f"dst {t.b_outer} dir out"
    closes(t, "no_route", lambda: a.ip(
        f"xfrm policy add {which} tmpl proto esp mode transport\n"),
           lambda: a.ip(f"xfrm policy del {which}\n"))


def lines(head, *routes):
    return "".join(f"{head} {route}\n" for route in routes)


def defaults():
    """A wider way than the tunnel's, by the underlay."""
    return f"default via {link.b4}", f"default via {link.b6}"


def guards(t):
    """What takes the packets when the device's own routes are gone."""
    return tuple(f"unreachable {net} metric 4096" for net in (t.b_net4, t.b_net6))


def back_up(t):
    """With the device its routes go, and its IPv6 address."""
    routes = [line + "\n" for line in t.route_lines("a").splitlines()
              if line.startswith("route")]
    a.ip(f"link set {t.dev} up\naddr add {t.a_inner6}/128 dev {t.dev} nodad\n"
         + "".join(routes))


def device_down(t):
    """What comes in is dropped too."""
    a.ip(lines("route add", *defaults(), *guards(t)))
    try:
        closes(t, "down", lambda: a.ip(f"link set {t.dev} down\n"),
               lambda: back_up(t),
               frozenset([errno.EHOSTUNREACH, errno.ENETUNREACH]))
    finally:
        a.ip(lines("route del", *defaults(), *guards(t)))


def unguarded(t):
    """The same without the routes that refuse: what README's limits say."""
    a.ip(lines("route add", *defaults()) + f"link set {t.dev} down\n")
    capture = Capture(a, link.if_a)
    try:
        for ns, address in (h, behind(t, 4)), (a, t.a_inner4):
            with ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
                sock.bind((address, 0))
                sock.sendto(MARK, (t.b_inner4, 7007))
        capture.wait(2, lambda frame: MARK in frame)
    finally:
        capture.stop()
        back_up(t)
        a.ip(lines("route del", *defaults()))


def endpoint_missing():
    t = Tunnel(a, b, link, n=2, peer="b2")
    a.ip(t.route_lines("a"))
    b.ip(t.route_lines("b") + t.state_lines() + t.policy_lines())
    put_behind(t, inside)
    # Or b's packets would be enough to find it.
    a.bhsec(t.peer_lines("a").replace(f"endpoint {t.endpoint('b')} ",
                                      "roam off "))
    closes(t, "no_endpoint", None, lambda: a.bhsec(
        f"peer set {t.dev} {t.peer} endpoint {t.endpoint('b')}\n"))


def peer_missing(dst):
    """Counted at the device, for there is no peer to count it at."""
    before = a.own_stats("bh0")
    a.ip(f"route add {dst} dev bh0\n")
    with a.socket(family_of(dst), socket.SOCK_DGRAM, keep=False) as sock:
        hear_errors(sock)
        sock.settimeout(PATIENCE)
        sock.connect((dst, 7007))
        sock.send(MARK)
        try:
            sock.recv(1)
            raise Failure("an answer")
        except OSError as error:
            check_equal(error.errno, errno.EHOSTUNREACH, "error at the sender")
    check_equal(difference(before, a.own_stats("bh0")), {"no_peer": 1},
                "counters of the device")


def seen_in_clear():
    """The control: the same capture and search find what is in clear."""
    capture = Capture(a, link.if_a)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(MARK, (link.b4, SINK_PORT))
    capture.wait(1, lambda frame: MARK in frame)
    check_equal(len(clear_packets(capture.stop())), 1, "packets in clear")


a.be_router()
for ns in h, b:
    udp_echo(ns, "0.0.0.0")
    udp_echo(ns, "::")
udp_sink(b)
made = tunnels(a, b, link, [{}, {"encap": "esp", "family": 6}])
for t in made:
    put_behind(t, inside)

add_case("a packet in clear would be seen", seen_in_clear)
for t in made:
    where = f"{t.encap} over IPv{t.family}"
    add_case(f"{where}: outbound SA removed, no_key", sa_removed, t)
    add_case(f"{where}: outbound SA expired", sa_expired, t)
    add_case(f"{where}: outbound SA exhausted", sa_exhausted, t)
    add_case(f"{where}: no route to the endpoint", route_gone, t)
    add_case(f"{where}: a policy of the host's, without an SA", policy_without_sa,
             t)
add_case("peer without endpoint", endpoint_missing)
for dst in "10.9.0.1", "fd09::1":
    add_case(f"no peer owns {dst}", peer_missing, dst)
add_case("device down, both directions, beside a default route: a route of worse "
         "metric refuses", device_down, made[0])
add_case("device down: without such a route the default route would take all",
         unguarded, made[0])

main()
