#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# measured
"""What it takes to adopt the XFRM states and policies of many peers, to have
them all rekeyed and to let go of them: 5,000 in less than five seconds, at
10^9 instructions a second."""

import contextlib

from lib import *
import libmeasure  # leaves a guest that does not count

PEERS = 5000
ADOPTED = RELEASED = 1_000_000
LIMIT = 20 * PATIENCE

a, b = Ns("a"), Ns("b")
link = veth(a, b)
a.ip("link add bh0 type bhsec\nlink set bh0 up\n")


def endpoint(n):
    return f"198.18.{n >> 8}.{n & 255}"


def ends(n):
    return f"src {link.a4} dst {endpoint(n)}", f"src {endpoint(n)} dst {link.a4}"


def state_lines(n, generation):
    """Sites choose the SPIs of what they receive: many are the same."""
    out, in_ = ends(n)
    return "".join(
        f"xfrm state add {way} proto esp spi {spi:#x} reqid {n + 1} if_id 42 "
        "mode tunnel flag esn replay-window 128 "
        f"aead rfc4106(gcm(aes)) 0x{secrets.token_hex(20)} 128 "
        "encap espinudp 4500 4500 0.0.0.0\n"
        for way, spi in ((out, 0x1000 + generation * 2 + (n & 1)),
                         (in_, (generation + 1) << 16 | n)))


def state_ends(n, generation):
    out, in_ = ends(n)
    return (f"xfrm state delete {out} proto esp "
            f"spi {0x1000 + generation * 2 + (n & 1):#x}\n"
            f"xfrm state delete {in_} proto esp "
            f"spi {(generation + 1) << 16 | n:#x}\n")


def policy_lines(n):
    out, in_ = ends(n)
    net = f"10.{64 + (n >> 8)}.{n & 255}.0/24"
    return "".join(
        f"xfrm policy add {sel} dir {way} if_id 42 tmpl {tmpl} proto esp "
        f"reqid {n + 1} mode tunnel\n"
        for way, sel, tmpl in (
            ("out", f"src 0.0.0.0/0 dst {net}", out),
            ("in", f"src {net} dst 0.0.0.0/0", in_),
            ("fwd", f"src {net} dst 0.0.0.0/0", in_)))


def batch(lines):
    a.run(["ip", "-batch", "-"], input=lines, timeout=LIMIT)


def peers():
    device, = a.nl.do("dev-get", ifname="bh0")
    return device["peers"]


def sas():
    return a.nl.dump("sa-get", ifname="bh0")


def took(what, start, most):
    each = (time.perf_counter_ns() - start) // PEERS
    ksft.print_msg(f"{what}: {each} instructions a peer, "
                   f"{each * PEERS / 1e9:.2f} s for {PEERS}")
    check(each <= most, f"{what}: {each} instructions a peer, at most {most}")


batch("".join(state_lines(n, 0) + policy_lines(n) for n in range(PEERS)))


@case(f"{PEERS} peers adopted")
def _():
    start = time.perf_counter_ns()
    a.nl.do("dev-set", ifname="bh0", if_id=42)
    while peers() != PEERS:
        time.sleep(0.001)
    took("adopted", start, ADOPTED)
    check_equal(len(sas()), 2 * PEERS, "SAs")


@contextlib.contextmanager
def traffic():
    """To one after the other of them, and each packet has left in the end."""
    a.ip("addr add 10.1.0.1/32 dev bh0\nroute add 10.64.0.0/10 dev bh0\n"
         f"route add 198.18.0.0/15 via {link.b4}\n")
    sock = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    turns = itertools.count()

    def send():
        n = next(turns) % PEERS
        sock.sendto(b"x", (f"10.{64 + (n >> 8)}.{n & 255}.1", SINK_PORT))

    with meanwhile(send):
        yield
    sent = next(turns)
    wait_for(lambda: sum(tx_packets()) == sent, seconds=LIMIT,
             what=lambda: f"{sum(tx_packets())} of {sent} packets")
    check(min(tx_packets()), f"{sent} packets did not go to all")
    ksft.print_msg(f"{sent} packets")


def tx_packets():
    return [stats["tx_packets"] for stats in a.all_stats("bh0").values()]


@case("all rekeyed under traffic: each is used once its state is there")
def _():
    with traffic():
        batch("".join(state_lines(n, 1) for n in range(PEERS)))
        wait_for(lambda: len(sas()) == 4 * PEERS, seconds=LIMIT)
        batch("".join(state_ends(n, 0) for n in range(PEERS)))
        wait_for(lambda: len(sas()) == 2 * PEERS, seconds=LIMIT)
    check_equal({sa["spi"] for sa in sas() if sa["direction"]},
                {0x1002, 0x1003}, "SPIs outbound")


@case("all let go")
def _():
    start = time.perf_counter_ns()
    a.nl.do("dev-set", ifname="bh0", if_id=0)
    took("let go", start, RELEASED)
    check_equal(peers(), 0, "peers")


main()
