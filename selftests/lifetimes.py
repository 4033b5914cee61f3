#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: oldest newest
"""Lifetimes in packets, bytes and seconds, in both directions: soft tells once
and goes on, hard stops exactly there, tells once, and leaves the SA listed."""

from lib import *

INNER = 100                 # bytes of each inner packet
DATA = bytes(INNER - 28)
MORE = 5                    # packets sent beyond what passes
IN, AES_GCM_256 = 0, 1
SOFT_SECONDS = 2
# Before the last of them a packet has to get through after the soft event.
HARD_SECONDS = 4, 12, 28


class Clocked(Monitor):
    """Each event with the time at which it was here."""

    def collect(self):
        for line in self.process.stdout:
            self.events.append({**json.loads(line), "at": time.monotonic()})


a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
udp_sink(b)
monitor = Clocked(a)

# Limit, how many packets of INNER bytes pass, and whether the last of them
# reaches it exactly.
COUNTED = [
    ("soft-packets 6 hard-packets 10", 10, True),
    ("hard-packets 1", 1, True),
    ("soft-bytes 500 hard-bytes 1000", 10, True),
    ("hard-bytes 1001", 10, False),
    ("hard-bytes 999", 9, False),
    ("soft-packets 3 hard-bytes 700", 7, True),
    ("hard-packets 4 hard-bytes 100000", 4, True),
]
SOFT_ONLY = ["soft-packets 3", "soft-bytes 250", "soft-packets 12 hard-packets 100"]

# Of ONCE packets in one go, outbound, so many pass. Each is told of once.
ONCE = 10
AT_ONCE = [("hard-packets 10", 10), ("hard-packets 7", 7),
           ("hard-packets 1", 1), ("hard-bytes 1000", 10),
           ("hard-bytes 950", 9), ("hard-bytes 99", 0)]
SHAPES = [{"encap": encap, "family": family}
          for encap in ("udp", "esp") for family in (4, 6)]

limits = [(direction, *limit) for direction in ("out", "in")
          for limit in [*COUNTED, *((soft, None, None) for soft in SOFT_ONLY)]]
timed, *made = tunnels(a, b, link, [
    SHAPES[n % len(SHAPES)] for n in range(1 + len(limits) + len(AT_ONCE))],
    far="bhsec")


class Limited:
    """A tunnel whose SA of one direction has a lifetime at host a."""

    def __init__(self, tunnel, limit, direction):
        self.t, self.limit, self.direction = tunnel, limit, direction
        self.old = tunnel.in_ if direction == "in" else tunnel.out
        self.sa = tunnel.new_sa()

    def near_line(self):
        return self.sa.bhsec("bh0", self.t.peer, self.direction, self.limit)

    def far_line(self):
        return self.sa.bhsec("bh0", self.t.far_peer,
                             "out" if self.direction == "in" else "in")

    def send(self, count):
        """Inner packets in the direction of the lifetime."""
        t = self.t
        src, dst, host = (t.b_inner4, t.a_inner4, b) \
            if self.direction == "in" else (t.a_inner4, t.b_inner4, a)
        with host.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.bind((src, 0))
            for _ in range(count):
                try:
                    sock.sendto(DATA, (dst, SINK_PORT))
                except OSError:
                    pass    # the unreachable message about an earlier one

    def send_at_once(self, count):
        """The same in one packet of the stack, which leaves a."""
        t = self.t
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(DATA))
            sock.bind((t.a_inner4, 0))
            sock.sendto(DATA * count, (t.b_inner4, SINK_PORT))

    def moved_by(self, count, send=None):
        """What sending so many moves in the counters at host a."""
        before = self.t.stats()
        (send or self.send)(count)
        return wait_counted(self.t.stats, before, count)

    def listed(self):
        return next(sa for sa in self.t.a.peer("bh0", self.t.peer)["sas"]
                    if sa["spi"] == self.sa.spi)

    @property
    def traffic(self):
        return "rx" if self.direction == "in" else "tx"


cases = [(Limited(t, limit, direction), passes, reached)
         for t, (direction, limit, passes, reached) in zip(made, limits)]
cases_at_once = [(Limited(t, limit, "out"), passes) for t, (limit, passes)
                 in zip(made[len(limits):], AT_ONCE)]


def arm(some):
    """The far end first: an outbound SA is used at once."""
    first = [one for one in some if one.direction == "out"]
    second = [one for one in some if one.direction == "in"]
    b.bhsec("".join(one.far_line() for one in first))
    a.bhsec("".join(one.near_line() for one in some))
    b.bhsec("".join(one.far_line() for one in second))


def counted(one, passes, reached):
    """Who reaches it exactly ends with that packet, not with the next one."""
    check_equal(one.moved_by(passes), {
        f"{one.traffic}_packets": passes,
        f"{one.traffic}_bytes": passes * INNER}, "counters")
    check_equal(one.listed()["state"], "expired" if reached else "active",
                "state after what passes")
    if reached:
        monitor.wait(one.sa.spi, "expired")
    check_equal(one.moved_by(MORE), {"expired": MORE}, "counters, more")
    (event,) = monitor.wait(one.sa.spi, "expired")
    check_equal((event["device"], event["peer"], event["direction"]),
                ("bh0", one.t.peer, one.direction), "event")
    check_equal(one.listed()["state"], "expired", "state")
    check_equal(len(monitor.of(one.sa.spi, "soft")), int("soft" in one.limit),
                "soft events")


