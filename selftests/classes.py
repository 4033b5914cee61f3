#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Outbound SAs by DSCP class: who carries what, and what the outer DSCP is."""

from lib import *

a, b = Ns("a"), Ns("b")
link = veth(a, b)
t = tunnel_bhsec(a, b, link)
udp_sink(b)


def add(dscp=None):
    """A new pair, outbound at a; returns the SPI."""
    sa = t.new_sa()
    b.bhsec(sa.bhsec(t.far_dev, t.far_peer, "in"))
    a.bhsec(sa.bhsec(t.dev, t.peer, "out", f"dscp {dscp}" if dscp else ""))
    return sa.spi


def carried():
    """SPI: the set of DSCPs, of all outbound SAs."""
    return {sa["spi"]: set(sa["dscp"]) for sa in a.peer(t.dev, t.peer)["sas"]
            if sa["direction"] == "out"}


def send(dscp):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        sock.bind((t.a_inner4, 0))
        try:
            sock.sendto(b"class", (t.b_inner4, SINK_PORT))
        except OSError:
            pass    # told that there is no key


def sent_by(dscp):
    """SPI of the datagram that carries one packet."""
    capture = Capture(a, link.if_a, outgoing=True)
    send(dscp)
    frame = wait_for(lambda: next((f for f in list(capture.frames)
                                   if len(f) > 46 and f[12:14] == b"\x08\0"),
                                  None), what="a datagram")
    capture.stop()
    return struct.unpack_from("!I", frame, 14 + 20 + 8)[0]


ALL = set(range(64))
first = t.spi_out


@case("an SA without a list carries every DSCP")
def _():
    check_equal(carried(), {first: ALL}, "classes")


@case("an SA with a list takes its DSCPs, packets follow")
def _():
    global voice
    voice = add("46,40-41")
    check_equal(carried(), {first: ALL - {46, 40, 41}, voice: {46, 40, 41}},
                "classes")
    for dscp, spi in ((46, voice), (40, voice), (0, first), (63, first)):
        check_equal(sent_by(dscp), spi, f"SPI of DSCP {dscp}")


@case("the last claim of a DSCP wins")
def _():
    global second
    second = add("46")
    check_equal(carried()[voice], {40, 41}, "the older one's classes")
    check_equal(sent_by(46), second, "SPI of DSCP 46")


@case("a new SA without a list takes only what no list holds")
def _():
    global rest
    rest = add()
    check_equal(carried(), {first: set(), voice: {40, 41}, second: {46},
                            rest: ALL - {40, 41, 46}}, "classes")


@case("a deleted SA's DSCPs have no key, and do not fall back")
def _():
    a.bhsec(f"sa del {t.dev} {t.peer} out spi {second}\n")
    before = t.stats()
    send(46)
    check_equal(difference(before, t.stats()), {"no_key": 1}, "counters")
    check_equal(sent_by(0), rest, "SPI of DSCP 0")


@case("the next SA without a list takes them over")
def _():
    spi = add()
    check_equal(carried()[spi], ALL - {40, 41}, "classes")
    check_equal(sent_by(46), spi, "SPI of DSCP 46")


main()
