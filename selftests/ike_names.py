#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""Who a daemon says its peers are: asked over strongSwan's control socket, of
which here a few lines of Python are the other end. Whatever is wrong there, all
else is shown, and in time."""

import contextlib

from libbound import *
from libcontrol import *
from libtop import *

NOBODY = 65534
# A second, and what a guest on a busy host takes besides.
BOUND = PATIENCE / 3

a, b = Ns("a"), Ns("b")
link = veth(a, b)
near, far = made = [Bound(a, b, link, n=n, encap=encap, family=family)
                    for n, (encap, family) in enumerate((("udp", 4), ("esp", 6)))]
hand = Tunnel(a, b, link, n=7, dev="bh1", peer="hand", far="bhsec")
a.ip(near.device_lines("a") + hand.device_lines("a"))
a.bhsec("set bh0 if-id 42\n" + hand.peer_lines("a"))
a.ip("".join(t.near_state_lines() + t.near_policy_lines() for t in made))
for t in made:
    t.adopted()


# The messages of the daemon

def child(reqid, *spis):
    """A child SA as it is listed, with more than is of interest."""
    listed = {f"spi-{way}": f"{spi:08x}"
              for way, spi in zip(("in", "out"), spis)}
    return {"uniqueid": 1, "reqid": reqid, "state": "INSTALLED", **listed,
            "local-ts": ["0.0.0.0/0"]}


def ike_sa(remote, *children):
    return pack({"backhaul": {
        "version": 2, "local-id": "core", "remote-id": remote,
        "child-sas": {f"net-{n}": one for n, one in enumerate(children)}}})


def child_of(t):
    return child(t.reqid, t.in_.spi, t.out.spi)


def event(message):
    return packet(EVENT, short("list-sa") + message)


def agree(conn):
    """The two requests; what they ask for is told."""
    check_equal(hear(conn), bytes([REGISTER]) + short("list-sa"),
                "registration")
    conn.sendall(packet(CONFIRM))
    check_equal(hear(conn), bytes([REQUEST]) + short("list-sas")
                + pack({"noblock": "yes"}), "request")


def tell(*sas):
    def answer(conn):
        agree(conn)
        conn.sendall(b"".join(map(event, sas)) + packet(RESPONSE))
    return answer


def without(device, *names):
    """All of it but for these keys, and for the seconds that pass."""
    if isinstance(device, list):
        return [without(each, *names) for each in device]
    if not isinstance(device, dict):
        return device
    return {name: without(value, *names) for name, value in device.items()
            if name not in (*names, "age", "last_received", "last_sent")}


def identities():
    return {peer["name"]: peer["identity"]
            for peer in a.device("bh0")["peers"]}


@case("a peer has the name that the daemon has for its SAs")
def _():
    dn = "C=DE, O=Operator, CN=bts8"
    with Standin(tell(ike_sa("idle.example"),
                      ike_sa("bts7.example", child(9, 1), child_of(near)),
                      ike_sa(dn, child_of(far)))) as daemon:
        check_equal(identities(), {near.peer: "bts7.example", far.peer: dn},
                    "identities")
        check_equal(daemon.connections, 1, "how often it was asked")
        lines = unwrapped(a.cli("show").stdout)
        for t, name in (near, "bts7.example"), (far, dn):
            start = f'  peer {t.peer} identity "{name}" origin ike reqid '
            check(any(line.startswith(start) for line in lines), lines)
        seen, = json.loads(a.cli("show", "bh0", "peer", far.peer, "-j").stdout)
        check_equal([peer["identity"] for peer in seen["peers"]], [dn],
                    "of one peer")


@case("of a rekeyed SA either is enough")
def _():
    for spis in (near.in_.spi, 0x999), (0x999, near.out.spi):
        with Standin(tell(ike_sa("bts7.example", child(near.reqid, *spis)))):
            check_equal(identities(), {near.peer: "bts7.example",
                                       far.peer: None}, f"SPIs {spis}")


@case("a daemon that keys others, with the same reqids, names nobody here")
def _():
    with Standin(tell(ike_sa("stranger", child(near.reqid, 0x999, 0x998)),
                      ike_sa("stranger", child(far.reqid, near.in_.spi,
                                               near.out.spi)))):
        check_equal(identities(), {near.peer: None, far.peer: None},
                    "identities")
        check("identity" not in a.cli("show").stdout, "text")


@case("among the SAs of thousands each is found")
def _():
    strangers = [ike_sa(f"bts{n}.example", child(100 + n, 0x10000 + n))
                 for n in range(3000)]
    strangers[1000:1000] = [ike_sa("bts7.example", child_of(near))]
    strangers.append(ike_sa("bts8.example", child_of(far)))
    with Standin(tell(*strangers)):
        check_equal(identities(), {near.peer: "bts7.example",
                                   far.peer: "bts8.example"}, "identities")


@case("what has no IKE SA is shown without asking anybody")
def _():
    with Standin(tell()) as daemon:
        a.cli("show", "bh1")
        a.cli("show", "bh1", "-j")
        check_equal(daemon.connections, 0, "how often it was asked")


# What can be wrong

def after_one(conn, rest):
    """One is named, and then."""
    agree(conn)
    conn.sendall(event(ike_sa("bts7.example", child_of(near))) + rest)


def dribble(conn):
    agree(conn)
    for byte in itertools.cycle(packet(EVENT, bytes(255))):
        conn.sendall(bytes([byte]))
        time.sleep(0.05)


def for_ever(conn):
    agree(conn)
    while True:
        conn.sendall(event(ike_sa("stranger", child(77, 0x777))) * 100)


def be_silent(conn):
    conn.recv(1 << 16)
    conn.recv(1)        # nothing comes until it is left


WRONG = {
    "it hangs up": lambda conn: None,
    "it knows no such event": lambda conn: conn.sendall(packet(NO_EVENT)),
    "it knows no such request": lambda conn: (
        agree(conn), conn.sendall(packet(UNKNOWN))),
    "it is silent": be_silent,
    "it is slow": dribble,
    "it never ends": for_ever,
    "its packet is empty": lambda conn: (agree(conn), conn.sendall(bytes(4))),
    "its packet is too long": lambda conn: (
        agree(conn), conn.sendall(b"\xff" * 4096)),
    "its event has no name": lambda conn: (
        agree(conn), conn.sendall(packet(EVENT))),
    "its event's name is longer than it": lambda conn: (
        agree(conn), conn.sendall(packet(EVENT, b"\xffab"))),
    "its message makes no sense": lambda conn: (
        agree(conn), conn.sendall(event(bytes(range(256))) * 9)),
    "it hangs up in the midst": lambda conn: after_one(conn, b"\0\0\1"),
}


@contextlib.contextmanager
def queue_full():
    """A daemon that is stuck: those who connect wait."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(CONTROL)
        sock.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(CONTROL)
            yield
    os.unlink(CONTROL)


