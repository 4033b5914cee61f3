# SPDX-License-Identifier: GPL-2.0
"""A stand-in for an IKE daemon at strongSwan's control socket, where the tool
looks for it: a few lines of Python that answer as a test wants.

    with Standin(lambda conn: ...) as daemon:
        ...
    with Connections({"bhsec-bh0-a"}) as daemon:
        ...
        daemon.told()
"""

from libvici import *

CONTROL = "/run/charon.vici"
# Where requests have the name of a connection that is not all of them.
NAMES = {"unload-conn": "name", "terminate": "ike"}


def packet(kind, body=b""):
    return struct.pack(">IB", 1 + len(body), kind) + body


def hear(conn):
    size, = struct.unpack(">I", conn.recv(4, socket.MSG_WAITALL))
    return conn.recv(size, socket.MSG_WAITALL)


class Standin:
    """Answers whoever connects, one after the other, and counts them."""

    def __init__(self, answer):
        self.answer, self.connections, self.errors = answer, 0, []
        self.over = threading.Event()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(CONTROL)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(CONTROL)
        os.chmod(CONTROL, 0o770)
        self.sock.listen(3)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            conn = self.sock.accept()[0]
            if self.over.is_set():
                return
            self.connections += 1
            with conn:
                try:
                    self.answer(conn)
                except Failure as error:
                    self.errors.append(str(error))
                except OSError:
                    pass    # it was left

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(CONTROL)
        self.thread.join()
        self.sock.close()
        os.unlink(CONTROL)
        check(not self.errors, self.errors)


def name_in(command, message):
    """Of the connection that a request is about."""
    return message[NAMES[command]] if command in NAMES else next(iter(message))


class Connections(Standin):
    """Takes and lets go of connections as a daemon does. What is in refuses,
    {name: reason}, it does not take; at what is in leaves it hangs up."""

    def __init__(self, names):
        self.names, self.requests = set(names), []
        self.refuses, self.leaves = {}, set()
        super().__init__(self.converse)

    def converse(self, conn):
        while (start := conn.recv(4, socket.MSG_WAITALL)):
            reader = Reader(conn.recv(struct.unpack(">I", start)[0],
                                      socket.MSG_WAITALL))
            check_equal(reader.byte(), REQUEST, "what it is told")
            command, message = reader.short(), reader.message()
            if command in self.leaves:
                return
            conn.sendall(packet(RESPONSE, pack(self.do(command, message))))

    def do(self, command, message):
        if command == "get-conns":
            return {"conns": sorted(self.names)}
        self.requests.append((command, message))
        name = name_in(command, message)
        if name in self.refuses:
            return {"success": "no", "errmsg": self.refuses[name]}
        if command == "load-conn":
            self.names.add(name)
        elif command == "unload-conn":
            self.names.remove(name)
        return {"success": "yes"}

    def told(self):
        """Commands and names of connections since the last time."""
        told = [(command, name_in(command, message))
                for command, message in self.requests]
        self.requests.clear()
        return told
