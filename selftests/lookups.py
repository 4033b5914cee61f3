#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""What strangers and neighbours choose lengthens no look-up: each case
compares the instructions of one with few SAs around and with many."""

import ipaddress
import itertools

from lib import *
from libesp import *
from libmeasure import *

MANY = 20000
PEERS = 20
INSIDE = {4: "10.9.0.1", 6: "fd09::1"}
BEHIND = {4: "10.9.0.2", 6: "fd09::2"}


def same_hash(spi, count):
    """Other SPIs of one bucket, of a table of 4096 with the kernel's hash_32()
    of the SPI as it lies in a packet: whoever knows that can find them."""
    def swapped(word):
        return struct.unpack("<I", struct.pack(">I", word))[0]

    inverse = pow(0x61c88647, -1, 1 << 32)
    bucket = (swapped(spi) * 0x61c88647 & 0xffffffff) >> 20
    found = (swapped((bucket << 20 | n) * inverse & 0xffffffff)
             for n in range(1 << 20))
    return list(itertools.islice((one for one in found
                                  if one >= 256 and one != spi), count))


def let_tables_grow():
    """The kernel does so a while after the last object has come."""
    time.sleep(1)


def hub(a, end, peers=PEERS):
    """A device with peers at an address, of which the first owns INSIDE."""
    a.ip("link add bh0 mtu 1500 type bhsec\nlink set bh0 up\n")
    a.bhsec("".join(f"peer add bh0 p{n} endpoint {end}\n" for n in range(peers))
            + f"peer set bh0 p0 selectors {INSIDE[4]}/32,{INSIDE[6]}/128\n"
            + Sa().bhsec("bh0", "p0", "out"))
    return a.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)


@case(f"is it ours: {MANY} SAs whose SPIs would share a bucket, and one")
def _():
    a = Ns("a")
    link = veth(a, Ns("b"))
    a.be_router()
    sock = hub(a, link.b4)
    # nothing but one word, at each place where an ESP header might be
    large = {4: (ip(BEHIND[4], INSIDE[4], 17, b"A" * 1480), ETH_P_IP),
             6: (ip(BEHIND[6], INSIDE[6], 17, b"A" * 1460), ETH_P_IPV6)}

    def costs():
        return {family: cost(lambda: sock.sendto(packet, ("bh0", kind)))
                for family, (packet, kind) in large.items()}
    before = a.stats("bh0", "p0")
    few = costs()
    spis = same_hash(0x41414141, MANY)
    add_sas(a, "bh0", [(f"p{n % PEERS}", spi) for n, spi in enumerate(spis)])
    let_tables_grow()
    many = costs()
    check_equal(set(difference(before, a.stats("bh0", "p0"))), {"too_big"},
                "counters")
    for family in large:
        check_ratio(f"an IPv{family} packet that is too large",
                    many[family], few[family], 1.2)



@case("no peer has more outbound SAs than can be moved with it at once")
def _():
    a = Ns("a")
    a.ip("link add bh0 type bhsec\n")
    a.bhsec("peer add bh0 p\n")
    add_sas(a, "bh0", [("p", 0x1000 + n) for n in range(1024)])
    result = a.bhsec(Sa().bhsec("bh0", "p", "out"), check=False)
    check_equal(result.returncode, 1, "exit status")
    check("1024 outbound SAs" in result.stderr, result.stderr)


SPI = 0x41414141
ENDS = {4: ipaddress.ip_address("10.0.0.1"), 6: ipaddress.ip_address("fd0e::1")}
FLEET, TENANT = 10000, 2000


def add_fleet(ns, numbers, ends):
    """Peers with one SPI, as a template makes them."""
    ns.bhsec("".join(f"peer add bh0 q{n} endpoint {end}\n"
                     for n, end in zip(numbers, ends)))
    add_sas(ns, "bh0", [(f"q{n}", SPI) for n in numbers])


def sites(numbers):
    """An endpoint for each, of both families in turn."""
    return (ENDS[4 + 2 * (n & 1)] + (n >> 1) for n in numbers)


def error_costs(a, link):
    """Of an ICMP error about a datagram to the first endpoint of a family."""
    wire, costs = LinkWire(link), {}
    for family, kind in (4, (3, 1)), (6, (1, 3)):
        to, end = link.address(a, family), str(ENDS[family])
        about = udp(to, end, 4500, 4500, struct.pack("!II", SPI, 1) + bytes(40))
        packet = icmp_error(link.gateway(a, family), to, kind, about)
        costs[family] = cost(lambda: wire.send_ip(packet))
    heard = [a.nl.do("peer-get", ifname="bh0", name=name)[0]["icmp"]["host"]
             for name in ("q0", "q1")]
    check(all(heard), f"errors that were counted: {heard}")
    return costs


@case(f"an ICMP error about one of {FLEET} peers with one SPI, and one of ten")
def _():
    r, a, c = Ns("r"), Ns("a"), Ns("c")
    link = veth(r, a)
    link.know_other_end(a)
    for ns in a, c:
        ns.ip("link add bh0 mtu 1500 type bhsec\nlink set bh0 up\n")
    add_fleet(a, range(10), sites(range(10)))
    few = error_costs(a, link)
    add_fleet(a, range(10, FLEET), sites(range(10, FLEET)))
    many = error_costs(a, link)
    for family, end in ENDS.items():
        check_ratio(f"IPv{family}", many[family], few[family], 1.2)
        add_fleet(c, range(family * TENANT, (family + 1) * TENANT),
                  itertools.repeat(end))
    beside = error_costs(a, link)
    for family in ENDS:
        check_ratio(f"IPv{family} beside a container with {TENANT} such SAs",
                    beside[family], few[family], 1.2)


@case("a route that changes elsewhere: not every packet looks for the way again")
def _():
    for family in 4, 6:
        a = Ns("a")
        link = veth(a, Ns("b"))
        link.know_other_end(a)
        end = link.gateway(a, family)
        sock = hub(a, end, 1)
        packet = ip(BEHIND[4], INSIDE[4], 17, bytes(40))

        def send():
            sock.sendto(packet, ("bh0", ETH_P_IP))
        before = cost(send)
        a.ip(f"route add {ipaddress.ip_address(end) + 3} dev {link.if_a}\n")
        check_ratio(f"IPv{family}", cost(send), before, 1.02)


main()
