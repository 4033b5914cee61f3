#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Who listens need not ask: what is configured is told as it happens, whether by
hand or by an IKE daemon, and who has missed something is told that."""

import errno
import signal

from lib import *
from libbound import *
from libesp import address
from libnetlink import *

IN, OUT = 0, 1
# What packets and time change, of which nobody tells.
MOVING = ("age", "last-received", "last-sent", "stats", "icmp", "mtu", "seq",
          "no-sa", "door4", "door6", "peers")

a, b = Ns("a"), Ns("b")
link = veth(a, b)
nl = a.nl


def still(found):
    return {word: value for word, value in found.items() if word not in MOVING}


class Manager:
    """Knows the configuration by what it is told alone."""

    def __init__(self):
        self.nl = Genl(a)
        self.nl.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.nl.join("config")
        self.heard, self.known = [], {"device": {}, "peer": {}, "sa": {}}

    def take(self, name, found):
        kind, verb, _ = name.replace("dev", "device").split("-")
        words = ("peer", "direction", "spi") if kind == "sa" else ("name",)
        key = found["ifname"], *(found.get(word) for word in words)
        known = self.known[kind]
        if kind != "device":
            check_equal(key in known, verb != "add", f"known before {name} {key}")
        known.pop(key, None)
        if verb != "del":
            known[key] = still(found)

    def listen(self, seconds=0):
        """Names of what has come since."""
        names = []
        while change := self.nl.change(seconds):
            self.heard.append(change)
            self.take(*change)
            names.append(change[0].removesuffix("-ntf"))
        return names

    def last(self):
        return self.heard[-1][1]


def asked():
    """What a manager that polls would know of peers and SAs."""
    found = {"peer": {}, "sa": {}}
    for device in nl.dump("dev-get"):
        name = device["ifname"]
        for peer in nl.dump("peer-get", ifname=name):
            found["peer"][name, peer["name"]] = still(peer)
        for sa in nl.dump("sa-get", ifname=name):
            found["sa"][name, sa["peer"], sa["direction"], sa["spi"]] = still(sa)
    return found


def agree(manager):
    """What was told is what there is."""
    for kind, found in asked().items():
        check_equal(manager.known[kind], found, f"known of each {kind}")


def add_sa(direction, peer="p", **more):
    sa = Sa()
    nl.do("sa-add", ifname="bh0", peer=peer, direction=direction, spi=sa.spi,
          cipher=1, key=sa.key, **more)
    return sa


@case("by hand: each change is told, with all that there is to know but keys")
def _():
    a.ip("link add bh0 type bhsec\n")
    manager = Manager()
    nl.do("dev-set", ifname="bh0", window=64, fwmark=7)
    check_equal(manager.listen(), ["dev-set"], "told of settings")
    check_equal(still(manager.last()), still(nl.do("dev-get", ifname="bh0")[0]),
                "settings")
    nl.do("peer-add", ifname="bh0", name="p", keepalive=9,
          endpoint_addr=address(link.b4),
          selectors=[("prefix", [("addr", bytes((10, 9, 0, 0))), ("len", 16)])])
    check_equal(manager.listen(), ["peer-add"], "told of a peer")
    agree(manager)
    nl.do("peer-set", ifname="bh0", name="p", roam=1)
    check_equal(manager.listen(), ["peer-set"], "told of its change")
    agree(manager)
    into, out = add_sa(IN), add_sa(OUT)
    check_equal(manager.listen(), ["sa-add"] * 2, "told of SAs")
    agree(manager)
    voice = add_sa(OUT, dscp_mask=1 << 46)
    check_equal(sorted(manager.listen()), ["sa-add", "sa-set"],
                "told of an SA that takes a class from another")
    agree(manager)
    nl.do("sa-del", ifname="bh0", peer="p", direction=IN, spi=into.spi)
    check_equal(manager.listen(), ["sa-del"], "told of an SA's end")
    agree(manager)
    before, = nl.do("peer-get", ifname="bh0", name="p")
    nl.do("peer-del", ifname="bh0", name="p")
    check_equal(manager.listen(), ["sa-del"] * 2 + ["peer-del"],
                "told of a peer's end")
    check_equal(still(manager.last()), still(before), "the peer at last")
    agree(manager)
    for sa in into, out, voice:
        check(sa.key not in repr(manager.heard).encode() and
              not any("key" in found for _, found in manager.heard), "a key")


@case("what is refused is not told")
def _():
    manager = Manager()
    for command, words in (("dev-set", {"window": 1, "dev": "none"}),
                           ("peer-add", {"name": "ike-1"}),
                           ("peer-set", {"name": "none"}),
                           ("sa-del", {"peer": "p", "direction": 0, "spi": 999})):
        try:
            nl.do(command, ifname="bh0", **words)
            raise Failure(f"{command} was taken")
        except OSError:
            pass
    check_equal(manager.listen(), [], "told")


@case("a device that goes tells of all its peers and SAs")
def _():
    manager = Manager()
    nl.do("peer-add", ifname="bh0", name="p")
    add_sa(IN)
    a.ip("link del bh0\n")
    check_equal(manager.listen(), ["peer-add", "sa-add", "sa-del", "peer-del"],
                "told")


@case("what an IKE daemon makes, moves and deletes is told as what is made by hand")
def _():
    t = Bound(a, b, link)
    a.ip(t.device_lines("a"))
    manager = Manager()
    bind(a, t.dev, t.if_id)
    a.encap_sockets()
    a.ip(t.near_state_lines() + t.near_policy_lines())
    t.adopted()

    def settled():
        manager.listen()
        found = asked()
        return all(manager.known[kind] == found[kind] for kind in found)
    wait_for(settled, what=lambda: f"{manager.known} to be {asked()}")
    peer, = manager.known["peer"].values()
    check_equal([peer["name"], peer["origin"], peer["reqid"]],
                [t.peer, IKE, t.reqid], "the peer")
    check_equal({sa["origin"] for sa in manager.known["sa"].values()}, {IKE},
                "who keys its SAs")
    old = t.out
    t.out = t.new_sa()
    a.ip(t.near_state_lines(in_=False))
    t.adopted(3)
    wait_for(settled, what="the new outbound SA")
    check_equal(manager.known["sa"][t.dev, t.peer, OUT, old.spi]["dscp-mask"], 0,
                "classes of the old one")
    t.out, new = old, t.out
    a.ip(t.near_state_ends())
    t.adopted(1)
    wait_for(settled, what="the end of the old ones")
    t.out = new
    # its inbound state went before
    a.ip(t.near_state_ends().split("\n")[1] + "\n" + t.near_policy_ends())
    no_peer_left(a)
    wait_for(settled, what="the end of all")
    check_equal(manager.known["peer"], {}, "peers")
    bind(a, t.dev, 0)
    wait_for(lambda: "dev-set" in manager.listen(), what="the end of the if-id")


@case("the tool says the same, as text and as JSON")
def _():
    a.ip("link del bh0\nlink add bh0 type bhsec\n")
    events, text = Monitor(a), a.popen(["bhsec", "monitor"], text=True,
                                       stdout=subprocess.PIPE)
    wait_for(lambda: Monitor.subscribed(text, a), what="its start")
    sa = Sa()
    a.bhsec("set bh0 window 99 port 4509\npeer add bh0 p selectors 10.9.0.0/16\n"
            + sa.bhsec("bh0", "p", "out") + "peer set bh0 p keepalive 7\n"
            + "peer del bh0 p\n")
    wanted = ["device_set", "peer_add", "sa_add", "peer_set", "sa_del",
              "peer_del"]
    wait_for(lambda: len(events.events) >= len(wanted), what="events")
    check_equal([e["event"] for e in events.events], wanted, "events")
    lines = [text.stdout.readline() for _ in wanted]
    for event, line, word in zip(events.events, lines, wanted):
        check_equal(event["device"], "bh0", word)
        check(f" {word} bh0 " in line, line)
    check_equal(events.events[0]["window"], 99, "window")
    check(" window 99" in lines[0], lines[0])
    check_equal([e["peer"] for e in events.events[1:]], ["p"] * 5, "peers")
    check_equal(events.events[1]["selectors"], ["10.9.0.0/16"], "selectors")
    check(" peer p " in lines[1] and " selectors 10.9.0.0/16" in lines[1],
          lines[1])
    check_equal(events.events[2]["spi"], sa.spi, "SPI")
    check(f" peer p out spi {sa.spi:#x} cipher {sa.cipher}" in lines[2], lines[2])
    check_equal(events.events[3]["keepalive"], 7, "keepalive")


@case("who was too slow for all is told, and the tool says so")
def _():
    slow, events = Genl(a), Monitor(a)
    slow.join("config")
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    events.process.send_signal(signal.SIGSTOP)
    # as large as they get: the tool's buffer holds 8 MB
    many_changes(nl, 1000)
    heard = []
    try:
        while change := slow.change(0):
            heard.append(change)
        raise Failure(f"nothing was lost: {len(heard)} heard")
    except OSError as error:
        check_equal(error.errno, errno.ENOBUFS, "error")
    check(not any(e["event"] == "lost" for e in events.events), "lost before")
    events.process.send_signal(signal.SIGCONT)
    wait_for(lambda: any(e["event"] == "lost" for e in list(events.events)),
             what="the tool's word that something was lost")


@case("nothing that is configured is held back, however much it is")
def _():
    manager = Manager()
    many_changes(nl, 100)
    check_equal(manager.listen(), ["peer-add"] + ["peer-set"] * 100
                + ["peer-del"], "told")


@case("bad packets to one device hide none to another")
def _():
    into = {}
    for number, dev in enumerate(("bh2", "bh3")):
        a.ip(f"link add {dev} type bhsec\nlink set {dev} up\n")
        into[dev] = Sa()
        a.bhsec(f"set {dev} port {4510 + number}\n"
                f"peer add {dev} p endpoint {link.b4}\n"
                + into[dev].bhsec(dev, "p", "in"))
    ears = Genl(a)
    ears.join("events")
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        def forge(dev, port):
            sock.sendto(struct.pack(">II", into[dev].spi, 1) + bytes(40),
                        (link.a4, port))
        for _ in range(100):
            forge("bh2", 4510)
        wait_for(lambda: a.stats("bh2", "p")["auth"] == 100, what="the noise")
        forge("bh3", 4511)
    heard = set()
    while "bh3" not in heard:
        event = ears.event(PATIENCE)
        check(event, "the other device's was held back")
        heard.add(event["ifname"])
    check_equal(heard, {"bh2", "bh3"}, "whose bad packets were heard of")


@case("without CAP_NET_ADMIN nobody hears of it")
def _():
    result = a.run(["setpriv", "--reuid=65534", "--regid=65534",
                    "--clear-groups", sys.executable, "-c",
                    "import socket, sys\n"
                    "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)\n"
                    f"s.setsockopt({SOL_NETLINK}, {NETLINK_ADD_MEMBERSHIP}, "
                    f"{nl.groups['config']})"], check=False)
    check("PermissionError" in result.stderr, result.stderr or "it may join")


main()