def at_once(one, passes):
    """The limit may lie within a packet that stands for many."""
    wanted = {"tx_packets": passes, "tx_bytes": passes * INNER,
              "expired": ONCE - passes}
    check_equal(one.moved_by(ONCE, one.send_at_once),
                {name: count for name, count in wanted.items() if count},
                "counters")
    monitor.wait(one.sa.spi, "expired")
    check_equal(one.listed()["state"], "expired", "state")
    check_equal(one.moved_by(MORE), {"expired": MORE}, "counters, more")
    check_equal([e["event"] for e in monitor.of(one.sa.spi)], ["expired"],
                "events")


def soft_only(one):
    check_equal(one.moved_by(20), {f"{one.traffic}_packets": 20,
                                   f"{one.traffic}_bytes": 20 * INNER},
                "counters")
    monitor.wait(one.sa.spi, "soft")
    check_equal(one.moved_by(20), {f"{one.traffic}_packets": 20,
                                   f"{one.traffic}_bytes": 20 * INNER},
                "counters")
    check_equal([e["event"] for e in monitor.of(one.sa.spi)], ["soft"], "events")
    check_equal(one.listed()["state"], "active", "state")


def passes_between(one, hard):
    """Ends as it should, each thing not before its second; False where the
    guest stood still for so long that nothing could be sent in between."""
    armed = time.monotonic()
    arm([one])
    soft, = monitor.wait(one.sa.spi, "soft")
    moved = one.moved_by(1)
    expired, = monitor.wait(one.sa.spi, "expired")
    check_equal([e["event"] for e in monitor.of(one.sa.spi)],
                ["soft", "expired"], "events")
    for event, seconds in (soft, SOFT_SECONDS), (expired, hard):
        age = event["at"] - armed
        check(age >= seconds, f"{event['event']} after {age:.3f} s")
    check_equal(one.listed()["state"], "expired", "state")
    check_equal(one.moved_by(MORE), {"expired": MORE}, "counters")
    if moved == {"expired": 1}:
        return False
    check_equal(moved, {f"{one.traffic}_packets": 1,
                        f"{one.traffic}_bytes": INNER}, "after the soft event")
    return True


def by_time(direction):
    for hard in HARD_SECONDS:
        limit = f"soft-seconds {SOFT_SECONDS} hard-seconds {hard}"
        if passes_between(Limited(timed, limit, direction), hard):
            return
    raise Failure(f"nothing passed between {SOFT_SECONDS} s and {hard} s")


for _one, _passes, _reached in cases:
    _what = f"{_one.limit}, {_one.direction}bound"
    if _passes:
        add_case(f"{_what}: {_passes} packets pass", counted, _one, _passes,
                 _reached)
    else:
        add_case(f"{_what}: told once, goes on", soft_only, _one)
for _one, _passes in cases_at_once:
    add_case(f"{_one.limit}, outbound: {_passes} of {ONCE} in one go pass",
             at_once, _one, _passes)
for _direction in "out", "in":
    add_case(f"seconds, {_direction}bound: soft, traffic goes on, then the end",
             by_time, _direction)


@case("seconds are whole ones, wherever in a second they begin")
def _():
    armed = {}
    # A clock that knows full seconds only is wrong before their ends.
    wait_for(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) % 1 > 0.9)
    for _ in range(25):
        sa = timed.new_sa()
        armed[sa.spi] = time.monotonic()
        a.nl.do("sa-add", ifname="bh0", peer=timed.peer, direction=IN,
                spi=sa.spi, cipher=AES_GCM_256, key=sa.key, soft_seconds=1,
                hard_seconds=2)
    for spi, begin in armed.items():
        for name, seconds in ("soft", 1), ("expired", 2):
            event, = monitor.wait(spi, name)
            age = event["at"] - begin
            check(age >= seconds, f"{name} after {age:.3f} s")


@case("an expired SA holds its place until a new one comes, which works")
def _():
    one = next(one for one, passes, _ in cases
               if passes and one.direction == "out")
    one.t.out = one.sa
    one.t.rekey(delete_old=False)
    check_equal(one.moved_by(3), {"tx_packets": 3, "tx_bytes": 3 * INNER},
                "counters")
    check_equal(one.listed()["state"], "expired", "the old one's state")


@case("lifetimes of 0 and soft ones above hard ones are refused")
def _():
    t = made[0]
    wrong = [f"{kind}-{unit} 0" for kind in ("soft", "hard")
             for unit in ("packets", "bytes", "seconds")]
    wrong += [f"soft-{unit} 11 hard-{unit} 10"
              for unit in ("packets", "bytes", "seconds")]
    before = len(a.peer("bh0", t.peer)["sas"])
    for limit in wrong:
        for direction in ("in", "out"):
            result = a.bhsec(t.new_sa().bhsec("bh0", t.peer, direction, limit),
                             check=False)
            check(result.returncode in (1, 2), f"{limit}: {result.returncode}")
            check_equal(result.stderr.count("\n"), 1, f"{limit}: lines")
    check_equal(len(a.peer("bh0", t.peer)["sas"]), before, "SAs")


arm([one for one, *_ in cases + cases_at_once])
main()
