#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""A real base-station network over the demo's tunnels while the underlay is
slow and loses packets, and keys change: Abis over TCP, M3UA over SCTP, GTP-U.

Asked for by name it lasts five minutes, among all tests one.
"""

from lib import *

sys.path.append(f"{TESTS}/demo")
import programs
import tunnels
from osmocom import GATEWAY, Network

OSMOCOM = os.path.join(os.environ.get("BHSEC_CACHE", ""), "osmocom")
SECONDS = 300 if os.environ.get("BHSEC_ALONE") else 60
REKEYS = 20
DELAY, LOSS = "30ms", "0.1%"
PINGS_A_SECOND = 5
# What a bearer of 1500 bytes carries: GTP-U puts 36 more before it.
LARGEST = 1500 - 28

network = None


def on(site, *words, lines=None):
    return programs.run(site, *words, stdin=lines)


def links():
    """Everything that would be another if a link had flapped."""
    return [network.station(0), network.station(1), network.association(),
            network.signalling(), network.context()]


def rekey(one, other, generation):
    """Make before break, as an operator's script would do it."""
    for ends in (one, other), (other, one):
        tunnels.genkey(*ends, generation)
    for direction in "in", "out":
        for here, there in (one, other), (other, one):
            on(here, "bhsec", "-batch", "-", lines="sa add "
               + tunnels.sa(here, there, direction, generation) + "\n")
    for here, there in (one, other), (other, one):
        old = generation - 1
        on(here, "bhsec", "-batch", "-", lines=
           f"sa del bh0 {there} out spi {tunnels.spi(here, there, old)}\n"
           f"sa del bh0 {there} in spi {tunnels.spi(there, here, old)}\n")


def drops(site):
    """What its peers have dropped, by cause."""
    found = {}
    for device in json.loads(on(site, "bhsec", "show", "-j")):
        for peer in device["peers"]:
            for cause, count in peer["stats"].items():
                if count and not cause.startswith(("rx_", "tx_")):
                    found[cause] = found.get(cause, 0) + count
    return found


@case("tunnels over an underlay of 30 ms that loses one packet in a thousand")
def _():
    global network
    load_module()
    subprocess.run(["modprobe", "-a", "sctp", "tun", "sch_netem"], check=True)
    tunnels.make_underlay()
    with programs.inside("net"):
        subprocess.run(["tc", "-batch", "-"], check=True, text=True, input="".join(
            f"qdisc add dev {site} root netem delay {DELAY} loss {LOSS}\n"
            for site in tunnels.UNDERLAY))
    tunnels.configure()
    network = Network(OSMOCOM, programs.Programs())


@case("the network comes up: Abis, M3UA, a PDP context")
def _():
    network.bring_up()
    for number in range(2):
        programs.wait_for(lambda: network.station(number),
                          f"OML and RSL of bts {number}", 180)
    programs.wait_for(network.signalling, "ASP_ACTIVE", 120)
    programs.wait_for(network.context, "a PDP context", 120)
    network.route_subscriber()


@case("the user plane's largest packet passes")
def _():
    # It goes in two fragments each way, any of which may be lost.
    done = on("bs1", "ping", "-q", "-i", "0.2", "-c", "10", "-s", str(LARGEST),
              GATEWAY)
    received = int(re.search(r"(\d+) received", done)[1])
    check(received >= 8, f"{received} of 10 returned")


@case(f"{REKEYS} rekeys: no link flaps, nothing is dropped")
def _():
    before = links()
    check(all(before), f"all links are up: {before}")
    pings = SECONDS * PINGS_A_SECOND
    flood = network.programs.start("bs1", "pings", [
        "ping", "-q", "-i", str(1 / PINGS_A_SECOND), "-c", str(pings), GATEWAY])
    pairs = [("ctl", "bs1"), ("core", "bs1"), ("ctl", "bs2"), ("ctl", "core")]
    begin = time.monotonic()
    for n in range(REKEYS):
        rekey(*pairs[n % len(pairs)], 2 + n // len(pairs))
        check_equal(links(), before, f"links after rekey {n + 1}")
        left = begin + (n + 1) * SECONDS / REKEYS - time.monotonic()
        time.sleep(max(0, left))
    network.programs.finish(flood, SECONDS + 60)
    check_equal(links(), before, "links")
    result = programs.output(flood)
    print(f"# {result.strip().splitlines()[-2]}")
    received = int(re.search(r"(\d+) received", result)[1])
    # 30 ms there and 30 back, or the underlay was another.
    fastest = float(re.search(r"rtt min/avg/max/mdev = ([\d.]+)/", result)[1])
    check(fastest >= 60, f"a ping took {fastest} ms")
    # Every one crosses two cables that lose one packet in a thousand.
    check(received >= pings * 0.98 - 3, f"{received} of {pings} pings returned")
    for site in tunnels.UNDERLAY:
        check_equal(drops(site), {}, f"drops at {site}")


@case("all of it ends")
def _():
    network.programs.stop_all()
    tunnels.remove()
    check_equal(network.left(), [], "programs still running")


if not os.path.isdir(OSMOCOM):
    sys.exit(4)     # kselftest's word for skipped
main()
