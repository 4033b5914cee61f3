# SPDX-License-Identifier: GPL-2.0
"""XFRM states of one CPU, as ip of old releases cannot add them, and senders
that stay on theirs."""

import contextlib

from lib import *
from libnetlink import NLM_F_DUMP, attr, parse
from libstream import FLOW_PORT, Flow
from libxfrm import XFRMA_REPLAY_ESN_VAL, ask

XFRM_MSG_NEWSA, XFRM_MSG_GETSA = 0x10, 0x12
XFRMA_SA_DIR, XFRMA_SA_PCPU = 33, 35
IN, OUT = 1, 2
XFRM_POLICY_CPU_ACQUIRE = 4
STATE_SIZE, WINDOW_AT, ACQUIRE_SIZE = 224, 215, 280
CPUS = 0, 1


@contextlib.contextmanager
def on_cpu(cpu):
    """This thread, and those that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def flows(src, dst, source, address):
    """One from each CPU, of which nothing is lost. Gives what waits until all
    that was sent by then has arrived."""
    made = []

    def drained():
        for flow in made:
            flow.drained()
    try:
        for cpu in CPUS:
            with on_cpu(cpu):
                made.append(Flow(src, dst, source, address,
                                 port=FLOW_PORT + cpu))
        yield drained
        for flow in made:
            flow.stop()
    finally:
        for flow in made:
            flow.close()


def cpu_in(attributes):
    """Of a state, or of what a daemon is asked for; None is any."""
    found = dict(parse(attributes)).get(XFRMA_SA_PCPU)
    return found and struct.unpack("=I", found)[0]


def without_window(state):
    """With ESN the bitmap's size comes first and the window last, then it."""
    return state[:WINDOW_AT] + b"\0" + state[WINDOW_AT + 1:STATE_SIZE] + b"".join(
        attr(number, bytes(4) + value[4:20] + bytes(4)
             if number == XFRMA_REPLAY_ESN_VAL else value)
        for number, value in parse(state[STATE_SIZE:]))


class Maker:
    """Where ip adds a state that is to be one CPU's elsewhere. Such a one has a
    direction, and if that is out no window."""

    def __init__(self):
        self.ns = Ns("maker")

    def add(self, ns, lines, direction, cpu):
        self.ns.ip(lines)
        states = ask(self.ns, XFRM_MSG_GETSA, flags=NLM_F_DUMP)
        self.ns.ip("xfrm state flush\n")
        wanted = attr(XFRMA_SA_DIR, bytes([direction])) + \
            attr(XFRMA_SA_PCPU, struct.pack("=I", cpu))
        for state in states:
            if direction == OUT:
                state = without_window(state)
            ask(ns, XFRM_MSG_NEWSA, state + wanted)

    def works(self):
        """Has this kernel states of one CPU? Older ones pass over the word."""
        ns = Ns("trial")
        self.add(ns, Sa().xfrm("192.0.2.1", "192.0.2.2", 1, "esp"), IN, 1)
        state, = ask(ns, XFRM_MSG_GETSA, flags=NLM_F_DUMP)
        return cpu_in(state[STATE_SIZE:]) == 1
