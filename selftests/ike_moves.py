#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Base stations that move from address to address while their daemon follows
(MOBIKE, RFC 4555): strongSwan before 6.1 deletes the states and adds them
anew, 6.1 has a kernel that can do it copy them without a word. No IV goes out
twice, nothing is taken twice, and the peer keeps its name."""

import contextlib

from libesp import esp_of, outer_of
from libsites import *
from libxfrm import last_numbers, set_last_number

MOVES = 20
SIZES = 0, 100, 1300
# Below 2^32 and above, no further apart than ESN can tell.
JUMPS = 0xf0000000, (1 << 32) + 0x1000
# Whatever becomes of it: an address is taken away under it. A process, for it
# is to be as fast as it can, but for what the daemons need.
SENDER = f"""
import os, socket, sys
os.nice(19)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 0))
while True:
    try:
        sock.sendto(bytes(100), (sys.argv[2], {SINK_PORT}))
    except OSError:
        pass
"""

ca = Authority("operator")
controller = Controller("ctl", ca)
stations = [
    Station("udp", controller, ca.certify("udp.example"), "bhsec", "udp"),
    Station("esp", controller, ca.certify("esp.example"), "bhsec", "esp")]


for site in controller, *stations:
    site.text = with_values(site.text, esp_proposals="aes128gcm16-ecp256-esn")
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
    """SPI and IV of each ESP datagram over IPv4."""
    starts = {socket.IPPROTO_ESP: 34, socket.IPPROTO_UDP: 42}
    return [frame[at:at + 4] + frame[at + 8:at + 16] for frame in frames
            if (at := starts.get(frame[23])) and len(frame) > at + 16
            and frame[at:at + 4] != bytes(4)]


@contextlib.contextmanager
def full(station):
    """Both ways, as fast as it goes."""
    senders = [ns.popen([sys.executable, "-c", SENDER, *addresses])
               for ns, *addresses in (
                   (station.ns, station.inner4, controller.inner4),
                   (controller.ns, controller.inner4, station.inner4))]
    try:
        yield
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()


def goes_on(station):
    """Both ways."""
    def received():
        return [ns.stats(dev, peer)["rx_packets"] for ns, dev, peer in (
            (controller.ns, controller.dev, controller.name_of(station)),
            (station.ns, station.dev, f"ike-{station.child()['reqid']}"))]
    before = received()
    wait_for(lambda: all(map(int.__gt__, received(), before)),
             what="packets both ways")


def moves(station):
    """Some are lost while the daemons agree: what counts is that it goes on, and
    nothing twice."""
    name = controller.name_of(station)
    spis = {sa["spi"] for sa in controller.peer_of(station)["sas"]}
    captures = [Capture(controller.ns, station.link.if_a, outgoing=outgoing)
                for outgoing in (True, False)]
    with full(station):
        for n in range(MOVES):
            move(station, n)
            arrived(station)
            goes_on(station)
    check_equal(controller.name_of(station), name, "name")
    check_equal({sa["spi"] for sa in controller.peer_of(station)["sas"]}, spis,
                "SPIs")
    check_equal(len(controller.ns.device(controller.dev)["peers"]),
                len(stations), "peers")
    for capture in captures:
        pairs = pairs_of(capture.stop())
        ksft.print_msg(f"{len(pairs)} datagrams")
        check(len(pairs) >= MOVES, "too few of them")
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
    # by the states of now: those of before may stand until then
    talk(station, SIZES)
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


def beyond(station):
    """What has come past 2^32 is there after a move, in each state."""
    spis = {way: int(station.child()[f"spi-{way}"], 16) for way in ("in", "out")}

    def senders():
        return ((station.ns, station.link.a4, spis["out"]),
                (controller.ns, station.place, spis["in"]))

    def numbers():
        """Sent and received, of each way."""
        (here, there), way = senders(), slice(1, 3)
        return [last_numbers(here[0], *here[way])[0],
                last_numbers(there[0], *here[way])[1],
                last_numbers(there[0], *there[way])[0],
                last_numbers(here[0], *there[way])[1]]
    for number in JUMPS:
        for sender in senders():
            set_last_number(*sender, number)
        talk(station, SIZES)
    before = numbers()
    check(min(before) > JUMPS[-1], f"numbers: {before}")
    move(station, MOVES + 1)
    arrived(station)
    talk(station, SIZES)
    check_equal(spis, {way: int(station.child()[f"spi-{way}"], 16)
                       for way in spis}, "SPIs")
    check(all(map(int.__lt__, before, numbers())), f"{numbers()} from {before}")


def tried():
    """The oldest and the newest: what is between moves as the oldest does."""
    return [v for v in versions() if v in (versions()[0], versions()[-1])]


def stopped():
    end(controller, *stations)
    for station in stations:
        station.ns.ip(f"addr del {station.place}/28 dev {station.link.if_b}\n"
                      f"addr add {station.link.b4}/28 dev {station.link.if_b}\n")


serve(controller, *stations)
for site in controller, *stations:
    udp_sink(site.ns)
for version in tried():
    add_case(f"strongSwan {version}: stations join", joined, version)
    for station in stations:
        add_case(f"strongSwan {version}, {station.encap}: {MOVES} moves",
                 moves, station)
        add_case(f"strongSwan {version}, {station.encap}: a move undoes no "
                 "window", replayed, station)
        add_case(f"strongSwan {version}, {station.encap}: a move goes on beyond "
                 "2^32", beyond, station)
    add_case(f"strongSwan {version}: all end", stopped)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
