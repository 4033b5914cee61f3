# SPDX-License-Identifier: GPL-2.0
"""XFRM states of one CPU, as ip of old releases cannot add them, and senders
that stay on theirs."""

import contextlib

from lib import *
from libnetlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, \
    NLMSG_ERROR, attr, parse
from libstream import FLOW_PORT, Flow

NETLINK_XFRM = 6
XFRM_MSG_NEWSA, XFRM_MSG_GETSA, XFRM_MSG_ACQUIRE = 0x10, 0x12, 0x17
XFRMA_REPLAY_ESN_VAL, XFRMA_SA_DIR, XFRMA_SA_PCPU = 23, 33, 35
IN, OUT = 1, 2
XFRM_POLICY_CPU_ACQUIRE = 4
GROUP_ACQUIRE = 1
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


class Xfrm:
    """A namespace's own netlink of XFRM."""

    def __init__(self, ns, group=None):
        self.sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
        self.sock.bind((0, 1 << (group - 1) if group else 0))

    def ask(self, kind, payload=b"", flags=NLM_F_ACK):
        """The payloads that come back."""
        self.sock.send(struct.pack("=IHHII", 16 + len(payload), kind,
                                   NLM_F_REQUEST | flags, 1, 0) + payload)
        out = []
        while True:
            data = self.sock.recv(1 << 20)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if kind == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return out
                out.append(body)

    def told(self):
        """What has come to a member of the group."""
        self.sock.setblocking(False)
        out = []
        with contextlib.suppress(BlockingIOError):
            while True:
                out.append(self.sock.recv(1 << 16)[16:])
        return out


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
        self.xfrm = Xfrm(self.ns)

    def add(self, ns, lines, direction, cpu):
        self.ns.ip(lines)
        states = self.xfrm.ask(XFRM_MSG_GETSA, flags=NLM_F_DUMP)
        self.ns.ip("xfrm state flush\n")
        wanted = attr(XFRMA_SA_DIR, bytes([direction])) + \
            attr(XFRMA_SA_PCPU, struct.pack("=I", cpu))
        for state in states:
            if direction == OUT:
                state = without_window(state)
            Xfrm(ns).ask(XFRM_MSG_NEWSA, state + wanted)

    def works(self):
        """Has this kernel states of one CPU? Older ones pass over the word."""
        ns = Ns("trial")
        self.add(ns, Sa().xfrm("192.0.2.1", "192.0.2.2", 1, "esp"), IN, 1)
        state, = Xfrm(ns).ask(XFRM_MSG_GETSA, flags=NLM_F_DUMP)
        return cpu_in(state[STATE_SIZE:]) == 1
