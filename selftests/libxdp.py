# SPDX-License-Identifier: GPL-2.0
"""XDP and tc programs of a few instructions, by bpf(2), and packets made by
them."""

import ctypes
import json
import os
import struct

from lib import libc, must

SYS_BPF = 321
BPF_PROG_LOAD, BPF_OBJ_PIN, BPF_PROG_TEST_RUN, BPF_LINK_CREATE = 5, 6, 10, 28
BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP, BPF_XDP = 3, 6, 37
BPF_F_XDP_HAS_FRAGS, BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 5, 1 << 1
XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE = 1 << 1, 1 << 2
XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3
TC_ACT_OK, TC_ACT_SHOT = 0, 2
BPF_FUNC_REDIRECT, BPF_FUNC_XDP_ADJUST_META = 23, 54
PIN = "/sys/fs/bpf/bhsec"


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return must(libc.syscall(SYS_BPF, command, buffer, len(attributes)))


def move(register, value):
    """A constant into a register."""
    return struct.pack("=BBhi", 0xb7, register, 0, value)


EXIT = struct.pack("=BBhi", 0x95, 0, 0, 0)


def always(verdict):
    """A program that does just this."""
    return move(0, verdict) + EXIT


def call(function):
    return struct.pack("=BBhi", 0x85, 0, 0, function)


def redirect(ifindex):
    """bpf_redirect(): out of another device."""
    return move(1, ifindex) + move(2, 0) + call(BPF_FUNC_REDIRECT) + EXIT


# Leaves four bytes of its own before each packet.
WRITE_METADATA = (move(2, -4) + call(BPF_FUNC_XDP_ADJUST_META)
                  + always(XDP_PASS))
# Of tc's, drops what has some.
DROP_METADATA = (struct.pack("=BBhi", 0x61, 2 | 1 << 4, 140, 0)  # r2 = data_meta
                 + struct.pack("=BBhi", 0x61, 3 | 1 << 4, 76, 0)    # r3 = data
                 + struct.pack("=BBhi", 0x07, 2, 0, 4)              # r2 += 4
                 # if (r2 > r3) pass
                 + struct.pack("=BBhi", 0x2d, 2 | 3 << 4, 2, 0)
                 + always(TC_ACT_SHOT) + always(TC_ACT_OK))


def redirect_unicast(ifindex):
    """What Ethernet brings for one station only: what a kernel multicasts when
    it likes, as its MLD reports, passes."""
    send = redirect(ifindex)
    return (struct.pack("=BBhi", 0x61, 2 | 1 << 4, 0, 0)    # r2 = data
            + struct.pack("=BBhi", 0x61, 3 | 1 << 4, 4, 0)  # r3 = data_end
            + struct.pack("=BBhi", 0xbf, 4 | 2 << 4, 0, 0)  # r4 = r2 + 1
            + struct.pack("=BBhi", 0x07, 4, 0, 1)
            # if (r4 > r3) pass
            + struct.pack("=BBhi", 0x2d, 4 | 3 << 4, 2 + len(send) // 8, 0)
            + struct.pack("=BBhi", 0x71, 4 | 2 << 4, 0, 0)  # r4 = *(u8 *)r2
            # if (r4 & 1) pass
            + struct.pack("=BBhi", 0x45, 4, len(send) // 8, 1)
            + send + always(XDP_PASS))


def load(code, kind=BPF_PROG_TYPE_XDP):
    """The program's file descriptor."""
    flags, attach = ((BPF_F_XDP_HAS_FRAGS, BPF_XDP) if kind == BPF_PROG_TYPE_XDP
                     else (0, 0))
    text, license_name = (ctypes.create_string_buffer(data, len(data))
                          for data in (code, b"GPL\0"))
    return bpf(BPF_PROG_LOAD, struct.pack(
        "=IIQQIIQII16sII", kind, len(code) // 8,
        ctypes.addressof(text), ctypes.addressof(license_name), 0, 0, 0, 0,
        flags, b"", 0, attach))


class Xdp:
    """A program on a device, as long as the with-block."""

    def __init__(self, ns, ifname, code, flags=XDP_FLAGS_DRV_MODE):
        self.ns, self.index, self.code = ns, ns.ifindex(ifname), code
        self.flags = flags

    def __enter__(self):
        self.program = load(self.code)
        with self.ns:
            self.link = bpf(BPF_LINK_CREATE, struct.pack(
                "=IIII", self.program, self.index, BPF_XDP,
                self.flags))
        return self

    def __exit__(self, *_):
        os.close(self.link)
        os.close(self.program)


class Filter:
    """A program that decides about what comes in by a device, as long as the
    with-block."""

    def __init__(self, ns, ifname, code):
        self.ns, self.ifname, self.code = ns, ifname, code

    def tc(self, line):
        return self.ns.run(["tc", *line.format(dev=self.ifname).split()]).stdout

    def __enter__(self):
        program = load(self.code, BPF_PROG_TYPE_SCHED_CLS)
        path = ctypes.create_string_buffer(PIN.encode())
        bpf(BPF_OBJ_PIN, struct.pack("=QII", ctypes.addressof(path), program, 0))
        os.close(program)
        try:
            self.tc("qdisc add dev {dev} clsact")
            self.tc("filter add dev {dev} ingress bpf direct-action "
                    f"object-pinned {PIN}")
        finally:
            os.unlink(PIN)
        return self

    def __exit__(self, *_):
        self.tc("qdisc del dev {dev} clsact")

    def dropped(self):
        found, = json.loads(self.tc("-j -s qdisc show dev {dev} clsact"))
        return found["drops"]


def come_in(ns, ifname, frame):
    """The frame as if the device's driver had received it by XDP: its bytes
    lie in a page of a page pool."""
    program = load(always(XDP_PASS))
    context = ctypes.create_string_buffer(struct.pack(
        "=IIIIII", 0, len(frame), 0, ns.ifindex(ifname), 0, 0), 24)
    data = ctypes.create_string_buffer(frame, len(frame))
    with ns:
        bpf(BPF_PROG_TEST_RUN, struct.pack(
            "=IIIIQQIIIIQQIII4x", program, 0, len(frame), 0,
            ctypes.addressof(data), 0, 1, 0, 24, 0, ctypes.addressof(context),
            0, BPF_F_TEST_XDP_LIVE_FRAMES, 0, 0))
    os.close(program)
