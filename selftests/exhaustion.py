#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The end of the sequence numbers: without ESN an SA stops there, says so and
repeats none; with ESN it crosses 2^32 with the kernel's own IPsec following."""

from lib import *
from libesp import esp_of

LAST = (1 << 32) - 1
LEFT = 5
SENDERS, EACH = 4, 50
NEAR_2_32 = (1 << 32) - 20
CROSSED = [("udp", 4), ("esp", 6)]

# Host a has a device to the kernel's own IPsec and one to another bhsec; every
# case has a tunnel of its own.
a = Ns("a")
links = {far: veth(a, Ns(far)) for far in ("xfrm", "bhsec")}
devices = {"xfrm": "bh0", "bhsec": "bh1"}
hosts = {far: link.ns_b for far, link in links.items()}
for ns in hosts.values():
    udp_echo(ns, "0.0.0.0")
    udp_echo(ns, "::")
    udp_sink(ns)
monitor = Monitor(a)
made = {far: [] for far in hosts}


def tunnel(far, **spec):
    """Set up with the others, below."""
    n = sum(map(len, made.values()))
    made[far].append(Tunnel(a, hosts[far], links[far], far, n=n, peer=f"b{n}",
                            dev=devices[far], **spec))
    return made[far][-1]


def exchange(t, sizes, family=4, **how):
    udp_exchange(a, t.inner("b", family), sizes, t.inner("a", family), **how)


def sas(t):
    return a.peer(t.dev, t.peer)["sas"]


def tops(t):
    """The highest numbers of all its SAs."""
    return [sa["seq"] for sa in sas(t)]


def events(t):
    """All about its SAs, once a later one has come: about an SPI of nobody."""
    spi = new_spi()
    with t.b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(struct.pack(">II", spi, 1) + bytes(40),
                    (t.link.a4, ESP_PORT))
    monitor.wait(spi, "no_sa")
    return monitor.of(t.spi_out) + monitor.of(t.spi_in)


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


def exhaust(t, send, count):
    """Whatever is sent, the numbers left are used once each."""
    capture = Capture(a, t.link.if_a, outgoing=True)
    before = t.stats()
    send()
    moved = wait_counted(t.stats, before, count)
    capture.wait(LEFT, esp_of)
    seqs, ivs = numbers(capture.stop(), t.spi_out)
    check_equal(sorted(seqs), list(range(LAST - LEFT + 1, LAST + 1)), "numbers")
    check_equal(len(set(ivs)), LEFT, "different IVs")
    check_equal((moved["tx_packets"], moved["exhausted"]),
                (LEFT, count - LEFT), "tx_packets, exhausted")


def stopped(t):
    """Told once and listed."""
    monitor.wait(t.spi_out, "exhausted")
    (event,) = events(t)
    check_equal((event["event"], event["device"], event["peer"],
                 event["direction"]), ("exhausted", t.dev, t.peer, "out"),
                "event")
    sa = next(sa for sa in sas(t) if sa["spi"] == t.spi_out)
    check_equal((sa["state"], sa["seq"]), ("exhausted", LAST), "state, seq")


def one_sender(t):
    exhaust(t, lambda: send_many(t, 20), 20)
    before = t.stats()
    send_many(t, 5)
    check_equal(wait_counted(t.stats, before, 5), {"exhausted": 5}, "counters")
    stopped(t)
    t.rekey(delete_old=False)
    exchange(t, [10, 20])


def many_senders(t):
    threads = [threading.Thread(target=send_many, args=(t, EACH))
               for _ in range(SENDERS)]

    def send():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    exhaust(t, send, SENDERS * EACH)
    stopped(t)


def at_its_end(t):
    before = t.stats()
    send_many(t, 1)
    check_equal(wait_counted(t.stats, before, 1), {"exhausted": 1}, "counters")
    stopped(t)


def crossing(t):
    """Both directions, from before 2^32 to behind it."""
    capture = Capture(a, t.link.if_a)
    exchange(t, range(50), 4, burst=1)
    exchange(t, range(50), 6)
    capture.wait(2 * 100, esp_of)
    frames = capture.stop()
    wanted = sorted(seq & LAST for seq in range(NEAR_2_32 + 1, NEAR_2_32 + 101))
    for spi in (t.spi_out, t.spi_in):
        seqs, ivs = numbers(frames, spi)
        check_equal(sorted(seqs), wanted, "numbers on the wire")
        check_equal(len(set(ivs)), 100, "different IVs")
    check_equal(tops(t), [NEAR_2_32 + 100] * 2, "seq")
    check_equal(events(t), [], "events")


def gap(t):
    """The senders start later: what lies between is lost to the receivers."""
    for sa in (t.out, t.in_):
        sa.seq = NEAR_2_32 + 50
    a.bhsec(f"sa del {t.dev} {t.peer} out spi {t.spi_out:#x}\n"
            + t.out.bhsec(t.dev, t.peer, "out"))
    t.b.ip(f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
           f"spi {t.spi_in:#x}\n"
           + t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap))
    exchange(t, range(20))
    check_equal(tops(t), [NEAR_2_32 + 70] * 2, "seq")


def highest_start(t):
    exchange(t, range(10))
    key = new_key("aes-gcm-256").hex()
    for direction in ("in", "out"):
        for seq in ((1 << 63) + 1, (1 << 64) - 1):
            result = a.bhsec(
                f"sa add {t.dev} {t.peer} {direction} spi {new_spi()} cipher "
                f"aes-gcm-256 key {key} seq {seq}\n", check=False)
            check_equal(result.returncode, 1, "exit status")
            check(str(1 << 63) in result.stderr, result.stderr)
    check_equal(tops(t), [(1 << 63) + 10] * 2, "seq of the two SAs")


def ending(left):
    return {"esn": False, "seq_out": LAST - left}


def both(seq, **spec):
    return {"seq_out": seq, "seq_in": seq, **spec}


for far in hosts:
    add_case(f"without ESN the SA stops before 2^32, against {far}", one_sender,
             tunnel(far, **ending(LEFT)))
add_case("several senders at once share the last numbers, each used once",
         many_senders, tunnel("bhsec", **ending(LEFT)))
add_case("an SA that begins at its last number sends nothing", at_its_end,
         tunnel("bhsec", **ending(0)))
for far in hosts:
    for encap, family in CROSSED:
        add_case(f"with ESN 2^32 is crossed both ways, against {far}, {encap} "
                 f"over IPv{family}", crossing,
                 tunnel(far, **both(NEAR_2_32, encap=encap, family=family)))
add_case("with ESN a gap across 2^32 is jumped, both ways, against xfrm", gap,
         tunnel("xfrm", **both(NEAR_2_32)))
add_case("a start of 2^63 works, above it is refused", highest_start,
         tunnel("bhsec", **both(1 << 63)))

for some in made.values():
    install(some)
main()
