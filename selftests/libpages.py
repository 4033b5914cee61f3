# SPDX-License-Identifier: GPL-2.0
"""Memory that somebody else holds, and whether it is as it was; ESP that no
implementation has sealed, from a socket at a tunnel's far end."""

import mmap
import tempfile

from lib import *
from libesp import *

made_up, numbers = {}, {}


def add_inbound(ns, made):
    """SAs of their own: xfrm at b counts for itself on those it sends by."""
    for t in made:
        made_up[t], numbers[t] = t.new_sa(), itertools.count(1)
    ns.bhsec("".join(sa.bhsec(t.dev, t.peer, "in") for t, sa in made_up.items()))


def incoming(t, family=4, size=900, to=None, port=SINK_PORT):
    """An inner packet from behind b, and its ESP."""
    inner = udp(t.inner("b", family), to or t.inner("a", family), 7, port,
                secrets.token_bytes(size))
    return inner, seal_packet(made_up[t], next(numbers[t]), inner)


def sender(t):
    """A socket at b whose datagrams are the tunnel's ESP, for a to open."""
    family = family_of(t.a_outer)
    if t.encap == "esp":
        sock = t.b.socket(family, socket.SOCK_RAW, IPPROTO_ESP)
        sock.connect((t.a_outer, 0))
    else:
        sock = t.b.socket(family, socket.SOCK_DGRAM)
        sock.connect((t.a_outer, t.port))
    return sock


def delivered(t, send, inners):
    """What is sent is opened and reaches the device, all of it."""
    capture = Capture(t.a, t.dev, outgoing=False)
    before = t.stats()
    send()
    check_equal(wait_counted(t.stats, before, len(inners)), {
        "rx_packets": len(inners), "rx_bytes": sum(map(len, inners))},
        "counters")
    check_packets(capture.stop(len(inners)), inners)


def with_file(content):
    """In a tmpfs or not: what sendfile sends are the pages of its cache."""
    file = tempfile.TemporaryFile()
    file.write(content)
    file.flush()
    return file


def unchanged(file, content):
    """As every reader and every mapping of it sees it now."""
    check(os.pread(file.fileno(), len(content) + 1, 0) == content,
          "the file reads otherwise than it was written")
    with mmap.mmap(file.fileno(), len(content), prot=mmap.PROT_READ) as view:
        check(view[:] == content, "the file's mapping has changed")


class Late:
    """A packet socket that is read only when all is over: until then its
    packets are clones, which share their bytes with those on their way."""

    def __init__(self, ns, ifname):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.sock.bind((ifname, ETH_P_ALL))
        self.sock.setblocking(False)

    def frames(self):
        seen = []
        try:
            while True:
                seen.append(self.sock.recv(65536))
        except BlockingIOError:
            return seen


def all_among(wanted, frames, where):
    """Each of the packets is there, as the end of a frame or on its own."""
    for packet in wanted:
        check(any(packet in frame for frame in frames),
              f"a packet is not as it was {where}")
