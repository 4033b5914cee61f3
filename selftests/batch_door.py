#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Batches for a daemon's port: what rx-gro-list has put together is taken before
the daemon's socket counts one of them, behind the firewall, and only if all of it
is ours and the socket is a daemon's."""

import contextlib

from libbound import *
from libesp import seal_packet, udp

BATCH, PAYLOAD = 40, 700
IKE_MESSAGE = bytes(4) + b"RFC 3948 2.2"
OTHER_PORT, FLOWS = 4600, 10
# What one CPU sends overtakes what another has in its queue.
os.sched_setaffinity(0, {0})

a, b, link, made = bound_pair()
kinds = [t for t in first_of_kind(made).values() if t.encap == "udp"]
udp_sink(a)
# As by a card that does not segment.
b.run(f"ethtool -K {link.if_b} tx-udp-segmentation off tso off")
a.run(f"ethtool -K {link.if_a} gro on rx-gro-list on")


class Arrivals:
    """A further state inbound, whose numbers nobody has used, and who sends."""

    def __init__(self, t):
        self.t, self.sa, self.numbers = t, t.new_sa(), itertools.count(1)
        self.sock = None

    def __enter__(self):
        t = self.t
        kept, t.in_ = t.in_, self.sa
        a.ip(t.near_state_lines(out=False))
        t.in_ = kept
        t.adopted(3)
        self.connect()
        return self

    def connect(self):
        """From another port than before."""
        if self.sock:
            self.sock.close()
        self.sock = b.socket(family_of(self.t.a_outer), socket.SOCK_DGRAM,
                             keep=False)
        self.sock.connect((self.t.a_outer, ESP_PORT))

    def __exit__(self, *_):
        t = self.t
        self.sock.close()
        a.ip(f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
             f"spi {self.sa.spi:#x}\n")
        t.adopted(2)

    def sealed(self, count=BATCH):
        """So many inner packets, of the other family, and their ESP."""
        inner = 10 - self.t.family
        inners = [udp(self.t.inner("b", inner), self.t.inner("a", inner), 7,
                      SINK_PORT, secrets.token_bytes(PAYLOAD))
                  for _ in range(count)]
        return inners, [seal_packet(self.sa, next(self.numbers), inner)
                        for inner in inners]

    def send(self, esps):
        self.sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(esps[0]))
        self.sock.send(b"".join(esps))


def at_sockets(t):
    """How many datagrams of the outer family UDP has handed to sockets of a."""
    with a, open("/proc/thread-self/net/"
                 + ("snmp" if t.family == 4 else "snmp6")) as lines:
        text = lines.read()
    if t.family == 6:
        return int(re.search(r"^Udp6InDatagrams\s+(\d+)", text, re.M)[1])
    names, values = re.findall(r"^Udp: (.*)$", text, re.M)
    return int(dict(zip(names.split(), values.split()))["InDatagrams"])


def all_delivered(t, inners, send):
    """Each once, in order; how many came by a socket."""
    capture = Capture(a, t.dev, outgoing=False)
    before, came = t.stats(), at_sockets(t)
    send()
    check_equal(wait_counted(t.stats, before, len(inners)), {
        "rx_packets": len(inners), "rx_bytes": sum(map(len, inners))},
        "counters")
    check_equal(capture.stop(len(inners)), inners, "packets in order")
    return at_sockets(t) - came


def as_a_batch(t, arrivals):
    """Until GRO has had enough of them at once."""
    def tried():
        inners, esps = arrivals.sealed()
        return all_delivered(t, inners, lambda: arrivals.send(esps)) < BATCH / 2
    return wait_for(tried, what="a batch that no socket saw")


def taken(t):
    with Arrivals(t) as arrivals:
        as_a_batch(t, arrivals)


def captured(t):
    """Somebody else holds them, too: what he has seen stays as it was."""
    with Arrivals(t) as arrivals:
        seen = Capture(a, link.if_a, outgoing=False)
        as_a_batch(t, arrivals)
        wait_for(lambda: max(map(len, list(seen.frames)), default=0)
                 > 2 * PAYLOAD, what="a batch that the capture has")
        inners, esps = arrivals.sealed()
        all_delivered(t, inners, lambda: arrivals.send(esps))

        def all_heard():
            heard = b"".join(list(seen.frames))
            return all(esp in heard for esp in esps)
        wait_for(all_heard, what="what was sent, as it was sent")
        seen.stop()


def in_its_midst(t):
    """IKE and the SPI of nobody, each where a batch would have it."""
    daemons = next(sock for sock in a.sockets
                   if sock.family == family_of(t.a_outer)
                   and sock.type == socket.SOCK_DGRAM
                   and sock.getsockname()[1] == ESP_PORT)
    daemons.settimeout(PATIENCE)

    def tried():
        inners, esps = arrivals.sealed()
        esps[BATCH // 2:BATCH // 2] = [
            seal_packet(t.new_sa(), 1, inners[0])]
        esps.append(IKE_MESSAGE)    # the last may be shorter
        unknown = a.xfrm_stat().get("XfrmInNoStates", 0)
        seen = Capture(a, link.if_a, outgoing=False)
        all_delivered(t, inners, lambda: arrivals.send(esps))
        wait_for(lambda: a.xfrm_stat().get("XfrmInNoStates", 0) == unknown + 1,
                 what="xfrm's count of an SPI that nobody has")
        check_equal(daemons.recv(2048), IKE_MESSAGE, "at the daemon's socket")
        return max(map(len, seen.stop())) > PAYLOAD * BATCH / 2
    with Arrivals(t) as arrivals:
        wait_for(tried, what="a batch")


