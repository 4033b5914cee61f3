#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
"""What becomes of the states that a bound device has taken: rekeys, limits, an
end and a new beginning, a peer that moves. Here ip does what a daemon would."""

from libbound import *
from libesp import Wire, esp_of, ip, outer_of, seal_packet
from libstream import Flow

REKEYS = 10
XFRM_MSG_EXPIRE, XFRM_MSG_MAPPING = 0x18, 0x26
GROUP_EXPIRE, GROUP_MAPPING = 2, 8
MOVED_PORT = ESP_PORT + 7
EF = 46
UDP = 0     # of encap
REFUSED_REQID = 900

a, b, link, made = bound_pair()
KINDS = first_of_kind(made)
ears = Ears(a)


@case("a peer is where its first state says, also where nothing goes out yet")
def _():
    for t in (t for t in KINDS.values() if t.encap == "udp"):
        sa, reqid = t.new_sa(), 800 + t.family
        way = f"src {t.b_outer} dst {t.a_outer} proto esp spi {sa.spi:#x}"
        a.ip(f"xfrm state add {way} reqid {reqid} mode tunnel if_id 42 "
             f"encap espinudp {MOVED_PORT} {ESP_PORT} 0.0.0.0 "
             f"{sa.xfrm_cipher()}\n")
        peer, = wait_for(lambda reqid=reqid: [
            p for p in a.nl.dump("peer-get", ifname="bh0")
            if p["reqid"] == reqid])
        check_equal((peer["encap"], peer["endpoint-addr"],
                     peer.get("endpoint-port")),
                    (UDP, ipaddress.ip_address(t.b_outer).packed, MOVED_PORT),
                    "encapsulation and endpoint")
        a.ip(f"xfrm state delete {way}\n")


@case("a rekey: the new pair is used once it is there, the old one ends")
def _():
    for t in KINDS.values():
        old_out, old_in = t.out, t.in_
        gone = t.near_state_ends()
        t.out, t.in_ = t.new_sa(), t.new_sa()
        b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines())
        t.adopted(4)
        t.works()
        check_equal(t.state(True)["packets"], 2 * len(SIZES), "the new one's")
        b.ip(t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap)
             + f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
               f"spi {old_in.spi:#x}\n"
             + f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
               f"spi {old_out.spi:#x}\n")
        a.ip(gone)
        t.adopted(2)
        t.works()


@case("deleted and added anew with old numbers: none goes out twice")
def _():
    """As strongSwan before 6.1 moves a peer."""
    for t in made:
        t.works()
        reached = t.state(True)["oseq"]
        lines = t.near_state_lines()
        capture = Capture(b, link.if_b)
        a.ip(t.near_state_ends())
        wait_for(lambda: not t.sas() or None)
        a.ip(lines)
        t.adopted(2)
        check_equal(t.state(True)["oseq"], reached, "the last number")
        t.works()
        seen = [bytes(esp[4:8]) for frame in capture.stop()
                if (esp := esp_of(frame))
                and esp[:4] == struct.pack(">I", t.out.spi)]
        check_equal(len(set(seen)), 2 * len(SIZES), "numbers")


@case("nothing received before that is taken after it")
def _():
    t = made[0]
    capture = Capture(b, link.if_b)
    t.works()
    frames = [frame for frame in capture.stop()
              if (esp := esp_of(frame))
              and esp[:4] == struct.pack(">I", t.in_.spi)]
    check_equal(len(frames), 2 * len(SIZES), "frames")
    a.ip(t.near_state_ends() + t.near_state_lines())
    t.adopted(2)
    before = t.stats()
    sock = b.socket(socket.AF_PACKET, socket.SOCK_RAW, keep=False)
    sock.bind((link.if_b, 0))
    for frame in frames:
        sock.send(frame)
    sock.close()
    check_equal(wait_counted(t.stats, before, len(frames)),
                {"replay": len(frames)}, "counters")
    t.works()


@case("a number that raised the window is the state's, whatever it brought")
def _():
    for t in KINDS.values():
        reached = t.state(False)["seq"] + 1000
        foreign = ip("198.51.100.1", t.a_inner4, socket.IPPROTO_UDP, bytes(8))
        before = t.stats()
        Wire(t).send(seal_packet(t.in_, reached, foreign))
        check_equal(wait_counted(t.stats, before, 1), {"selector": 1},
                    "counters")
        check_equal(t.state(False)["seq"], reached, "the highest number")
        b.ip(f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
             f"spi {t.in_.spi:#x}\n")
        old = t.in_
        t.in_ = t.new_sa()
        b.ip(t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines(out=False)
             + f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
               f"spi {old.spi:#x}\n")
        wait_for(lambda: {sa["spi"] for sa in t.sas() if not sa["direction"]}
                 == {t.in_.spi})
        t.works()


