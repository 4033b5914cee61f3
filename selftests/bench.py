#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""A later change cannot lose the speed unseen: instructions per packet, as a
share of what the kernel's own IPsec takes in the same guest."""

import functools

from libcase import *

sys.path.insert(0, f"{TESTS}/bench")
from machine import shell
from measure import Bench, load_modules
from workloads import WORKLOADS

KERNEL = "7.2"      # one is enough, for none differs in this
MOST = {"tcp1": 0.77, "udp64": 0.61}

if os.environ.get("BHSEC_KERNEL") != KERNEL or os.environ.get("BHSEC_CRYPTO"):
    sys.exit(4)     # kselftest's word for skipped

DIRECTORY = shell('build_dir "$BHSEC_KERNEL"') + "/bench"
load_modules(DIRECTORY)


@functools.cache
def row(mode):
    bench = Bench(DIRECTORY, mode)
    results = {name: bench.measure(WORKLOADS[name]) for name in MOST}
    bench.close()
    return results


def compare(name):
    xfrm, bhsec = (row(mode)[name] for mode in ("xfrm", "bhsec"))
    for result in xfrm, bhsec:
        check_equal(result["retransmissions"], 0, "retransmissions")
    ratio = bhsec["per_packet"] / xfrm["per_packet"]
    ksft.print_msg(f"{name}: {bhsec['per_packet']:.0f} instructions, "
                   f"{xfrm['per_packet']:.0f} of xfrm: {ratio:.3f}")
    check(ratio <= MOST[name], f"{ratio:.3f} of xfrm's instructions, more than "
          f"{MOST[name]}")


for name in MOST:
    add_case(f"{name} takes at most {MOST[name]} of xfrm's instructions",
             compare, name)

main()
