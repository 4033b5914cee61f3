# SPDX-License-Identifier: GPL-2.0
"""As much of generic netlink as it takes to set up what iproute2 cannot."""

import os
import socket
import struct

NETLINK_GENERIC = 16
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 1, 2
NLA_F_NESTED = 0x8000


def attribute(number, value):
    """Of bytes, or of a dict of attributes by number."""
    if isinstance(value, dict):
        number |= NLA_F_NESTED
        value = attributes(value)
    return (struct.pack("=HH", len(value) + 4, number) + value
            + bytes(-len(value) % 4))


def attributes(values):
    return b"".join(attribute(*item) for item in values.items())


def parse(data):
    """{number: payload}"""
    out = {}
    while data:
        size, number = struct.unpack_from("=HH", data)
        out[number] = data[4:size]
        data = data[(size + 3) & ~3:]
    return out


def u8(value):
    return struct.pack("=B", value)


def u16(value):
    return struct.pack("=H", value)


def u32(value):
    return struct.pack("=I", value)


class Family:
    """A family as the current network namespace has it."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                  NETLINK_GENERIC)
        reply = self.ask(CTRL, CTRL_CMD_GETFAMILY,
                         {CTRL_ATTR_FAMILY_NAME: name.encode() + b"\0"})
        self.number, = struct.unpack("=H", parse(reply)[CTRL_ATTR_FAMILY_ID])

    def do(self, command, values):
        self.ask(self.number, command, values)

    def ask(self, family, command, values):
        """The attributes of what comes before the acknowledgement."""
        body = struct.pack("=BBH", command, 1, 0) + attributes(values)
        self.sock.send(struct.pack("=IHHII", len(body) + 16, family,
                                   NLM_F_REQUEST | NLM_F_ACK, 0, 0) + body)
        reply = b""
        while True:
            message = self.sock.recv(65536)
            if struct.unpack_from("=H", message, 4)[0] != NLMSG_ERROR:
                reply = message[20:]
                continue
            error, = struct.unpack_from("=i", message, 16)
            if error:
                raise OSError(-error, os.strerror(-error))
            return reply
