#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The tunnel is traffic like any other to the host's firewall: tracked once,
seen as established, dropped by a rule. Behind a box that translates addresses
it is followed when its mapping changes."""

from lib import *
from libesp import address, esp_of

NETLINK_NETFILTER, GROUP_CONNTRACK_NEW = 12, 1
CTA_PROTO_NUM = 1
SHAPES = [(encap, family) for encap in ("udp", "esp") for family in (4, 6)]
PACKETS = 40
TIMEOUT = 120               # seconds of a mapping, many times a guest's pauses

CHAIN = """
	counter {name}_established {{ }}
	counter {name}_fresh {{ }}
	chain {name} {{
		ct state established counter name {name}_established accept
		counter name {name}_fresh
	}}
"""


def gone(module):
    """Unloads it with all that stands on it."""
    place = f"/sys/module/{module}"
    if os.path.isdir(f"{place}/holders"):
        for holder in os.listdir(f"{place}/holders"):
            gone(holder)
        subprocess.run(["rmmod", module], check=False, capture_output=True)
    return not os.path.exists(place)


class Site:
    """Host a with a firewall and a tunnel of each shape to b."""

    def __init__(self):
        self.a, self.b = Ns("a"), Ns("b")
        # Rules would load it: was it there before bhsec?
        self.was_tracking = os.path.exists("/sys/module/nf_conntrack")
        self.link = veth(self.a, self.b)
        self.news = self.a.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                  NETLINK_NETFILTER)
        self.a.run(["nft", "-f", "-"], input=self.rules())
        self.news.bind((0, GROUP_CONNTRACK_NEW))
        self.tunnels = dict(zip(SHAPES, tunnels(self.a, self.b, self.link, [
            {"encap": encap, "family": family} for encap, family in SHAPES])))
        for ns in self.a, self.b:
            udp_echo(ns, "0.0.0.0")

    @staticmethod
    def match(encap, family):
        return (f"meta nfproto ipv{family} " + (
            "meta l4proto esp" if encap == "esp" else f"udp dport {ESP_PORT}"))

    def rules(self):
        chains = "".join(CHAIN.format(name="{}{}".format(*shape))
                         for shape in SHAPES)
        jumps = "".join("\t\tiifname {} {} jump {}{}\n".format(
            self.link.if_a, self.match(*shape), *shape) for shape in SHAPES)
        return (f"table inet filter {{\n{chains}\tchain input {{\n"
                "\t\ttype filter hook input priority 0; policy accept;\n"
                f"{jumps}\t}}\n}}\n")

    def counters(self, encap, family):
        """What the tunnel's have counted since the last call."""
        listed = self.a.run(["nft", "-j", "reset", "counters"]).stdout
        name = f"{encap}{family}_"
        return {entry["counter"]["name"].removeprefix(name):
                entry["counter"]["packets"]
                for entry in json.loads(listed)["nftables"]
                if entry.get("counter", {}).get("name", "").startswith(name)}

    def forget(self):
        """All flows, and what was said of them."""
        self.a.run(["conntrack", "-F"])
        self.tracked(next(iter(self.tunnels.values())))

    def tracked(self, t):
        """How often connection tracking has met the tunnel."""
        kind = socket.IPPROTO_UDP if t.encap == "udp" else socket.IPPROTO_ESP
        parts = (address(t.a_outer), address(t.b_outer),
                 struct.pack("=HHB", 5, CTA_PROTO_NUM, kind))
        self.news.setblocking(False)
        count = 0
        try:
            while message := self.news.recv(8192):
                count += all(part in message for part in parts)
        except BlockingIOError:
            return count


def outward(site, t):
    """Host a speaks first."""
    udp_exchange(site.a, t.b_inner4, range(PACKETS), t.a_inner4)
    return {"established": PACKETS, "fresh": 0}


def inward(site, t):
    """The far end's first packet is nobody's answer."""
    udp_exchange(site.b, t.a_inner4, range(PACKETS), t.b_inner4, burst=1)
    return {"established": PACKETS - 1, "fresh": 1}


def is_tracked(site, shape, begin):
    t = site.tunnels[shape]
    site.forget()
    site.counters(*shape)
    wanted = begin(site, t)
    check_equal(site.counters(*shape), wanted, "counters")
    check_equal(site.tracked(t), 1, "flows of the tunnel")


def is_dropped(site, shape):
    """By its rule, before bhsec sees it."""
    t = site.tunnels[shape]
    udp_exchange(site.a, t.b_inner4, range(4), t.a_inner4)
    before = t.stats()
    site.a.run(["nft", f"insert rule inet filter input {site.match(*shape)} "
                       "counter drop"])
    with site.a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        capture = Capture(site.a, site.link.if_a, outgoing=False)
        sock.bind((t.a_inner4, 0))
        sock.sendto(b"x", (t.b_inner4, 7007))
        capture.wait(1, esp_of)
        capture.stop()
    moved = difference(before, t.stats())
    check_equal(sorted(moved), ["tx_bytes", "tx_packets"], "counters")


