#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""How long others wait for the ends of what bhsec has: the deletion of many
devices, ports and underlays needs no more grace periods than that of few, and
a namespace without any pays nothing."""

import contextlib

from lib import *
from libprobe import *

FEW, MANY = 5, 200
# Until a device has no user any more the kernel looks four times a second, and
# waits for one each time.
MORE = 40
GRACE = {name: name for name in ("synchronize_rcu", "synchronize_rcu_expedited",
                                 "rcu_barrier")}
# Called once for all namespaces that end together.
ENDED = {"ended": "cleanup_net%return"}
GROUP = 7


def devices(count, underlay, inside):
    """Each with a port of its own, which an SA opens. Below IPv6's least MTU:
    its multicast waits for each device."""
    underlay.ip("".join(
        f"link add bh{n} netns {inside} mtu 1200 group {GROUP} type bhsec\n"
        for n in range(count)))
    with expedited():
        inside.bhsec("".join(
            f"set bh{n} port {5000 + n}\n"
            f"peer add bh{n} p endpoint 192.0.2.2\n"
            + Sa().bhsec(f"bh{n}", "p", "in") for n in range(count)))
    check_equal(ports(underlay), 2 * count, "sockets")


@contextlib.contextmanager
def expedited():
    """Each new setting waits for a grace period: short ones."""
    def expedite(value):
        with open("/sys/kernel/rcu_expedited", "w", encoding="ascii") as setting:
            setting.write(value)
    expedite("1")
    try:
        yield
    finally:
        expedite("0")


def ports(ns):
    """Sockets of both families."""
    with ns:
        return sum(len(list(open(f"/proc/thread-self/net/{name}",
                                 encoding="ascii"))) - 1
                   for name in ("udp", "udp6"))


def grace_periods(function):
    with probes(GRACE):
        function()
        return sum(hits(GRACE).values())


def end(ns):
    """Of a namespace, waited for."""
    with probes(ENDED):
        ns.close()
        wait_for(lambda: hits(ENDED)["ended"], what="the namespace's end")


def check_bounded(what, cost):
    few, many = cost(FEW), cost(MANY)
    ksft.print_msg(f"{what}: {few} grace periods for {FEW}, {many} for {MANY}")
    check(many <= few + MORE, f"{many} grace periods, {few} for {FEW}")


@case(f"the deletion of {MANY} devices on {MANY} ports")
def _():
    ns = Ns("a")

    def cost(count):
        devices(count, ns, ns)
        return grace_periods(lambda: ns.ip(f"link del group {GROUP}\n"))
    check_bounded("deletion", cost)
    check_equal(ports(ns), 0, "sockets")


@case(f"the end of a namespace that is the underlay of {MANY} devices")
def _():
    def cost(count):
        underlay, inside = Ns("a"), Ns("inside")
        devices(count, underlay, inside)
        took = grace_periods(lambda: end(underlay))
        check_equal([bool(dev["reason"]) for dev in inside.show()],
                    [True] * count, "devices that say why")
        end(inside)
        return took
    check_bounded("end", cost)


@case("the life of a namespace that never saw a device")
def _():
    places = GRACE | ENDED | {
        "rtnl_lock": "rtnl_lock",
        "percpu": symbol("pcpu_alloc(_noprof)?")}

    def life():
        with probes(places):
            Ns("a").close()
            wait_for(lambda: hits(ENDED)["ended"], what="the namespace's end")
            return hits(places)

    def least():
        lives = [life() for _ in range(5)]
        return {name: min(one[name] for one in lives) for name in places}
    end(Ns("a"))
    loaded = least()
    subprocess.run(["rmmod", "bhsec"], check=True, timeout=60)
    without = least()
    subprocess.run(["modprobe", "bhsec"], check=True)
    ksft.print_msg(f"calls: {loaded}")
    check(all(loaded[name] <= without[name] for name in places),
          f"calls with the module: {loaded}, without: {without}")


main()
