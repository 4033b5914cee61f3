#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What the path says: an ICMP error about a packet to a peer is counted there
by its kind and told, with the address of who sent it, if SPI and endpoint are
those of an SA. What the path of real packets says is heard, too."""

from libbound import *
from libesp import *

OUT = 1
SEQ = 7
EVENTS_PER_SECOND, FLOOD = 20, 60
# (type, code) of each kind: RFC 792, RFC 1812 5.2.7.1; RFC 4443 3.
KINDS = {
    4: {"port": [(3, 2), (3, 3)],
        "host": [(3, 1), (3, 7), (3, 8), (3, 12)],
        "net": [(3, 0), (3, 5), (3, 6), (3, 11)],
        "prohibited": [(3, 9), (3, 10), (3, 13), (3, 14), (3, 15)],
        "too-big": [(3, 4)]},
    6: {"port": [(1, 4), (4, 1)],
        "host": [(1, 3)],
        "net": [(1, 0), (1, 2)],
        "prohibited": [(1, 1), (1, 5), (1, 6)],
        "too-big": [(2, 0)]},
}
# Time exceeded, and a header that is wrong.
OTHERS = {4: [(11, 0), (12, 0)], 6: [(3, 0), (4, 0)]}
MTU = 1400
# Of an IKE daemon, beside the device's own.
DAEMON_PORT = 4510

a, r, b = (Ns(name) for name in "arb")
path = Path(a, r, b)
made = tunnels(a, b, path, ALL_WAYS)
bound = [Bound(a, b, path, n=n, dev="bh1", port=DAEMON_PORT, **way)
         for n, way in enumerate(ALL_WAYS, len(made))]
install_bound(bound)
for ns in a, r:
    path.near.know_other_end(ns)
# What is sent after a packet comes after it, where one CPU sends both.
os.sched_setaffinity(0, {0})


def counts(t):
    peer, = a.nl.do("peer-get", ifname=t.dev, name=t.peer)
    return peer["icmp"]


def error(t, kind, about):
    """An ICMP message from the router to a."""
    info = MTU if kind in ((3, 4), (2, 0)) else 0
    return icmp_error(path.near.address(r, t.family), t.a_outer, kind, about,
                      info)


def send(t, kind, **other):
    Wire(made[0], path.near).send_ip(error(t, kind, quoted(t, seq=SEQ, **other)))


def moved(before, t, count):
    """What the peer counts more, once that is so much."""
    def now():
        found = difference(before, counts(t))
        return sum(found.values()) >= count and found
    return wait_for(now, what=f"{count} errors counted")


def listener():
    nl = Genl(a)
    nl.join("events")
    return nl


def each_kind(t):
    nl = listener()
    for kind, codes in KINDS[t.family].items():
        before = counts(t)
        for code in codes:
            send(t, code)
        check_equal(moved(before, t, len(codes)), {kind: len(codes)}, "counts")
        for code in codes:
            check_equal(nl.event(PATIENCE), {
                "event": EVENTS.index(f"icmp-{kind}"),
                "ifindex": a.ifindex(t.dev), "ifname": t.dev, "peer": t.peer,
                "direction": OUT, "spi": t.spi_out, "seq": SEQ,
                "src": address(t.a_outer),
                "dst": address(t.b_outer),
                "from": address(path.near.address(r, t.family)),
                "suppressed": 0}, f"event of {code}")
    check_equal(nl.event(0), None, "one more event")


def fresh_second():
    """The limit's second ends, whoever began it."""
    time.sleep(1.1)


def no_proof(t):
    """Neither what others may have sent nor what says something else."""
    # A neighbour that is given up says so of all the packets that wait for it.
    fresh_second()
    before, nl = counts(t), listener()
    refused = KINDS[t.family]["host"][0]
    send(t, refused, spi=new_spi())
    send(t, refused, spi=t.spi_in)
    send(t, refused, dst=path.far.address(r, t.family))
    if t.encap == "udp":    # eight bytes behind the IP header hold no SPI
        head = 28 if t.family == 4 else 48
        Wire(made[0], path.near).send_ip(error(t, refused, quoted(t)[:head]))
    for other in OTHERS[t.family]:
        send(t, other)
    send(t, refused)
    check_equal(moved(before, t, 1), {"host": 1}, "counts")
    check_equal(nl.event(PATIENCE)["seq"], SEQ, "the event of the last one")
    check_equal(nl.event(0), None, "one more event")


