#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""bhsec explain: what it says of a packet is what then becomes of one."""

import errno

from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
import scapy.layers.inet6

from lib import *
from libbound import *
from libnetlink import *

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = [Tunnel(a, b, link, encap=encap, family=family, n=n, peer=f"b{n}")
        for n, (encap, family) in enumerate(
            (e, f) for e in ("udp", "esp") for f in (4, 6))]
bound = Bound(a, b, link, n=8, dev="bh8", port=4600)


def explain(t, *words, dst=None, src=None, family=4):
    """JSON of what becomes of a packet from a's inner address to b's."""
    done = a.cli("explain", t.dev, src or t.inner("a", family),
                 dst or t.inner("b", family), *words, "-j")
    return json.loads(done.stdout)


def send(t, family=4, size=28, tos=0, dst=None, src=None):
    """One packet of size bytes, DF set; who is told so has an error."""
    header = 28 if family == 4 else 48
    dst = dst or t.inner("b", family)
    with a.socket(family_of(dst), socket.SOCK_DGRAM, keep=False) as sock:
        if family == 4:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                            IP_PMTUDISC_PROBE)
        sock.bind((src or t.inner("a", family), 0))
        try:
            sock.sendto(bytes(max(size - header, 0)), (dst, SINK_PORT))
        except OSError:
            pass


# From linux/in.h and linux/in6.h.
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 23, 3


def counters(t):
    """All drops of the device: its own, its peers', their SAs'."""
    total = collections.Counter(a.own_stats(t.dev))
    for peer in a.device(t.dev)["peers"]:
        total.update(peer["stats"])
    return total


def what_counts(t, **packet):
    before = counters(t)
    send(t, **packet)
    moved = {word for word, n in (counters(t) - before).items() if n}
    return moved - {"tx_packets", "tx_bytes"}


def agrees(t, drop, *words, **packet):
    """The cause, and that a real packet moves its counter and no other."""
    family = packet.get("family", 4)
    said = explain(t, *words, family=family,
                   **{k: packet[k] for k in ("src", "dst") if k in packet})
    check_equal(said["drop"], drop, "drop")
    check(said["advice"], "no advice")
    check_equal(what_counts(t, **packet), {drop}, "what a packet counts as")


def set_up():
    install(made)
    install_bound([bound])
    udp_sink(b)
    udp_echo(b, "0.0.0.0")
    udp_echo(b, "::")
    for t in made:
        for f in 4, 6:
            udp_exchange(a, t.inner("b", f), SIZES, t.inner("a", f))


@case("a packet that would go: peer, SA, outer addresses, ports, DSCP; it goes so")
def _():
    for t in made:
        for family in 4, 6:
            said = explain(t, "dscp", "ef", "size", 600, family=family)
            check_equal(said["drop"], None, f"drop of {t.peer}")
            capture = Capture(a, link.if_a, outgoing=True)
            send(t, family, 600, tos=46 << 2)
            frame = wait_for(lambda: next(
                (f for f in list(capture.frames) if len(f) > 600), None))
            capture.stop()
            ip = Ether(frame).payload
            esp = bytes(ip[UDP].payload if UDP in ip else ip.payload)
            spi, seq = struct.unpack_from("!II", esp)
            port = f":{ip[UDP].sport}" if UDP in ip else ""
            wanted = {"src": t.inner("a", family), "dst": t.inner("b", family),
                      "route": t.dev, "peer": t.peer, "spi": spi, "seq": seq - 1,
                      "outer_src": end_of(ip.src, port),
                      "outer_dst": end_of(ip.dst, port),
                      "dscp": (ip.tos if t.family == 4 else ip.tc) >> 2,
                      "mtu": t.inner_max, "drop": None}
            check_equal(said, wanted, f"{t.encap} over IPv{t.family}")


def end_of(address, port):
    return f"[{address}]{port}" if ":" in address and port else address + port


