# SPDX-License-Identifier: GPL-2.0
"""A steady stream that knows of each datagram whether it arrived once."""

import contextlib
import errno

from lib import *

IN_FLIGHT = 64
FLOW_PORT = 7100
# Traffic leaves the guest's two CPUs some time for what is done meanwhile.
PAUSE = 0.001


class Flow:
    """Numbered datagrams one way, some of them always on the way.

    xfrm drops a datagram whose state is deleted under it. Where it tells the
    sender, it goes again; one that it drops in silence and counts is its own
    loss and no other's.
    """

    def __init__(self, src, dst, source, address, over_xfrm=False,
                 port=FLOW_PORT):
        self.name = f"{source} to {address}"
        self.sent, self.over_xfrm = 0, over_xfrm
        self.seen, self.drained_to = {}, 0
        self.src, self.again = src, 0
        self.dropped_before = self.xfrm_drops()
        self.over = threading.Event()       # nothing more is sent
        self.counted = threading.Event()    # .sent is final
        self.rx = dst.socket(family_of(address), socket.SOCK_DGRAM)
        self.rx.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.rx.settimeout(0.1)
        self.rx.bind((address, port))
        self.tx = src.socket(family_of(address), socket.SOCK_DGRAM)
        self.tx.bind((source, 0))
        self.tx.connect((address, port))
        self.moved = threading.Semaphore(IN_FLIGHT)
        self.error = None
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self.receive, self.send)]
        for thread in self.threads:
            thread.start()

    def send(self):
        try:
            while not self.over.is_set():
                if self.moved.acquire(timeout=0.1):
                    self.send_one()
                    self.sent += 1
                    time.sleep(PAUSE)
        except OSError as error:
            self.error = error

    def send_one(self):
        data = struct.pack(">Q", self.sent) + bytes(92)
        try:
            self.tx.send(data)
        except OSError as error:
            if error.errno != errno.EINVAL or not self.over_xfrm:
                raise
            self.again += 1
            self.tx.send(data)

    def xfrm_drops(self):
        """By the sender's own kernel."""
        return self.over_xfrm and sum(
            count for name, count in self.src.xfrm_stat().items()
            if name.startswith("XfrmOut"))

    def excused(self):
        """How many may be missing."""
        return max(0, self.xfrm_drops() - self.dropped_before - self.again)

    def receive(self):
        patience = time.monotonic() + PATIENCE
        while not (self.counted.is_set()
                   and len(self.seen) + self.excused() >= self.sent):
            try:
                number = struct.unpack_from(">Q", self.rx.recv(2048))[0]
                patience = time.monotonic() + PATIENCE
            except TimeoutError:
                if self.counted.is_set() and time.monotonic() > patience:
                    return
                continue
            except OSError:
                return      # closed, for the case has failed
            self.seen[number] = self.seen.get(number, 0) + 1
            self.moved.release()

    def alive(self):
        check(self.error is None, f"the sender was refused: {self.error}")

    def drained(self):
        """What was sent by now has arrived, and the next ones too."""
        goal = self.sent + 10
        def all_came():
            self.alive()
            while self.drained_to in self.seen:
                self.drained_to += 1
            missing = [n for n in range(self.drained_to, goal + 1)
                       if n not in self.seen]
            return len(missing) <= self.excused()
        wait_for(all_came, what=lambda: f"datagram "
                 f"{self.drained_to} of {goal} from {self.name}")

    def close(self):
        """Also of one that a case left behind when it failed."""
        for event in self.over, self.counted:
            event.set()
        for sock in self.tx, self.rx:
            sock.close()
        for thread in self.threads:
            thread.join()

    def stop(self):
        sender, receiver = self.threads[1], self.threads[0]
        self.over.set()
        sender.join()
        self.counted.set()
        receiver.join()
        self.close()
        self.alive()
        missing = [n for n in range(self.sent) if n not in self.seen]
        twice = [n for n, count in self.seen.items() if count > 1]
        check(len(missing) <= self.excused(),
              f"{len(missing)} of {self.sent} from {self.name} "
              f"lost: {missing[:9]}")
        check(not twice, f"{len(twice)} from {self.name} arrived twice: "
                         f"{twice[:9]}")


@contextlib.contextmanager
def all_arrives(*flows):
    """Of each flow, once what is done meanwhile is over."""
    try:
        yield
        for flow in flows:
            flow.drained()
            flow.stop()
    finally:
        for flow in flows:
            flow.close()
