#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""When a peer was last heard and last sent to: by authentic packets alone, by
those of SAs that have gone, too, each SA by its own."""

from lib import *
from libesp import *

WORDS = "last-received", "last-sent"

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = tunnels(a, b, link, ALL_WAYS)
wires = {t: Wire(t) for t in made}
numbers = {t: itertools.count(1) for t in made}
udp_sink(a)
udp_sink(b)


def peer_says(t):
    """Seconds since the last one in and out; None for never."""
    peer, = a.nl.do("peer-get", ifname=t.dev, name=t.peer)
    return tuple(peer.get(word) for word in WORDS)


def sa_says(t, direction):
    spi = (t.spi_in, t.spi_out)[direction]
    sa, = a.nl.do("sa-get", ifname=t.dev, peer=t.peer, direction=direction,
                  spi=spi)
    check(WORDS[1 - direction] not in sa, "the other direction's")
    return sa.get(WORDS[direction])


def says(t):
    """Of the peer, and of its two SAs."""
    return (*peer_says(t), sa_says(t, 0), sa_says(t, 1))


def shown(t):
    """The same, of JSON; and what the text says."""
    peer = a.peer(t.dev, t.peer)
    sas = {sa["direction"]: sa for sa in peer["sas"]}
    text = a.cli("show", t.dev, "peer", t.peer).stdout.split()
    return ((peer["last_received"], peer["last_sent"],
             sas["in"]["last_received"], sas["out"]["last_sent"]),
            [text[n + 1] for n, word in enumerate(text) if word in WORDS])


def counted(t, counter, act):
    before = t.stats()[counter]
    act()
    wait_for(lambda: t.stats()[counter] == before + 1, what=counter)


def comes(t, counter="rx_packets", change=bytes, plain=None):
    inner = udp(t.inner("b", 4), t.inner("a", 4), 7, SINK_PORT, b"x")
    plain = plain or inner + trailer(len(inner), NEXT_IPV4)
    esp = change(seal(t.in_, next(numbers[t]), plain))
    counted(t, counter, lambda: wires[t].send(esp))
    return esp


def goes(t):
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        counted(t, "tx_packets", lambda: sock.sendto(
            b"x", (t.inner("b", 4), SINK_PORT)))


def grows(t, what, least):
    wait_for(lambda: what(t) is not None and what(t) >= least,
             what=f"{least} seconds, now {what(t)}")


def is_fresh(value, since):
    """Of something that happened since then."""
    check(value is not None and value <= time.monotonic() - since + 1,
          f"{value} s, of what was {time.monotonic() - since:.1f} s ago")


def never_then_each(t):
    check_equal(says(t), (None,) * 4, "at first")
    check_equal(shown(t), ((None,) * 4, ["never"] * 4), "shown at first")
    begin = time.monotonic()
    goes(t)
    check_equal(says(t)[::2], (None, None), "received")
    is_fresh(says(t)[1], begin)
    is_fresh(says(t)[3], begin)
    comes(t)
    is_fresh(says(t)[0], begin)
    is_fresh(says(t)[2], begin)
    for values in shown(t):
        for value in values:
            is_fresh(int(value), begin)


def grows_and_falls(t):
    esp = comes(t)
    goes(t)
    grows(t, lambda t: min(says(t)), 3)
    # Replayed, forged, of the other encapsulation: nobody was heard.
    counted(t, "replay", lambda: wires[t].send(esp))
    comes(t, "auth", lambda esp: esp[:-1] + bytes([esp[-1] ^ 1]))
    counted(t, "encap", lambda: wires[t].send(
        seal(t.in_, next(numbers[t]), bytes(64)),
        encap="esp" if t.encap == "udp" else "udp"))
    check(min(says(t)) >= 3, f"{says(t)} after what is not authentic")
    again = time.monotonic()
    # RFC 4303 2.6: a dummy is no packet, but it was heard.
    comes(t, "dummy", plain=trailer(0, NEXT_NONE))
    seen = says(t)
    is_fresh(seen[0], again)
    is_fresh(seen[2], again)
    check(min(seen[1::2]) >= 3, f"sent {seen[1::2]} s ago")
    goes(t)
    is_fresh(says(t)[1], again)
    is_fresh(says(t)[3], again)


def outlives(t):
    """A rekey: the peer knows, the new SAs do not."""
    comes(t)
    goes(t)
    a.bhsec(f"sa del {t.dev} {t.peer} in spi {t.spi_in:#x}\n"
            f"sa del {t.dev} {t.peer} out spi {t.spi_out:#x}\n")
    check(None not in peer_says(t), f"{peer_says(t)} without an SA")
    t.in_, t.out = t.new_sa(), t.new_sa()
    a.bhsec(t.in_.bhsec(t.dev, t.peer, "in") + t.out.bhsec(t.dev, t.peer, "out"))
    seen = says(t)
    check(None not in seen[:2], f"{seen} after the rekey")
    check_equal(seen[2:], (None, None), "of the new SAs")
    grows(t, lambda t: min(peer_says(t)), 1)
    begin = time.monotonic()
    numbers[t] = itertools.count(1)
    comes(t)
    goes(t)
    for value in says(t):
        is_fresh(value, begin)


@case("no packet, no time: what has no key is not sent")
def _():
    a.ip("route add 10.7.0.0/24 dev bh0\n")
    a.bhsec("peer add bh0 empty endpoint 192.0.2.9 selectors 10.7.0.0/24\n")
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(b"x", ("10.7.0.1", SINK_PORT))
    wait_for(lambda: a.stats("bh0", "empty")["no_key"] == 1, what="no_key")
    peer, = a.nl.do("peer-get", ifname="bh0", name="empty")
    check_equal([word for word in WORDS if word in peer], [], "times")


for t in made:
    where = f"{t.encap} over IPv{t.family}"
    add_case(f"{where}: never, then each direction by itself", never_then_each, t)
    add_case(f"{where}: seconds go on until a packet is authentic",
             grows_and_falls, t)
    add_case(f"{where}: a rekey forgets nothing", outlives, t)

main()
