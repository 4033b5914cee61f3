# SPDX-License-Identifier: GPL-2.0
"""Netlink by hand: messages that no client would send, and what comes back.

Attribute numbers and types come from bhsec.yaml, nothing else does.
"""

import select
import socket
import struct

import yaml

from libcase import SOURCE

NETLINK_GENERIC, SOL_NETLINK = 16, 270
NETLINK_ADD_MEMBERSHIP, NETLINK_EXT_ACK = 1, 11
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK = 1, 2, 4
NLM_F_DUMP_INTR, NLM_F_DUMP = 0x10, 0x300
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLA_F_NESTED = 0x8000
NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS = 1, 2
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_CMD_GETPOLICY = 16, 3, 10
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MCAST_GROUPS = 1, 2, 7
CTRL_ATTR_POLICY, CTRL_ATTR_OP_POLICY = 8, 9

# Attributes begin behind nlmsghdr and genlmsghdr; offsets count from the start.
ATTRS_AT = 20
INTEGERS = {"u8": "=B", "u16": "=H", "u32": "=I", "u64": "=Q"}
YAML = f"{SOURCE['kmod']}/bhsec.yaml"


def load_spec(path=YAML):
    with open(path, encoding="utf-8") as text:
        return yaml.load(text, yaml.CSafeLoader)


SPEC = load_spec()
# {set: {attribute: (number, definition)}}
SETS = {s["name"]: {a["name"]: (number, a)
                    for number, a in enumerate(s["attributes"], 1)}
        for s in SPEC["attribute-sets"]}
EVENTS = next([entry["name"] if isinstance(entry, dict) else entry
               for entry in definition["entries"]]
              for definition in SPEC["definitions"]
              if definition["name"] == "event")
COMMANDS = {op["name"]: (number, op) for number, op
            in enumerate(SPEC["operations"]["list"], 1)}


class Bad:
    """Marks the value that a refusal has to point at."""

    def __init__(self, value):
        self.value = value


class Raw(bytes):
    """Goes in as it is, no header, no padding."""


def attr(number, data):
    return struct.pack("=HH", len(data) + 4, number) + data + \
        bytes(-len(data) % 4)


class Encoder:
    """Pairs of name and value to bytes; .bad is the offset of what is Bad."""

    def __init__(self):
        self.bad = None

    def encode(self, attribute_set, pairs, at=ATTRS_AT):
        out = b""
        for name, value in pairs:
            if isinstance(value, Bad):
                self.bad, value = at + len(out), value.value
            out += self.one(attribute_set, name, value, at + len(out))
        return out

    def one(self, attribute_set, name, value, at):
        if isinstance(value, Raw):
            return bytes(value)
        if isinstance(name, int):
            return attr(name, value)
        number, definition = SETS[attribute_set][name]
        if isinstance(value, list):
            inner = self.encode(definition["nested-attributes"], value, at + 4)
            return attr(number | NLA_F_NESTED, inner)
        if isinstance(value, int):
            value = struct.pack(INTEGERS[definition["type"]], value)
        elif isinstance(value, str):
            value = value.encode() + b"\0"
        return attr(number, value)


def parse(data):
    """[(number without flags, payload)]"""
    out = []
    while len(data) >= 4:
        size, number = struct.unpack_from("=HH", data)
        if not 4 <= size <= len(data):
            raise ValueError(f"attribute {number} of {size} bytes")
        out.append((number & 0x3fff, data[4:size]))
        data = data[(size + 3) & ~3:]
    return out


def decode(attribute_set, data):
    """To a dict; what may come several times becomes a list."""
    names = {number: (name, d) for name, (number, d)
             in SETS[attribute_set].items()}
    out = {}
    for number, payload in parse(data):
        name, definition = names[number]
        kind = definition["type"]
        if kind in INTEGERS:
            value = struct.unpack(INTEGERS[kind], payload)[0]
        elif kind == "nest":
            value = decode(definition["nested-attributes"], payload)
        elif kind == "string":
            value = payload.rstrip(b"\0").decode()
        else:
            value = payload
        if definition.get("multi-attr"):
            out.setdefault(name, []).append(value)
        elif kind != "pad":
            out[name] = value
    return out


class Reply:
    """errno (0: done), the refusal's sentence and offset, and the messages:
    pairs of flags and of what follows the generic header. What ends a dump
    that has begun carries no offset on all kernels: has_offset is False."""

    def __init__(self):
        self.has_offset = True
        self.errno, self.sentence, self.offset = 0, None, None
        self.messages = []

    def end(self, flags, payload, error_at):
        self.errno = -struct.unpack_from("=i", payload)[0]
        if not flags & NLM_F_ACK_TLVS:
            return
        for number, value in parse(payload[error_at:]):
            if number == NLMSGERR_ATTR_MSG:
                self.sentence = value.rstrip(b"\0").decode()
            elif number == NLMSGERR_ATTR_OFFS:
                self.offset = struct.unpack("=I", value)[0]

    @property
    def interrupted(self):
        return any(flags & NLM_F_DUMP_INTR for flags, _ in self.messages)


