#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The end of the sequence numbers: without ESN an SA stops there, says so and
repeats none; with ESN it crosses 2^32 with the kernel's own IPsec following."""

from lib import *
from libesp import esp_of

LAST = (1 << 32) - 1
LEFT = 5
SENDERS, EACH = 4, 50


class World:
    """Two hosts with one tunnel, events of the first one."""

    def __init__(self, make, **spec):
        self.a, self.b = Ns("a"), Ns("b")
        self.link = veth(self.a, self.b)
        udp_echo(self.b, "0.0.0.0")
        udp_echo(self.b, "::")
        udp_sink(self.b)
        self.monitor = Monitor(self.a)
        self.tunnel = make(self.a, self.b, self.link, **spec)

    def exchange(self, sizes, family=4, **how):
        t = self.tunnel
        udp_exchange(self.a, t.inner("b", family), sizes, t.inner("a", family),
                     **how)

    def tops(self):
        """The highest numbers of all SAs."""
        return [sa["seq"] for sa in self.a.peer("bh0", "b")["sas"]]


def numbers(frames, spi):
    """Sequence numbers, low halves, and IVs on the wire under an SPI."""
    found = [esp_of(frame) for frame in frames]
    found = [esp for esp in found if esp and struct.unpack_from(">I", esp)[0] == spi]
    return ([struct.unpack_from(">I", esp, 4)[0] for esp in found],
            [esp[8:16] for esp in found])


def send_many(t, count):
    """Datagrams that nobody answers; errors of those before are no matter."""
    with t.a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.a_inner4, 0))
        for n in range(count):
            try:
                sock.sendto(struct.pack(">Q", n), (t.b_inner4, SINK_PORT))
            except OSError:
                pass


def exhaust(world, send, count):
    """Whatever is sent, the numbers left are used once each."""
    t = world.tunnel
    capture = Capture(t.a, t.link.if_a, outgoing=True)
    before = t.stats()
    send()
    moved = wait_counted(t.stats, before, count)
    seqs, ivs = numbers(capture.stop(), t.spi_out)
    check_equal(sorted(seqs), list(range(LAST - LEFT + 1, LAST + 1)), "numbers")
    check_equal(len(set(ivs)), LEFT, "different IVs")
    check_equal((moved["tx_packets"], moved["exhausted"]),
                (LEFT, count - LEFT), "tx_packets, exhausted")


def stopped(world):
    """Told once and listed."""
    t = world.tunnel
    (event,) = world.monitor.wait(t.spi_out, "exhausted")
    check_equal((event["device"], event["peer"], event["direction"]),
                ("bh0", "b", "out"), "event")
    sa = next(s for s in t.a.peer("bh0", "b")["sas"] if s["spi"] == t.spi_out)
    check_equal((sa["state"], sa["seq"]), ("exhausted", LAST), "state, seq")


def one_sender(make):
    world = World(make, esn=False, seq_out=LAST - LEFT)
    t = world.tunnel
    exhaust(world, lambda: send_many(t, 20), 20)
    stopped(world)
    before = t.stats()
    send_many(t, 5)
    check_equal(wait_counted(t.stats, before, 5), {"exhausted": 5}, "counters")
    check_equal(len(world.monitor.of(t.spi_out)), 1, "events")
    t.rekey(delete_old=False)
    world.exchange([10, 20])


add_case("without ESN the SA stops before 2^32, against xfrm", one_sender,
         tunnel_xfrm)
add_case("without ESN the SA stops before 2^32, between two bhsec", one_sender,
         tunnel_bhsec)


@case("several senders at once share the last numbers, each used once")
def _():
    world = World(tunnel_bhsec, esn=False, seq_out=LAST - LEFT)
    threads = [threading.Thread(target=send_many, args=(world.tunnel, EACH))
               for _ in range(SENDERS)]

    def send():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    exhaust(world, send, SENDERS * EACH)
    stopped(world)


@case("an SA that begins at its last number sends nothing")
def _():
    world = World(tunnel_bhsec, esn=False, seq_out=LAST)
    t = world.tunnel
    before = t.stats()
    send_many(t, 1)
    check_equal(wait_counted(t.stats, before, 1), {"exhausted": 1}, "counters")
    stopped(world)


def crossing(make, encap, family):
    """Both directions, from before 2^32 to behind it."""
    start = (1 << 32) - 20
    world = World(make, encap=encap, family=family, seq_out=start, seq_in=start)
    t = world.tunnel
    capture = Capture(t.a, t.link.if_a)
    world.exchange(range(50), 4, burst=1)
    world.exchange(range(50), 6)
    frames = capture.stop()
    wanted = sorted(seq & LAST for seq in range(start + 1, start + 101))
    for spi in (t.spi_out, t.spi_in):
        seqs, ivs = numbers(frames, spi)
        check_equal(sorted(seqs), wanted, "numbers on the wire")
        check_equal(len(set(ivs)), 100, "different IVs")
    check_equal(world.tops(), [start + 100] * 2, "seq")
    check_equal(world.monitor.of(t.spi_out) + world.monitor.of(t.spi_in), [],
                "events")


for make, far in ((tunnel_xfrm, "xfrm"), (tunnel_bhsec, "bhsec")):
    for encap, family in (("udp", 4), ("esp", 6)):
        add_case(f"with ESN 2^32 is crossed both ways, against {far}, {encap} "
                 f"over IPv{family}", crossing, make, encap, family)


@case("with ESN a gap across 2^32 is jumped, both ways, against xfrm")
def _():
    start = (1 << 32) - 20
    world = World(tunnel_xfrm, seq_out=start, seq_in=start)
    t = world.tunnel
    # The senders start later: what lies between is lost to the receivers.
    for sa in (t.out, t.in_):
        sa.seq = start + 50
    t.a.bhsec(f"sa del bh0 b out spi {t.spi_out:#x}\n"
              + t.out.bhsec("bh0", "b", "out"))
    t.b.ip(f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
           f"spi {t.spi_in:#x}\n"
           + t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap))
    world.exchange(range(20))
    check_equal(world.tops(), [start + 70] * 2, "seq")


@case("a start of 2^63 works, above it is refused")
def _():
    world = World(tunnel_bhsec, seq_out=1 << 63, seq_in=1 << 63)
    world.exchange(range(10))
    key = new_key("aes-gcm-256").hex()
    for direction in ("in", "out"):
        for seq in ((1 << 63) + 1, (1 << 64) - 1):
            result = world.a.bhsec(
                f"sa add bh0 b {direction} spi {new_spi()} cipher aes-gcm-256 "
                f"key {key} seq {seq}\n", check=False)
            check_equal(result.returncode, 1, "exit status")
            check(str(1 << 63) in result.stderr, result.stderr)
    check_equal(world.tops(), [(1 << 63) + 10] * 2, "seq of the two SAs")


main()
