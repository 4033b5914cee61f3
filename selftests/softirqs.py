#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""How long softirqs are off while bhsec is configured: no longer for what
others have on the host."""

import contextlib

from lib import *
from libmeasure import *
from libnetlink import NLM_F_REQUEST, attr
from libprobe import *

STATES, DEVICES = 10000, 500
NETLINK_XFRM, XFRM_MSG_NEWSA, XFRMA_ALG_CRYPT = 6, 0x10, 2
LOCKS = {"lock": "_raw_spin_lock_bh", "unlock": "_raw_spin_unlock_bh"}


def state(spi, n):
    """Of a peer of its own, far away."""
    daddr = ipaddress.ip_address("2001:db8:ffff::").packed[:12]
    info = struct.pack(
        "=56x 12sI IB3x 16s 32s 32x 32x 12x II HBBB7x",
        daddr, n, socket.htonl(spi), socket.IPPROTO_ESP,
        ipaddress.ip_address("2001:db8::1").packed, b"\xff" * 32, 0, 0,
        socket.AF_INET6, 1, 0, 0)
    payload = info + attr(XFRMA_ALG_CRYPT,
                          struct.pack("=64sI", b"ecb(cipher_null)", 0))
    return struct.pack("=IHHII", 16 + len(payload), XFRM_MSG_NEWSA,
                       NLM_F_REQUEST, 0, 0) + payload


def add_states(ns, spi):
    """Many to a send."""
    sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    for start in range(0, STATES, 100):
        sock.send(b"".join(state(spi, n) for n in range(start, start + 100)))
    count = ns.run(["ip", "xfrm", "state", "count"]).stdout
    check(str(STATES) in count.split(), count)


def longest(function):
    """Instructions that this thread keeps softirqs off for by a lock: the
    longest stretch but for one in twenty, for an interrupt makes some longer,
    and a page of the trace that is full, one in sixty."""
    with probes(LOCKS), contextlib.ExitStack() as stack:
        write("set_event_pid", str(threading.get_native_id()))
        stack.callback(empty, "set_event_pid")
        write("trace_clock", "x86-tsc")
        stack.callback(write, "trace_clock", "local")
        empty("trace")
        function()
        with open(f"{TRACING}/trace", encoding="ascii") as lines:
            events = re.findall(r" (\d+): (lock|unlock): ", lines.read())
    begun, took = [], []
    for when, what in events:
        if what == "lock":
            begun.append(int(when))
        elif begun:
            took.append(int(when) - begun.pop())
    return sorted(took, reverse=True)[len(took) // 20]


@case(f"an inbound SA beside {STATES} states of its SPI and {DEVICES} devices, "
      "and beside none")
def _():
    a = Ns("a")
    spi = new_spi()
    a.ip("link add bh0 type bhsec\n")
    a.bhsec("peer add bh0 b encap esp\n")
    nl = Genl(a)
    asked = {"ifname": "bh0", "peer": "b", "direction": 0, "spi": spi}

    def add():
        nl.do("sa-add", **asked, cipher=1, key=new_key("aes-gcm-256"))

    def stretch():
        """Of some, the one that no interrupt made longer."""
        took = []
        for _ in range(5):
            took.append(longest(add))
            nl.do("sa-del", **asked)
        return min(took)
    none = stretch()
    a.ip("".join(f"link add d{n} type dummy\n" for n in range(DEVICES)))
    add_states(a, spi)
    check_ratio("the longest stretch without softirqs", stretch(), none, 2)


main()
