# SPDX-License-Identifier: GPL-2.0
"""The flow hash that a packet has on this host: what a fair queue, which asks
for it in the same way, tells flows apart by."""

import mmap

from libtraffic import *

SOL_PACKET, PACKET_RX_RING, PACKET_VERSION, TPACKET_V3 = 263, 5, 10, 2
FILL_RXHASH = 1
BLOCK, BLOCKS, FRAME = 1 << 17, 32, 2048
RETIRE = 20     # ms
STATUS, COUNT, FIRST = 8, 12, 16            # struct tpacket_block_desc
KERNEL, USER = 0, 1


class Hashes:
    """Pairs of flow hash and frame of what leaves by an interface."""

    def __init__(self, ns, ifname):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, keep=False)
        self.sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        self.sock.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
            "=7I", BLOCK, BLOCKS, FRAME, BLOCK * BLOCKS // FRAME, RETIRE, 0,
            FILL_RXHASH))
        self.ring = mmap.mmap(self.sock.fileno(), BLOCK * BLOCKS)
        self.sock.bind((ifname, ETH_P_ALL))
        self.block, self.pairs = 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ring.close()
        self.sock.close()

    def seen(self):
        """All of them until now, or almost: a block is shown when it is full,
        or some time after its first frame."""
        while self.word(self.block + STATUS) & USER:
            self.read(self.block)
            struct.pack_into("=I", self.ring, self.block + STATUS, KERNEL)
            self.block = (self.block + BLOCK) % (BLOCK * BLOCKS)
        return self.pairs

    def word(self, offset):
        return struct.unpack_from("=I", self.ring, offset)[0]

    def read(self, block):
        at = block + self.word(block + FIRST)
        for _ in range(self.word(block + COUNT)):
            after, _, _, length, _, _, mac, _, flow_hash = struct.unpack_from(
                "=6I2HI", self.ring, at)        # struct tpacket3_hdr
            frame = self.ring[at + mac:at + mac + length]
            self.pairs.append((flow_hash, frame))
            at += after