gone("nf_conntrack")
site = Site()


@case("connection tracking has come after the module")
def _():
    if site.was_tracking:
        raise Skip("this kernel does not let go of it")
    check(os.path.exists("/sys/module/nf_conntrack"), "it did not come")


for shape in SHAPES:
    for begin in outward, inward:
        add_case("{} over IPv{}: one established flow, begun {}".format(
            *shape, begin.__name__), is_tracked, site, shape, begin)
for shape in SHAPES:
    add_case("{} over IPv{}: a drop rule drops".format(*shape),
             is_dropped, site, shape)


# A base station behind a box that translates its address

class Translated:
    """bts - box - core; the box gives bts its own address and a port."""

    def __init__(self):
        self.bts, self.box, self.core = Ns("bts"), Ns("box"), Ns("core")
        self.inside = veth(self.bts, self.box)
        self.outside = veth(self.box, self.core)
        self.box.be_router()
        self.bts.ip(f"route add default via {self.inside.b4}\n")
        self.out, self.in_ = Sa(), Sa()
        self.map_to(5001)
        self.end(self.bts, "10.1.0.1", "10.2.0.0/24", self.out, self.in_,
                 f"endpoint {self.outside.b4}")
        self.end(self.core, "10.2.0.1", "10.1.0.0/24", self.in_, self.out, "")
        udp_echo(self.core, "10.2.0.1")
        udp_echo(self.bts, "10.1.0.1")

    @staticmethod
    def end(ns, mine, net, out, in_, endpoint):
        ns.ip(f"link add bh0 type bhsec\nlink set bh0 up\n"
              f"addr add {mine}/32 dev bh0\nroute add {net} dev bh0 src {mine}\n")
        ns.bhsec(f"peer add bh0 p {endpoint} selectors {net}\n"
                 + in_.bhsec("bh0", "p", "in") + out.bhsec("bh0", "p", "out"))

    def map_to(self, port):
        """A new mapping, as after the box was started again."""
        self.box.run(["nft", "-f", "-"], input=f"""
table ip nat
delete table ip nat
table ip nat {{
	chain postrouting {{
		type nat hook postrouting priority 100;
		oifname "{self.outside.if_a}" udp sport {ESP_PORT} \\
			snat to {self.outside.a4}:{port}
	}}
}}
""")
        self.box.run(["conntrack", "-F"])

    def time_left(self, port):
        """Seconds that the box will keep the mapping to a port."""
        with self.box, open("/proc/thread-self/net/nf_conntrack") as lines:
            return max((int(line.split()[4]) for line in lines
                        if f"dport={port} " in line), default=0)

    def seen_at(self):
        return self.core.peer("bh0", "p").get("endpoint")

    def up(self):
        udp_exchange(self.bts, "10.2.0.1", range(8), "10.1.0.1")

    def down(self):
        udp_exchange(self.core, "10.1.0.1", range(8), "10.2.0.1")


net = Translated()


@case("a peer behind a NAT is found, and found again when its mapping changes")
def _():
    check_equal(net.seen_at(), None, "endpoint before the first packet")
    for port in (5001, 5002, 5003):
        net.map_to(port)
        net.up()
        check_equal(net.seen_at(), f"{net.outside.a4}:{port}", "endpoint")
        net.down()
    net.core.cli("peer", "set", "bh0", "p", "roam", "off")
    net.map_to(5004)
    with net.bts.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        before = net.core.stats("bh0", "p")["rx_packets"]
        sock.sendto(b"x", ("10.2.0.1", 9))
        wait_for(lambda: net.core.stats("bh0", "p")["rx_packets"] > before,
                 what="the packet of the new mapping")
    check_equal(net.seen_at(), f"{net.outside.a4}:5003", "endpoint, roam off")


@case("keepalives alone hold the mapping of a silent peer")
def _():
    net.core.cli("peer", "set", "bh0", "p", "roam", "on")
    net.box.sysctl({"netfilter/nf_conntrack_udp_timeout": TIMEOUT,
                    "netfilter/nf_conntrack_udp_timeout_stream": TIMEOUT})
    net.map_to(5005)
    net.up()
    net.bts.cli("peer", "set", "bh0", "p", "keepalive", 2)
    for _ in range(2):
        wait_for(lambda: net.time_left(5005) < TIMEOUT - 1,
                 what="time to run out")
        wait_for(lambda: net.time_left(5005) >= TIMEOUT - 1,
                 what="a keepalive")
    net.down()


@case("the module may come after connection tracking, too")
def _():
    clean_up()
    subprocess.run(["rmmod", "bhsec"], check=True)
    subprocess.run(["modprobe", "bhsec"], check=True)
    later = Site()
    check(later.was_tracking, "connection tracking has gone")
    for shape in SHAPES:
        for begin in outward, inward:
            is_tracked(later, shape, begin)


main()