@case("a soft limit is told once, a hard one ends the SA")
def _():
    # Not one of KINDS: a larval state answers for half a minute after it.
    t = made[1]
    old = t.near_state_ends()
    t.out, t.in_ = t.new_sa(), t.new_sa()
    b.ip(t.state_lines() + "".join(
        f"xfrm state delete {line[len('xfrm state delete '):]}\n"
        for line in old.splitlines()))
    expiries = listen(a, GROUP_EXPIRE)
    ears.clear()
    a.ip(old + "".join(
        f"{line} limit packet-soft 5 limit packet-hard 12\n"
        for line in t.near_state_lines().splitlines()))
    t.adopted(2)
    for _ in range(2):
        udp_exchange(a, t.inner("b", 4), (1, 2, 3), t.inner("a", 4))
    soft = told(expiries, XFRM_MSG_EXPIRE)
    check_equal(len(soft), 2, "soft expiries told")
    check_equal({event["direction"] for event in ears.of("soft")}, {0, 1},
                "soft events")
    udp_exchange(a, t.inner("b", 4), (1, 2, 3) * 2, t.inner("a", 4))
    before = t.stats()
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.inner("a", 4), 0))
        sock.sendto(b"one too many", (t.inner("b", 4), 7007))
    # It waits for a successor, and there is none.
    check_equal(wait_counted(t.stats, before, 1), {"no_key": 1}, "counters")
    wait_for(lambda: not [sa for sa in t.sas() if sa["direction"]] or None)
    check(told(expiries, XFRM_MSG_EXPIRE), "no hard expiry was told")
    expiries.close()
    a.ip(t.near_state_ends(), check=False)
    t.out, t.in_ = t.new_sa(), t.new_sa()
    a.ip(t.near_state_lines())
    b.ip(t.state_lines())
    t.adopted(2)
    t.works()


@case("without an SA a daemon is asked for one, once")
def _():
    for t in KINDS.values():
        ends, lines = t.near_state_ends(), t.near_state_lines()
        acquires = listen(a, GROUP_ACQUIRE)
        a.ip(ends)
        wait_for(lambda: not t.sas() or None)
        t.is_told("no_key")
        t.is_told("no_key")
        asked = told(acquires, XFRM_MSG_ACQUIRE)
        check_equal(len(asked), 1, "acquires")
        acquires.close()
        a.ip(lines)
        t.adopted(2)
        t.works()


def sent_as(t, dscp, family=4):
    """One datagram of a class; nobody answers it."""
    with a.socket(socket.AF_INET if family == 4 else socket.AF_INET6,
                  socket.SOCK_DGRAM, keep=False) as sock:
        if family == 4:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        sock.bind((t.inner("a", family), 0))
        sock.sendto(b"of a class", (t.inner("b", family), SINK_PORT))


def carried(t):
    """{SPI: the DSCPs that go by it}, of outbound SAs."""
    return {sa["spi"]: sa.get("dscp-mask", 0) for sa in t.sas()
            if sa["direction"]}


