#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""A delivered packet inherits nothing from the datagram that carried it: what
local rules said of that, or a card, is no word about what is inside."""

from libflows import *
from libhash import *
from libxdp import *

SO_MARK, SO_RCVMARK = 36, 75
MARK, PRIORITY = 9, "1:7"
FLOWS, EACH = 3, 2

a, b = Ns("a"), Ns("b")
link = veth(a, b)
for ns in a, b:
    link.know_other_end(ns)
udp_sink(a)
made = tunnels(a, b, link, ALL_WAYS)
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(1) for t in made}


def name(t):
    return f"{t.encap} over IPv{t.family}"


def comes(t, inner, sport, dport=SINK_PORT, data=b"inside"):
    packet = udp(t.inner("b", inner), t.inner("a", inner), sport, dport, data)
    wires[t].send(seal_packet(t.in_, next(numbers[t]), packet))
    return packet


# Each datagram is marked on the underlay's device, and told apart from what
# is inside by what nftables counts: of the datagrams, and of the device's.
RULES = f"""table netdev inherited {{
	counter outside {{ }}
	counter inside {{ }}
	counter marked {{ }}
	counter prior {{ }}
	chain before {{
		type filter hook ingress device {link.if_a} priority 0;
		meta mark {MARK} meta priority {PRIORITY} counter name outside
	}}
	chain after {{
		type filter hook ingress device bh0 priority 0;
		counter name inside
		meta mark != 0 counter name marked
		meta priority {PRIORITY} counter name prior
	}}
}}
"""


def counted():
    listed = a.run(["nft", "-j", "reset", "counters"]).stdout
    return {entry["counter"]["name"]: entry["counter"]["packets"]
            for entry in json.loads(listed)["nftables"] if "counter" in entry}


class Marked:
    """What comes to a's underlay is marked, and counted."""

    def __enter__(self):
        a.run(["tc", "-batch", "-"], input=(
            f"qdisc add dev {link.if_a} clsact\n"
            f"filter add dev {link.if_a} ingress matchall "
            f"action skbedit mark {MARK} priority {PRIORITY}\n"))
        a.run(["nft", "-f", "-"], input=RULES)
        return self

    def __exit__(self, *_):
        a.run("nft delete table netdev inherited")
        a.run(f"tc qdisc del dev {link.if_a} clsact")


def mark_of(sock):
    """That of the next packet; None if nobody gave it one."""
    _, about, _, _ = sock.recvmsg(100, 100)
    return next((struct.unpack("=I", data)[0] for level, kind, data in about
                 if (level, kind) == (socket.SOL_SOCKET, SO_MARK)), None)


def marks(t):
    """By a program's socket, and by a rule on the device."""
    for inner in 4, 6:
        there = t.inner("a", inner), 7009
        with a.socket(family_of(there[0]), socket.SOCK_DGRAM,
                      keep=False) as sock, Marked():
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
            sock.settimeout(PATIENCE)
            sock.bind(there)
            for n in range(EACH):
                comes(t, inner, 10000 + n, there[1])
            check_equal([mark_of(sock) for _ in range(EACH)], [0] * EACH,
                        "marks")
            seen = counted()
            check(seen.pop("outside") >= EACH, "the datagrams are not marked")
            check_equal(seen, {"inside": EACH, "marked": 0, "prior": 0},
                        "packets by rule")


def hashes(t):
    """Each flow inside has its own, whatever was asked of the datagrams."""
    for inner in 4, 6:
        with Hashes(a, link.if_a) as outside, Hashes(a, t.dev) as inside:
            sent = [comes(t, inner, 10000 + n)
                    for n in list(range(FLOWS)) * EACH]
            wait_for(lambda: len(inside.seen()) >= len(sent), what="packets")
            wait_for(lambda: len(outside.seen()) >= len(sent), what="datagrams")
            found = {}
            for number, packet in inside.seen():
                found.setdefault(packet, set()).add(number)
            check_equal(set(found), set(sent), "packets on the device")
            check(all(len(some) == 1 for some in found.values()),
                  f"one has several hashes: {found}")
            check_equal(len(set.union(*found.values())), FLOWS, "hashes")


def metadata(t):
    """What an XDP program has left before a datagram, a reader of the device's
    packets would take for theirs."""
    with Xdp(a, link.if_a, WRITE_METADATA):
        with Filter(a, link.if_a, DROP_METADATA) as outside:
            comes(t, 4, 10000)
            wait_for(outside.dropped, what="a datagram with metadata")
        before = t.stats()
        with Filter(a, t.dev, DROP_METADATA) as inside:
            for inner in 4, 6:
                comes(t, inner, 10000)
            wait_for(lambda: difference(before, t.stats()).get("rx_packets") == 2,
                     what="two packets")
            check_equal(inside.dropped(), 0, "packets with metadata")


# What a security module calls whatever nobody has confined, as a datagram's mark.
LABEL = "unconfined"
SECURITY = f"""table netdev labelled {{
	secmark label {{ "{LABEL}" }}
	counter outside {{ }}
	counter inside {{ }}
	counter marked {{ }}
	chain before {{
		type filter hook ingress device {link.if_a} priority 0;
		meta secmark set "label"
		meta secmark & 0xffffffff != 0 counter name outside
	}}
	chain after {{
		type filter hook ingress device bh0 priority 0;
		counter name inside
		meta secmark & 0xffffffff != 0 counter name marked
	}}
}}
"""


def security(t):
    """By rules of a firewall that label packets for AppArmor or another."""
    done = a.run(["nft", "-f", "-"], input=SECURITY, check=False)
    if done.returncode:
        raise Skip(f"no security marks: {done.stderr.splitlines()[0]}")
    try:
        for inner in 4, 6:
            for n in range(EACH):
                comes(t, inner, 10000 + n)
        seen = {"inside": 0}

        def all_inside():
            for word, count in counted().items():
                seen[word] = seen.get(word, 0) + count
            return seen["inside"] >= 2 * EACH
        wait_for(all_inside, what=lambda: f"packets by rule: {seen}")
        check(seen.pop("outside") >= 2 * EACH, "the datagrams are not marked")
        check_equal(seen, {"inside": 2 * EACH, "marked": 0}, "packets by rule")
    finally:
        a.run("nft delete table netdev labelled")


for t in made:
    add_case(f"{name(t)}: neither mark nor priority", marks, t)
    add_case(f"{name(t)}: nor a security mark", security, t)
    add_case(f"{name(t)}: nor metadata", metadata, t)
    add_case(f"{name(t)}: nor the hash of the datagram's flow", hashes, t)

main()
