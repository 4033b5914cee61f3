#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Another tunnel below, where bhsec cannot see it: a router on the way puts
datagrams that left together into VXLAN over the other family, which takes them
apart again. Each has the room that VXLAN's headers need before it."""

from lib import *

MTU = 1300
STREAM = 2_000_000
# Of VXLAN's own, at r and b.
BELOW = {4: ("198.51.100.1", "198.51.100.2"),
         6: ("2001:db8:ff::1", "2001:db8:ff::2")}

a, r, b = (Ns(name) for name in "arb")
path = Path(a, r, b)
set_mtu(path.near, MTU)
made = tunnels(a, b, path, [{}, {"family": 6}])


def carry(family):
    """a's datagrams to b's address go by VXLAN, whose own go by the other."""
    dev, mac = f"x{family}", f"02:00:00:00:00:0{family}"
    near, far = BELOW[10 - family]
    for ns, dev_below, mine, other in ((r, path.far.if_a, near, far),
                                       (b, path.far.if_b, far, near)):
        ns.ip(f"addr add {mine}/64 dev {dev_below} nodad\n"
              if family == 4 else f"addr add {mine}/24 dev {dev_below}\n")
        ns.ip(f"link add {dev} type vxlan id {family} dstport 4789 "
              f"local {mine} remote {other} dev {dev_below}\n"
              f"link set {dev} up\n")
    b.ip(f"link set {dev} address {mac}\n")
    there = path.far.address(b, family)
    r.ip(f"route add {there} dev {dev}\n"
         f"neigh add {there} lladdr {mac} nud permanent dev {dev}\n")
    # All headers of a datagram are made here, none by a card.
    r.run(f"ethtool -K {path.far.if_a} tx-udp_tnl-segmentation off "
          "tx-udp_tnl-csum-segmentation off tx-udp-segmentation off "
          "tx-gso-list off")
    b.sysctl({f"ipv4/conf/{c}/rp_filter": 0 for c in ("all", dev)})


def carried(family):
    link, = json.loads(r.run(f"ip -j -s link show dev x{family}").stdout)
    return link["stats64"]["tx"]["bytes"]


def stream(t):
    before = carried(t.family)
    tcp_transfer(a, b, t.inner("b", 4), STREAM, t.inner("a", 4))
    least = carried(t.family) - before
    check(least > STREAM, f"VXLAN carried {least} bytes")


for tunnel in made:
    carry(tunnel.family)
    add_case(f"IPv{tunnel.family} in VXLAN over IPv{10 - tunnel.family}: TCP",
             stream, tunnel)

main()