@case("nobody owns the destination")
def _():
    t = made[0]
    a.ip(f"route add 10.9.0.0/24 dev {t.dev}\n"
         f"route add fd09::/64 dev {t.dev}\n")
    agrees(t, "no_peer", dst="10.9.0.1")
    agrees(t, "no_peer", dst="fd09::1", src=t.inner("a", 6), family=6)


@case("a source that is not ours to send from")
def _():
    t = made[0]
    a.bhsec(f"peer set {t.dev} {t.peer} local-selectors 10.1.77.0/24\n")
    agrees(t, "selector")
    a.bhsec(f"peer set {t.dev} {t.peer} local-selectors any\n")


@case("a packet that is too large, to the byte")
def _():
    for t in made:
        for family in 4, 6:
            said = explain(t, "size", t.inner_max, family=family)
            check_equal((said["drop"], said["mtu"]), (None, t.inner_max),
                        "the largest")
            agrees(t, "too_big", "size", t.inner_max + 1, family=family,
                   size=t.inner_max + 1)


@case("an IPv6 packet of 1280 bytes goes, whatever its path takes")
def _():
    t = made[2]
    set_mtu(link, 1280)
    said = explain(t, "size", 1280, family=6)
    check(said["drop"] is None and said["mtu"] < 1280, said)
    check_equal(what_counts(t, family=6, size=1280), set(), "drops")
    agrees(t, "too_big", "size", 1281, family=6, size=1281)
    set_mtu(link, 1500)


@case("no SA, an expired one, no endpoint, no route, a loop, a device that is down")
def _():
    t = made[0]
    a.bhsec(f"peer add {t.dev} new selectors 10.9.0.0/24\n")
    agrees(t, "no_key", dst="10.9.0.1")
    a.bhsec(Sa(seq=0).bhsec(t.dev, "new", "out", "hard-packets 1"))
    agrees(t, "no_endpoint", dst="10.9.0.1")
    a.bhsec(f"peer set {t.dev} new endpoint 203.0.113.9\n")
    agrees(t, "no_route", dst="10.9.0.1")
    a.ip(f"route add 203.0.113.9/32 dev {t.dev}\n")
    agrees(t, "loop", dst="10.9.0.1")
    a.ip("route del 203.0.113.9/32\n")
    a.bhsec(f"peer set {t.dev} new endpoint {t.endpoint('b')}\n")
    check_equal(explain(t, dst="10.9.0.1")["drop"], None, "drop")
    send(t, dst="10.9.0.1")
    agrees(t, "expired", dst="10.9.0.1")
    a.ip(f"link set {made[3].dev} down\n")
    check_equal(explain(made[3])["drop"], "down", "drop")
    a.ip(f"link set {made[3].dev} up\n" + "".join(
        line for one in made for line in one.route_lines("a").splitlines(True)
        if line.startswith("route")), check=False)


def is_datagram(frame):
    """Not what the hosts say of themselves, which is ARP and ICMPv6, of groups
    behind an option."""
    return frame[12:14] == b"\x08\0" or (frame[12:14] == b"\x86\xdd" and
                                         frame[20] not in (
                                             socket.IPPROTO_HOPOPTS,
                                             socket.IPPROTO_ICMPV6))


@case("it sends nothing, counts nothing, and asks no daemon for a key")
def _():
    asked = listen(a, GROUP_ACQUIRE)
    a.ip(f"xfrm state delete src {bound.a_outer} dst {bound.b_outer} "
         f"proto esp spi {bound.out.spi:#x}\n")
    wait_for(lambda: explain(bound)["drop"] == "no_key")
    capture = Capture(a, link.if_a, outgoing=True)
    before = [counters(t) for t in (*made, bound)]
    for t in (*made, bound):
        explain(t)
        explain(t, "size", 9000)
    check_equal([counters(t) for t in (*made, bound)], before, "counters")
    check_equal(list(filter(is_datagram, capture.stop())), [], "frames")
    check_equal(told(asked, XFRM_MSG_ACQUIRE), [], "questions")
    send(bound)
    wait_for(lambda: told(asked, XFRM_MSG_ACQUIRE),
             what="a real packet's question")


