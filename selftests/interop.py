#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""bhsec against the kernel's own IPsec, both ways: every cipher in every
encapsulation over both families (what is no AEAD in one of each) with and
without ESN, side by side on one pair of hosts, IPv4 and IPv6 inside each."""

from lib import *

ALL_LENGTHS = range(201)
# Around what one block of each cipher holds, header and trailer counted in.
EDGES = sorted({*range(21), *(edge + d for edge in (16, 32, 48, 64, 128)
                              for d in (-2, -1, 0, 1))})
UDP_OVERHEAD = {4: 28, 6: 48}
TCP_BYTES = 300_000

a, b = Ns("a"), Ns("b")
link = veth(a, b)
WAYS = [(encap, family) for encap in ("udp", "esp") for family in (4, 6)]
# The others take the ways in turn: what is around them is the same.
made = tunnels(a, b, link, [
    {"cipher": cipher, "encap": encap, "family": family, "esn": esn}
    for n, cipher in enumerate(CIPHERS)
    for encap, family in (WAYS if cipher in AEADS else [WAYS[n % 4]])
    for esn in (True, False)])


def serve():
    """One server takes all addresses of a family."""
    udp_echo(b, "0.0.0.0")
    udp_echo(b, "::")


def lengths(t, inner):
    most = t.inner_max - UDP_OVERHEAD[inner]
    some = ALL_LENGTHS if t.cipher == "aes-gcm-256" else EDGES
    return [*some, most - 1, most]


def exchange(t):
    """Each payload goes out through bhsec, in through xfrm, and back."""
    before = t.stats()
    count = size = 0
    for inner in (4, 6):
        sizes = lengths(t, inner)
        udp_exchange(a, t.inner("b", inner), sizes, t.inner("a", inner))
        count += len(sizes)
        size += sum(sizes) + UDP_OVERHEAD[inner] * len(sizes)
    check_equal(difference(before, t.stats()), {
        "rx_packets": count, "tx_packets": count,
        "rx_bytes": size, "tx_bytes": size}, "counters")


def no_larger(t):
    """One byte more than the largest does not go, and the sender hears it."""
    before = t.stats()
    for inner in (4, 6):
        most = t.inner_max - UDP_OVERHEAD[inner]
        with a.socket(family_of(t.inner("b", inner)), socket.SOCK_DGRAM,
                      keep=False) as sock:
            path_mtu_discovery(sock, PMTUDISC_DO)
            sock.connect((t.inner("b", inner), 7007))
            sock.send(bytes(most + 1))
            wait_for(lambda: path_mtu(sock, inner) == t.inner_max,
                     what=f"a path MTU of {t.inner_max}")
    after = t.stats()
    check_equal(after["too_big"] - before["too_big"], 2, "too_big")
    check_equal(after["tx_packets"], before["tx_packets"], "tx_packets")


def streams(t):
    for inner in (4, 6):
        ends = t.inner("a", inner), t.inner("b", inner)
        tcp_transfer(a, b, ends[1], TCP_BYTES, ends[0])
        tcp_transfer(b, a, ends[0], TCP_BYTES, ends[1])


def name(t):
    return (f"{t.cipher} {t.encap} over IPv{t.family} "
            f"{'with' if t.esn else 'without'} ESN")


serve()
for t in made:
    add_case(f"{name(t)}: payloads of "
             f"{len(lengths(t, 4))} lengths both ways", exchange, t)
for t in made[:8] + [t for t in made if t.cipher not in AEADS]:
    if t.esn:
        add_case(f"{name(t)}: {t.inner_max} bytes are the largest inner packet",
                 no_larger, t)
for t in (made[0], made[3], made[8 + 5], made[16 + 6], made[32 + 2],
          *made[40::4]):
    add_case(f"{name(t)}: TCP both ways, content intact", streams, t)

main()
