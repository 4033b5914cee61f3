#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A controller keyed by an unmodified IKE daemon: base stations join with a
certificate and nothing else, one over bhsec and ESP in UDP, one over the
kernel's own IPsec and raw ESP; keys change under traffic, and what ends, ends
closed."""

import contextlib
import functools

from libsites import *
from libstream import *

MARK = b"never in clear on the underlay: " + secrets.token_hex(8).encode()
REKEYS, REAUTHENTICATIONS = 6, 2
TRAFFIC = {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes"}
CONTROL = "/run/charon.vici"

ca, other_ca = Authority("operator"), Authority("somebody else")
revoked = ca.certify("revoked.example")
ca.revoke(revoked)
controller = Controller("ctl", ca)
near = Station("near", controller, ca.certify("near.example"), "bhsec", "udp",
               group="x25519")
far = Station("far", controller, ca.certify("far.example"), "xfrm", "esp")
stations = near, far


def join():
    for station in stations:
        station.join()
        talk(station)


def moved(peer, before):
    return difference(before, controller.ns.stats(controller.dev, peer))


# What bhsec shows

def spis_of(child):
    return {("in", int(child["spi-in"], 16)), ("out", int(child["spi-out"], 16))}


@contextlib.contextmanager
def asked(site):
    """Its daemon's control socket is where the tool looks for one."""
    os.symlink(f"{site.daemon.run}/vici", CONTROL)
    try:
        yield
    finally:
        os.unlink(CONTROL)


def named(site):
    """{peer: identity}; an SA that is busy is passed over, so until all are."""
    def names():
        peers = site.ns.device(site.dev)["peers"]
        found = {peer["name"]: peer["identity"] for peer in peers}
        return None if None in found.values() else found
    with asked(site):
        return wait_for(names, what="names")


def is_shown(site, sa):
    """A peer by its reqid, as the daemon knows it."""
    child = next(c for c in sa["child-sas"].values()
                 if c["state"] == "INSTALLED")
    peer = site.ns.peer(site.dev, f"ike-{child['reqid']}")
    udp = child.get("encap") == "yes"
    check_equal(peer["origin"], "ike", "origin")
    check_equal(peer["reqid"], int(child["reqid"]), "reqid")
    check_equal(peer["encap"], "udp" if udp else "esp", "encapsulation")
    check_equal(peer["endpoint"],
                sa["remote-host"] + (":4500" if udp else ""), "endpoint")
    check_equal(set(peer["selectors"]), set(child["remote-ts"]), "selectors")
    check_equal(set(peer["local_selectors"]), set(child["local-ts"]),
                "local selectors")
    check_equal({(sa["direction"], int(str(sa["spi"]), 0))
                 for sa in peer["sas"]}, spis_of(child), "SPIs")
    for sa in peer["sas"]:
        check_equal((sa["cipher"], sa["origin"]), ("aes-gcm-128", "ike"), "SA")
    check_equal(peer["problems"], [], "problems")


def shown():
    check_equal(controller.ns.device(controller.dev)["if_id"], IF_ID, "if_id")
    check_equal(len(controller.ns.device(controller.dev)["peers"]),
                len(stations), "peers")
    for site in (s for s in (controller, *stations) if s.kind == "bhsec"):
        sas = site.daemon.sas()
        for sa in sas:
            is_shown(site, sa)
        check_equal(sorted(named(site).values()),
                    sorted(sa["remote-id"] for sa in sas), "identities")


# Who gets nothing

def refused(identity):
    """As a station, with a certificate that the controller does not want."""
    before = len(controller.daemon.sas())
    far.daemon.identity(identity)
    far.daemon.load(far.text.replace(far.identity.name, identity.name)
                    .replace(f"{far.name} {{", "stranger {"))
    try:
        far.daemon.initiate("stranger")
    except Failure as refusal:
        ksft.print_msg(str(refusal))
    else:
        raise Failure("it was let in")
    check_equal(far.daemon.sas("stranger"), [], "its SAs")
    check_equal(len(controller.daemon.sas()), before, "the controller's SAs")
    if controller.kind == "bhsec":
        check_equal(len(controller.ns.device(controller.dev)["peers"]),
                    len(stations), "peers")


# Life under traffic

@contextlib.contextmanager
def streams(heard=lambda source, target: True):
    """Both ways with each station, or those ways that are heard; all of it has
    arrived when they end."""
    ports = itertools.count(FLOW_PORT)
    flows = []
    for station in stations:
        for (a, a_addr), (b, b_addr) in itertools.permutations(
                [(station, station.inner4), (controller, controller.inner4)]):
            if heard(a, b):
                flows.append(Flow(a.ns, b.ns, a_addr, b_addr, a.kind == "xfrm",
                                  next(ports)))
    try:
        yield flows
        for flow in flows:
            flow.stop()
        ksft.print_msg(f"{sum(flow.sent for flow in flows)} datagrams")
    finally:
        for flow in flows:
            flow.close()


def drained(flows):
    for flow in flows:
        flow.drained()


