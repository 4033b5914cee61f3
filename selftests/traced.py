#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The trace event of a drop says why by name, whose packets and how many, as
the counters have it; what the kernel itself has a reason for, it is told."""

import functools

import yaml

from lib import *
from libbad import *
from libprobe import *

DROP = "bhsec/bhsec_drop"
FREE = "skb/kfree_skb"
Drop = collections.namedtuple("Drop", "dev peer spi direction cause count")

a, b = Ns("a"), Ns("b")
link = veth(a, b)
for ns in a, b:
    link.know_other_end(ns)
t = tunnel_xfrm(a, b, link)
away, lost, around = t.new_sa(), t.new_sa(), t.new_sa()
a.bhsec("peer add bh0 idle selectors 10.9.0.0/24\n"
        "peer add bh0 away selectors 10.7.0.0/24\n"
        "peer add bh0 lost selectors 10.6.0.0/24 endpoint 203.0.113.77:4500\n"
        "peer add bh0 round selectors 10.5.0.0/24 endpoint 10.8.0.9:4500\n"
        + away.bhsec("bh0", "away", "out") + lost.bhsec("bh0", "lost", "out")
        + around.bhsec("bh0", "round", "out"))
# All that goes by the device; a link that goes down loses them.
ROUTES = "".join(f"route add 10.{n}.0.0/24 dev bh0\n" for n in range(5, 10))
a.ip(ROUTES)
door = a.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
wire = Wire(t)
need_probes()
seqs = itertools.count(1)


@contextlib.contextmanager
def traced(event):
    """A function that returns the event's lines since."""
    def lines():
        with open(f"{TRACING}/trace", encoding="ascii") as trace:
            return [line for line in trace
                    if f" {event.partition('/')[2]}: " in line]
    empty("trace")
    write(f"events/{event}/enable", "1")
    try:
        yield lines
    finally:
        write(f"events/{event}/enable", "0")


def drops(lines):
    found = []
    for line in lines:
        match = re.search(r": dev=(\S*) peer=(\S*) spi=0x(\w{8}) direction=(in|out) "
                          r"cause=(\S+) count=(\d+)$", line)
        check(match, line)
        found.append(Drop(match[1], match[2], int(match[3], 16), match[4],
                          match[5], int(match[6])))
    return found


def counted(cause):
    """By whose it is: device and peer."""
    if cause == "no_sa":
        return {("", ""): a.no_sa("bh0")}
    return {**{("bh0", peer): stats[cause]
               for peer, stats in a.all_stats("bh0").items()},
            ("bh0", ""): a.own_stats("bh0")[cause]}


def wait_moved(cause, before, count=1):
    wait_for(lambda: sum(counted(cause).values()) >= sum(before.values()) + count,
             what=cause)


def out(to):
    """What a sends by the device, from an address of its own."""
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.a_inner4, 0))
        with contextlib.suppress(OSError):
            sock.sendto(b"x", (to, SINK_PORT))


def good():
    return seal_packet(t.in_, next(seqs), inner_of(t))


def bad(event):
    """What RFC 4303 audits; how many they are."""
    rows = audited(t, seqs)
    if event == "replay":
        wire.send(rows[0][2])
    sent = [(esp, how) for name, _, esp, how in rows if name == event]
    for esp, how in sent:
        wire.send(esp, **how)
    return len(sent)


def stray():
    wire.send(struct.pack("!II", 0x4242, 7) + bytes(60))


def dummy():
    wire.send(seal(t.in_, next(seqs), bytes(20) + trailer(20, 59)))


def while_down():
    before = counted("down")
    a.ip("link set bh0 down\n")
    wire.send(good())
    wait_moved("down", before)
    a.ip(f"link set bh0 up\n{ROUTES}")


def too_big():
    """By a packet socket, which asks nobody for an MTU."""
    door.sendto(udp(t.a_inner4, t.b_inner4, 9, SINK_PORT,
                    bytes(t.inner_max + 1 - 28)), (t.dev, ETH_P_IP))


def no_route():
    out("10.6.0.1")


AUDITED = "auth replay malformed selector padding encap".split()
# How each cause comes about; whose it is, and which way.
CAUSES = {
    **{event: (functools.partial(bad, event), ("bh0", "b", t.spi_in, "in"))
       for event in AUDITED},
    "no_sa": (stray, ("", "", 0x4242, "in")),
    "dummy": (dummy, ("bh0", "b", t.spi_in, "in")),
    "down": (while_down, ("bh0", "b", t.spi_in, "in")),
    "no_key": (lambda: out("10.9.0.1"), ("bh0", "idle", 0, "out")),
    "no_peer": (lambda: out("10.8.0.1"), ("bh0", "", 0, "out")),
    "no_endpoint": (lambda: out("10.7.0.1"), ("bh0", "away", away.spi, "out")),
    "no_route": (no_route, ("bh0", "lost", lost.spi, "out")),
    "loop": (lambda: out("10.5.0.1"), ("bh0", "round", around.spi, "out")),
}


@case("the module has a name for each cause, as the specification")
def _():
    def read(name):
        with open(f"{SOURCE['kmod']}/{name}", encoding="utf-8") as file:
            return file.read()
    stats, = (one for one in yaml.safe_load(read("bhsec.yaml"))["attribute-sets"]
              if one["name"] == "stats")
    names = [one["name"].replace("-", "_") for one in stats["attributes"]]
    found = re.findall(r'\[BHSEC_A_STATS_(\w+)\] = "(\w+)"', read("stats.c"))
    check_equal(found, [(name.upper(), name)
                        for name in names[names.index("no_sa"):]], "causes")


def told(cause):
    provoke, whose = CAUSES[cause]
    before = counted(cause)
    with traced(DROP) as lines:
        count = provoke() or 1
        wait_moved(cause, before, count)

        def seen():
            return [drop for drop in drops(lines()) if drop.cause == cause]
        # The event comes behind the counter.
        wait_for(lambda: sum(drop.count for drop in seen()) >= count,
                 what=lambda: f"{count} in {lines()}")
        check_equal({drop[:4] for drop in seen()}, {whose}, "whose")
        check_equal((sum(drop.count for drop in seen()),
                     counted(cause)[whose[:2]]),
                    (count, before[whose[:2]] + count), "packets")


for each in CAUSES:
    add_case(f"{each}: whose packets, and how many", told, each)


@case("a packet of many segments counts as many")
def _():
    before = counted("no_key")
    with traced(DROP) as lines, a.socket(socket.AF_INET, socket.SOCK_DGRAM,
                                         keep=False) as sock:
        sock.bind((t.a_inner4, 0))
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 100)
        with contextlib.suppress(OSError):
            sock.sendto(bytes(700), ("10.9.0.1", SINK_PORT))
        wait_moved("no_key", before, 7)
        wait_for(lines, what="an event")
        check_equal([drop.count for drop in drops(lines())], [7], "packets")


def reason(cause, provoke, word):
    """It is freed behind its counter."""
    before = counted(cause)
    with traced(FREE) as lines:
        provoke()
        wait_moved(cause, before)
        wait_for(lambda: any(line.rstrip().endswith(f"reason: {word}")
                             for line in lines()),
                 what=lambda: f"{word} in {lines()}")


for each, provoked, said in (("selector", lambda: bad("selector"), "XFRM_POLICY"),
                             ("down", while_down, "DEV_READY"),
                             ("too_big", too_big, "PKT_TOO_BIG"),
                             ("no_route", no_route, "IP_OUTNOROUTES")):
    add_case(f"{each}: the kernel's own reason", reason, each, provoked, said)

main()
