#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A device that is bound to an if_id takes the XFRM states and policies of it,
feeds them, and lets them go: who put them there does not matter, here it is
ip."""

import contextlib

from libbound import *
from libesp import seal_packet, udp

BATCH, BINDINGS = 40, 5
IKE_MESSAGE = bytes(4) + b"RFC 3948 2.2"
a, b, link, made = bound_pair()
KINDS = first_of_kind(made)
udp_sink(a)
udp_sink(b)


def both_ways(t):
    for family in 4, 6:
        udp_exchange(a, t.inner("b", family), SIZES, t.inner("a", family))
    tcp_transfer(t.b, a, t.inner("a", 4), 100_000, t.inner("b", 4))
    tcp_transfer(a, t.b, t.inner("b", 6), 100_000, t.inner("a", 6))


for t in made:
    @case(f"{t.where()}: both ways")
    def _(t=t):
        both_ways(t)


@contextlib.contextmanager
def receiving(t):
    """By a further state, whose numbers nobody has used."""
    sa, kept = t.new_sa(), t.in_
    t.in_ = sa
    a.ip(t.near_state_lines(out=False))
    t.in_ = kept
    t.adopted(3)
    try:
        yield sa
    finally:
        a.ip(f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
             f"spi {sa.spi:#x}\n")
        t.adopted(2)


def nobodys():
    """What xfrm has no state for."""
    return a.xfrm_stat().get("XfrmInNoStates", 0)


def daemons_socket(family):
    return next(sock for sock in a.sockets if sock.family == family
                and sock.type == socket.SOCK_DGRAM
                and sock.getsockname()[1] == ESP_PORT)


@case("many datagrams in one packet: each once, and what is another's is that's")
def _():
    """The daemon's socket asks for none such, so UDP takes them apart."""
    for t in (t for t in KINDS.values() if t.encap == "udp"):
        with receiving(t) as sa, b.socket(
                family_of(t.a_outer), socket.SOCK_DGRAM, keep=False) as sock:
            inner = udp(t.b_inner4, t.a_inner4, 7, SINK_PORT, bytes(99))
            esps = [seal_packet(sa, n, inner) for n in range(1, BATCH + 1)]
            esps[BATCH // 2:BATCH // 2] = [seal_packet(t.new_sa(), 1, inner)]
            esps.append(IKE_MESSAGE)    # the last may be shorter
            sock.connect((t.a_outer, ESP_PORT))
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(esps[0]))
            before, unknown = t.stats(), nobodys()
            sock.send(b"".join(esps))
            check_equal(wait_counted(t.stats, before, BATCH),
                        {"rx_packets": BATCH, "rx_bytes": BATCH * len(inner)},
                        "counters")
            wait_for(lambda: nobodys() == unknown + 1,
                     what="xfrm's count of an SPI that nobody has")
            daemons = daemons_socket(sock.family)
            daemons.settimeout(PATIENCE)
            check_equal(daemons.recv(2048), IKE_MESSAGE, "at the daemon's socket")
        t.works()


@case("what is known of states and policies is shown")
def _():
    for t in made:
        peer = t.adopted()
        check_equal((peer["origin"], peer["reqid"]), (IKE, t.reqid), t.peer)
        check_equal(peer["encap"], ("udp", "esp").index(t.encap), "encap")
        check_equal(peer["endpoint-addr"],
                    ipaddress.ip_address(t.b_outer).packed, "endpoint")
        prefixes = {ipaddress.ip_network((p["addr"], p["len"]))
                    for p in peer["selectors"]["prefix"]}
        check_equal(prefixes, {ipaddress.ip_network(n)
                               for n in (t.b_net4, t.b_net6)}, "selectors")
        check_equal({(sa["direction"], sa["spi"], sa["esn"], sa["origin"])
                     for sa in t.sas()},
                    {(0, t.in_.spi, t.esn, IKE), (1, t.out.spi, t.esn, IKE)},
                    "SAs")


@case("numbers and counts are the states' own")
def _():
    for t in made:
        before = {way: t.state(way) for way in (True, False)}
        stats = t.stats()
        t.works()
        moved = difference(stats, t.stats())
        count = 2 * len(SIZES)
        out, in_ = (difference(before[way], t.state(way))
                    for way in (True, False))
        check_equal(out, {"oseq": count, "packets": count,
                          "bytes": moved["tx_bytes"]}, f"out, {t.where()}")
        check_equal(in_, {"seq": count, "packets": count,
                          "bytes": moved["rx_bytes"]}, f"in, {t.where()}")


@case("when it was last heard and sent to is known of each")
def _():
    for t in made:
        begin = time.monotonic()
        t.works()
        peer, sas = t.adopted(), {sa["direction"]: sa for sa in t.sas()}
        seen = (peer["last-received"], peer["last-sent"],
                sas[0]["last-received"], sas[1]["last-sent"])
        check(max(seen) <= time.monotonic() - begin + 1, f"{seen} s ago")