@contextlib.contextmanager
def filtered(rules):
    a.run(["nft", "-f", "-"], input=f"table inet t {{\nchain c {{\n"
          f"type filter hook input priority 0;\n{rules}\n}}\n}}\n")
    try:
        yield lambda: [int(n) for n in re.findall(
            r"counter packets (\d+)", a.run("nft list table inet t").stdout)]
    finally:
        a.run("nft delete table inet t")


def not_let_in(t):
    with Arrivals(t) as arrivals:
        as_a_batch(t, arrivals)
        before = t.stats()
        with filtered(f"udp dport {ESP_PORT} counter drop") as counts:
            arrivals.send(arrivals.sealed()[1])
            wait_for(lambda: counts()[0], what="what the firewall drops")
            stop = counts()
        as_a_batch(t, arrivals)
        moved = difference(before, t.stats())
        check(moved["rx_packets"] % BATCH == 0, f"{stop}: {moved}")


def bound_anew():
    bind(a, made[0].dev, 0)
    bind(a, made[0].dev, made[0].if_id)
    for t in made:
        t.adopted()


def tracked(t):
    """Connection tracking has each flow, whatever its first packets were, and
    whose hook is the later one."""
    with contextlib.ExitStack() as stack:
        counts = stack.enter_context(filtered(
            f"udp dport {ESP_PORT} ct status confirmed counter"))
        bound_anew()
        arrivals = stack.enter_context(Arrivals(t))
        for _ in range(FLOWS):
            arrivals.connect()
            known = 0
            for _ in "first", "later":
                known, (inners, esps) = counts()[0], arrivals.sealed()
                all_delivered(t, inners, lambda esps=esps: arrivals.send(esps))
            check(counts()[0] > known, "the flow is not confirmed")
        as_a_batch(t, arrivals)


def for_another_socket(t):
    """ESP by its bytes: they are somebody else's."""
    with Arrivals(t) as arrivals, a.socket(
            family_of(t.a_outer), socket.SOCK_DGRAM, keep=False) as other:
        as_a_batch(t, arrivals)
        other.settimeout(PATIENCE)
        other.bind(("", OTHER_PORT))
        arrivals.sock.connect((t.a_outer, OTHER_PORT))
        before = t.stats()

        def tried():
            _, esps = arrivals.sealed()
            seen = Capture(a, link.if_a, outgoing=False)
            arrivals.send(esps)
            check_equal([other.recv(2048) for _ in esps], esps, "at the socket")
            return max(map(len, seen.stop())) > 2 * PAYLOAD
        wait_for(tried, what="a batch")
        check_equal(difference(before, t.stats()), {}, "counters")


def refused_by_policy(t):
    """Of the host, which the daemon's socket has to obey."""
    words = f"src {t.b_outer} dst {t.a_outer} proto udp dir in"
    with Arrivals(t) as arrivals:
        as_a_batch(t, arrivals)
        a.ip(f"xfrm policy add {words} action block priority 1\n")
        try:
            before = t.stats()
            blocked = a.xfrm_stat().get("XfrmInPolBlock", 0)
            arrivals.send(arrivals.sealed()[1])
            wait_for(lambda: a.xfrm_stat().get("XfrmInPolBlock", 0)
                     >= blocked + BATCH, what="what the policy blocks")
            check_equal(difference(before, t.stats()), {}, "counters")
        finally:
            a.ip(f"xfrm policy delete {words}\n")
        as_a_batch(t, arrivals)


def hooks():
    return a.run("nft list hooks").stdout.count("bhsec_batch_door")


@case("the firewall's hooks: while there is a binding, and not after it")
def _():
    if subprocess.run(["modprobe", "nfnetlink_hook"], check=False).returncode:
        raise Skip("this kernel does not tell of its hooks")
    check_equal(hooks(), 2, "hooks, one of each family")
    a.ip("link add bh1 type bhsec\n")
    bind(a, "bh1", 43)
    check_equal(hooks(), 2, "hooks with a second binding")
    a.ip("link del bh1\n")
    check_equal(hooks(), 2, "hooks with one again")
    bind(a, made[0].dev, 0)
    check_equal(hooks(), 0, "hooks without")
    bound_anew()
    check_equal(hooks(), 2, "hooks")


for t in kinds:
    for description, function in (
            ("a batch that no socket sees", taken),
            ("one that a capture holds too", captured),
            ("IKE and an SPI of nobody in its midst", in_its_midst),
            ("a firewall that drops them", not_let_in),
            ("a firewall that tracks them", tracked),
            ("the same to a socket that is no daemon's", for_another_socket),
            ("a policy that blocks them", refused_by_policy)):
        add_case(f"IPv{t.family}: {description}", function, t)

main()
