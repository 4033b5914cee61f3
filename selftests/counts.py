#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
"""Counters are exact: what CPUs count at once, and what SAs have counted that
are no more, at each moment of their end."""

from lib import *

CPUS = sorted(os.sched_getaffinity(0))
BURST = 300         # fewer than wait for a CPU at most
ROUNDS = 10
LOOKS = 40          # an SA has gone long before the last

a, b = Ns("a"), Ns("b")
link = veth(a, b)
for ns in a, b:
    link.know_other_end(ns)
t = tunnel_xfrm(a, b, link)


def forge(spi, cpu):
    os.sched_setaffinity(0, {cpu})
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        for seq in range(1, BURST + 1):
            sock.sendto(struct.pack("!II", spi, seq) + bytes(60),
                        (link.a4, ESP_PORT))


def flood(spi):
    """From each CPU a burst of datagrams that nobody has sealed; threads."""
    threads = [threading.Thread(target=forge, args=(spi, cpu)) for cpu in CPUS]
    for thread in threads:
        thread.start()
    return threads


def counted():
    """All that a datagram of b's may be counted as."""
    return {**t.stats(), "no_sa": a.no_sa("bh0")}


def own(spi):
    """What an SA says itself."""
    sa, = (sa for sa in a.nl.dump("sa-get", ifname="bh0") if sa["spi"] == spi)
    return as_shown(sa["stats"])


def put(setting, value):
    with open(setting, "w", encoding="ascii") as file:
        file.write(value)


def rx_dropped():
    link_, = json.loads(a.run("ip -j -s link show bh0").stdout)
    return link_["stats64"]["rx"]["dropped"]


@case("forged datagrams of all CPUs are counted one by one")
def _():
    for n in range(1, ROUNDS + 1):
        for thread in flood(t.spi_in):
            thread.join()
        sent = n * BURST * len(CPUS)
        wait_for(lambda: t.stats()["auth"] >= sent, what=f"{sent} of auth")
    check_equal(t.stats()["auth"], sent, "auth of the peer")
    check_equal(own(t.spi_in)["auth"], sent, "auth of the SA")
    check_equal(rx_dropped(), sent, "dropped by the device")


@case("what a CPU has counted stays when it goes")
def _():
    if len(CPUS) == 1:
        raise Skip("there is one CPU")
    udp_sink(b)
    before = t.stats()["tx_packets"]
    for cpu in CPUS:
        os.sched_setaffinity(0, {cpu})
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            for _ in range(BURST):
                sock.sendto(b"x", (t.b_inner4, SINK_PORT))
    os.sched_setaffinity(0, CPUS)
    sent = before + BURST * len(CPUS)
    wait_for(lambda: t.stats()["tx_packets"] == sent, what="packets sent")
    switch = f"/sys/devices/system/cpu/cpu{CPUS[-1]}/online"
    try:
        put(switch, "0")
        check_equal(t.stats()["tx_packets"], sent, "packets of the peer")
        check_equal(own(t.spi_out)["tx_packets"], sent, "packets of the SA")
    finally:
        put(switch, "1")


@case("what SAs have counted stays with their peer while they go")
def _():
    before = counted()
    check(before["auth"], "nothing is counted")
    t.rekey()
    for _ in range(LOOKS):
        check_equal(difference(before, counted()), {}, "what moved")
        time.sleep(0.005)
    check_equal(own(t.spi_in)["auth"], 0, "auth of the new SA")


@case("datagrams that an SA ends under are counted once")
def _():
    for _ in range(ROUNDS):
        before = last = counted()
        threads = flood(t.spi_in)
        t.rekey()
        while any(thread.is_alive() for thread in threads):
            now = counted()
            check_equal([name for name in now if now[name] < last[name]], [],
                        "counters that went back")
            last = now
        moved = wait_counted(counted, before, BURST * len(CPUS))
        check_equal(sum(moved.values()), BURST * len(CPUS), f"of {moved}")
        check(set(moved) <= {"auth", "expired", "no_sa"}, f"{moved}")


main()
