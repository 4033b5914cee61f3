#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The tunnel is traffic like any other to the host's firewall: tracked once,
seen as established, dropped by a rule. Behind a box that translates addresses
it is followed when its mapping changes."""

from lib import *
from libesp import address, esp_of

NETLINK_NETFILTER, GROUP_CONNTRACK_NEW = 12, 1

RULES = """
table inet filter {
	counter established { }
	counter fresh { }
	chain input {
		type filter hook input priority 0; policy accept;
		iifname "%(dev)s" %(match)s jump tunnel
	}
	chain tunnel {
		ct state established counter name established accept
		counter name fresh
	}
}
"""


class Site:
    """Host a with a firewall and a tunnel to b."""

    def __init__(self, encap, family):
        self.a, self.b = Ns("a"), Ns("b")
        self.link = veth(self.a, self.b)
        match = ("meta l4proto esp" if encap == "esp" else
                 f"udp dport {ESP_PORT}")
        self.news = self.a.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                  NETLINK_NETFILTER)
        self.news.bind((0, GROUP_CONNTRACK_NEW))
        self.a.run(["nft", "-f", "-"], input=RULES % {
            "dev": self.link.if_a, "match": match})
        self.t = tunnel_xfrm(self.a, self.b, self.link, encap=encap,
                             family=family)
        udp_echo(self.b, self.t.b_inner4)

    def exchange(self, count=40):
        udp_exchange(self.a, self.t.b_inner4, range(count), self.t.a_inner4)

    def counters(self):
        listed = json.loads(self.a.run(["nft", "-j", "list", "counters"]).stdout)
        return {entry["counter"]["name"]: entry["counter"]["packets"]
                for entry in listed["nftables"] if "counter" in entry}

    def tracked(self):
        """How often connection tracking has met the tunnel."""
        outer = address(self.t.a_outer), address(self.t.b_outer)
        self.news.setblocking(False)
        count = 0
        try:
            while message := self.news.recv(8192):
                count += all(part in message for part in outer)
        except BlockingIOError:
            return count


def is_tracked(encap, family):
    site = Site(encap, family)
    site.exchange()
    check_equal(site.counters(), {"established": 40, "fresh": 0}, "counters")
    check_equal(site.tracked(), 1, "flows of the tunnel")
    clean_up()


def is_dropped(encap, family):
    """By its rule, before bhsec sees it."""
    site = Site(encap, family)
    site.exchange(4)
    before = site.t.stats()
    site.a.run(["nft", "insert", "rule", "inet", "filter", "tunnel", "counter",
                "drop"])
    with site.a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        capture = Capture(site.a, site.link.if_a, outgoing=False)
        sock.bind((site.t.a_inner4, 0))
        sock.sendto(b"x", (site.t.b_inner4, 7007))
        wait_for(lambda: any(map(esp_of, list(capture.frames))), what="the reply")
        capture.stop()
    moved = difference(before, site.t.stats())
    check_equal(sorted(moved), ["tx_bytes", "tx_packets"], "counters")
    clean_up()


SHAPES = [(encap, family) for encap in ("udp", "esp") for family in (4, 6)]

for shape in SHAPES:
    add_case("{} over IPv{}: one established flow".format(*shape),
             is_tracked, *shape)
for shape in SHAPES:
    add_case("{} over IPv{}: a drop rule drops".format(*shape),
             is_dropped, *shape)


@case("the module may come after connection tracking, too")
def _():
    subprocess.run(["rmmod", "bhsec"], check=True)
    subprocess.run(["modprobe", "bhsec"], check=True)
    for shape in SHAPES:
        is_tracked(*shape)


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

    def seen_at(self):
        return self.core.peer("bh0", "p").get("endpoint")

    def up(self):
        udp_exchange(self.bts, "10.2.0.1", range(8), "10.1.0.1")

    def down(self):
        udp_exchange(self.core, "10.1.0.1", range(8), "10.2.0.1")


@case("a peer behind a NAT is found, and found again when its mapping changes")
def _():
    net = Translated()
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
    clean_up()


@case("keepalives alone hold the mapping of a silent peer")
def _():
    net = Translated()
    net.box.sysctl({"netfilter/nf_conntrack_udp_timeout": 3,
                    "netfilter/nf_conntrack_udp_timeout_stream": 3})
    net.up()
    net.bts.cli("peer", "set", "bh0", "p", "keepalive", 1)
    time.sleep(6)
    net.down()
    clean_up()


main()