@case("a route that leads elsewhere is told")
def _():
    t = made[0]
    text = a.cli("explain", t.dev, link.address(a, 4), link.address(b, 4)).stdout
    check(f"route {link.if_a} which is not {t.dev}" in text, text)
    check_equal(explain(t, dst=link.address(b, 4))["route"], link.if_a, "route")
    check_equal(explain(t, dst="198.51.100.1")["route"], None, "no route")
    a.ip(f"link property add dev {t.dev} altname to-core-7\n")
    text = a.cli("explain", "to-core-7", t.a_inner4, t.b_inner4).stdout
    check(f"route {t.dev}\n" in text, text)


@case("what came by an inbound SA: its peer, and what was dropped")
def _():
    t = made[1]
    said = json.loads(a.cli("explain", t.dev, "--in", hex(t.spi_in), "-j").stdout)
    check_equal((said["peer"], said["spi"], said["direction"], said["drops"]),
                (t.peer, t.spi_in, "in", []), "the SA")
    no = json.loads(a.cli("explain", t.dev, "--in", "0x4242", "-j").stdout)
    check_equal(no["drop"], "no_sa", "an SPI that none has")
    with b.socket(socket.AF_INET6, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(struct.pack("!II", t.spi_in, 1 << 20) + bytes(64),
                    (t.a_outer, ESP_PORT))
        wait_for(lambda: a.peer(t.dev, t.peer)["stats"]["auth"])
    text = a.cli("explain", t.dev, "--in", t.spi_in).stdout
    check("drop auth - the keys" in text, text)


@case("what cannot be asked gets one sentence")
def _():
    t = made[0]
    for words, status in (
            ([], 2), ([t.dev], 2), ([t.dev, "10.1.0.1"], 2),
            ([t.dev, "10.1.0.1", "fd02::1"], 1), ([t.dev, "10.1.0.1", "x"], 1),
            (["none", "10.1.0.1", "10.2.0.1"], 1),
            ([link.if_a, "10.1.0.1", "10.2.0.1"], 1),
            ([t.dev, "10.1.0.1", "10.2.0.1", "size", "65536"], 1),
            ([t.dev, "10.1.0.1", "10.2.0.1", "dscp", "64"], 1),
            ([t.dev, "10.1.0.1", "10.2.0.1", "proto", "256"], 1),
            ([t.dev, "10.1.0.1", "10.2.0.1", "dport"], 2),
            ([t.dev, "10.1.0.1", "10.2.0.1", "colour", "1"], 2),
            ([t.dev, "--in"], 2), ([t.dev, "--in", "255"], 1),
            ([t.dev, "--in", "0x1001", "more"], 2)):
        done = a.cli("explain", *words, check=False)
        check(done.returncode == status and done.stdout == "" and
              done.stderr.startswith("bhsec: ") and
              done.stderr.count("\n") == 1, f"{words}: {done}")


@case("the kernel refuses addresses that are none, and who is not root")
def _():
    t, nl = made[0], Genl(a)
    good = {"ifname": t.dev, "src": bytes(4), "dst": bytes(4)}
    for change, sentence in (
            ({"src": None}, "a packet has a source and a destination"),
            ({"dst": None}, "a packet has a source and a destination"),
            ({"src": bytes(5)}, "an address has 4 or 16 bytes"),
            ({"dst": bytes(16)}, "source and destination are not of one family")):
        pairs = [(k, v) for k, v in (good | change).items() if v is not None]
        reply, _ = nl.request("explain", pairs, NLM_F_ACK)
        check_equal((reply.errno, reply.sentence), (errno.EINVAL, sentence),
                    f"{change}")
    for words in ["10.1.0.1", "10.2.0.1"], ["--in", str(t.spi_in)]:
        done = a.run(["setpriv", "--reuid=65534", "--clear-groups", "bhsec",
                      "explain", t.dev, *words], check=False)
        check(done.returncode == 1 and "CAP_NET_ADMIN" in done.stderr, done)


set_up()
main()
