#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Endpoints that are link-local have a link: given, taken from the device's
"dev", or learned. The same address is at the far end of two links here."""

from lib import *
from libesp import *

A, B = "fe80::a1", "fe80::b1"

a, b = Ns("a"), Ns("b")
links = veth(a, b), veth(a, b)
for link in links:
    for ns, addr, mac in (a, A, link.mac_b), (b, B, link.mac_a):
        other = B if ns is a else A
        ns.ip(f"addr add {addr}/64 dev {link.if_a} nodad\n"
              f"neigh add {other} lladdr {mac.hex(':')} dev {link.if_a}\n")
first, second = (link.if_a for link in links)
udp_sink(a)
udp_sink(b)
made = []
for n, encap in enumerate(("udp", "esp")):
    t = Tunnel(a, b, links[0], encap=encap, family=6, n=n, peer=f"b{n}")
    t.a_outer, t.b_outer = A, B
    made.append(t)
a.ip(made[0].device_lines("a") + "".join(t.route_lines("a") for t in made))
numbers = {t: itertools.count(1) for t in made}


def text_of(t, dev, port=None):
    scope = f"{B}%{dev}" if dev else B
    if t.encap == "esp":
        return scope
    return f"[{scope}]:{port or t.port}"


def begin(t, endpoint, extra=""):
    a.bhsec(f"peer add {t.dev} {t.peer} {endpoint} encap {t.encap} {extra} "
            f"selectors {t.b_net4}\n" + t.in_.bhsec(t.dev, t.peer, "in")
            + t.out.bhsec(t.dev, t.peer, "out"))


def end(t):
    a.bhsec(f"peer del {t.dev} {t.peer}\n")
    t.in_, t.out = t.new_sa(), t.new_sa()
    numbers[t] = itertools.count(1)


def shown(t, text):
    check_equal(a.peer(t.dev, t.peer)["endpoint"], text, "JSON")
    check(f"endpoint {text} " in a.cli("show", t.dev).stdout, "not in the text")


def send(t):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(b"x", (t.b_inner4, SINK_PORT))


def leaves_by(t, dev, port=None):
    """And by no other link."""
    captures = {link.if_a: Capture(b, link.if_b, outgoing=False)
                for link in links}

    def is_ours(frame):
        outer = outer_of(frame)
        return outer and outer.dst == address(B) and esp_in(outer)
    send(t)
    captures[dev].wait(1, is_ours)
    seen = {name: [outer_of(frame) for frame in capture.stop()
                   if is_ours(frame)] for name, capture in captures.items()}
    check_equal({name: len(outers) for name, outers in seen.items() if outers},
                {dev: 1}, "packets by link")
    outer, = seen[dev]
    check_equal(outer.src, address(A), "source")
    if t.encap == "udp":
        check_equal(struct.unpack_from("!H", outer.payload, 2)[0],
                    port or t.port, "port")


def comes_by(t, link):
    inner = udp(t.b_inner4, t.a_inner4, 7, SINK_PORT, b"x")
    before = t.stats()["rx_packets"]
    Wire(t, link).send(seal_packet(t.in_, next(numbers[t]), inner))
    wait_for(lambda: t.stats()["rx_packets"] == before + 1, what="its arrival")


def given(t):
    """Each link by its name, in each form that an endpoint has."""
    begin(t, f"endpoint {B}%{first}")
    shown(t, text_of(t, first))
    leaves_by(t, first)
    a.cli("peer", "set", t.dev, t.peer, "endpoint", f"[{B}%{second}]")
    shown(t, text_of(t, second))
    leaves_by(t, second)
    if t.encap == "udp":
        a.cli("peer", "set", t.dev, t.peer, "endpoint", f"[{B}%{first}]:4511")
        shown(t, text_of(t, first, 4511))
        leaves_by(t, first, 4511)
    # What is shown is taken.
    a.cli("peer", "set", t.dev, t.peer, "endpoint",
          a.peer(t.dev, t.peer)["endpoint"])
    if t.encap == "udp":
        leaves_by(t, first, 4511)
    else:
        leaves_by(t, second)
    end(t)


def by_dev(t):
    """'dev' is the link of an endpoint that names none, as long as it is one."""
    a.cli("set", t.dev, "dev", second)
    begin(t, f"endpoint {B}")
    try:
        shown(t, text_of(t, None))
        leaves_by(t, second)
        a.cli("set", t.dev, "dev", first)
        leaves_by(t, first)
        a.cli("set", t.dev, "dev", "any")
        before = t.stats()["no_route"]
        try:
            send(t)
        except OSError:
            pass    # it was told before
        wait_for(lambda: t.stats()["no_route"] > before, what="no_route")
        # One that names its link is not sent by another.
        a.cli("peer", "set", t.dev, t.peer, "endpoint", f"{B}%{first}")
        a.cli("set", t.dev, "dev", second)
        before = t.stats()["no_route"]
        try:
            send(t)
        except OSError:
            pass
        wait_for(lambda: t.stats()["no_route"] > before, what="no_route")
    finally:
        a.cli("set", t.dev, "dev", "any")
        end(t)


def in_vrf(t):
    """A VRF is no link, its slaves are."""
    a.ip("link add red type vrf table 7\nlink set red up\n"
         f"link set {first} master red\naddr add {A}/64 dev {first} nodad\n",
         check=False)
    b_neighbour = (f"neigh replace {B} lladdr {links[0].mac_b.hex(':')} "
                   f"dev {first}\n")
    a.ip(b_neighbour)
    a.cli("set", t.dev, "dev", "red")
    try:
        refused(t, f"endpoint {B}", "needs its link")
        refused(t, f"endpoint {B}%red", "this is no link")
        refused(t, f"endpoint {B}%{second}", "this is no link, or not the one")
        begin(t, "", "roam on")
        comes_by(t, links[0])
        shown(t, text_of(t, first))
        leaves_by(t, first)
        end(t)
    finally:
        a.cli("set", t.dev, "dev", "any")
        a.ip(f"link set {first} nomaster\nlink del red\n")
        a.ip(f"addr replace {A}/64 dev {first} nodad\n" + b_neighbour)


def refused(t, endpoint, words):
    result = a.cli("peer", "add", t.dev, "x", *endpoint.split(), check=False)
    check_equal(result.returncode, 1, f"exit status of {endpoint}")
    check_equal(result.stderr.count("\n"), 1, f"lines: {result.stderr}")
    check(words in result.stderr, f"{endpoint}: {result.stderr}")


def misfits(t):
    for endpoint, words in (
            (f"endpoint {B}", "a link-local endpoint needs its link"),
            (f"endpoint [{B}]:4500", "a link-local endpoint needs its link"),
            (f"endpoint {B}%none", "no such device"),
            ("endpoint 2001:db8::9%lo", "only a link-local"),
            (f"endpoint 192.0.2.9%{first}", "only a link-local"),
            (f"endpoint 192.0.2.9%{first}:4500", "only a link-local")):
        refused_any(t, endpoint, words)
    for endpoint in f"{B}%", f"{B}%{'x' * 128}":
        refused_any(t, f"endpoint {endpoint}", "behind %")
    refused_any(t, f"endpoint {B}%{first}:4500", f"[{B}%{first}]:4500")


def refused_any(t, endpoint, words):
    """By the tool or by the kernel."""
    result = a.cli("peer", "add", t.dev, "x", *endpoint.split(), check=False)
    check(result.returncode in (1, 2), f"{endpoint}: {result.returncode}")
    check_equal(result.stderr.count("\n"), 1, f"lines: {result.stderr}")
    check(words in result.stderr, f"{endpoint}: {result.stderr}")


def learned(t):
    """The link that a packet came by, and the other one with the next."""
    begin(t, "")
    for link in links[1], links[0], links[1]:
        comes_by(t, link)
        shown(t, text_of(t, link.if_a))
        leaves_by(t, link.if_a)
    a.cli("peer", "set", t.dev, t.peer, "roam", "off")
    comes_by(t, links[0])
    leaves_by(t, second)
    end(t)


def link_gone(t):
    """Its number is left, and no other link is taken."""
    third = veth(a, b, v4=False, v6=False)
    index = a.ifindex(third.if_a)
    begin(t, f"endpoint {B}%{third.if_a}")
    shown(t, text_of(t, third.if_a))
    a.ip(f"link del {third.if_a}\n")
    shown(t, text_of(t, index))
    before = t.stats()["no_route"]
    send(t)
    wait_for(lambda: t.stats()["no_route"] > before, what="no_route")
    end(t)


def moved(t):
    """The names are those of the underlay, wherever the device is."""
    c = Ns("c")
    a.ip("link add bh8 type bhsec\n" f"link set bh8 netns {c}\n")
    c.cli("peer", "add", "bh8", "p", "endpoint", f"{B}%{second}", "encap",
          t.encap)
    check_equal(c.peer("bh8", "p")["endpoint"],
                text_of(t, second), "endpoint")
    c.ip("link del bh8\n")


for t in made:
    add_case(f"{t.encap}: by the link that is given", given, t)
    add_case(f"{t.encap}: by the device that 'dev' names", by_dev, t)
    add_case(f"{t.encap}: a link is learned with the address", learned, t)
    add_case(f"{t.encap}: a link in a VRF", in_vrf, t)
    add_case(f"{t.encap}: a link that has gone", link_gone, t)
    add_case(f"{t.encap}: of a device in another netns", moved, t)
add_case("what has no link, or none that fits, is refused", misfits, made[0])

main()
