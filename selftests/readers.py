#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Anybody may read, so readers make nobody wait: a dump of devices, which waits
for the lock of each, has rtnl at none of them."""

from lib import *
from libprobe import *

DEVICES = 3

a = Ns("a")
a.ip("".join(f"link add bh{n} type bhsec\n" for n in range(DEVICES)))


def holders(function, step):
    """Of rtnl, each time that a step comes by a function; 0 is nobody."""
    with probes({"met": f"bhsec:{function} rtnl=@rtnl_mutex:x64"}):
        empty("trace")
        step()
        with open(f"{TRACING}/trace", encoding="ascii") as lines:
            return re.findall(r" met: .* rtnl=0x([0-9a-f]+)", lines.read())


@case("a dump of devices has rtnl at none of them")
def _():
    def dump():
        check_equal(len(list(a.nl.dump("dev-get"))), DEVICES, "devices")
    # the kernel's own work may have it for a moment
    wait_for(lambda: holders("bhsec_nl_put_device", dump) == ["0"] * DEVICES,
             what="a dump while rtnl is nobody's")


@case("who has rtnl is seen")
def _():
    found = holders("bhsec_net_add_device",
                    lambda: a.ip("link add bh9 type bhsec\n"))
    check(len(found) == 1 and found[0] != "0", found)


main()
