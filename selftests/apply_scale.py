#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
# measured
"""bhsec apply with 10,000 sites, each with a file, as instructions of the tool and
the kernel at 10^9 a second: all of them are there in less than one, and so is one
that is changed, of which alone the daemon is told. What strongSwan takes is its
own."""

import resource

from libapply import *
from libcontrol import *
import libmeasure  # leaves a guest that does not count

SITES = 10000
ALL = 9 * 10**8
ONE = 8 * 10**8

DEVICE = f"""
[Device]
address = 172.16.0.1/24
if-id = 42
{identity("ctl.example", "ctl")}
[Peer]
name = last
endpoint = any
ca = /etc/bhsec/ctl.crt
networks = 10.255.0.0/16
"""
SITE = """
[Peer]
name = bts{n}
endpoint = any
identity = bts{n}.example
networks = 10.{high}.{low}.0/24
"""

host = Host("a")
for name in "ctl.crt", "ctl.key":
    host.write(name, name)
host.write("bh0.conf", DEVICE)


def write(n, net=None):
    net = n if net is None else net
    host.write(f"bh0.d/bts{n}.conf",
               SITE.format(n=n, high=net >> 8, low=net & 255))


for n in range(SITES):
    write(n)


def cost(*words):
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return int((usage.ru_utime + usage.ru_stime) * 1e9)
    before = used()
    result = host.tool(*words)
    return used() - before, result.stdout


def check_cost(what, most, *words):
    took, said = cost(*words)
    ksft.print_msg(f"{what}: {took / 1e9:.2f} * 10^9 instructions")
    check(took <= most, f"{what}: {took} instructions, at most {most}")
    return said


@case("10,000 files of sites become 10,000 connections and routes")
def _():
    check_cost("all", ALL, "up", "bh0")
    check_equal(len(host.routes("bh0")), SITES + 1, "routes")
    text, _ = host.listing()["conf.d/bhsec-bh0.conf"]
    check_equal(text.count("connections {"), SITES + 1, "connections")
    check_equal(host.told(), ["--load-all --noprompt"], "swanctl")


@case("a second time, and when one of them has changed")
def _():
    check_cost("nothing", ONE, "up", "bh0")
    check_equal(host.told(), [], "swanctl")
    write(7, SITES + 7)
    said = check_cost("told", ONE, "up", "bh0", "--dry-run")
    check_equal(sorted(said.splitlines()),
                ["bh0: + route 10.39.23.0/24", "bh0: - route 10.0.7.0/24",
                 "bh0: ~ peer bts7"], "difference")
    names = {f"bhsec-bh0-bts{n}" for n in range(SITES)} | {"bhsec-bh0-last"}
    with Connections(names) as daemon:
        check_cost("one", ONE, "up", "bh0")
        check_equal(daemon.told(), [("load-conn", "bhsec-bh0-bts7"),
                                    ("terminate", "bhsec-bh0-bts7")], "told")
    check_equal(host.told(), [], "swanctl")


main()
