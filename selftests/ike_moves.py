#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Base stations that move from address to address while their daemon follows
(MOBIKE, RFC 4555): strongSwan before 6.1 deletes the states and adds them
anew, 6.1 has a kernel that can do it copy them without a word. No IV goes out
twice, nothing is taken twice, and the peer keeps its name."""

from libesp import esp_of, outer_of
from libsites import *
from libstream import *

MOVES = 8
SIZES = 0, 100, 1300

ca = Authority("operator")
controller = Controller("ctl", ca)
stations = [
    Station("udp", controller, ca.certify("udp.example"), "bhsec", "udp"),
    Station("esp", controller, ca.certify("esp.example"), "bhsec", "esp")]


# Else that is where they move to.
for station in stations:
    controller.ns.ip(f"addr del {station.link.a6}/64 dev {station.link.if_a}\n")
    station.ns.ip(f"addr del {station.link.b6}/64 dev {station.link.if_b}\n")
    station.ns.sysctl({"ipv4/conf/all/promote_secondaries": 1})


def joined(version):
    start(version, controller, *stations)
    for station in stations:
        station.place = station.link.b4
        station.join()
        talk(station, SIZES)


def move(station, n):
    """To another address of its link; the old one is lost."""
    old = station.place
    station.place = str(ipaddress.ip_address(station.link.b4) + 1 + n % 2)
    station.ns.ip(f"addr add {station.place}/28 dev {station.link.if_b}\n"
                  f"addr del {old}/28 dev {station.link.if_b}\n")


def endpoint(station):
    return controller.peer_of(station)["endpoint"].partition(":")[0]


def arrived(station):
    """And route again: the daemon takes its inner addresses off and on."""
    wait_for(lambda: endpoint(station) == station.place,
             what=lambda: f"{station.place}, is at {endpoint(station)}")
    wait_for(lambda: station.daemon.sas(station.name)[0]["local-host"]
             == station.place)
    station.route()


def pairs_of(frames):
    """SPI and IV of each datagram, in the order of their coming."""
    return [bytes(esp[:4] + esp[8:16]) for frame in frames
            if (esp := esp_of(frame)) and len(esp) > 16]


def moves(station):
    """The stream begins to lose when the address is lost, and ends to when the
    daemons have agreed: what counts is that it goes on, and nothing twice."""
    name = controller.name_of(station)
    spis = {sa["spi"] for sa in controller.peer_of(station)["sas"]}
    captures = [Capture(controller.ns, station.link.if_a, outgoing=outgoing)
                for outgoing in (True, False)]
    for n in range(MOVES):
        move(station, n)
        arrived(station)
        udp_exchange(station.ns, controller.inner4, SIZES, station.inner4)
        udp_exchange(controller.ns, station.inner4, SIZES, controller.inner4)
    check_equal(controller.name_of(station), name, "name")
    check_equal({sa["spi"] for sa in controller.peer_of(station)["sas"]}, spis,
                "SPIs")
    check_equal(len(controller.ns.device(controller.dev)["peers"]),
                len(stations), "peers")
    for capture in captures:
        pairs = pairs_of(capture.stop())
        check(len(pairs) >= MOVES * 2 * len(SIZES), f"{len(pairs)} datagrams")
        check_equal(len(set(pairs)), len(pairs), "pairs of SPI and IV")
    talk(station, SIZES)


def without_checksum(frame):
    """Of UDP over IPv4: it was left to a device that has none."""
    if outer_of(frame).protocol != socket.IPPROTO_UDP:
        return frame
    at = 14 + (frame[14] & 15) * 4 + 6
    return frame[:at] + bytes(2) + frame[at + 2:]


def replayed(station):
    """What came before a move is not taken after it."""
    capture = Capture(controller.ns, station.link.if_a)
    talk(station, SIZES)
    frames = [frame for frame in capture.stop() if esp_of(frame)]
    move(station, MOVES)
    arrived(station)
    name = controller.name_of(station)
    before = controller.ns.stats(controller.dev, name)
    sock = station.ns.socket(socket.AF_PACKET, socket.SOCK_RAW, keep=False)
    sock.bind((station.link.if_b, 0))
    for frame in frames:
        sock.send(without_checksum(frame))
    sock.close()
    count = 4 * len(SIZES)
    moved = wait_counted(lambda: controller.ns.stats(controller.dev, name),
                         before, count)
    check(moved.get("replay", 0) >= count, f"counters: {moved}")
    check(moved.get("rx_packets", 0) < count, f"counters: {moved}")
    talk(station, SIZES)


def stopped():
    end(controller, *stations)
    for station in stations:
        station.ns.ip(f"addr del {station.place}/28 dev {station.link.if_b}\n"
                      f"addr add {station.link.b4}/28 dev {station.link.if_b}\n")


serve(controller, *stations)
for version in versions():
    add_case(f"strongSwan {version}: stations join", joined, version)
    for station in stations:
        add_case(f"strongSwan {version}, {station.encap}: {MOVES} moves",
                 moves, station)
        add_case(f"strongSwan {version}, {station.encap}: a move undoes no "
                 "window", replayed, station)
    add_case(f"strongSwan {version}: all end", stopped)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
