#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""A tunnel whose way leads back into a tunnel: its own, another one, one of
another netns, one of another kind. Nothing goes round for ever, nothing eats
up the stack, and traffic goes on once the way is mended.

A route into a bhsec device is seen at once. Any other loop is seen when a
packet, larger by a header each turn, no longer fits. What makes one endless is
fragmenting: pieces never grow too large. So a packet that a tunnel here has
sent already is not cut again, neither before ESP (RFC 4301 8.2.1) nor by the
exception for IPv6 packets up to 1280 (RFC 2473 7.1).
"""

import errno

from lib import *

CRYPTO = os.environ.get("BHSEC_CRYPTO")     # a cipher that answers later
PACKETS = 4
# Endpoints that are somewhere behind the other netns, and what is inside.
FAR = {4: ("198.18.0.1", "198.18.1.1"),
       6: ("2001:db8:ffff::1", "2001:db8:ffff:1::1")}
INSIDE = {4: "10.9.0.1", 6: "fd09::1"}
WAYS = [(encap, family) for encap in ("udp", "esp") for family in (4, 6)]
# Each turn adds at least a raw ESP header over IPv4 without padding; a packet
# that was cut in two goes round in two pieces.
MOST_TURNS = 2 * (1500 // 54)


def prefix(addr):
    return f"{addr}/{128 if ':' in addr else 32}"


def device_lines(dev):
    return (f"link add {dev} mtu 1500 type bhsec\n"
            f"link set {dev} up\n")


def peer_lines(dev, endpoint, encap, *inside, df="set", cipher="aes-gcm-256"):
    """A tunnel that has everything but the other end."""
    at = f"[{endpoint}]" if ":" in endpoint and encap == "udp" else endpoint
    return (f"set {dev} df {df}\npeer add {dev} p endpoint {at} encap {encap} "
            f"selectors {','.join(map(prefix, inside))}\n"
            + Sa(cipher).bhsec(dev, "p", "out"))


def send_past(errors, sock, data):
    """Sends, although the socket may first have errors of earlier ones."""
    for _ in range(10 * PACKETS):
        try:
            return sock.send(data)
        except OSError as error:
            errors.add(error.errno)
    raise Failure(f"nothing can be sent: {errors}")


def send(ns, dst, size=100, by="", told=None):
    """Datagrams that may be fragmented, from inside a VRF if that is named.
    Returns the errors that came back, at least the one that is to be told."""
    errors = set()
    with ns.socket(family_of(dst), socket.SOCK_DGRAM, keep=False) as sock:
        if family_of(dst) == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
        hear_errors(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, by.encode())
        sock.connect((dst, SINK_PORT))
        for _ in range(PACKETS):
            send_past(errors, sock, bytes(size))
        try:
            sock.settimeout(PATIENCE if told and told not in errors else 0)
            sock.recv(1)
        except OSError as error:
            errors.add(error.errno)
    return errors


def refused(ns):
    """What the kernel's own forwarding refused because of its size."""
    fails = 0
    with ns:
        with open("/proc/thread-self/net/snmp") as lines:
            names, values = (line.split() for line in lines
                             if line.startswith("Ip:"))
            fails += int(dict(zip(names, values))["FragFails"])
        with open("/proc/thread-self/net/snmp6") as lines:
            fails += int(dict(map(str.split, lines))["Ip6FragFails"])
    return fails


def totals(devices):
    """Of pairs of netns and device, or None for one that only forwards."""
    sums = {"refused": sum(refused(ns) for ns, _ in devices)}
    for ns, dev in devices:
        if dev is None:
            continue
        for name, value in ns.stats(dev, "p").items():
            sums[name] = sums.get(name, 0) + value
    return sums


def sends_and_rests(devices, dst, least, size=100, by=""):
    """What moved in the devices' counters until they stood still, which is not
    before those named least have seen all packets."""
    before = totals(devices)
    send(devices[0][0], dst, size, by)

    def still():
        seen = totals(devices)
        time.sleep(0.2)
        moved = difference(before, seen)
        counted = sum(moved.get(name, 0) for name in least)
        return moved if (counted >= PACKETS
                         and seen == totals(devices)) else None
    return wait_for(still, what=lambda: "the end of the loop: "
                    f"{difference(before, totals(devices))}")


