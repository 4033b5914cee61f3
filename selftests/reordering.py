#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: oldest newest
"""Classes: voice (EF) jumps ahead of the rest (BE), which the underlay holds
back for 50 ms. One SA for both loses by its window what is late, and counts it;
a window that is wide enough, or an SA for each class, loses nothing (RFC 4301
4.1, TS 33.501 9.1.3)."""

from lib import *
from libesp import *

EF = 46
# So many packets have to be sealed in it; a kernel that watches itself is slow.
DELAY = 50      # ms
WINDOW, WIDE = 64, 4096
# One round: packets held back, and those that jump ahead of them, sent in few
# calls, for they have to be gone before the delay is over.
HELD, JUMPING, SEGMENTS, SEGMENT = 8, 192, 48, 24
# How far from the window's edge a late one may count for either side: two CPUs
# and the capture need not agree on the order.
VAGUE = 8
PORT = 7020

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = [tunnel_bhsec(a, b, link, window=WINDOW, esn=False),
        tunnel_bhsec(a, b, link, window=WINDOW, encap="esp", family=6, n=1,
                     dev="bh1", peer="b1"),
        tunnel_xfrm(a, b, link, window=WINDOW, encap="esp", family=6, n=2,
                    dev="bh2", peer="b2")]


def hold_back_the_rest():
    """At a, by the DSCP of the outer header."""
    dev = link.if_a
    # The search for a neighbour would be held back, too.
    link.know_other_end(a)
    # As most links do: what is captured at b are datagrams, not a batch.
    a.ip(f"link set {dev} gso_max_segs 1\n")
    a.run(["tc", "-batch", "-"], input=(
        f"qdisc add dev {dev} root handle 1: prio bands 2 priomap{' 1' * 16}\n"
        f"qdisc add dev {dev} parent 1:2 netem delay {DELAY}ms limit 10000\n"
        + "".join(f"filter add dev {dev} parent 1: protocol {kind} prio {prio} "
                  f"flower ip_tos {EF << 2:#x}/0xfc classid 1:1\n"
                  for prio, kind in ((1, "ip"), (2, "ipv6")))))


def sender(t, dscp, segment=0):
    sock = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
    sock.connect((t.b_inner4, PORT))
    return sock


class Flow:
    """BE and EF from a to b, numbered in the order in which they are sent."""

    def __init__(self, t):
        self.t, self.sent, self.received = t, 0, 0
        self.rest = sender(t, 0)
        self.voice = sender(t, EF, SEGMENT)
        self.sink = b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.sink.setblocking(False)
        self.sink.bind((t.b_inner4, PORT))

    def numbers(self, count):
        self.sent += count
        return b"".join(struct.pack(f"!Q{SEGMENT - 8}x", n) for n in
                        range(self.sent - count, self.sent))

    def round(self):
        for _ in range(HELD):
            self.rest.send(self.numbers(1))
        for _ in range(JUMPING // SEGMENTS):
            self.voice.send(self.numbers(SEGMENTS))

    def receive(self):
        try:
            while self.sink.recv(2048):
                self.received += 1
        except BlockingIOError:
            return self.received


def lost(t):
    """What the far end has dropped for being late. With ESN the number of a
    late one is taken for one of the next 2^32, and its ICV is wrong (RFC 4303
    A2.2)."""
    if t.far == "bhsec":
        stats = t.far_stats()
        return stats["auth"] + stats["replay"] if t.esn else stats["replay"]
    with b, open("/proc/thread-self/net/xfrm_stat") as lines:
        return sum(int(value) for word, value in map(str.split, lines)
                   if word in ("XfrmInStateSeqError", "XfrmInStateProtoError"))


def datagrams(sas, frames):
    """Pairs of SA and ESP, of these SAs."""
    by_spi = {sa.spi.to_bytes(4, "big"): sa for sa in sas}
    return [(by_spi[esp[:4]], esp) for esp in map(esp_of, list(frames))
            if esp and esp[:4] in by_spi]


def lateness(sealed):
    """How many later ones had come before each datagram."""
    top, late = -1, []
    for sa, esp in sealed:
        number = struct.unpack_from("!Q", unseal(sa, esp), 28)[0]
        top = max(top, number)
        late.append(top - number)
    return late


def jumped(t, sas):
    """Rounds until some datagrams have come later than a window of 64 takes;
    where a round is slow, the next one has more time for it. Returns the
    lateness of all, and how many were lost."""
    flow, before, delays = Flow(t), lost(t), iter(DELAY << n for n in range(9))
    capture = Capture(b, link.if_b, outgoing=False)

    def is_over():
        return flow.receive() + lost(t) - before == flow.sent
    def all_seen():
        sealed = datagrams(sas, capture.frames)
        return sealed if len(sealed) == flow.sent else None
    def has_jumped():
        a.run(f"tc qdisc change dev {link.if_a} parent 1:2 "
              f"netem delay {next(delays)}ms limit 10000")
        flow.round()
        wait_for(is_over, what="all packets to be received or counted")
        late = lateness(wait_for(all_seen, what="the capture of all"))
        return late if max(late) >= WINDOW + VAGUE else None
    late = wait_for(has_jumped, what="reordering")
    capture.stop()
    for sock in flow.rest, flow.voice, flow.sink:
        sock.close()
    return late, lost(t) - before


def one_sa_loses(t):
    late, drops = jumped(t, [t.out])
    least = sum(n >= WINDOW + VAGUE for n in late)
    most = sum(n >= WINDOW - VAGUE for n in late)
    check(least <= drops <= most, f"{drops} drops, not {least} to {most}")


def wide_window(t):
    t.window = WIDE
    t.rekey()
    check_equal(jumped(t, [t.out])[1], 0, "drops")


def class_sas(t):
    t.window = WINDOW
    t.rekey()
    voice = t.new_sa()
    if t.far == "bhsec":
        b.bhsec(voice.bhsec(t.far_dev, t.far_peer, "in"))
    else:
        b.ip(voice.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    a.bhsec(voice.bhsec(t.dev, t.peer, "out", f"dscp {EF}"))
    check_equal(jumped(t, [t.out, voice])[1], 0, "drops")


# Or packets of one SA pass each other in a cipher that queues for each CPU.
os.sched_setaffinity(0, {0})
hold_back_the_rest()
for t in made:
    to = (f"{t.encap} over IPv{t.family} to {t.far} "
          f"with{'' if t.esn else 'out'} ESN")
    add_case(f"{to}: one SA with a window of {WINDOW} loses what is late, "
             "and counts it", one_sa_loses, t)
    add_case(f"{to}: one SA with a window of {WIDE} loses nothing",
             wide_window, t)
    add_case(f"{to}: an SA for each class with a window of {WINDOW} loses "
             "nothing", class_sas, t)

main()
