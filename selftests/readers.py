#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""Anybody may read, so readers make nobody wait: while a device's lock is taken,
a dump of all devices waits for it without rtnl."""

from lib import *
from libmeasure import *

ROUNDS = 60

a = Ns("a")
a.ip("link add bh0 type bhsec\nlink add d0 type dummy\n")


def again_and_again(step):
    """In a process, until it is killed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        nl = Genl(a)
        while True:
            step(nl)
    finally:
        os._exit(1)


def end(pid):
    check_equal(os.waitpid(pid, os.WNOHANG), (0, 0), "who has run until now")
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def change(nl):
    """The device's lock is held for a grace period."""
    nl.do("dev-set", ifname="bh0", window=64)


def waited():
    """Instructions until rtnl was free, in all; the others run in between."""
    total = 0
    for _ in range(ROUNDS):
        time.sleep(0.003)
        total += cost(lambda: a.set_mtu("d0", 1400), times=1)
    return total // ROUNDS


def beside(step):
    """The same while somebody changes a device, and somebody asks."""
    pids = [again_and_again(change), again_and_again(step)]
    try:
        time.sleep(0.1)
        return waited()
    finally:
        for pid in pids:
            end(pid)


@case("who takes rtnl does not wait for a reader that waits for a device")
def _():
    few = beside(lambda nl: nl.dump("peer-get", ifname="bh0"))
    many = beside(lambda nl: nl.dump("dev-get"))
    check_ratio("rtnl beside a dump of devices, and of one's peers", many, few, 3)


main()
