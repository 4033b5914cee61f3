#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
# measured
"""What the tool and the kernel take, a peer with two SAs, to install and to
show many: 10,000 are to be there in two seconds, seen in half a one and scraped
in one, at 10^9 instructions a second."""

import resource
import tempfile

from lib import *
import libmeasure  # leaves a guest that does not count

PEERS = 2000
INSTALLED = 200_000
SHOWN = 50_000
SCRAPED = 100_000

a = Ns("a")
link = veth(a, Ns("b"))
a.ip("link add bh0 type bhsec\nlink set bh0 up\n")


def lines_of(n):
    into, out, name = Sa(), Sa(), f"bts{n}"
    return (f"peer add bh0 {name} endpoint {link.b4}:{1024 + n} "
            f"selectors 10.{n >> 8}.{n & 255}.0/24\n"
            + into.bhsec("bh0", name, "in") + out.bhsec("bh0", name, "out"))


def used():
    """By processes that have ended; not their waiting for files."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def cost(*words):
    before = used()
    a.cli(*words, capture_output=False, stdout=subprocess.DEVNULL,
          stderr=subprocess.DEVNULL)
    return used() - before


def check_each(what, words, most, times=3):
    """Beside what a process takes that does nothing."""
    each = (min(cost(*words) for _ in range(times)) - nothing) // PEERS
    ksft.print_msg(f"{what}: {each} instructions a peer")
    check(each <= most, f"{what}: {each} instructions a peer, at most {most}")


# The ciphers' modules are loaded with the first.
a.bhsec(lines_of(PEERS))
nothing = min(cost("--version") for _ in range(5))


@case("a batch of many")
def _():
    with tempfile.NamedTemporaryFile("w") as batch:
        batch.write("".join(lines_of(n) for n in range(PEERS)))
        batch.flush()
        check_each("installed", ["-batch", batch.name], INSTALLED, 1)


@case("what is shown of many")
def _():
    check_each("shown", ["show"], SHOWN)


@case("what is scraped of many")
def _():
    check_each("scraped", ["show", "--openmetrics"], SCRAPED)


main()