@case("a policy's template that names an SPI chooses the SA")
def _():
    for t in KINDS.values():
        pinned, spare = t.out, t.new_sa()
        a.ip(t.near_policy_lines("update", spi=pinned.spi))
        t.out = spare
        b.ip(spare.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines(in_=False))
        t.adopted(3)
        t.works()
        check_equal(t.state(True)["packets"], 0, "the other one's")
        a.ip(t.near_policy_lines("update", spi=spare.spi))
        used = wait_for(lambda: [sa for sa in t.sas() if sa["direction"] and
                                 sa.get("dscp-mask")])
        check(used, "none is used")
        wait_for(lambda: {sa["spi"]: sa["dscp-mask"] for sa in t.sas()
                          if sa["direction"]}[spare.spi] == (1 << 64) - 1)
        t.works()
        check_equal(t.state(True)["packets"], 2 * len(SIZES), "its own")
        a.ip(t.near_policy_lines("update")
             + f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
               f"spi {pinned.spi:#x}\n")
        t.adopted(2)


@case("policies deleted, then states: nothing passes, in clear least of all")
def _():
    for t in KINDS.values():
        a.ip(t.near_policy_ends())
        wait_for(lambda: "selectors" not in (peer := t.adopted()) or
                 not peer["selectors"].get("prefix"))
        t.is_told("no_peer", t.own_stats)
        a.ip(t.near_policy_lines())
        wait_for(lambda: len(t.adopted()["selectors"].get("prefix", [])) == 2)
        t.works()


@case("all states flushed, all policies flushed")
def _():
    t = KINDS["esp", 6]
    a.ip("xfrm state flush\n")
    wait_for(lambda: not a.nl.dump("sa-get", ifname="bh0") or None)
    t.is_told("no_key")
    a.ip("xfrm policy flush\n")
    no_peer_left(a)
    t.is_told("no_peer", t.own_stats)
    a.ip("xfrm state flush\n"
         + "".join(t.near_policy_lines() + t.near_state_lines() for t in made))
    for t in made:
        t.adopted(2)
        t.works()


def sender(ns, source, address):
    """Sends one, whatever becomes of it."""
    sock = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))

    def send():
        try:
            sock.sendto(b"meanwhile", (address, SINK_PORT))
        except OSError:
            pass
    return send


@case("another if-id and this one again, again and again under traffic")
def _():
    for t in KINDS.values():
        with meanwhile(sender(a, t.a_inner4, t.b_inner4),
                       sender(b, t.b_inner4, t.a_inner4)):
            for if_id in (43, 42) * BINDINGS:
                bind(a, "bh0", if_id)
                wait_for(lambda if_id=if_id: bool(a.nl.dump(
                    "peer-get", ifname="bh0")) == (if_id == 42))
        t.adopted(2)
        t.works()


@case("another if-id, none, and this one again: what is there is taken")
def _():
    bind(a, "bh0", 43)
    no_peer_left(a)
    made[0].is_told("no_peer", made[0].own_stats)
    bind(a, "bh0", 0)
    check("if-id" not in a.nl.do("dev-get", ifname="bh0")[0], "it is bound")
    bind(a, "bh0", 42)
    for t in made:
        t.adopted(2)
        t.works()


@case("the device deleted and made again while states live")
def _():
    first = made[0]
    a.ip("link del bh0\n" + first.device_lines("a")
         + "".join(t.route_lines("a") for t in made))
    bind(a, "bh0", 42)
    for t in made:
        t.adopted(2)
        t.works()


@case("the module loaded when states are there: they are taken")
def _():
    a.ip("link del bh0\n")
    for words in "-r bhsec", "bhsec":
        subprocess.run(["modprobe", *words.split()], check=True)
    del a.nl        # of a family that has another number now
    a.ip(made[0].device_lines("a") + "".join(t.route_lines("a") for t in made))
    bind(a, "bh0", 42)
    for t in made:
        t.adopted(2)
        t.works()


@case("two devices, two if-ids")
def _():
    t = Bound(a, b, link, if_id=7, n=20, dev="bh1", encap="udp")
    a.ip(t.device_lines("a") + t.route_lines("a") + t.near_state_lines()
         + t.near_policy_lines())
    b.ip(t.route_lines("b") + t.state_lines() + t.policy_lines())
    bind(a, "bh1", 7)
    t.adopted(2)
    t.works()
    made[0].works()
    try:
        bind(a, "bh1", 42)
        raise Failure("two devices have one if-id")
    except OSError as error:
        check("another bhsec device" in str(error), str(error))
    t.works()
    a.ip("link del bh1\n")


@case("its netns deleted while states live")
def _():
    c = Ns("c")
    other = veth(c, b)
    t = Bound(c, b, other, n=30, encap="udp")
    c.ip(t.device_lines("a") + t.near_state_lines() + t.near_policy_lines())
    bind(c, "bh0", 42)
    t.adopted(2)
    c.ip(f"link set bh0 name bhc netns {a}\n")
    c.close()
    wait_for(lambda: "gone" in a.nl.do("dev-get", ifname="bhc")[0].get(
        "reason", "") or None)
    check_equal(a.nl.dump("peer-get", ifname="bhc"), [], "peers")
    a.ip("link del bhc\n")
    made[0].works()


main()
