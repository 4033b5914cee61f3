#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Base stations behind a NAT box (RFC 3948, RFC 7296 2.23): two with one
address, keepalives, and a box that has forgotten them: the controller's kernel
says so to the daemon, and traffic goes on at the new port."""

from libesp import outer_of
from libsites import *
from libstream import *

SIZES = 0, 100, 1300
RANGES = itertools.cycle(["20000-20999", "30000-30999"])
KEEPALIVE = "keep_alive = 2\n"

ca = Authority("operator")
controller = Controller("ctl", ca)
nat = Nat("nat", controller)
# encap = no: it is the daemons that find out
stations = [Station(name, controller, ca.certify(f"{name}.example"), kind,
                    "esp", behind=nat)
            for name, kind in (("one", "bhsec"), ("two", "xfrm"))]
serve(controller, *stations)


def inside(ports, port):
    low, high = map(int, ports.split("-"))
    return low <= port <= high


def endpoint(station):
    """Address and port, as the controller's device has them."""
    addr, _, port = controller.peer_of(station)["endpoint"].rpartition(":")
    return addr, int(port)


def known_port(station):
    """As the controller's daemon has it, whose list waits for what it changes."""
    return next(int(sa["remote-port"]) for sa in controller.daemon.sas()
                if sa.get("remote-id") == station.identity.name)


def joined(version):
    ports = next(RANGES)
    nat.translate(ports)
    start(version, controller, *stations, extra=KEEPALIVE)
    seen = set()
    for station in stations:
        station.join()
        talk(station, SIZES)
        check_equal(controller.peer_of(station)["encap"], "udp", "encap")
        addr, port = endpoint(station)
        check_equal(addr, nat.out.b4, "the box's address")
        check(inside(ports, port), f"the box's port: {port}")
        seen.add(port)
    check_equal(len(seen), len(stations), "ports of one address")


def kept_alive():
    """RFC 3948 2.3: one byte of ones, from each of them."""
    capture = Capture(controller.ns, nat.out.if_a, outgoing=False)

    def ports():
        return {outer.payload[:2] for frame in list(capture.frames)
                if (outer := outer_of(frame)) and outer.payload[8:] == b"\xff"}
    wait_for(lambda: len(ports()) == len(stations))
    capture.stop()


def forgotten():
    """The one that sends is found again by what it sends, the other by its
    keepalives or by what it sends later; nothing else tells of it."""
    ports = next(RANGES)
    before = {station: controller.name_of(station) for station in stations}
    nat.translate(ports)
    for station in stations:
        def there():
            with station.ns.socket(socket.AF_INET, socket.SOCK_DGRAM,
                                   keep=False) as sock:
                sock.bind((station.inner4, 0))
                sock.sendto(b"here I am", (controller.inner4, SINK_PORT))
            return inside(ports, endpoint(station)[1])
        wait_for(there, what=lambda: f"{endpoint(station)}, not {ports}")
        # The daemon deletes the states and adds them anew, with a gap between.
        wait_for(lambda: inside(ports, known_port(station)),
                 what=lambda: f"{known_port(station)}, not {ports}")
        talk(station, SIZES)
        check_equal(controller.name_of(station), before[station], "name")
        check_equal(endpoint(station)[0], nat.out.b4, "address")


udp_sink(controller.ns)
for version in versions():
    add_case(f"strongSwan {version}: two stations behind one box join", joined,
             version)
    add_case(f"strongSwan {version}: both keep it awake", kept_alive)
    for turn in "once", "twice":
        add_case(f"strongSwan {version}: a box that forgets, {turn}", forgotten)
    add_case(f"strongSwan {version}: all end", end, controller,
             *stations)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
