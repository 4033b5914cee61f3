#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""CHILD_SAs of strongSwan whose traffic selectors name a protocol and ports, beside
one for the rest; at one end bhsec, at the other the kernel's own xfrm."""

from libsites import *
from libstream import *

SIZES = 0, 100, 1300
GTPU = 2152
# A range that xfrm can say by a mask; it holds the port of tcp_transfer().
RANGE = 6912, 7167
SELECTORS = {"gtpu": ("udp", f"{GTPU}"), "flow": ("udp", f"{FLOW_PORT}"),
             "range": ("tcp", f"{RANGE[0]}-{RANGE[1]}")}
# The daemons' roots have no /etc/protocols.
PROTOCOLS = {"tcp": 6, "udp": 17}

ca = Authority("operator")


def site(name, near, far, encap):
    """The controller answers with what it has for all."""
    controller = Controller(f"c{name}", ca, kind=near)
    station = Station(name, controller, ca.certify(f"{name}.example"), far,
                      encap=encap)
    child = re.search(rf"children \{{ {name} (\{{.*?\}})", station.text, re.S)[1]
    more = ""
    for which, (protocol, port) in SELECTORS.items():
        what = f"[{PROTOCOLS[protocol]}/{port}]"
        more += f"{which} " + child.replace(
            f"{NET4},{NET6}", f"{NET4}{what},{NET6}{what}") + "\n"
    station.text = station.text.replace(child, f"{child}\n{more}")
    serve(controller, station)
    for any_address in "0.0.0.0", "::":
        udp_echo(controller.ns, any_address, GTPU)
    return controller, station


def bhsec_end(pair):
    return next(one for one in pair if one.kind == "bhsec")


def peers(pair):
    """{child: the peer that bhsec has of it}"""
    end = bhsec_end(pair)
    side = "remote_port" if end is pair[1] else "local_port"
    found = {}
    for peer in end.ns.device("bh0")["peers"]:
        named = {(one["protocol"], one.get(side))
                 for one in peer["traffic_selectors"]}
        for name, what in SELECTORS.items():
            if named == {what}:
                found[name] = peer["name"]
        if peer["selectors"]:
            found["rest"] = peer["name"]
    return found


def goes_by(pair, name, do, *args, **kw):
    end, names = bhsec_end(pair), peers(pair)
    before = end.ns.all_stats("bh0")
    do(*args, **kw)
    after = end.ns.all_stats("bh0")
    moved = {peer for peer in after if difference(before[peer], after[peer])}
    check_equal(moved, {names[name]}, f"{name} of {names}: peers with traffic")


def each_by_its_own(pair):
    controller, station = pair
    for mine, theirs in ((station.inner4, controller.inner4),
                         (station.inner6, controller.inner6)):
        goes_by(pair, "gtpu", udp_exchange, station.ns, theirs, SIZES, mine,
                port=GTPU)
        goes_by(pair, "rest", udp_exchange, station.ns, theirs, SIZES, mine)
        goes_by(pair, "range", tcp_transfer, station.ns, controller.ns, theirs,
                100_000, mine)
        # from a port of nobody's
        goes_by(pair, "rest", tcp_transfer, station.ns, controller.ns, theirs,
                1000, mine, port=RANGE[1] + 1)


def told_apart(pair, version):
    controller, station = pair
    start(version, *pair)
    station.join()
    for name in SELECTORS:
        station.daemon.initiate(name, ike=station.name)
    wait_for(lambda: set(peers(pair)) == {*SELECTORS, "rest"},
             what=lambda: f"{peers(pair)}")
    each_by_its_own(pair)
    flow = Flow(station.ns, controller.ns, station.inner4, controller.inner4,
                over_xfrm=station.kind != "bhsec")
    try:
        for name in "flow", "gtpu", station.name:
            station.daemon.rekey(child=name)
            flow.drained()
        controller.daemon.rekey(ike="stations")
        flow.drained()
        flow.stop()
    finally:
        flow.close()
    wait_for(lambda: set(peers(pair)) == {*SELECTORS, "rest"},
             what=lambda: f"{peers(pair)}")
    each_by_its_own(pair)
    end(*pair)


pairs = {"esp": site("near", "xfrm", "bhsec", "esp"),
         "udp": site("far", "bhsec", "xfrm", "udp")}
for version in versions():
    for encap, pair in pairs.items():
        add_case(f"strongSwan {version}, {encap}, {pair[1].kind} at the station: "
                 "a CHILD_SA for each protocol and port, through rekeys",
                 told_apart, pair, version)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