@contextlib.contextmanager
def left_behind(make):
    make()
    yield
    os.unlink(CONTROL)


def stale():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(CONTROL)


PLACES = {
    "it takes nobody": queue_full,
    "it has died": lambda: left_behind(stale),
    "it is no socket": lambda: left_behind(lambda: open(CONTROL, "w").close()),
    "it is not there": contextlib.nullcontext,
}


def is_whole():
    """All but names is shown, in time, and nothing is complained of."""
    begin = time.monotonic()
    result = a.cli("show", "-j")
    took = time.monotonic() - begin
    check_equal(result.stderr, "", "stderr")
    check(took < BOUND, f"it took {took:.1f} s")
    check_equal(without(json.loads(result.stdout), "identity"), all_else,
                "all else")


all_else = without(a.show(), "identity")


for what, answer in WRONG.items():
    @case(f"whatever the daemon does, all else is shown: {what}")
    def _(answer=answer):
        with Standin(answer):
            is_whole()

for what, place in PLACES.items():
    @case(f"wherever the daemon is, all else is shown: {what}")
    def _(place=place):
        with place():
            is_whole()


@case("those that were named before it went wrong are named")
def _():
    for answer in WRONG["it hangs up in the midst"], \
            lambda conn: (after_one(conn, b""), time.sleep(2)):
        with Standin(answer):
            check_equal(identities()[near.peer], "bts7.example", "identity")


@case("who may not ask the daemon is shown the same without names")
def _():
    with Standin(tell(ike_sa("bts7.example", child_of(near)))) as daemon:
        result = a.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                        "--clear-groups", "bhsec", "show", "-j"])
        check_equal(result.stderr.count("\n"), 1, f"lines of {result.stderr}")
        check("withheld" in result.stderr, f"stderr: {result.stderr}")
        check("bts7" not in result.stdout, "it is named")
        check_equal(daemon.connections, 0, "connections")


@case("a name that a terminal or JSON could not take is made printable")
def _():
    with Standin(tell(ike_sa("b\33[2Jts\n\"ä\0", child_of(near)))):
        check_equal(identities()[near.peer], "b?[2Jts?\"???", "identity")
        check('identity "b?[2Jts?"???"' in a.cli("show").stdout, "text")


def named(rows):
    """{peer: who it is}"""
    return dict(name.split(" ", 1) for name in rows if " " in name)


@case("top has them too, asks once, and keeps them over a rekey")
def _():
    names = {near.peer: "bts7.example", far.peer: "bts8.example"}
    with Standin(tell(*(ike_sa(names[t.peer], child_of(t)) for t in made))) \
            as daemon, Blocks(a, "bh0", "--interval", "1") as blocks:
        blocks.until(lambda _, rows: named(rows) == names, "names")
        ends = near.near_state_ends()
        near.out, near.in_ = near.new_sa(), near.new_sa()
        a.ip(near.near_state_lines())
        near.adopted(4)
        # A look that saw this has seen the old SAs beside the new ones.
        a.ip("link set bh0 down\n")
        blocks.until(lambda head, _: head.down == len(made), "all down")
        a.ip(ends + "link set bh0 up\n")
        near.adopted()
        _, rows = blocks.until(lambda head, _: not head.down, "none down")
        check_equal(named(rows), names, "names")
        check_equal(daemon.connections, 1, "how often it was asked")


main()