@case("an output mark of 1 to 63 is the class that a state carries")
def _():
    for t in KINDS.values():
        way = f"src {t.a_outer} dst {t.b_outer} proto esp"
        rest, voice = t.out, t.new_sa()
        b.ip(voice.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
        t.out = voice
        # the newest, yet it takes its own alone; of a mark that has a mask the
        # rest is no matter
        mark = f"{EF | 0x100:#x} mask 0x3f" if t.family == 6 else EF
        a.ip(t.near_state_lines(in_=False).replace(
            " if_id", f" output-mark {mark} if_id"))
        t.out = rest
        t.adopted(3)
        wait_for(lambda: carried(t) == {rest.spi: ~(1 << EF) & (1 << 64) - 1,
                                        voice.spi: 1 << EF},
                 what=lambda: f"{carried(t)}")
        for family in 4, 6:
            for dscp, sa, other in (EF, voice, rest), (0, rest, voice):
                t.out = sa
                before = t.state(True)["packets"]
                t.out = other
                others = t.state(True)["packets"]
                sent_as(t, dscp, family)
                t.out = sa
                wait_for(lambda: t.state(True)["packets"] == before + 1)
                t.out = other
                check_equal(t.state(True)["packets"], others, "by the other")
        # What is left has lost its own: no daemon would be asked for another.
        a.ip(f"xfrm state delete {way} spi {rest.spi:#x}\n")
        wait_for(lambda: carried(t) == {voice.spi: (1 << 64) - 1})
        t.out = voice
        t.works()
        t.out = rest = t.new_sa()
        b.ip(rest.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines(in_=False)
             + f"xfrm state delete {way} spi {voice.spi:#x}\n")
        wait_for(lambda: carried(t) == {rest.spi: (1 << 64) - 1})
        sent_as(t, EF)
        t.works()


@case("an SPI that is given again at once, with another key, is taken")
def _():
    for t in KINDS.values():
        spis = t.out.spi, t.in_.spi
        old = t.near_state_ends()
        far = "".join(f"xfrm state delete src {src} dst {dst} proto esp "
                      f"spi {sa.spi:#x}\n" for sa, src, dst in (
                          (t.out, t.a_outer, t.b_outer),
                          (t.in_, t.b_outer, t.a_outer)))
        t.out, t.in_ = (Sa(t.cipher, t.esn, spi=spi) for spi in spis)
        b.ip(far + t.state_lines())
        a.ip(old + t.near_state_lines())
        wait_for(lambda: t.adopted(2) and t.state(True)["packets"] == 0)
        t.works()


def held_up(ns, dev):
    """A new setting waits for a grace period with the device's lock held, and
    who looks at what is told waits for that lock."""
    nl = Genl(ns)
    return meanwhile(lambda: nl.do("dev-set", ifname=dev, window=4096))


@case("an SPI that was refused is given again at once: it is refused no more")
def _():
    way = f"src {link.a4} dst {link.b4} proto esp spi"
    key = f"aead rfc4106(gcm(aes)) 0x{secrets.token_hex(20)} 128"
    spis = {new_spi() for _ in range(16)}

    def add(spi, mode):
        return (f"xfrm state add {way} {spi:#x} reqid {REFUSED_REQID} if_id 42 "
                f"mode {mode} {key}\n")

    def end(spi):
        return f"xfrm state delete {way} {spi:#x}\n"

    a.ip("".join(add(spi, "transport") for spi in spis))
    wait_for(lambda: {spi for spi, _ in not_taken(a)} == spis)
    with held_up(a, "bh0"):
        a.ip("".join(end(spi) + add(spi, "tunnel") for spi in spis))
    wait_for(lambda: {sa["spi"] for sa in a.nl.dump("sa-get", ifname="bh0")}
             >= spis)
    check_equal(not_taken(a), set(), "refused")
    a.ip("".join(map(end, spis)))


@case("rekeyed in one instant, again and again, under traffic: nothing is lost")
def _():
    for t in KINDS.values():
        flow = Flow(a, b, t.inner("a", 4), t.inner("b", 4))
        try:
            with held_up(a, "bh0"):
                for _ in range(REKEYS):
                    flow.drained()
                    old, t.out = t.out, t.new_sa()
                    b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
                    # The new state and the old one's end, nothing in between.
                    a.ip(t.near_state_lines(in_=False)
                         + f"xfrm state delete src {t.a_outer} dst {t.b_outer} "
                           f"proto esp spi {old.spi:#x}\n")
                    flow.drained()
                    b.ip(f"xfrm state delete src {t.a_outer} dst {t.b_outer} "
                         f"proto esp spi {old.spi:#x}\n")
            flow.stop()
        finally:
            flow.close()


@case("what comes by a state at once finds it, however late that is looked at")
def _():
    for t in KINDS.values():
        flow = Flow(b, a, t.inner("b", 4), t.inner("a", 4), over_xfrm=True)
        way = f"src {t.b_outer} dst {t.a_outer} proto esp"
        try:
            with held_up(a, "bh0"):
                for _ in range(REKEYS):
                    flow.drained()
                    old, t.in_ = t.in_, t.new_sa()
                    a.ip(t.near_state_lines(out=False))
                    b.ip(t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap)
                         + f"xfrm state delete {way} spi {old.spi:#x}\n")
                    flow.drained()
                    a.ip(f"xfrm state delete {way} spi {old.spi:#x}\n")
            flow.stop()
        finally:
            flow.close()


