# SPDX-License-Identifier: GPL-2.0
"""VICI, what strongSwan's daemon is configured and asked by: messages as
dicts of strings, lists and dicts, and the text of a swanctl.conf as one."""

from libcase import *

REQUEST, RESPONSE, UNKNOWN, REGISTER, UNREGISTER, CONFIRM, NO_EVENT, EVENT = range(8)
SECTION, SECTION_END, VALUE, LIST, ITEM, LIST_END = range(1, 7)

# Of a swanctl.conf: what has several values, separated by commas.
LISTS = set("""local_addrs remote_addrs proposals esp_proposals local_ts remote_ts
vips pools groups cert_policy""".split())


def short(text):
    return bytes([len(text)]) + text.encode()


def long(value):
    value = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack(">H", len(value)) + value


def pack(message):
    out = b""
    for name, value in message.items():
        if isinstance(value, dict):
            out += (bytes([SECTION]) + short(name) + pack(value)
                    + bytes([SECTION_END]))
        elif isinstance(value, (list, tuple)):
            out += bytes([LIST]) + short(name) + b"".join(
                bytes([ITEM]) + long(item) for item in value) + bytes([LIST_END])
        else:
            out += bytes([VALUE]) + short(name) + long(value)
    return out


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        self.at += length
        return self.data[self.at - length:self.at]

    def byte(self):
        return self.take(1)[0]

    def short(self):
        return self.take(self.byte()).decode()

    def long(self):
        length, = struct.unpack(">H", self.take(2))
        return self.take(length).decode(errors="replace")

    def items(self):
        while self.byte() == ITEM:
            yield self.long()

    def message(self):
        found = {}
        while self.at < len(self.data) and (kind := self.byte()) != SECTION_END:
            name = self.short()
            found[name] = (self.message() if kind == SECTION else
                           list(self.items()) if kind == LIST else self.long())
        return found


class Vici:
    """A connection; `with` closes it."""

    def __init__(self, path, seconds=PATIENCE):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(seconds)
        self.sock.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, kind, name, data=b""):
        packet = bytes([kind]) + short(name) + data
        self.sock.sendall(struct.pack(">I", len(packet)) + packet)

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            check(more, "the daemon closed its socket")
            data += more
        return data

    def receive(self):
        """What kind of packet, of which event, and what it says."""
        length, = struct.unpack(">I", self.read(4))
        reader = Reader(self.read(length))
        kind = reader.byte()
        name = reader.short() if kind == EVENT else None
        return kind, name, reader.message()

    def ask(self, command, message=None):
        """The answer, which has to be a good one."""
        return self.stream(command, message=message)[0]

    def stream(self, command, event=None, message=None):
        """The answer to a command and what the event told meanwhile."""
        if event:
            self.subscribe(event)
        self.send(REQUEST, command, pack(message or {}))
        told = []
        while True:
            kind, _, said = self.receive()
            if kind == EVENT:
                told.append(said)
                continue
            check_equal(kind, RESPONSE, f"{command}: the kind of answer")
            if said.get("success", "yes") != "yes":
                raise Failure(f"{command}: {said.get('errmsg', said)}")
            return said, told

    def subscribe(self, event):
        self.send(REGISTER, event)
        check_equal(self.receive()[0], CONFIRM, f"subscription to {event}")


# What a swanctl.conf holds

TOKEN = re.compile(r"""\s*(?:\#.*|(?P<end>\})|(?P<section>[^\s={}\#]+)\s*\{|
                   (?P<key>[^\s={}\#]+)\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\n\#}]*))""",
                   re.X)


def conf(text):
    """Sections as dicts, lists where VICI wants them."""
    stack = [{}]
    at, text = 0, text.strip()
    while at < len(text):
        token = TOKEN.match(text, at)
        check(token and token.end() > at, f"swanctl.conf: {text[at:at + 40]!r}")
        at = token.end()
        if token["end"]:
            stack.pop()
        elif token["section"]:
            stack.append(stack[-1].setdefault(token["section"], {}))
        elif name := token["key"]:
            value = token["value"].strip()
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            stack[-1][name] = ([item.strip() for item in value.split(",")]
                               if name in LISTS else value)
    check_equal(len(stack), 1, "swanctl.conf: sections left open")
    return stack[0]
