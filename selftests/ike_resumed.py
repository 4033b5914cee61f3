#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
# measured
"""A base station moves, or its NAT box forgets it: within one round trip of the
daemons' updates traffic goes both ways again. Time is the guest's, whose second
is a billion instructions."""

from libnetlink import parse
from libsites import *
from libxfrm import ask

DELAY = 0.25
ROUND_TRIP = 2 * DELAY
# What the daemons compute, and the senders' pace.
SLACK = ROUND_TRIP / 5
PACE = 0.005
RANGES = itertools.cycle(["20000-20999", "30000-30999"])
XFRM_MSG_NEWSA, XFRM_MSG_GETSA, XFRMA_ENCAP, STATE_SIZE = 0x10, 0x12, 4, 224
# Nobody is asked twice because of the delay, nor too late.
PATIENT = "retransmit_timeout = 4\n"

ca = Authority("operator")
controller = Controller("ctl", ca)
nat = Nat("nat", controller)
stations = {
    encap: Station(encap, controller, ca.certify(f"{encap}.example"), "bhsec",
                   encap, vips_on="lo") for encap in ("udp", "esp")}
behind = Station("behind", controller, ca.certify("behind.example"), "bhsec",
                 "esp", behind=nat, vips_on="lo")
everybody = controller, *stations.values(), behind


class Pulse:
    """Numbered datagrams at a steady pace, and when each came."""

    def __init__(self, src, dst, source, address):
        self.sent, self.came = 0, {}
        self.over = threading.Event()
        self.rx = dst.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rx.settimeout(PATIENCE)
        self.rx.bind((address, 0))
        self.tx = src.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tx.bind((source, 0))
        self.to = self.rx.getsockname()
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        while not self.over.is_set():
            try:
                self.tx.sendto(struct.pack(">Q", self.sent), self.to)
            except OSError:
                pass    # while it has no way
            self.sent += 1
            time.sleep(PACE)

    def receive(self):
        try:
            while not self.over.is_set():
                number, = struct.unpack(">Q", self.rx.recv(64))
                self.came[number] = time.monotonic()
        except OSError:
            pass

    def since(self, number):
        """When the first that was sent from there on came."""
        return min((at for n, at in list(self.came.items()) if n >= number),
                   default=None)

    def stop(self):
        self.over.set()
        self.tx.close()
        self.threads[1].join(1)
        self.rx.close()


def port_of(ns, dst, spi):
    """Where the state's datagrams go, None without one; of raw ESP 0."""
    wanted = struct.pack("=16sIHBx", socket.inet_aton(dst), socket.htonl(spi),
                         socket.AF_INET, socket.IPPROTO_ESP)
    try:
        state, = ask(ns, XFRM_MSG_GETSA, wanted)
    except OSError:
        return None
    encap = dict(parse(state[STATE_SIZE:])).get(XFRMA_ENCAP)
    return struct.unpack_from("!HHH", encap)[2] if encap else 0


def resumed(station, change, updated):
    """Both ways within a round trip of the updates, which states show."""
    ways = ((station.ns, controller.ns, station.inner4, controller.inner4),
            (controller.ns, station.ns, controller.inner4, station.inner4))
    pulses = [Pulse(*way) for way in ways]
    try:
        for pulse in pulses:
            wait_for(lambda pulse=pulse: pulse.since(0), what="the first")
        change()
        marks = [pulse.sent for pulse in pulses]
        wait_for(updated, what="the daemons' updates")
        update = time.monotonic()
        for pulse, mark, way in zip(pulses, marks, ("out", "back")):
            wait_for(lambda pulse=pulse, mark=mark: pulse.since(mark),
                     what=f"what comes {way}")
            late = pulse.since(mark) - update
            ksft.print_msg(f"{way}: {late * 1000:.0f} ms after the update")
            check(late <= ROUND_TRIP + SLACK, f"{way}: {late:.3f} s")
    finally:
        for pulse in pulses:
            pulse.stop()


def joined(version):
    start(version, *everybody, extra=PATIENT)
    nat.translate(next(RANGES))
    for station in everybody[1:]:
        station.place = station.link.b4
        station.join()


def moves(station):
    spi = int(station.child()["spi-in"], 16)
    old, station.place = station.place, str(
        ipaddress.ip_address(station.place) + 1)
    dev = station.link.if_b

    def change():
        station.ns.ip(f"addr add {station.place}/28 dev {dev}\n"
                      f"addr del {old}/28 dev {dev}\n")
    resumed(station, change,
            lambda: all(port_of(ns, station.place, spi) is not None
                        for ns in (controller.ns, station.ns)))


def forgotten():
    spi, ports = int(behind.child()["spi-in"], 16), next(RANGES)
    low, high = map(int, ports.split("-"))

    def updated():
        port = port_of(controller.ns, nat.out.b4, spi)
        return port is not None and low <= port <= high
    resumed(behind, lambda: nat.translate(ports), updated)


def ended():
    end(*everybody)
    for station in stations.values():
        station.ns.ip(
            f"addr add {station.link.b4}/28 dev {station.link.if_b}\n"
            f"addr del {station.place}/28 dev {station.link.if_b}\n")


def delayed():
    """Each link, half a round trip each way."""
    links = [*((controller.ns, station.link) for station in stations.values()),
             (controller.ns, nat.out)]
    for ns, link in links:
        for side, dev in ((ns, link.if_a), (link.ns_b, link.if_b)):
            side.run(f"tc qdisc add dev {dev} root netem delay "
                     f"{int(DELAY * 1000)}ms limit 10000")


# Else that is where they move to.
for station in stations.values():
    controller.ns.ip(f"addr del {station.link.a6}/64 dev {station.link.if_a}\n")
    station.ns.ip(f"addr del {station.link.b6}/64 dev {station.link.if_b}\n")
    station.ns.sysctl({"ipv4/conf/all/promote_secondaries": 1})
delayed()
for version in [v for v in versions() if v in (versions()[0], versions()[-1])]:
    add_case(f"strongSwan {version}: stations join", joined, version)
    for encap, station in stations.items():
        add_case(f"strongSwan {version}, {encap}: a move", moves, station)
    add_case(f"strongSwan {version}: a box that forgets", forgotten)
    add_case(f"strongSwan {version}: all end", ended)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