def with_ports(lines, verb, own, its):
    """State lines of one end; what it sends comes first."""
    out, back = (f"espinudp {x} {y}" for x, y in ((own, its), (its, own)))
    first, second = lines.splitlines()
    old = f"espinudp {ESP_PORT} {ESP_PORT}"
    return "".join(line.replace("state add", f"state {verb}").replace(old, new)
                   + "\n" for line, new in ((first, out), (second, back)))


@case("a NAT's new mapping is told, and followed when the daemon says so")
def _():
    b.encap_sockets(MOVED_PORT)
    for t in (t for t in KINDS.values() if t.encap == "udp"):
        mappings = listen(a, GROUP_MAPPING)
        ears.clear()
        # b's outbound state is its second
        their_out, their_in = reversed(t.state_lines().splitlines())
        theirs = f"{their_out}\n{their_in}\n"
        b.ip(with_ports(theirs, "update", MOVED_PORT, ESP_PORT))
        begin = time.monotonic()
        t.works()
        t.works()
        seen = told(mappings, XFRM_MSG_MAPPING)
        mappings.close()
        most = 1 + int(time.monotonic() - begin)
        check(1 <= len(seen) <= most, f"{len(seen)} messages, not 1 to {most}")
        check(struct.pack(">H", MOVED_PORT) in seen[0], "the port is not in it")
        check_equal([event["spi"] for event in ears.of("mapping")],
                    [t.in_.spi] * len(seen), "events")
        mine = t.near_state_lines(in_=False) + t.near_state_lines(out=False)
        a.ip(with_ports(mine, "update", ESP_PORT, MOVED_PORT))
        wait_for(lambda: t.adopted()["endpoint-port"] == MOVED_PORT)
        capture = Capture(b, link.if_b)
        t.works()
        ports = {outer_of(frame).payload[2:4] for frame in capture.stop()
                 if (esp := esp_of(frame))
                 and esp[:4] == struct.pack(">I", t.out.spi)}
        check_equal(ports, {struct.pack(">H", MOVED_PORT)}, "ports sent to")
        b.ip(with_ports(theirs, "update", ESP_PORT, ESP_PORT))
        a.ip(with_ports(mine, "update", ESP_PORT, ESP_PORT))
        wait_for(lambda: t.adopted()["endpoint-port"] == ESP_PORT)
        t.works()


@case("a peer moves to another address, as MOBIKE has it, and keeps its name")
def _():
    new = {4: str(ipaddress.ip_address(link.b4) + 1),
           6: str(ipaddress.ip_address(link.b6) + 1)}
    b.ip(f"addr add {new[4]}/28 dev {link.if_b}\n"
         f"addr add {new[6]}/64 dev {link.if_b} nodad\n")
    for t in KINDS.values():
        for where_to in (new[t.family], t.b_outer):
            t.works()
            reached = t.state(True)["oseq"], t.state(False)["seq"]
            old = t.near_state_ends()
            far = "".join(
                f"xfrm state delete src {src} dst {dst} proto esp "
                f"spi {sa.spi:#x}\n" for sa, src, dst in (
                    (t.out, t.a_outer, t.b_outer),
                    (t.in_, t.b_outer, t.a_outer)))
            theirs = t.state_lines()
            t.b_outer = where_to
            # Each state is deleted and added anew, then the policies follow.
            a.ip("".join(f"{delete}\n{add}\n" for delete, add in zip(
                old.splitlines(), t.near_state_lines().splitlines()))
                 + t.near_policy_lines("update"))
            b.ip(far + t.state_lines().replace(
                "replay-window", f"replay-seq {reached[0]:#x} "
                f"replay-oseq {reached[1]:#x} replay-window", 2)
                 + t.policy_lines().replace("policy add", "policy update"))
            wait_for(lambda: t.adopted().get("endpoint-addr")
                     == ipaddress.ip_address(where_to).packed)
            check(theirs != t.state_lines(), "nothing has moved")
            t.works()
            check_equal(t.state(True)["oseq"], reached[0] + 2 * len(SIZES),
                        "the last number")
            check_equal([peer["name"] for peer in a.nl.dump(
                "peer-get", ifname="bh0") if peer["reqid"] == t.reqid],
                [t.peer], "names")


main()
