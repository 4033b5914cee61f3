#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Back-pressure: the sender's socket is charged for its datagrams until they
have left the host, so that a full queue of the underlay stops the sender."""

import termios

from lib import *

SIZE, SEGMENTS = 1000, 10
# A socket's buffer holds fewer of them, whatever each is charged with.
MANY = 200
SNDBUF = 32768
HELD = 8 << 20              # bytes that the plug takes

a, b = Ns("a"), Ns("b")
link = veth(a, b)
for ns in a, b:
    link.know_other_end(ns)
udp_sink(b)
made = tunnels(a, b, link, ALL_WAYS)


def owed(sock):
    """Bytes that the socket is charged with."""
    return struct.unpack("=i", fcntl.ioctl(sock, termios.TIOCOUTQ,
                                           bytes(4)))[0]


class Plugged:
    """Nothing leaves by the underlay's device until release()."""

    def tc(self, words):
        a.run(f"tc qdisc {words}")

    def __enter__(self):
        self.tc(f"add dev {link.if_a} root handle 1: plug limit {HELD}")
        return self

    def release(self):
        self.tc(f"change dev {link.if_a} root handle 1: plug "
                "release_indefinite")

    def __exit__(self, *_):
        self.tc(f"del dev {link.if_a} root")


def send_many(sock):
    """Until the socket takes no more; how many it took."""
    for count in range(MANY):
        try:
            sock.send(bytes(SIZE), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return count
    raise Failure(f"{MANY} were taken, {owed(sock)} bytes are owed")


def sealed(t, send, count):
    """All of them have come to the underlay."""
    before = t.stats()
    send()
    moved = wait_counted(t.stats, before, count)
    check_equal(moved.get("tx_packets"), count, "tx_packets")


def charged(t, inner):
    """From the first one on, and no more when the last one has left."""
    with a.socket(family_of(t.inner("b", inner)), socket.SOCK_DGRAM,
                  keep=False) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SNDBUF)
        sock.bind((t.inner("a", inner), 0))
        sock.connect((t.inner("b", inner), SINK_PORT))
        with Plugged() as plug:
            sealed(t, lambda: sock.send(bytes(SIZE)), 1)
            check(owed(sock) >= SIZE, f"{owed(sock)} bytes are owed for one")
            send_many(sock)
            plug.release()
            wait_for(lambda: owed(sock) == 0, what=lambda: "nothing owed, "
                     f"but {owed(sock)}")


def where_it_is(t):
    """Nobody else holds the packet: it becomes the datagram."""
    for inner in 4, 6:
        charged(t, inner)


def copied(t):
    """A capture holds it, too: the datagram is another one."""
    capture = Capture(a, t.dev)
    try:
        where_it_is(t)
    finally:
        capture.stop()


def at_once(t):
    """Many in one packet of the stack, the last one as well as the first."""
    for inner in 4, 6:
        with a.socket(family_of(t.inner("b", inner)), socket.SOCK_DGRAM,
                      keep=False) as sock, Plugged() as plug:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SIZE)
            sock.bind((t.inner("a", inner), 0))
            sock.connect((t.inner("b", inner), SINK_PORT))
            sealed(t, lambda: sock.send(bytes(SIZE * SEGMENTS)), SEGMENTS)
            check(owed(sock) >= SIZE * SEGMENTS, f"{owed(sock)} bytes are owed")
            plug.release()
            wait_for(lambda: owed(sock) == 0, what=lambda: "nothing owed, "
                     f"but {owed(sock)}")


CASES = [("a datagram that its packet becomes", where_it_is),
         ("one that is built beside its packet", copied),
         ("many in one packet", at_once)]
for t in made:
    for description, function in CASES:
        add_case(f"{t.encap} over IPv{t.family}: {description} is charged",
                 function, t)

main()
