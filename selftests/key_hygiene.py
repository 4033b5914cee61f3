#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Keys: an old one installed again repeats no nonce, the same one twice is
refused, and none ever comes out again, in no output, event, dump or log."""

import base64
import errno

from lib import *
from libesp import esp_of
from libnetlink import *

SENT = 200

a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
udp_sink(b)
keys = []


def new_tunnel(**spec):
    t = tunnel_bhsec(a, b, link, **spec)
    keys.extend([t.key_out, t.key_in])
    return t


def send(ns, source, address, count):
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((source, 0))
        for n in range(count):
            sock.sendto(struct.pack(">Q", n), (address, SINK_PORT))


def ivs(frames):
    return [esp[8:16] for esp in map(esp_of, frames) if esp]


def under(key, t, direction, spi):
    """Host a has nothing but this SA; what it sends under it is captured, or
    where the SA is the inbound one, what host b sends."""
    src, dst = (a, b) if direction == "out" else (b, a)
    near, far = ("bh0 b", "bh0 a") if src is a else ("bh0 a", "bh0 b")
    line = f"spi {spi:#x} cipher {t.cipher} key {key.hex()}\n"
    dst.bhsec(f"sa add {far} in {line}")
    src.bhsec(f"sa add {near} out {line}")
    capture = Capture(src, link.if_a, outgoing=True)
    ends = (t.a_inner4, t.b_inner4)
    send(src, *(ends if src is a else ends[::-1]), SENT)
    capture.wait(SENT, esp_of)
    src.bhsec(f"sa del {near} out spi {spi:#x}\n")
    dst.bhsec(f"sa del {far} in spi {spi:#x}\n")
    return ivs(capture.stop())


tunnel = new_tunnel()


@case("an old key installed again, in the same and the other direction, "
      "repeats no IV")
def _():
    t = tunnel
    key, spi = new_key(t.cipher), new_spi()
    keys.append(key)
    seen = []
    for direction in ("out", "out", "in", "out", "in"):
        seen += under(key, t, direction, spi)
    check_equal(len(seen), 5 * SENT, "packets")
    check_equal(len(set(seen)), len(seen), "different IVs")


@case("the random part of an IV is another one in every SA")
def _():
    t = tunnel
    masks = set()
    for _ in range(8):
        key = new_key(t.cipher)
        first = under(key, t, "out", new_spi())[0]
        masks.add(int.from_bytes(first, "big") ^ 1)
    check_equal(len(masks), 8, "different masks")
    for half in (32, 0):
        check(len({mask >> half & 0xffffffff for mask in masks}) == 8,
              "half of the mask repeats")


@case("the same key twice among a peer's live SAs is refused")
def _():
    t = tunnel
    for key in (t.key_out, t.key_in):
        for direction in ("in", "out"):
            sa = t.new_sa()
            sa.key = key
            result = a.bhsec(sa.bhsec("bh0", "b", direction), check=False)
            check_equal(result.returncode, 1, "exit status")
            check("key" in result.stderr, result.stderr)
            check(not forms_of(key) & words_in(result.stderr), "the key is told")


def forms_of(key):
    """The ways in which bytes could be written."""
    return {key.hex(), base64.b64encode(key).decode()}


def words_in(text):
    return set(re.split(r"[^0-9A-Za-z+/=]+", text))


def key_in(data):
    """Does some part of a key stand in these bytes, in any form?"""
    low = data.lower()
    for key in keys:
        for start in range(0, len(key) - 8, 4):
            part = key[start:start + 8]
            for form in (part, part[::-1]):
                if form in data or form.hex().encode() in low:
                    return True
        for start in range(3):
            text = base64.b64encode(key[start:start + 12]).rstrip(b"=")
            if text in data:
                return True
    return False


def netlink_tap(ns, dev):
    """A device that has all netlink messages of a namespace, its requests too."""
    load = subprocess.run(["modprobe", "nlmon"], check=False)
    check_equal(load.returncode, 0, "modprobe nlmon")
    ns.ip(f"link add {dev} type nlmon\nlink set {dev} up\n")
    return dev


def exercise(t):
    """Everything that says something: states of all kinds, all outputs."""
    monitor = Monitor(a)
    out = t.out
    keys.append(out.key)
    texts = []
    limited, exhausted = t.new_sa(), Sa(esn=False, seq=(1 << 32) - 1)
    keys.extend([limited.key, exhausted.key])
    a.bhsec(limited.bhsec("bh0", "b", "out", "soft-packets 1 hard-packets 2"))
    send(a, t.a_inner4, t.b_inner4, 1)
    send(a, t.a_inner4, t.b_inner4, 1)
    monitor.wait(limited.spi, "expired")
    a.bhsec(exhausted.bhsec("bh0", "b", "out"))
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((t.a_inner4, 0))
        sock.sendto(b"", (t.b_inner4, SINK_PORT))
    monitor.wait(exhausted.spi, "exhausted")
    for args in (["show"], ["show", "-j"], ["show", "--stats"],
                 ["show", "bh0", "peer", "b", "--stats"], ["show", "bh0", "-j"]):
        texts.append(a.cli(*args).stdout)
    for wrong in (out.bhsec("bh0", "b", "out"), out.bhsec("bh0", "none", "out"),
                  f"sa add bh0 b out spi 1 cipher aes-gcm-256 key {out.key.hex()}\n",
                  f"sa add bh0 b out spi 4096 cipher aes-gcm-128 key {out.key.hex()}\n",
                  f"sa add bh0 b out spi 4096 cipher aes-gcm-256 key {out.key.hex()}00\n",
                  f"sa add bh0 b out key {out.key.hex()} bogus\n"):
        result = a.bhsec(wrong, check=False)
        check(result.returncode, f"accepted: {wrong}")
        texts.append(result.stdout + result.stderr)
    texts.append(json.dumps(monitor.events))
    return texts


@case("no output, event, dump or log holds a key; nor does any netlink answer")
def _():
    a.ip("link del bh0\n")
    b.ip("link del bh0\n")
    capture = Capture(a, netlink_tap(a, "nlmon0"))
    t = new_tunnel()
    kernel_log()
    texts = exercise(t)
    nl = Genl(a)
    # The key of a request that is taken is wiped, where the capture looks, too.
    reply, _ = nl.request("sa-add", [
        ("ifname", "bh0"), ("peer", "b"), ("direction", 0), ("spi", 1),
        ("cipher", 1), ("key", t.key_out)])
    check(reply.errno, "an SPI of 1 is taken")
    nl.dump("dev-get")
    nl.dump("peer-get", ifname="bh0")
    nl.dump("sa-get", ifname="bh0")
    frames = [frame for frame in capture.stop()]
    requests = [f for f in frames if is_request(f)]
    answers = [f for f in frames if not is_request(f)]
    check(any(key_in(f) for f in requests), "the capture misses the keys going in")
    check(len(answers) > 10, f"only {len(answers)} answers captured")
    check(not any(key_in(f) for f in answers if not is_echo(f)),
          "a key came out by netlink")
    said = "\n".join(texts + kernel_log()).encode()
    check(len(said) > 1000, "nothing was said")
    check(not key_in(said), "a key was printed")


def header(frame):
    return struct.unpack_from("=IHH", frame)


def is_request(frame):
    return bool(header(frame)[2] & NLM_F_REQUEST)


def is_echo(frame):
    """A refusal gives the request back to the process that sent it."""
    return header(frame)[1] == NLMSG_ERROR and not \
        header(frame)[2] & NLM_F_CAPPED


def keys_left(tap, spi):
    """Of the request that names an SPI, what is where its keys were."""
    number = SETS["sa"]["key"][0]
    while True:
        frame = tap.recv(65536)
        if is_request(frame) and struct.pack("=I", spi) in frame:
            return [value for at, value in parse(frame[ATTRS_AT:])
                    if at == number]


@case("each key in a request is wiped, whether that is taken or refused")
def _():
    """What waits at the tap shares the request's memory."""
    with a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, keep=False) as tap:
        tap.settimeout(PATIENCE)
        tap.bind((netlink_tap(a, "nlmon1"), ETH_P_ALL))
        nl = Genl(a)
        for peer, error in ("b", 0), ("none", errno.ENOENT):
            spi, both = new_spi(), [new_key("aes-gcm-256") for _ in range(2)]
            reply, _ = nl.request("sa-add", [
                ("ifname", "bh0"), ("peer", peer), ("direction", 0),
                ("spi", spi), ("cipher", 1), *(("key", key) for key in both)])
            check_equal(reply.errno, error, f"error for peer {peer}")
            check_equal(keys_left(tap, spi), [bytes(len(key)) for key in both],
                        "what is left of the keys")


@case("the process's own copies: keys never stand in its arguments")
def _():
    for args in (("key", "00" * 36), ("key-file", "00" * 36)):
        result = a.cli("sa", "add", "bh0", "b", "out", "spi", "5000", "cipher",
                       "aes-gcm-256", *args, check=False)
        check(result.returncode in (1, 2), "a key on the command line is taken")


main()