def ends(devices, dst, size=100, counter="loop"):
    """The last turn of each packet is counted, the others were no more than
    the growth of a packet allows. Where one follows close behind another,
    the kernel itself refuses to forward it: it knows already what the other
    was told of the way, and the tunnel before has not heard it yet."""
    moved = sends_and_rests(devices, dst, (counter, "refused"), size)
    others = moved.pop("refused", 0)
    check_equal(set(moved), {"tx_packets", "tx_bytes", counter}, "counters")
    check(moved[counter] + others <= 2 * PACKETS, f"not each once: {moved}")
    check(moved["tx_packets"] <= MOST_TURNS * PACKETS, f"too many: {moved}")


def goes_on(devices, dst, by=""):
    moved = sends_and_rests(devices, dst, ["tx_packets"], by=by)
    check_equal((set(moved), moved.get("tx_packets")),
                ({"tx_packets", "tx_bytes"}, PACKETS), "counters once mended")


def told_at_once(ns, dev, dst, by=""):
    """All are counted loop, none leaves, the sender hears of it."""
    before = totals([(ns, dev)])
    errors = send(ns, dst, by=by, told=errno.EHOSTUNREACH)
    check_equal(difference(before, totals([(ns, dev)])), {"loop": PACKETS},
                "counters")
    check(errno.EHOSTUNREACH in errors, f"the sender heard {errors}")


# What the route tells

def own(encap, family):
    """The endpoint lies behind the tunnel itself, then no longer."""
    x, y = Ns("x"), Ns("y")
    link = veth(x, y)
    end, dst = FAR[family][0], INSIDE[family]
    x.ip(device_lines("bh0") + f"route add {end} dev bh0\n"
                               f"route add {dst} dev bh0\n")
    x.bhsec(peer_lines("bh0", end, encap, dst, end))
    told_at_once(x, "bh0", dst)
    x.ip(f"route replace {end} via {link.address(y, family)}\n")
    goes_on([(x, "bh0")], dst)


def each_other(family):
    """Two tunnels of one netns, each one's endpoint behind the other."""
    x, y = Ns("x"), Ns("y")
    link = veth(x, y)
    ends_, dst = FAR[family], INSIDE[family]
    x.ip(device_lines("bh0") + device_lines("bh1")
         + f"route add {ends_[0]} dev bh1\nroute add {ends_[1]} dev bh0\n"
           f"route add {dst} dev bh0\n")
    x.bhsec(peer_lines("bh0", ends_[0], "udp", dst, ends_[1])
            + peer_lines("bh1", ends_[1], "esp", ends_[0]))
    told_at_once(x, "bh0", dst)
    told_at_once(x, "bh1", ends_[0])
    for end in ends_:
        x.ip(f"route replace {end} via {link.address(y, family)}\n")
    goes_on([(x, "bh0")], dst)


def by_vrf(family):
    """The tunnel's way is a VRF's, whose way is the tunnel."""
    x, y = Ns("x"), Ns("y")
    link = veth(x, y)
    end, dst = FAR[family][0], INSIDE[family]
    x.ip("link add red type vrf table 7\nlink set red up\n"
         + device_lines("bh0") + "link set bh0 master red\n"
         f"addr add {prefix(INSIDE[family] + '1')} dev bh0\n"
         f"route add {end} dev bh0 table 7\nroute add {dst} dev bh0 table 7\n")
    x.bhsec("set bh0 dev red\n" + peer_lines("bh0", end, "esp", dst, end))
    told_at_once(x, "bh0", dst, "red")
    # an IPv6 address goes when its device enters a VRF
    x.ip(f"link set {link.if_a} master red\n"
         f"addr replace {link.a6}/64 dev {link.if_a} nodad\n"
         f"route replace {end} via {link.address(y, family)} table 7\n")
    goes_on([(x, "bh0")], dst, "red")


