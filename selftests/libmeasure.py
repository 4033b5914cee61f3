# SPDX-License-Identifier: GPL-2.0
"""Figures in guest instructions, for tests with a line "# measured": their
guest's clock counts instructions, whatever the host does meanwhile."""

import os
import struct
import sys
import time

from libcase import check, ksft
from libnetlink import COMMANDS, NLM_F_ACK, NLMSG_ERROR, Encoder, Genl
from libtunnel import new_key

# kselftest's word for skipped: a clock that counts seconds has no figures, and
# on a kernel that watches itself they would be its watching's.
if (not os.environ.get("BHSEC_MEASURE")
        or os.environ.get("BHSEC_KERNEL") == "debug"):
    sys.exit(4)


def cost(function, times=30):
    """Instructions of the cheapest of some calls, which no interrupt hit."""
    best = None
    for _ in range(times):
        start = time.perf_counter_ns()
        function()
        took = time.perf_counter_ns() - start
        best = took if best is None else min(best, took)
    return best


def check_ratio(what, many, few, most):
    """A figure beside the one that it is measured against, printed."""
    ksft.print_msg(f"{what}: {many} instructions beside {few}, "
                   f"{many / few:.2f} x")
    check(many <= most * few, f"{what}: {many / few:.2f} x, at most {most}")


def refusals(nl):
    """Error numbers of what was sent, to the one that was to be acknowledged."""
    while True:
        size, kind, _, seq = struct.unpack_from("=IHHI",
                                                data := nl.sock.recv(1 << 16))
        if kind == NLMSG_ERROR and size >= 20:
            yield -struct.unpack_from("=i", data, 16)[0]
            if seq == nl.sequence:
                return


def add_sas(ns, dev, sas):
    """Outbound SAs: pairs of peer and SPI. By hand and many to a send, for
    thousands are made in a guest that counts each instruction."""
    nl = Genl(ns)
    number, op = COMMANDS["sa-add"]

    def message(peer, spi, flags=0):
        payload = Encoder().encode(op["attribute-set"], [
            ("ifname", dev), ("peer", peer), ("direction", 1), ("spi", spi),
            ("cipher", 1), ("key", new_key("aes-gcm-256"))])
        return nl.message(nl.id, number, payload, flags)

    *most, last = sas
    for start in range(0, len(most), 100):
        nl.send(b"".join(message(*sa) for sa in most[start:start + 100]))
    nl.send(message(*last, NLM_F_ACK))
    check(not any(refusals(nl)), "an SA was refused")
