#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A device that is bound to an if_id takes the XFRM states and policies of it,
feeds them, and follows them: who put them there does not matter, here it is
ip."""

import contextlib
import errno
import re

from libbound import *
from libnetlink import *
from libstream import Flow
from libesp import Wire, address, esp_of, ip, outer_of, seal_packet

SIZES = 0, 1, 100, 1300
REKEYS = 10
XFRM_MSG_ACQUIRE, XFRM_MSG_EXPIRE, XFRM_MSG_MAPPING = 0x17, 0x18, 0x26
NETLINK_XFRM = 6
GROUP_ACQUIRE, GROUP_EXPIRE, GROUP_MAPPING = 1, 2, 8
MOVED_PORT = ESP_PORT + 7
IKE, HAND = 1, 0

a, b = Ns("a"), Ns("b")
link = veth(a, b)
SPECS = [{"encap": encap, "family": family, "cipher": cipher, "esn": esn}
         for encap in ("udp", "esp") for family in (4, 6)
         for cipher, esn in (("aes-gcm-128", True), ("chacha20-poly1305", False))]
made = [Bound(a, b, link, n=n, **spec) for n, spec in enumerate(SPECS)]
KINDS = {(t.encap, t.family): t for t in made if t.esn}


def where(t):
    return f"{t.encap} over IPv{t.family}, {t.cipher}"


def both_ways(t):
    for family in 4, 6:
        udp_exchange(a, t.inner("b", family), SIZES, t.inner("a", family))
    tcp_transfer(t.b, a, t.inner("a", 4), 100_000, t.inner("b", 4))
    tcp_transfer(a, t.b, t.inner("b", 6), 100_000, t.inner("a", 6))


def works(t):
    for family in 4, 6:
        udp_exchange(a, t.inner("b", family), SIZES, t.inner("a", family))


def state(t, outbound):
    """What the kernel says of one: {word: number}"""
    src, dst = ((t.a_outer, t.b_outer) if outbound else (t.b_outer, t.a_outer))
    spi = t.out.spi if outbound else t.in_.spi
    text = a.run(["ip", "-s", "xfrm", "state", "get", "src", src, "dst", dst,
                  "proto", "esp", "spi", hex(spi)]).stdout
    found = {word: int(number, 0) for word, number in
             re.findall(r"\b(o?seq(?:-hi)?) (0x[0-9a-f]+)", text)}
    current = re.search(r"lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)",
                        text)
    return found | {"bytes": int(current[1]), "packets": int(current[2])}


def sas(t):
    return a.nl.dump("sa-get", ifname=t.dev, peer=t.peer)


def is_told(t, counter, stats=None, number=errno.EHOSTUNREACH):
    """A packet is counted there, its sender hears of it, nothing is sent."""
    stats = stats or t.stats
    for f in 4, 6:
        before, dst = stats(), t.inner("b", f)
        capture = Capture(b, link.if_b)
        check_equal(refused(a, dst, t.inner("a", f)), number,
                    "error at the sender")
        check_equal(difference(before, stats()), {counter: 1}, "counters")
        check(not any(b"never" in frame for frame in capture.stop()),
              "it left in clear")


def own(t):
    return lambda: a.own_stats(t.dev)


def no_peer_left(dev="bh0"):
    wait_for(lambda: not a.nl.dump("peer-get", ifname=dev) or None)


EVENTS = [entry["name"] if isinstance(entry, dict) else entry
          for definition in SPEC["definitions"] if definition["name"] == "event"
          for entry in definition["entries"]]
heard = []
ears = Genl(a)
ears.join("events")


def events_of(kind):
    """What monitor would have shown since heard was cleared."""
    while event := ears.event(0.2):
        heard.append(event)
    return [event for event in heard if EVENTS[event["event"]] == kind]


def listen(group):
    sock = a.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    sock.bind((0, 1 << (group - 1)))
    return sock


def told(sock, kind):
    """The payloads of the messages of one kind that have come."""
    sock.setblocking(False)
    out = []
    while True:
        try:
            data = sock.recv(1 << 16)
        except BlockingIOError:
            return out
        if struct.unpack_from("=H", data, 4)[0] == kind:
            out.append(data[16:])


udp_echo(b, "0.0.0.0")
udp_echo(b, "::")
install_bound(made)

for t in made:
    @case(f"{where(t)}: both ways")
    def _(t=t):
        both_ways(t)


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
                     for sa in sas(t)},
                    {(0, t.in_.spi, t.esn, IKE), (1, t.out.spi, t.esn, IKE)},
                    "SAs")


@case("numbers and counts are the states' own")
def _():
    for t in made:
        before = {way: state(t, way) for way in (True, False)}
        stats = t.stats()
        works(t)
        moved = difference(stats, t.stats())
        count = 2 * len(SIZES)
        out, in_ = (difference(before[way], state(t, way))
                    for way in (True, False))
        check_equal(out, {"oseq": count, "packets": count,
                          "bytes": moved["tx_bytes"]}, f"out, {where(t)}")
        check_equal(in_, {"seq": count, "packets": count,
                          "bytes": moved["rx_bytes"]}, f"in, {where(t)}")


@case("what a daemon made it alone changes")
def _():
    t = made[0]
    sentence = "an IKE daemon keys this peer"
    for request, attributes in (
            ("peer-set", {"name": t.peer, "keepalive": 5}),
            ("peer-del", {"name": t.peer}),
            ("sa-add", {"peer": t.peer, "direction": 0, "spi": 0x777,
                        "cipher": 0, "key": bytes(20)}),
            ("sa-del", {"peer": t.peer, "direction": 1, "spi": t.out.spi})):
        try:
            a.nl.do(request, ifname=t.dev, **attributes)
            raise Failure(f"{request} was done")
        except OSError as error:
            check(sentence in str(error), f"{request}: {error}")
    works(t)


@case("a rekey: the new pair is used once it is there, the old one ends")
def _():
    for t in KINDS.values():
        old_out, old_in = t.out, t.in_
        gone = t.near_state_ends()
        t.out, t.in_ = t.new_sa(), t.new_sa()
        b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines())
        t.adopted(4)
        works(t)
        check_equal(state(t, True)["packets"], 2 * len(SIZES), "the new one's")
        b.ip(t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap)
             + f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
               f"spi {old_in.spi:#x}\n"
             + f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
               f"spi {old_out.spi:#x}\n")
        a.ip(gone)
        t.adopted(2)
        works(t)


@case("a policy's template that names an SPI chooses the SA")
def _():
    for t in KINDS.values():
        pinned, spare = t.out, t.new_sa()
        a.ip(t.near_policy_lines("update", spi=pinned.spi))
        t.out = spare
        b.ip(spare.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines(in_=False))
        t.adopted(3)
        works(t)
        check_equal(state(t, True)["packets"], 0, "the other one's")
        a.ip(t.near_policy_lines("update", spi=spare.spi))
        used = wait_for(lambda: [sa for sa in sas(t) if sa["direction"] and
                                 sa.get("dscp-mask")])
        check(used, "none is used")
        wait_for(lambda: {sa["spi"]: sa["dscp-mask"] for sa in sas(t)
                          if sa["direction"]}[spare.spi] == (1 << 64) - 1)
        works(t)
        check_equal(state(t, True)["packets"], 2 * len(SIZES), "its own")
        a.ip(t.near_policy_lines("update")
             + f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
               f"spi {pinned.spi:#x}\n")
        t.adopted(2)


@case("deleted and added anew with old numbers: none goes out twice")
def _():
    """As strongSwan before 6.1 moves a peer."""
    for t in made:
        works(t)
        reached = state(t, True)["oseq"]
        lines = t.near_state_lines()
        capture = Capture(b, link.if_b)
        a.ip(t.near_state_ends())
        wait_for(lambda: not sas(t) or None)
        a.ip(lines)
        t.adopted(2)
        check_equal(state(t, True)["oseq"], reached, "the last number")
        works(t)
        seen = [bytes(esp[4:8]) for frame in capture.stop()
                if (esp := esp_of(frame))
                and esp[:4] == struct.pack(">I", t.out.spi)]
        check_equal(len(set(seen)), 2 * len(SIZES), "numbers")


@case("nothing received before that is taken after it")
def _():
    t = made[0]
    capture = Capture(b, link.if_b)
    works(t)
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
    works(t)


@case("a number that raised the window is the state's, whatever it brought")
def _():
    for t in KINDS.values():
        reached = state(t, False)["seq"] + 1000
        foreign = ip("198.51.100.1", t.a_inner4, socket.IPPROTO_UDP, bytes(8))
        before = t.stats()
        Wire(t).send(seal_packet(t.in_, reached, foreign))
        check_equal(wait_counted(t.stats, before, 1), {"selector": 1}, "counters")
        check_equal(state(t, False)["seq"], reached, "the highest number")
        b.ip(f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
             f"spi {t.in_.spi:#x}\n")
        old = t.in_
        t.in_ = t.new_sa()
        b.ip(t.in_.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap))
        a.ip(t.near_state_lines(out=False)
             + f"xfrm state delete src {t.b_outer} dst {t.a_outer} proto esp "
               f"spi {old.spi:#x}\n")
        wait_for(lambda: {sa["spi"] for sa in sas(t) if not sa["direction"]}
                 == {t.in_.spi})
        works(t)


@case("a soft limit is told once, a hard one ends the SA")
def _():
    # Not one of KINDS: a larval state, after the end, answers for half a minute.
    t = made[1]
    old = t.near_state_ends()
    t.out, t.in_ = t.new_sa(), t.new_sa()
    b.ip(t.state_lines() + "".join(
        f"xfrm state delete {line[len('xfrm state delete '):]}\n"
        for line in old.splitlines()))
    expiries = listen(GROUP_EXPIRE)
    heard.clear()
    a.ip(old + "".join(
        f"{line} limit packet-soft 5 limit packet-hard 12\n"
        for line in t.near_state_lines().splitlines()))
    t.adopted(2)
    for _ in range(2):
        udp_exchange(a, t.inner("b", 4), (1, 2, 3), t.inner("a", 4))
    soft = told(expiries, XFRM_MSG_EXPIRE)
    check_equal(len(soft), 2, "soft expiries told")
    check_equal({event["direction"] for event in events_of("soft")}, {0, 1},
                "soft events")
    udp_exchange(a, t.inner("b", 4), (1, 2, 3) * 2, t.inner("a", 4))
    before = t.stats()
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.inner("a", 4), 0))
        sock.sendto(b"one too many", (t.inner("b", 4), 7007))
    # It waits for a successor, and there is none.
    check_equal(wait_counted(t.stats, before, 1), {"no_key": 1}, "counters")
    wait_for(lambda: not [sa for sa in sas(t) if sa["direction"]] or None)
    check(told(expiries, XFRM_MSG_EXPIRE), "no hard expiry was told")
    expiries.close()
    a.ip(t.near_state_ends(), check=False)
    t.out, t.in_ = t.new_sa(), t.new_sa()
    a.ip(t.near_state_lines())
    b.ip(t.state_lines())
    t.adopted(2)
    works(t)


@case("without an SA a daemon is asked for one, once")
def _():
    for t in KINDS.values():
        ends, lines = t.near_state_ends(), t.near_state_lines()
        acquires = listen(GROUP_ACQUIRE)
        a.ip(ends)
        wait_for(lambda: not sas(t) or None)
        is_told(t, "no_key")
        is_told(t, "no_key")
        asked = told(acquires, XFRM_MSG_ACQUIRE)
        check_equal(len(asked), 1, "acquires")
        acquires.close()
        a.ip(lines)
        t.adopted(2)
        works(t)


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
        mappings = listen(GROUP_MAPPING)
        heard.clear()
        # b's outbound state is its second
        their_out, their_in = reversed(t.state_lines().splitlines())
        theirs = f"{their_out}\n{their_in}\n"
        b.ip(with_ports(theirs, "update", MOVED_PORT, ESP_PORT))
        works(t)
        works(t)
        seen = told(mappings, XFRM_MSG_MAPPING)
        mappings.close()
        check_equal(len(seen), 1, "messages within a second")
        check(struct.pack(">H", MOVED_PORT) in seen[0], "the port is not in it")
        check_equal([event["spi"] for event in events_of("mapping")],
                    [t.in_.spi], "events")
        mine = t.near_state_lines(in_=False) + t.near_state_lines(out=False)
        a.ip(with_ports(mine, "update", ESP_PORT, MOVED_PORT))
        wait_for(lambda: t.adopted()["endpoint-port"] == MOVED_PORT)
        capture = Capture(b, link.if_b)
        works(t)
        ports = {outer_of(frame).payload[2:4] for frame in capture.stop()
                 if (esp := esp_of(frame))
                 and esp[:4] == struct.pack(">I", t.out.spi)}
        check_equal(ports, {struct.pack(">H", MOVED_PORT)}, "ports sent to")
        b.ip(with_ports(theirs, "update", ESP_PORT, ESP_PORT))
        a.ip(with_ports(mine, "update", ESP_PORT, ESP_PORT))
        wait_for(lambda: t.adopted()["endpoint-port"] == ESP_PORT)
        works(t)


@case("a peer moves to another address, as MOBIKE has it, and keeps its name")
def _():
    new = {4: str(ipaddress.ip_address(link.b4) + 1),
           6: str(ipaddress.ip_address(link.b6) + 1)}
    b.ip(f"addr add {new[4]}/28 dev {link.if_b}\n"
         f"addr add {new[6]}/64 dev {link.if_b} nodad\n")
    for t in KINDS.values():
        for where_to in (new[t.family], t.b_outer):
            works(t)
            reached = state(t, True)["oseq"], state(t, False)["seq"]
            old = t.near_state_ends()
            far = "".join(
                f"xfrm state delete src {src} dst {dst} proto esp "
                f"spi {sa.spi:#x}\n" for sa, src, dst in (
                    (t.out, t.a_outer, t.b_outer), (t.in_, t.b_outer, t.a_outer)))
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
            works(t)
            check_equal(state(t, True)["oseq"], reached[0] + 2 * len(SIZES),
                        "the last number")
            check_equal([peer["name"] for peer in a.nl.dump(
                "peer-get", ifname="bh0") if peer["reqid"] == t.reqid],
                [t.peer], "names")


@case("policies deleted, then states: nothing passes, in clear least of all")
def _():
    for t in KINDS.values():
        a.ip(t.near_policy_ends())
        wait_for(lambda: "selectors" not in (peer := t.adopted()) or
                 not peer["selectors"].get("prefix"))
        is_told(t, "no_peer", own(t))
        a.ip(t.near_policy_lines())
        wait_for(lambda: len(t.adopted()["selectors"].get("prefix", [])) == 2)
        works(t)


@case("all states flushed, all policies flushed")
def _():
    t = KINDS["esp", 6]
    a.ip("xfrm state flush\n")
    wait_for(lambda: not a.nl.dump("sa-get", ifname="bh0") or None)
    is_told(t, "no_key")
    a.ip("xfrm policy flush\n")
    no_peer_left()
    is_told(t, "no_peer", own(t))
    a.ip("xfrm state flush\n"
         + "".join(t.near_policy_lines() + t.near_state_lines() for t in made))
    for t in made:
        t.adopted(2)
        works(t)


@case("another if-id, none, and this one again: what is there is taken")
def _():
    bind(a, "bh0", 43)
    no_peer_left()
    is_told(made[0], "no_peer", own(made[0]))
    bind(a, "bh0", 0)
    check("if-id" not in a.nl.do("dev-get", ifname="bh0")[0], "it is bound")
    bind(a, "bh0", 42)
    for t in made:
        t.adopted(2)
        works(t)


@case("the device deleted and made again while states live")
def _():
    first = made[0]
    a.ip("link del bh0\n" + first.device_lines("a")
         + "".join(t.route_lines("a") for t in made))
    bind(a, "bh0", 42)
    for t in made:
        t.adopted(2)
        works(t)


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
        wait_for(lambda: t.adopted(2) and state(t, True)["packets"] == 0)
        works(t)


@case("a prefix that a peer by hand has is refused, and taken once that has gone")
def _():
    t = KINDS["udp", 4]
    a.bhsec(f"peer add bh0 rival selectors 10.77.0.0/24\n")
    line = (f"xfrm policy add src 0.0.0.0/0 dst 10.77.0.0/24 dir out if_id 42 "
            f"tmpl src {t.a_outer} dst {t.b_outer} proto esp reqid 777 "
            "mode tunnel\n")
    heard.clear()
    a.ip(line)
    wait_for(lambda: not_taken() == {(None, "another peer has the same selector")},
             what=lambda: f"{not_taken()}")
    check_equal(len(events_of("refused")), 1, "events")
    check(not [p for p in a.nl.dump("peer-get", ifname="bh0")
               if p.get("reqid") == 777], "a peer is left")
    a.bhsec("peer del bh0 rival\n")
    wait_for(lambda: [p for p in a.nl.dump("peer-get", ifname="bh0")
                      if p.get("reqid") == 777])
    wait_for(lambda: not not_taken() or None)
    a.ip("xfrm policy delete src 0.0.0.0/0 dst 10.77.0.0/24 dir out if_id 42\n")
    works(t)


@case("what is refused is told of once, however often all is looked at")
def _():
    src, dst = link.a4, link.b4
    a.ip(f"xfrm state add src {src} dst {dst} proto esp spi 0x5100 reqid 79 "
         "if_id 42 mode transport aead rfc4106(gcm(aes)) "
         f"0x{secrets.token_hex(20)} 128\n")
    wait_for(not_taken)
    heard.clear()
    events_of("refused")
    heard.clear()
    for _ in range(3):
        # A flush of what is none of bhsec's has everything looked at.
        a.ip("xfrm state flush proto ah\n")
    works(made[0])
    check_equal(events_of("refused"), [], "events")
    check_equal(not_taken(), {(0x5100, "the state is not in tunnel mode")},
                "refused")
    a.ip(f"xfrm state delete src {src} dst {dst} proto esp spi 0x5100\n")
    wait_for(lambda: not not_taken() or None)


@case("more prefixes than a peer can have are refused, the others are its own")
def _():
    lines = "".join(
        f"xfrm policy add src 0.0.0.0/0 dst 10.78.{n >> 8}.{n & 255}/32 dir out "
        f"if_id 42 tmpl src {link.a4} dst {link.b4} proto esp reqid 900 "
        "mode tunnel\n" for n in range(257))
    a.ip(lines)
    wait_for(lambda: not_taken() == {
        (None, "a peer has at most 256 selectors of a kind")},
        what=lambda: f"{not_taken()}")
    peer, = [p for p in a.nl.dump("peer-get", ifname="bh0")
             if p.get("reqid") == 900]
    check_equal(len(peer["selectors"]["prefix"]), 256, "prefixes")
    a.ip("".join(line.partition(" tmpl ")[0].replace("add", "delete", 1) + "\n"
                 for line in lines.splitlines()))
    wait_for(lambda: not not_taken() or None)
    works(made[0])


@contextlib.contextmanager
def held_up(dev):
    """A new setting waits for a grace period with the device's lock held, and
    who looks at what is told waits for that lock."""
    over = threading.Event()

    def set_again():
        nl = Genl(a)
        while not over.is_set():
            nl.do("dev-set", ifname=dev, window=4096)

    thread = threading.Thread(target=set_again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@case("rekeyed in one instant, again and again, under traffic: nothing is lost")
def _():
    for t in KINDS.values():
        flow = Flow(a, b, t.inner("a", 4), t.inner("b", 4))
        try:
            with held_up("bh0"):
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
            with held_up("bh0"):
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


@case("two devices, two if-ids")
def _():
    t = Bound(a, b, link, if_id=7, n=20, dev="bh1", encap="udp")
    a.ip(t.device_lines("a") + t.route_lines("a") + t.near_state_lines()
         + t.near_policy_lines())
    b.ip(t.route_lines("b") + t.state_lines() + t.policy_lines())
    bind(a, "bh1", 7)
    t.adopted(2)
    works(t)
    works(made[0])
    try:
        bind(a, "bh1", 42)
        raise Failure("two devices have one if-id")
    except OSError as error:
        check("another bhsec device" in str(error), str(error))
    works(t)
    a.ip("link del bh1\n")


@case("an if-id of an xfrm interface is refused, but for shared")
def _():
    a.ip("link add x9 type xfrm if_id 9\nlink add bh2 type bhsec\n")
    try:
        bind(a, "bh2", 9)
        raise Failure("it was taken")
    except OSError as error:
        check("an xfrm interface has this if-id" in str(error), str(error))
    bind(a, "bh2", 9, shared=1)
    device, = a.nl.do("dev-get", ifname="bh2")
    check_equal((device["if-id"], device["shared"]), (9, 1), "binding")
    a.ip("link del bh2\nlink del x9\n")


def not_taken(dev="bh0"):
    device, = a.nl.do("dev-get", ifname=dev)
    return {(r.get("spi"), r["reason"]) for r in device.get("refused", [])}


@case("what cannot be taken is shown with the reason, as long as it is there")
def _():
    src, dst = link.a4, link.b4
    key = secrets.token_hex(20)
    lines = {
        0x5001: f"mode transport aead rfc4106(gcm(aes)) 0x{key} 128",
        0x5002: f"mode tunnel aead rfc4106(gcm(aes)) 0x{key} 96",
        0x5003: "mode tunnel enc cbc(aes) 0x" + "11" * 16
                + " auth-trunc hmac(sha256) 0x" + "22" * 32 + " 128"}
    for spi, line in lines.items():
        a.ip(f"xfrm state add src {src} dst {dst} proto esp spi {spi:#x} "
             f"reqid 77 if_id 42 {line}\n")
    a.ip(f"xfrm policy add src 10.9.0.0/24 dst 10.8.0.0/24 proto tcp dir out "
         f"if_id 42 tmpl src {src} dst {dst} proto esp reqid 78 mode tunnel\n")
    wanted = {(0x5001, "the state is not in tunnel mode"),
              (0x5002, "bhsec has no such cipher"),
              (0x5003, "bhsec has no such cipher"),
              (None, "the policy's selector names a protocol or ports")}
    wait_for(lambda: not_taken() == wanted, what=f"{not_taken()}")
    for spi in lines:
        a.ip(f"xfrm state delete src {src} dst {dst} proto esp spi {spi:#x}\n")
    a.ip("xfrm policy delete src 10.9.0.0/24 dst 10.8.0.0/24 proto tcp dir out "
         "if_id 42\n")
    wait_for(lambda: not not_taken() or None)
    works(made[0])


@case("raw ESP is refused while its own GRO is loaded, and taken again after")
def _():
    raw = [t for t in made if t.encap == "esp"]
    for family in 4, 6:
        module = f"esp{family}_offload"
        subprocess.run(["modprobe", module], check=True)
        some = [t for t in raw if t.family == family]
        reason = f"{module} takes raw ESP first: rmmod it, or use ESP in UDP"
        wanted = {(sa.spi, reason) for t in some for sa in (t.in_, t.out)}
        wait_for(lambda: not_taken() == wanted, what=lambda: f"{not_taken()}")
        is_told(some[0], "no_key")
        works(made[0])
        subprocess.run(["rmmod", module], check=True)
        wait_for(lambda: not not_taken() or None, what=lambda: f"{not_taken()}")
        for t in some:
            t.adopted(2)
            works(t)


@case("states without an if_id, and with others, are the kernel's own")
def _():
    before = len(a.nl.dump("sa-get", ifname="bh0"))
    for n, mark in enumerate(("", "if_id 99")):
        a.ip(f"xfrm state add src {link.a4} dst {link.b4} proto esp "
             f"spi {0x6001 + n:#x} reqid 500 mode tunnel {mark} "
             f"aead rfc4106(gcm(aes)) 0x{secrets.token_hex(20)} 128\n")
    works(made[0])
    check_equal(len(a.nl.dump("sa-get", ifname="bh0")), before, "SAs")
    check_equal(not_taken(), set(), "refused")


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
    works(made[0])


main()
