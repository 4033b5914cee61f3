#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""A later change cannot lose the speed unseen: instructions per packet, as a
share of what the kernel's own IPsec takes in the same guest; and what a daemon
keys takes, as a share of what is keyed by hand."""

import functools

from libcase import *

sys.path.insert(0, f"{TESTS}/bench")
from machine import shell
from measure import Bench, load_modules
from workloads import WORKLOADS

KERNEL = "7.2"      # one is enough, for none differs in this
# Workload, what takes at most so many times what another takes. Aggregates come
# to the last two by the stack alike.
MOST = [
    ("tcp1", "bhsec", 0.77, "xfrm"),
    ("udp64", "bhsec", 0.61, "xfrm"),
    ("tx64", "bhsec-ike", 1.05, "bhsec"),
    ("tcp1", "bhsec-ike-list", 1.05, "bhsec-heard"),
]

if os.environ.get("BHSEC_KERNEL") != KERNEL or os.environ.get("BHSEC_CRYPTO"):
    sys.exit(4)     # kselftest's word for skipped

DIRECTORY = shell('build_dir "$BHSEC_KERNEL"') + "/bench"
load_modules(DIRECTORY)


@functools.cache
def row(mode):
    bench = Bench(DIRECTORY, mode)
    results = {name: bench.measure(WORKLOADS[name])
               for name, one, _, other in MOST if mode in (one, other)}
    bench.close()
    return results


def compare(name, mode, most, other):
    one, two = row(mode)[name], row(other)[name]
    for result in one, two:
        check_equal(result["retransmissions"], 0, "retransmissions")
    ratio = one["per_packet"] / two["per_packet"]
    ksft.print_msg(f"{name}: {one['per_packet']:.0f} instructions, "
                   f"{two['per_packet']:.0f} of {other}: {ratio:.3f}")
    check(ratio <= most, f"{ratio:.3f} times what {other} takes, more than {most}")


for name, mode, most, other in MOST:
    add_case(f"{name}, {mode}: at most {most} times what {other} takes",
             compare, name, mode, most, other)

main()
