#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The QoS bits of a packet: its DSCP and ECN in the outer header, the outer
ECN in it on the way back (RFC 6040 4), and the priority and queue that local
rules gave to it, as the underlay's qdisc sees them. Of its TTL the outer header
has nothing."""

import itertools

from lib import *
from libesp import *

CLASSES = [dscp << 2 | ecn for dscp in range(64) for ecn in range(4)]
NOT_ECT, ECT1, ECT0, CE = range(4)
EF = 46
# RFC 6040, figure 4: {inner: {outer: delivered}}, None is a drop.
DELIVERED = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: None},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}
QUEUES = 4
# Packets of each priority and queue, and how many more may be seen there, for
# IPv6 looks for its neighbours now and then.
SHARES = 13, 25, 49, 97
STRAY = 8

a, b = Ns("a"), Ns("b")
link = veth(a, b, queues=QUEUES)
udp_sink(a)
udp_sink(b)
# tc takes no queue that the device has not, and 0 is none.
made = tunnels(a, b, link, [
    {"encap": encap, "family": family, "queues": QUEUES + 1}
    for encap in ("udp", "esp") for family in (4, 6)])
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(1) for t in made}
# What comes of a packet socket has the class that its header says.
door = a.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)


def name(t):
    return f"{t.encap} over IPv{t.family}"


def outward(t, inner, tos, data=b"class"):
    return udp(t.inner("a", inner), t.inner("b", inner), 7, SINK_PORT, data, tos)


def send(t, packet):
    kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
    door.sendto(packet, (t.dev, kind))


def outers_of(t, packets):
    """{inner packet: outer header}, by the SPI and what is in the ESP."""
    capture = Capture(b, link.if_b, outgoing=False)
    before = t.stats()
    for packet in packets:
        send(t, packet)
    wait_counted(t.stats, before, len(packets))
    spi = t.spi_out.to_bytes(4, "big")
    # xfrm shows what it opened on the same interface.
    capture.wait(len(packets), lambda f: (esp_of(f) or b"")[:4] == spi)
    seen = {}
    for outer in map(outer_of, capture.stop()):
        esp = outer and esp_in(outer)
        if esp and esp[:4] == spi:
            plain = unseal(t.out, esp)
            packet = plain[:len(plain) - 2 - plain[-2]]
            check(packet not in seen, "a packet was sent twice")
            seen[packet] = outer
    return seen


def copied(t, to_outer):
    for inner in 4, 6:
        packets = {outward(t, inner, tos): to_outer(tos) for tos in CLASSES}
        seen = {packet: outer.tos
                for packet, outer in outers_of(t, packets).items()}
        check_equal(len(seen), len(packets), "packets that went")
        check_equal({packet for packet in seen} ^ set(packets), set(),
                    "inner packets that changed")
        wrong = {inner_class(packet): seen[packet] for packet in packets
                 if seen[packet] != packets[packet]}
        check_equal(wrong, {}, f"outer class by class of inner IPv{inner}")


def inner_class(packet):
    return packet[1] if packet[0] >> 4 == 4 else \
        int.from_bytes(packet[:2], "big") >> 4 & 0xff


def all_copied(t):
    copied(t, lambda tos: tos)


def fixed(t):
    try:
        for dscp in 10, 63:
            a.cli("set", t.dev, "dscp", dscp)
            copied(t, lambda tos, dscp=dscp: dscp << 2 | tos & 3)
    finally:
        a.cli("set", t.dev, "dscp", "copy")


def with_ttl(packet, ttl):
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([ttl]) + packet[8:]
    return with_checksum(packet[:8] + bytes([ttl]) + packet[9:])


def hop_limit(t):
    """It is this host's, whatever the inner one."""
    packets = [with_ttl(outward(t, inner, 0), ttl)
               for inner in (4, 6) for ttl in (1, 2, 64, 255)]
    name = {4: "ipv4/ip_default_ttl", 6: f"ipv6/conf/{link.if_a}/hop_limit"}
    try:
        for own in 33, 64:
            a.sysctl({name[t.family]: own})
            seen = outers_of(t, packets)
            check_equal(set(seen), set(packets), "inner packets")
            check_equal({outer.ttl for outer in seen.values()}, {own},
                        "outer hop limits")
    finally:
        a.sysctl({name[t.family]: 64})