class Genl:
    """A generic netlink socket of a namespace (None: the thread's own). The
    kernel makes a dump's messages as large as what was read with so far."""

    def __init__(self, ns=None, family="bhsec", room=1 << 17):
        self.room = room
        args = socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC
        self.sock = ns.socket(*args) if ns else socket.socket(*args)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.settimeout(60)
        self.sock.bind((0, 0))
        self.sequence = 0
        self.groups = {}
        self.id = self.resolve(family)

    def resolve(self, family):
        payload = attr(CTRL_ATTR_FAMILY_NAME, family.encode() + b"\0")
        reply = self.exchange(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, payload)
        if reply.errno:
            raise OSError(reply.errno, f"no family {family}")
        found = dict(parse(reply.messages[0][1]))
        for _, group in parse(found.get(CTRL_ATTR_MCAST_GROUPS, b"")):
            fields = dict(parse(group))
            self.groups[fields[1].rstrip(b"\0").decode()] = \
                struct.unpack("=I", fields[2])[0]
        return struct.unpack("=H", found[CTRL_ATTR_FAMILY_ID])[0]

    def join(self, group):
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
                             self.groups[group])

    def send(self, message):
        self.sock.send(message)

    def message(self, kind, cmd, payload, flags):
        self.sequence += 1
        return struct.pack("=IHHIIBBH", ATTRS_AT + len(payload), kind,
                           NLM_F_REQUEST | flags, self.sequence, 0,
                           cmd, 1, 0) + payload

    def exchange(self, kind, cmd, payload, flags=NLM_F_ACK):
        self.send(self.message(kind, cmd, payload, flags))
        return self.receive()

    def receive(self):
        """All of an answer, to its acknowledgement or the dump's end."""
        reply = Reply()
        while True:
            data = self.sock.recv(self.room)
            while data:
                size, kind, flags, seq = struct.unpack_from("=IHHI", data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if seq != self.sequence:
                    continue
                if kind == NLMSG_ERROR:
                    request = struct.unpack_from("=I", body, 4)[0]
                    capped = flags & NLM_F_CAPPED or not \
                        struct.unpack_from("=i", body)[0]
                    reply.end(flags, body, 20 if capped else
                              4 + (request + 3 & ~3))
                    return reply
                if kind == NLMSG_DONE:
                    reply.has_offset = False
                    reply.end(flags, body, 4)
                    return reply
                reply.messages.append((flags, body[4:]))

    def request(self, name, pairs, flags=NLM_F_ACK):
        """Returns the Reply and the offset of what was marked Bad."""
        number, op = COMMANDS[name]
        encoder = Encoder()
        payload = encoder.encode(op["attribute-set"], pairs)
        return self.exchange(self.id, number, payload, flags), encoder.bad

    def do(self, command, /, **attributes):
        """Done, or an OSError with the refusal's sentence."""
        pairs = [(key.replace("_", "-"), value)
                 for key, value in attributes.items()]
        reply, _ = self.request(command, pairs)
        if reply.errno:
            raise OSError(reply.errno, reply.sentence)
        kind = COMMANDS[command][1]["attribute-set"]
        return [decode(kind, body) for _, body in reply.messages]

    def dump(self, command, /, **attributes):
        """A consistent one: again while changes came between its parts."""
        while True:
            pairs = [(key.replace("_", "-"), value)
                     for key, value in attributes.items()]
            reply, _ = self.request(command, pairs, NLM_F_DUMP)
            if reply.errno:
                raise OSError(reply.errno, reply.sentence)
            if not reply.interrupted:
                break
        kind = COMMANDS[command][1]["attribute-set"]
        return [decode(kind, body) for _, body in reply.messages]

    def policies(self):
        """{command: {"do"|"dump": index}}, {index: {attribute: fields}}"""
        reply = self.exchange(GENL_ID_CTRL, CTRL_CMD_GETPOLICY,
                              attr(CTRL_ATTR_FAMILY_ID,
                                   struct.pack("=H", self.id)), NLM_F_DUMP)
        ops, tables = {}, {}
        for _, body in reply.messages:
            fields = dict(parse(body))
            for cmd, uses in parse(fields.get(CTRL_ATTR_OP_POLICY, b"")):
                ops[cmd] = {{1: "do", 2: "dump"}[use]: struct.unpack("=I", n)[0]
                            for use, n in parse(uses)}
            for index, table in parse(fields.get(CTRL_ATTR_POLICY, b"")):
                for number, policy in parse(table):
                    tables.setdefault(index, {})[number] = dict(parse(policy))
        return ops, tables

    def event(self, seconds):
        """The next event of a joined group, or None."""
        if not select.select([self.sock], [], [], seconds)[0]:
            return None
        data = self.sock.recv(1 << 16)
        return decode("event", data[ATTRS_AT:])

    def change(self, seconds):
        """The next of the group config: its name and the object, or None."""
        if not select.select([self.sock], [], [], seconds)[0]:
            return None
        data = self.sock.recv(1 << 16)
        name, op = next((name, op) for name, (number, op) in COMMANDS.items()
                        if number == data[16])
        kind = COMMANDS[op["notify"]][1]["attribute-set"]
        return name, decode(kind, data[ATTRS_AT:])


# As large as a peer gets.
LONGEST = [("prefix", [("addr", bytes((10, 9, n, 0))), ("len", 24)])
           for n in range(256)]


def many_changes(nl, count):
    """To a peer of bh0 that is there meanwhile."""
    nl.do("peer-add", ifname="bh0", name="long", selectors=LONGEST,
          local_selectors=LONGEST)
    for n in range(count):
        nl.do("peer-set", ifname="bh0", name="long", keepalive=1 + n)
    nl.do("peer-del", ifname="bh0", name="long")