def under_traffic(act, heard=lambda source, target: True, times=REKEYS):
    """act(n) loses no datagram of those ways, and bhsec drops none."""
    names = [controller.name_of(station) for station in stations]
    counted = controller.kind == "bhsec"
    before = counted and controller.ns.all_stats(controller.dev)
    with streams(heard) as flows:
        for n in range(times):
            drained(flows)
            act(n)
            drained(flows)
    if counted:
        for name in names:
            check_equal(set(moved(name, before[name])) - TRAFFIC, set(),
                        f"counters of {name}")


def rekey(what, n):
    """By the controller for all of them, or by each station."""
    if n % 2:
        controller.daemon.rekey(**{what: {"child": "data",
                                          "ike": "stations"}[what]})
    else:
        for station in stations:
            station.daemon.rekey(**{what: station.name})


def to_controller(source, target):
    """Which sends by new SAs at once, when a station cannot have made them yet:
    strongSwan's way of answering, and no daemon's kernel is asked."""
    return target is controller


def reauthenticated(n):
    """Make-before-break, by each station, which alone can."""
    for station in stations:
        station.daemon.rekey(ike=station.name, reauth=True)


def without_port(source, target):
    """ESP in UDP needs somebody who holds the daemon's port, as the kernel's
    own IPsec does; nothing else needs the daemon."""
    return target is not controller or source.encap == "esp"


def killed():
    with streams(without_port) as flows:
        drained(flows)
        controller.daemon.kill()
        time.sleep(1)
        drained(flows)


def restarted():
    """The new daemon knows nothing of them."""
    with streams(without_port) as flows:
        drained(flows)
        controller.daemon.start()
        drained(flows)
    with streams() as flows:
        drained(flows)


def rejoined():
    for station in stations:
        station.daemon.forget(station.name)
        station.join()
        talk(station)


# Its end

def send_marks(ns, source, address, count=20):
    with ns.socket(family_of(address), socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((source, 0))
        for _ in range(count):
            try:
                sock.sendto(MARK, (address, 7007))
            except OSError:
                pass    # the stack, or bhsec's ICMP error, says no


def drops(ns, dev):
    """Of any peer, and of none."""
    counted = [ns.own_stats(dev), *ns.all_stats(dev).values()]
    return sum(stats.get(cause, 0) for stats in counted
               for cause in ("no_peer", "no_key"))


def closed(station):
    """Nothing leaves for a station that has left, least of all in clear."""
    inner4, inner6 = station.inner4, station.inner6
    capture = Capture(controller.ns, station.link.if_a, outgoing=True)
    counted = controller.kind == "bhsec"
    name = counted and controller.name_of(station)
    station.leave()
    if counted:     # with a peer go its counters
        wait_for(lambda: name not in controller.ns.all_stats(controller.dev),
                 what=f"the end of {name}")
    before = counted and drops(controller.ns, controller.dev)
    send_marks(controller.ns, controller.inner4, inner4)
    send_marks(controller.ns, controller.inner6, inner6)
    station.route(preferring=False)
    send_marks(station.ns, station.link.b4, controller.inner4)
    frames = capture.stop()
    check(not any(MARK in frame for frame in frames), "in clear")
    if counted:
        check(drops(controller.ns, controller.dev) >= before + 40,
              "no_peer or no_key did not move")
        check_equal([p["name"] for p in
                     controller.ns.device(controller.dev)["peers"]
                     if p["sas"]],
                    [controller.name_of(s) for s in stations
                     if s is not station], "peers with SAs")
    station.join()
    talk(station)


def nothing_left():
    for site in controller, *stations:
        for what in "state", "policy":
            check("if_id" not in site.ns.run(["ip", "xfrm", what]).stdout,
                  f"{site.ns.label}: a {what} is left")
        if site.kind == "bhsec":
            wait_for(lambda s=site: not s.ns.device(s.dev)["peers"],
                     what=f"{site.ns.label} without a peer")


def stopped():
    for site in controller, *stations:
        site.daemon.stop()
    nothing_left()


def flushed():
    """What daemons leave behind that are killed."""
    for site in controller, *stations:
        site.daemon.kill()
        site.ns.ip("xfrm state flush\nxfrm policy flush\n")
    nothing_left()


serve(controller, *stations)
for version in versions():
    def add(description, function, *args):
        add_case(f"strongSwan {version}: {description}", function, *args)
    add("the daemons start", start, version, controller, *stations)
    add("base stations join by certificate, traffic flows both ways", join)
    add("bhsec shows them as their daemon does", shown)
    add("a revoked certificate gets nothing", refused, revoked)
    add("a certificate of another CA gets nothing", refused,
        other_ca.certify("foreign.example"))
    add("CHILD_SAs rekeyed under traffic: nothing is lost", under_traffic,
        functools.partial(rekey, "child"))
    add("IKE_SAs rekeyed under traffic: nothing is lost", under_traffic,
        functools.partial(rekey, "ike"))
    add("stations reauthenticated: nothing to the controller is lost",
        under_traffic, reauthenticated, to_controller, REAUTHENTICATIONS)
    for station in stations:
        add(f"{station.name} leaves: closed, and it can come back", closed,
            station)
    add("daemons that stop leave nothing", stopped)
    add("the daemons start once more", start, version, controller,
        *stations)
    add("base stations join them", join)
    add("the controller's daemon is killed: what needs no port goes on", killed)
    add("it is started anew: all of it goes on", restarted)
    add("stations that join the new daemon are served", rejoined)
    add("what killed daemons leave is flushed", flushed)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
