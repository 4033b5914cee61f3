# SPDX-License-Identifier: GPL-2.0
"""A tunnel in each family whose datagrams come to a one by one, as by a card
that does not segment, and which door a opens them at."""

from lib import *
from libesp import *
from libnetlink import SPEC

DOORS = next(d["entries"] for d in SPEC["definitions"] if d["name"] == "door")
EARLY, EXACTLY = "early", 20
FAMILIES = 4, 6

a, b = Ns("a"), Ns("b")


def by_card():
    """A link over which datagrams come to a by GRO."""
    made = veth(a, b)
    # veth leaves GRO out where what it received could have been one packet.
    a.run(f"ethtool -K {made.if_a} gro on")
    b.run(f"ethtool -K {made.if_b} tso off")
    b.ip(f"link set {made.if_b} gso_max_segs 1\n")
    for ns in a, b:
        made.know_other_end(ns)
    a.sysctl({f"ipv4/conf/{name}/rp_filter": 0 for name in ("all", made.if_a)})
    return made


link, aside = by_card(), by_card()
dev = link.if_a
by_family = dict(zip(FAMILIES, tunnels(a, b, link, [{}, {"family": 6}],
                                       "bhsec")))
udp_sink(a)


def doors():
    """Which way the last datagram of each family went."""
    device, = a.nl.do("dev-get", ifname="bh0")
    return {f: door_name(DOORS[device[f"door{f}"]]) for f in FAMILIES}


def door_name(entry):
    return entry["name"] if isinstance(entry, dict) else entry


def received():
    stats = a.all_stats("bh0")
    return {f: stats[t.peer]["rx_packets"] for f, t in by_family.items()}


class Traffic:
    """One datagram after the other in each tunnel. Each has another class than
    the one before and is of the same flow: no two of them could be put
    together."""

    def __init__(self):
        self.socks = [self.sender(t) for t in by_family.values()]
        self.begun = 0
        self.lost = dict.fromkeys(FAMILIES, 0)

    @staticmethod
    def sender(t):
        sock = b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((t.b_inner4, 0))
        sock.connect((t.a_inner4, SINK_PORT))
        return sock

    def one(self):
        self.begun += 1
        for sock in self.socks:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 8 * (self.begun & 1))
            try:
                sock.send(b"datagram")
            except OSError:
                pass    # of an ICMP error about an earlier one

    def exactly(self, count=EXACTLY):
        for _ in range(count):
            self.one()

    def count_own(self, f, count=1):
        """What a case has sent besides."""
        self.lost[f] -= count

    def delivered(self):
        """Of each family, if none is lost any more."""
        return {f: self.begun - self.lost[f] for f in FAMILIES}

    def all_arrive(self):
        try:
            wait_for(lambda: received() == self.delivered())
        except Failure:
            check_equal(received(), self.delivered(), "datagrams received")

    def leaves(self, ways):
        """b's routes to a are no more, and what took them has arrived."""
        b.ip("".join(f"route del {way}\n" for way in ways))
        self.exactly(1)
        self.all_arrive()

    def forget(self):
        """What has not come was to be lost."""
        self.lost = {f: self.begun - n for f, n in received().items()}


traffic = Traffic()


def all_early():
    """Each case begins and ends like this."""
    traffic.exactly()
    traffic.all_arrive()
    check_equal(doors(), dict.fromkeys(FAMILIES, EARLY), "doors")
