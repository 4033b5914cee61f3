#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# boot: ipv6.disable=1
"""A host that was booted without IPv6 has no tables of it: what there is of
IPv6 in or around a tunnel is counted, and nobody asks the kernel for more."""

from lib import *

if os.path.exists("/proc/net/if_inet6"):
    if "BHSEC_KERNEL" not in os.environ:
        sys.exit(4)     # kselftest's word for skipped
    sys.exit("the guest was to be booted with ipv6.disable=1")

INNER6 = "fd00::1", "fd01::1"
INNER4 = "10.1.0.1", "10.2.0.1"

near, far = Ns("near"), Ns("far")
link = veth(near, far, v6=False)
there, back = Sa(), Sa()
for ns, end, (mine, other), out, into in (
        (near, link.b4, INNER4, there, back),
        (far, link.a4, INNER4[::-1], back, there)):
    ns.ip(f"link add bh0 type bhsec\nlink set bh0 up\n"
          f"addr add {mine}/32 dev bh0\nroute add {other} dev bh0\n")
    ns.bhsec(f"peer add bh0 p endpoint {end} selectors {other}/32\n"
             + out.bhsec("bh0", "p", "out") + into.bhsec("bh0", "p", "in"))
udp_echo(far, INNER4[1])


def six(dst, size=64):
    """As a virtual machine's, for there is no socket of the family."""
    payload = bytes(size)
    packet = struct.pack("!IHBB", 6 << 28, len(payload), 59, 64) + \
        ipaddress.ip_address(INNER6[0]).packed + \
        ipaddress.ip_address(dst).packed + payload
    with near.socket(socket.AF_PACKET, socket.SOCK_RAW, keep=False) as sock:
        sock.bind(("bh0", 0x86dd))
        sock.send(packet)


@case("IPv4 passes")
def _():
    before = near.stats("bh0", "p")
    udp_exchange(near, INNER4[1], [0, 100, 1400], INNER4[0])
    moved = difference(before, near.stats("bh0", "p"))
    check_equal(set(moved), {"tx_packets", "tx_bytes", "rx_packets",
                             "rx_bytes"}, "counters that moved")


@case("an inner IPv6 packet that nobody owns is no_peer")
def _():
    before = near.own_stats("bh0")
    six("2001:db8::1")
    check_equal(difference(before, near.own_stats("bh0")), {"no_peer": 1},
                "counters")


@case("one that is too large is too_big")
def _():
    near.bhsec(f"peer add bh0 six endpoint {link.b4} encap esp "
               f"selectors {INNER6[1]}/128\n" + Sa().bhsec("bh0", "six", "out"))
    near.ip("link set bh0 mtu 1500\n")
    before = near.stats("bh0", "six")
    six(INNER6[1], 1450)
    check_equal(difference(before, near.stats("bh0", "six")), {"too_big": 1},
                "counters")


@case("one that fits is sent")
def _():
    before = near.stats("bh0", "six")
    six(INNER6[1])
    check_equal(difference(before, near.stats("bh0", "six")),
                {"tx_packets": 1, "tx_bytes": 104}, "counters")


@case("an IPv6 endpoint has no route")
def _():
    near.bhsec("peer set bh0 six endpoint 2001:db8::9\n")
    before = near.stats("bh0", "six")
    six(INNER6[1])
    check_equal(difference(before, near.stats("bh0", "six")), {"no_route": 1},
                "counters")


main()
