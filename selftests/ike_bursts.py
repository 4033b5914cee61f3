#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Receive batches on the port of an IKE daemon: where the underlay's device has
rx-gro-list, what comes in by that port walks the stack as one. Each datagram of
it is opened once, and IKE reaches the daemon from their midst."""

import contextlib

from libsites import *
from libstream import *

SIZES = 0, 100, 1300
LENGTH, BURST = 700, 32
DPDS, REKEYS = 3, 4
# A message that is lost is sent again, but not for being late.
PATIENT = "retransmit_timeout = 20\n"

ca = Authority("operator")
controller = Controller("ctl", ca)
station = Station("bs", controller, ca.certify("bs.example"), "bhsec", "udp",
                  more="dpd_delay = 1s")
serve(controller, station)
for site, dev in ((controller, station.link.if_a), (station, station.link.if_b)):
    # What leaves by one end is put together at the other: what was sent within
    # 20 ms leaves at once, as by a link that is shared with others.
    site.ns.run(f"ethtool -K {dev} tx-udp-segmentation off tso off")
    site.ns.run(f"tc qdisc add dev {dev} root netem slot 20ms 20ms")
    site.ns.run(f"ethtool -K {dev} gro on rx-gro-list on")


class Bursts(Flow):
    """As fast as they are taken, many in one call."""

    def send(self):
        self.tx.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, LENGTH)
        try:
            while not self.over.is_set():
                if self.may_go():
                    self.tx.send(b"".join(
                        struct.pack(">Q", n) + bytes(LENGTH - 8)
                        for n in range(self.sent, self.sent + BURST)))
                    self.sent += BURST
        except OSError as error:
            self.error = error

    def may_go(self):
        for _ in range(BURST):
            while not self.moved.acquire(timeout=0.1):
                if self.over.is_set():
                    return False
        return True


class Batches(list):
    """Of the frames that are appended, the lengths of those that are many."""

    def append(self, frame):
        if len(frame) > 2 * LENGTH:
            super().append(len(frame))


def joined(version):
    start(version, controller, station, extra=PATIENT)
    station.join()
    talk(station, SIZES)


def asks_for_gro():
    """By UDP_GRO, and xfrm's own then looks at each datagram by itself."""
    return station.daemon.version == "6.1"


@contextlib.contextmanager
def bursts(*ways):
    """Each from one to another, where most have come with others in the end."""
    flows, captures = [], []
    for port, (source, target, dev) in enumerate(ways, FLOW_PORT):
        captures.append(Capture(target.ns, dev, outgoing=False))
        captures[-1].frames = Batches()
        flows.append(Bursts(source.ns, target.ns, source.inner4, target.inner4,
                            port=port))
    try:
        yield flows
        for flow in flows:
            flow.drained()
            flow.stop()
        for flow, capture in zip(flows, captures):
            batches = capture.stop()
            ksft.print_msg(f"{flow.sent} datagrams, {len(batches)} batches")
            check(sum(batches) > flow.sent * LENGTH / 2 or asks_for_gro(),
                  "most came one by one")
    finally:
        for flow in flows:
            flow.close()


def said(site, what):
    with open(f"{site.daemon.run}/log", errors="replace") as log:
        return sum(what in line for line in log)


def none_again():
    for site in controller, station:
        check_equal(said(site, "retransmit "), 0,
                    f"messages that {site.ns.label} sent again")


def asked_for_life():
    """It hears nothing, so it asks, and is answered."""
    asked, answered = "sending DPD request", "parsed INFORMATIONAL response"
    before = said(station, asked), said(station, answered)
    with bursts((station, controller, station.link.if_a)):
        wait_for(lambda: said(station, asked) >= before[0] + DPDS
                 and said(station, answered) >= before[1] + DPDS,
                 what=f"{DPDS} answers")
    none_again()


def rekeyed():
    """By each end, the other way full too."""
    with bursts((station, controller, station.link.if_a),
                (controller, station, station.link.if_b)) as flows:
        for n in range(REKEYS):
            if n % 2:
                controller.daemon.rekey(child="data")
            else:
                station.daemon.rekey(child=station.name)
            for flow in flows:
                flow.drained()
    talk(station, SIZES)
    none_again()


for version in versions():
    add_case(f"strongSwan {version}: a station joins", joined, version)
    add_case(f"strongSwan {version}: asked whether it lives while all is full",
             asked_for_life)
    add_case(f"strongSwan {version}: CHILD_SAs rekeyed while all is full",
             rekeyed)
    add_case(f"strongSwan {version}: all end", end, controller, station)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