# What only its growth tells

class Across:
    """Between two netns: bh0's endpoint is behind the other's tunnel, and the
    reverse."""

    def __init__(self, encap, family, **how):
        self.x, self.y = Ns("x"), Ns("y")
        link = veth(self.x, self.y)
        self.x.be_router()
        self.y.be_router()
        self.ends, self.dst = FAR[family], INSIDE[family]
        self.devices = [(self.x, "bh0"), (self.y, "bh1")]
        self.x.ip(device_lines("bh0")
                  + f"route add {self.ends[0]} via {link.address(self.y, family)}\n"
                    f"route add {self.ends[1]} dev bh0\n"
                    f"route add {self.dst} dev bh0\n")
        self.y.ip(device_lines("bh1")
                  + f"route add {self.ends[1]} via {link.address(self.x, family)}\n"
                    f"route add {self.ends[0]} dev bh1\n")
        self.x.bhsec(peer_lines("bh0", self.ends[0], encap, self.dst,
                                self.ends[1], **how))
        self.y.bhsec(peer_lines("bh1", self.ends[1], encap, self.ends[0], **how))

    def mend(self):
        self.y.ip(f"route del {self.ends[0]} dev bh1\n"
                  f"addr add {prefix(self.ends[0])} dev lo\n")


def across(encap, family):
    """Small, and so large that the first tunnel cuts or sends in pieces."""
    loop = Across(encap, family)
    ends(loop.devices, loop.dst)
    ends(loop.devices, loop.dst, 1200)
    loop.mend()
    goes_on(loop.devices, loop.dst)


def across_without_df(df, size, cipher="aes-gcm-256"):
    """Where the outer DF is clear the next tunnel would cut each packet. Those
    without an IV would not be known again, and so are never cut."""
    loop = Across("udp", 4, df=df, cipher=cipher)
    ends(loop.devices, loop.dst, size,
         "loop" if SUITES[cipher].iv else "too_big")


def moved_away(encap, family):
    """A device in another netns than its underlay, which is behind it."""
    x, y = Ns("x"), Ns("y")
    link = veth(x, y)
    x.be_router()
    y.be_router()
    end, dst = FAR[family][0], INSIDE[family]
    x.ip(f"link add bh0 type bhsec\nlink set bh0 netns {y}\n"
         f"route add {end} via {link.address(y, family)}\n")
    y.ip("link set bh0 mtu 1500\n"
         f"link set bh0 up\nroute add {end} dev bh0\nroute add {dst} dev bh0\n")
    y.bhsec(peer_lines("bh0", end, encap, dst, end))
    ends([(y, "bh0"), (x, None)], dst)
    y.ip(f"route del {end}\naddr add {prefix(end)} dev lo\n")
    goes_on([(y, "bh0")], dst)


def other_host():
    """The other tunnel is another host's, as good as xfrm's: DF ends it."""
    x, y = Ns("x"), Ns("y")
    link = veth(x, y)
    x.be_router()
    y.be_router()
    ends_, dst = FAR[4], INSIDE[4]
    x.ip(device_lines("bh0") + f"route add {ends_[0]} via {link.b4}\n"
         f"route add {ends_[1]} dev bh0\nroute add {dst} dev bh0\n")
    y.ip("".join(f"route add {end} via {link.a4}\n" for end in ends_)
         + Sa().xfrm(link.b4, ends_[1], 5, "esp")
         + f"xfrm policy add src {link.a4} dst {ends_[0]} dir out tmpl "
           f"src {link.b4} dst {ends_[1]} proto esp reqid 5 mode tunnel\n")
    x.bhsec(peer_lines("bh0", ends_[0], "udp", dst, ends_[1]))
    moved = sends_and_rests([(x, "bh0")], dst, ["tx_packets"])
    check(moved["tx_packets"] > PACKETS, f"no loop at all: {moved}")
    check(moved["tx_packets"] <= MOST_TURNS * PACKETS, f"too many: {moved}")