def of_a_daemon(t):
    """In UDP they are its socket's: what README says."""
    if t.encap == "esp":
        fresh_second()
        each_kind(t)
        return
    control, = (other for other in bound
                if (other.encap, other.family) == ("esp", t.family))
    before = counts(t), counts(control)
    for codes in KINDS[t.family].values():
        send(t, codes[0])
    send(control, KINDS[t.family]["port"][0])
    moved(before[1], control, 1)
    check_equal(counts(t), before[0], "counts")


def flood(t):
    """All are counted, so many are told, and how many were not."""
    nl, seen, code = listener(), [], KINDS[t.family]["port"][0]

    def told():
        seen.extend(iter(lambda: nl.event(0), None))
        return len(seen) + sum(event["suppressed"] for event in seen)
    fresh_second()
    before, begin = counts(t), time.monotonic()
    for _ in range(FLOOD):
        send(t, code)
    check_equal(moved(before, t, FLOOD), {"port": FLOOD}, "counts")
    seconds = int(time.monotonic() - begin + 0.1) + 1     # jiffies lag
    fresh_second()
    send(t, code)
    wait_for(lambda: told() >= FLOOD + 1, what="events")
    check_equal(told(), FLOOD + 1, "events and suppressed ones")
    check(len(seen) - 1 <= EVENTS_PER_SECOND * seconds,
          f"{len(seen) - 1} events within {seconds} s")


def shown(t):
    peer = a.peer(t.dev, t.peer)
    wanted = {f"icmp_{kind}".replace("-", "_"): value
              for kind, value in counts(t).items()}
    check_equal(peer["icmp"], wanted, "JSON")
    words = a.cli("show", t.dev, "peer", t.peer).stdout.split()
    text = {words[n]: int(words[n + 1]) for n, word in enumerate(words)
            if word.startswith("icmp_")}
    check_equal(text, {name: value for name, value in wanted.items() if value},
                "text")
    check(text, "no error at all")


def real(t, kind, wanted=None):
    """Packets of the tunnel's own, and who says what."""
    monitor, before = Monitor(a), counts(t)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        def said():
            sock.sendto(b"x", (t.b_inner4, SINK_PORT))
            return monitor.of(t.spi_out)
        event = wait_for(said, what="an event")[0]
    source = wanted or path.near.address(r, t.family)
    check_equal((event["event"], event["from"], event["dst"]),
                (f"icmp_{kind}", source, a_endpoint(t)), "event, sender, dst")
    check_equal(set(difference(before, counts(t))), {kind}, "kinds counted")


def a_endpoint(t):
    """Where the peer is, without its port."""
    peer, = a.nl.do("peer-get", ifname=t.dev, name=t.peer)
    return str(ipaddress.ip_address(peer["endpoint-addr"]))


def by_route(t, route, kind):
    """A router that has no way, or a firewall's."""
    length = 32 if t.family == 4 else 128
    r.ip(f"route add {route} {t.b_outer}/{length}\n")
    try:
        real(t, kind)
    finally:
        r.ip(f"route del {route} {t.b_outer}/{length}\n")


def elsewhere(t, addr, kind, source):
    a.cli("peer", "set", t.dev, t.peer, "endpoint", addr)
    try:
        real(t, kind, source)
    finally:
        a.cli("peer", "set", t.dev, t.peer, "endpoint", t.endpoint("b"))


def nobody_listens(t):
    """The router itself takes no ESP in UDP."""
    there = path.far.address(r, t.family)
    elsewhere(t, there, "port", there)


def silent_neighbour(t):
    """This host says so by itself: nobody on the link has the address."""
    elsewhere(t, ("192.0.2.9", "2001:db8::99")[t.family == 6], "host", t.a_outer)


# Before there is so much that some of it is suppressed.
for t in made:
    add_case(f"{t.encap} over IPv{t.family}: each kind is counted and told",
             each_kind, t)
for t in bound:
    add_case(f"{t.encap} over IPv{t.family}, keyed by a daemon: "
             + ("as well" if t.encap == "esp" else "the daemon's socket has them"),
             of_a_daemon, t)
for t in made:
    where = f"{t.encap} over IPv{t.family}"
    add_case(f"{where}: nothing else is", no_proof, t)
    add_case(f"{where}: so many a second are told", flood, t)
    add_case(f"{where}: show has them", shown, t)
    add_case(f"{where}: a neighbour that is silent", silent_neighbour, t)
    # IPv6 has no word for a host that a router has no route to
    add_case(f"{where}: a router without a route", by_route, t, "unreachable",
             "host" if t.family == 4 else "net")
    add_case(f"{where}: a router that forbids it", by_route, t, "prohibit",
             "prohibited")
    if t.encap == "udp":
        add_case(f"{where}: nobody has the port", nobody_listens, t)

main()