def inward(t, inner):
    """All of RFC 6040's table; the DSCPs differ, and the inner one stays."""
    def packet(ecn, data):
        return udp(t.inner("b", inner), t.inner("a", inner), 7, SINK_PORT, data,
                   EF << 2 | ecn)
    wanted = []
    capture = Capture(a, t.dev, outgoing=False)
    before = t.stats()
    for ecn, row in DELIVERED.items():
        for outer_ecn, result in row.items():
            data = secrets.token_bytes(40)
            esp = seal_packet(t.in_, next(numbers[t]), packet(ecn, data))
            wires[t].send(esp, tos=10 << 2 | outer_ecn)
            if result is not None:
                # UDP's checksum does not cover the class, IPv4's is anew
                wanted.append(packet(result, data))
    check_equal(wait_counted(t.stats, before, 16), {
        "rx_packets": 15, "rx_bytes": sum(map(len, wanted)), "malformed": 1},
        "counters")
    check_packets(capture.stop(len(wanted)), wanted)


def both_inward(t):
    for inner in 4, 6:
        inward(t, inner)


# Local rules: what is set on a packet is its datagram's too

def sent_by_class(dev):
    """{minor number of a class: packets}"""
    shown = a.run(["tc", "-s", "class", "show", "dev", dev]).stdout
    return {int(minor, 16): int(packets) for minor, packets in re.findall(
        r"^class \S+ \w*:(\w+) .*\n Sent \d+ bytes (\d+) pkt", shown, re.M)}


def shares_arrive(t, dev, mark):
    """Each share, sent in a way of its own, is in a class of its own."""
    before, classes = t.stats(), sent_by_class(dev)
    for n, share in enumerate(SHARES, 1):
        mark(n)
        for _ in range(share):
            send(t, outward(t, 4, 0))
    wait_counted(t.stats, before, sum(SHARES))
    def by_class():
        after = sent_by_class(dev)
        seen = [after[n] - classes.get(n, 0) for n in range(1, len(SHARES) + 1)]
        return seen if sum(seen) >= sum(SHARES) else None
    seen = wait_for(by_class, what=f"{sum(SHARES)} datagrams in the classes")
    check(all(share <= count <= share + STRAY
              for share, count in zip(SHARES, seen)),
          f"datagrams by class: {seen} instead of {SHARES}")


def priorities(t):
    """A class-based qdisc takes skb->priority for the class: 1:n."""
    a.run(["tc", "-batch", "-"], input=(
        f"qdisc add dev {link.if_a} root handle 1: htb default 99\n"
        + "".join(f"class add dev {link.if_a} parent 1: classid 1:{n:x} "
                  "htb rate 10gbit quantum 60000\n" for n in range(1, 5))))
    try:
        shares_arrive(t, link.if_a, lambda n: door.setsockopt(
            socket.SOL_SOCKET, socket.SO_PRIORITY, 1 << 16 | n))
    finally:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 0)
        a.run(["tc", "qdisc", "del", "dev", link.if_a, "root"])


def queues(t):
    """tc chooses a queue on the way through the device: the same one of the
    underlay is taken. Recorded number n is queue n - 1, class n of mq."""
    a.run(["tc", "-batch", "-"], input=(
        f"qdisc add dev {link.if_a} root handle 2: mq\n"
        f"qdisc add dev {t.dev} clsact\n"
        + "".join(f"filter add dev {t.dev} egress protocol all prio 1 "
                  f"handle {n} fw action skbedit queue_mapping {n}\n"
                  for n in range(1, QUEUES + 1))))
    try:
        shares_arrive(t, link.if_a, lambda n: door.setsockopt(
            socket.SOL_SOCKET, socket.SO_MARK, n))
    finally:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0)
        a.run(["tc", "-batch", "-"], input=(
            f"qdisc del dev {link.if_a} root\nqdisc del dev {t.dev} clsact\n"))


CASES = [("64 DSCPs, 4 ECNs, copied, IPv4 and IPv6 inside", all_copied),
         ("a fixed DSCP, ECN copied", fixed),
         ("the hop limit is the host's own", hop_limit),
         ("RFC 6040's table inward", both_inward),
         ("skb->priority chooses the underlay's class", priorities),
         ("the queue chosen by tc is the underlay's", queues)]
for t in made:
    for description, function in CASES:
        add_case(f"{name(t)}: {description}", function, t)

main()
