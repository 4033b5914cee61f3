#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""A peer that has its packets come from elsewhere again and again has the host
do little: it follows ten times a second, and a port costs no memory."""

from lib import *
from libesp import *
from libmeasure import *

CHANGES = 10        # a second
HERE, FIRST = {4: "192.0.2.1", 6: "2001:db8::1"}, 10

a = Ns("a")
tun = Tun(a, "t0", IFF_TUN | IFF_NO_PI)
a.ip("link set t0 up\naddr add 192.0.2.1/24 dev t0\n"
     "addr add 2001:db8::1/64 dev t0 nodad\n"
     "link add bh0 type bhsec\nlink set bh0 up\n")
numbers, sas = itertools.count(1), {4: Sa(), 6: Sa()}
a.bhsec("".join(f"peer add bh0 p{f} endpoint {HERE[f][:-1]}9 roam on\n"
                + sa.bhsec("bh0", f"p{f}", "in") for f, sa in sas.items()))


def there(f, host):
    return f"{HERE[f][:-1]}{host:x}" if f == 6 else f"{HERE[f][:-1]}{host}"


def packet(f, host=FIRST, sport=ESP_PORT):
    """RFC 4303 2.6: a dummy, which is authentic and nothing else."""
    return udp(there(f, host), HERE[f], sport, ESP_PORT,
               seal(sas[f], next(numbers), trailer(0, NEXT_NONE)))


def sending(packets):
    packets = iter(packets)
    return lambda: tun.send(next(packets))


def endpoint(f):
    peer, = a.nl.do("peer-get", ifname="bh0", name=f"p{f}")
    return (socket.inet_ntop((socket.AF_INET, socket.AF_INET6)[f == 6],
                             peer["endpoint-addr"]), peer["endpoint-port"])


def in_a_new_second(f, packets):
    """It is sent to where the last one came from."""
    time.sleep(1.1)
    for one in packets:
        tun.send(one)


def staying(f):
    in_a_new_second(f, [packet(f)])
    return cost(sending([packet(f) for _ in range(30)]))


def ten(f):
    in_a_new_second(f, [packet(f, FIRST + n) for n in range(CHANGES + 5)])
    check_equal(endpoint(f), (there(f, FIRST + CHANGES - 1), ESP_PORT),
                "endpoint after more changes than a second has")
    in_a_new_second(f, [packet(f, FIRST, 1000 + n) for n in range(CHANGES + 5)])
    check_equal(endpoint(f), (there(f, FIRST), 1000 + CHANGES - 1),
                "endpoint after more ports than a second has")


def flood(f):
    few = staying(f)
    for n in range(CHANGES):
        tun.send(packet(f, FIRST + n % 2 + 1))
    many = cost(sending([packet(f, FIRST + n % 2) for n in range(30)]))
    check_ratio(f"IPv{f}: a packet from another address than the last", many,
                few, 1.05)


def ports(f):
    few = staying(f)
    time.sleep(1.1)
    new = range(1000, 1000 + CHANGES - 1)
    many = cost(sending([packet(f, FIRST, port) for port in new]), len(new))
    check_equal(endpoint(f), (there(f, FIRST), new[-1]), "endpoint")
    check_ratio(f"IPv{f}: a packet from another port than the last", many, few,
                1.1)


for f in sas:
    add_case(f"IPv{f}: a peer moves ten times a second", ten, f)
    add_case(f"IPv{f}: beyond that a change costs nothing", flood, f)
    add_case(f"IPv{f}: a new port is written in place", ports, f)

main()