def gre_lines(family, local, remote):
    kind, address = (("gre", "198.18.9.1/32") if family == 4
                     else ("ip6gre", "2001:db8:9::1/128 nodad"))
    return (f"link add g0 type {kind} local {local} remote {remote}\n"
            f"link set g0 up\naddr add {address} dev g0\n")


def gre(family):
    """A tunnel of another kind in the same netns: each turn is a call inside
    the last one, and the kernel ends that after eight. With a cipher that
    answers later it is none, and growth ends it."""
    x, y = Ns("x"), Ns("y")
    # what g0 sends by itself would be counted
    x.sysctl({"ipv6/conf/default/router_solicitations": 0})
    link = veth(x, y)
    ends_, dst = FAR[family], INSIDE[family]
    x.ip(device_lines("bh0")
         + gre_lines(family, link.address(x, family), ends_[1])
         + f"route add {ends_[0]} dev g0\nroute add {ends_[1]} dev bh0\n"
           f"route add {dst} dev bh0\n")
    x.bhsec(peer_lines("bh0", ends_[0], "udp", dst, ends_[1]))
    moved = sends_and_rests([(x, "bh0")], dst, ["tx_packets"])
    turns = MOST_TURNS if CRYPTO else 8
    check(PACKETS < moved["tx_packets"] <= turns * PACKETS, f"turns: {moved}")
    x.ip(f"route replace {ends_[0]} via {link.address(y, family)}\n")
    goes_on([(x, "bh0")], dst)


def gre_across(family, size):
    """The same in another netns."""
    x, y = Ns("x"), Ns("y")
    link = veth(x, y)
    x.be_router()
    y.be_router()
    ends_, dst = FAR[family], INSIDE[family]
    x.ip(device_lines("bh0")
         + f"route add {ends_[0]} via {link.address(y, family)}\n"
           f"route add {ends_[1]} dev bh0\nroute add {dst} dev bh0\n")
    y.ip(gre_lines(family, link.address(y, family), ends_[1])
         + f"route add {ends_[1]} via {link.address(x, family)}\n"
           f"route add {ends_[0]} dev g0\n")
    x.bhsec(peer_lines("bh0", ends_[0], "udp", dst, ends_[1]))
    moved = sends_and_rests([(x, "bh0")], dst, ["tx_packets"], size)
    check(PACKETS < moved["tx_packets"] <= MOST_TURNS * PACKETS,
          f"turns: {moved}")
    y.ip(f"route replace {ends_[0]} dev lo\naddr add {prefix(ends_[0])} dev lo\n")
    goes_on([(x, "bh0")], dst)


for _encap, _family in WAYS:
    _where = f"{_encap} over IPv{_family}"
    add_case(f"{_where}: the endpoint behind the tunnel itself", own, _encap,
             _family)
    add_case(f"{_where}: through a tunnel of another netns and back", across,
             _encap, _family)
for _family in 4, 6:
    add_case(f"over IPv{_family}: two tunnels through each other", each_other,
             _family)
    add_case(f"over IPv{_family}: through a VRF", by_vrf, _family)
    add_case(f"over IPv{_family}: through a tunnel of another kind",
             gre, _family)
    for _size in 100, 1200:
        add_case(f"over IPv{_family}: {_size} bytes through one of another netns",
                 gre_across, _family, _size)
for _df, _size in (("clear", 100), ("clear", 1200), ("copy", 1200)):
    add_case(f"df {_df}, {_size} bytes: through another netns and back",
             across_without_df, _df, _size)
for _cipher in "aes-cbc-128-sha256", "null-sha256":
    add_case(f"{_cipher}: through another netns and back", across_without_df,
             "clear", 1200, _cipher)
add_case("UDP: a device in a netns behind which its underlay is", moved_away,
         "udp", 6)
add_case("raw: the same over IPv4", moved_away, "esp", 4)
add_case("over IPv4: through another host's tunnel", other_host)

main()
