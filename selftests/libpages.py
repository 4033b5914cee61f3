# SPDX-License-Identifier: GPL-2.0
"""Memory that somebody else holds, and whether it is as it was."""

import mmap
import os
import socket
import tempfile

from lib import ETH_P_ALL, SO_RCVBUFFORCE, check


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
