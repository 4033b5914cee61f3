#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""What show prints: as wide as the terminal, and no wider elsewhere; text and
JSON from one path."""

import pty
import termios

from lib import *

a, b = Ns("a"), Ns("b")
tunnel = tunnel_bhsec(a, b, veth(a, b))
udp_echo(b, tunnel.b_inner4)
a.bhsec("peer add bh0 many endpoint [2001:db8:0:1::2]:65535 selectors "
        + ",".join(f"10.7.{n}.0/24" for n in range(256))
        + " local-selectors fd07:0:0:1::/64,10.6.0.0/16\n")
nobody = "n" * 63
a.bhsec(f"peer add bh0 {nobody}\n")


def shown_at(columns, *words):
    """What a terminal of this width gets; it makes each newline a CR LF."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ,
                struct.pack("4H", 24, columns, 0, 0))
    process = a.popen(["bhsec", "show", *words], stdout=far)
    os.close(far)
    text = b""
    try:
        while part := os.read(near, 65536):
            text += part
    except OSError:     # the far end is closed
        pass
    os.close(near)
    check_equal(process.wait(PATIENCE), 0, "exit status")
    return text.decode().replace("\r\n", "\n")


def timeless(text):
    """Lines, without the seconds that pass."""
    return [re.sub(r" (age|last-received|last-sent) (\d+|never)", "", line)
            for line in unwrapped(text)]


# No line is as long as this.
WIDE = 32767


def pairs(line):
    """A word and its value, or the first member of it, for each."""
    words = line.split()
    if not line.startswith(" ") or words[0] in ("in", "out"):
        words = words[1:]
    return {f"{word} {value.partition(',')[0]}"
            for word, value in zip(words[::2], words[1::2])}


def fits(text, columns, wide):
    """The same as the wide text, with no value and no pair of it broken."""
    most = max(map(len, text.splitlines()))
    check(most <= columns, f"{most} columns instead of {columns}: {text}")
    check_equal(timeless(text), wide, f"text in {columns} columns")
    broken = {pair for line in wide for pair in pairs(line)
              if not re.search(rf"(^|\s){re.escape(pair)}[,\s]", text)}
    check(not broken, f"broken in {columns} columns: {broken}")


@case("text is as wide as the terminal, and no value is broken")
def _():
    for words in ("--stats", "all"), ("bh0", "peer", "many"):
        wide = timeless(shown_at(WIDE, *words))
        for columns in 72, 80, 81, 82, 83, 132, 200:
            fits(shown_at(columns, *words), columns, wide)


@case("text is 80 columns wide where there is no terminal, or none that says")
def _():
    wide = timeless(shown_at(WIDE))
    fits(a.cli("show").stdout, 80, wide)
    fits(shown_at(0), 80, wide)


@case("256 selectors are a block")
def _():
    lines = a.cli("show", "bh0", "peer", "many").stdout.splitlines()
    block = [line for line in lines if "10.7." in line]
    check(all(60 < len(line) <= 80 for line in block[:-1]), block)
    check(40 < len(block) < 60, f"{len(block)} lines: {block}")
    check_equal(re.findall(r"10\.7\.(\d+)\.0/24", " ".join(block)),
                list(map(str, range(256))), "selectors")


@case("what does not fit at all stands alone")
def _():
    lines = shown_at(20, "bh0", "peer", nobody).splitlines()
    check(f"  peer {nobody}" in lines, lines)
    check(max(len(line) for line in lines if nobody not in line) <= 30, lines)


def sa_line(peer, direction, rest=""):
    return Sa().bhsec("bh1", peer, direction, rest)


def problems():
    """{peer: its problems}, by JSON, with which the text agrees."""
    found = {peer["name"]: peer["problems"] for peer in a.device("bh1")["peers"]}
    text = a.cli("show", "bh1").stdout
    said = re.findall(r"^  peer (\S+) .*\n(?:      .*\n)*(?:    problems (\S+)\n)?",
                      text, re.M)
    check_equal({peer: words.split(",") if words else []
                 for peer, words in said}, found, "problems in the text")
    return found


@case("a peer that cannot carry anything says in a word what it lacks")
def _():
    a.ip("link add bh1 type bhsec\n")
    whole = "endpoint 192.0.2.9 selectors"
    second = Sa()
    a.bhsec(
        "peer add bh1 nothing\npeer add bh1 lost roam off selectors 10.9.0.0/24\n"
        f"peer add bh1 deaf {whole} 10.9.1.0/24\n" + sa_line("deaf", "out")
        + f"peer add bh1 mute {whole} 10.9.2.0/24\n" + sa_line("mute", "in")
        + f"peer add bh1 empty {whole} none\n"
        + sa_line("empty", "in") + sa_line("empty", "out")
        + f"peer add bh1 whole {whole} 10.9.3.0/24\n"
        + sa_line("whole", "in") + sa_line("whole", "out", "dscp ef")
        + "peer add bh1 roams selectors 10.9.4.0/24\n"
        + sa_line("roams", "in") + sa_line("roams", "out")
        # the second one takes all classes, and with them it goes
        + f"peer add bh1 undone {whole} 10.9.5.0/24\n" + sa_line("undone", "in")
        + sa_line("undone", "out") + second.bhsec("bh1", "undone", "out")
        + f"sa del bh1 undone out spi {second.spi}\n")
    wanted = {
        "nothing": ["no_selectors", "no_outbound", "no_inbound"],
        "lost": ["no_endpoint", "no_outbound", "no_inbound"],
        "deaf": ["no_inbound"], "mute": ["no_outbound"],
        "empty": ["no_selectors"], "whole": [], "roams": [],
        "undone": ["no_outbound"]}
    check_equal(problems(), wanted, "problems")
    a.bhsec(sa_line("deaf", "in", "hard-seconds 1")
            + sa_line("whole", "in", "hard-seconds 1"))
    wait_for(lambda: all(a.nl.do("sa-get", ifname="bh1", peer=peer, spi=spi,
                                 direction=0)[0]["state"]
                         for peer, spi in ending()), what="hard lifetimes")
    check_equal(problems(), wanted | {"deaf": ["no_inbound", "expired"],
                                      "whole": ["expired"]}, "problems")
    a.ip("link del bh1\n")


def ending():
    return [(sa["peer"], sa["spi"]) for sa in a.nl.dump("sa-get", ifname="bh1")
            if "hard-seconds" in sa]


COUNTERS = DROPS + ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"]


PATH_ERRORS = [f"icmp_{kind}" for kind in ("port", "host", "net", "prohibited",
                                           "too_big")]


def zeros(text):
    """Counters that are told although nothing happened."""
    return set(re.findall(r"\b(\w+) 0\b", text)) & {*COUNTERS, *PATH_ERRORS}


def counted(text):
    """{counter: value} of each line that has any."""
    lines = [line.split() for line in timeless(text)]
    return [dict(zip(words[::2], map(int, words[1::2]))) for words in lines
            if words[0] in COUNTERS]


@case("only what happened is counted, of SAs with --stats, and all with all")
def _():
    check_equal(counted(a.cli("show").stdout), [], "counters before")
    udp_exchange(a, tunnel.b_inner4, [10] * 3, tunnel.a_inner4)
    size = 3 * (20 + 8 + 10)
    into = {"rx_packets": 3, "rx_bytes": size}
    out = {"tx_packets": 3, "tx_bytes": size}
    for words, wanted in (([], [into | out]), (["--stats"],
                                               [into | out, into, out])):
        check_equal(counted(a.cli("show", *words).stdout), wanted, words)
        check_equal(zeros(a.cli("show", *words).stdout), set(), words)
    check_equal(zeros(a.cli("show", "--stats", "all").stdout) | into.keys()
                | out.keys(), set(COUNTERS) | set(PATH_ERRORS), "zeros of all")
    every = counted(a.cli("show", "--stats", "all", "bh0").stdout)
    check_equal(len(every), 1 + 3 + 2, "device, peers, SAs")
    check(all(set(COUNTERS) <= set(one) for one in every), every)
    for words in (("--stats", "all", "show", "bh0"),
                  ("show", "bh0", "--stats", "all")):
        check_equal(counted(a.cli(*words).stdout), every, words)


@case("JSON can tell any name that a device may have")
def _():
    names = {'q"uote', "back\\slash", "ümlaut", "bell\a"}
    for name in names:
        a.run(["ip", "link", "add", name, "type", "bhsec"])
    check_equal({device["device"] for device in a.show()} - {"bh0"}, names,
                "devices")
    for name in names:
        a.run(["ip", "link", "del", name])


# What the text says for null or an empty list.
NONE = {"endpoint": "none", "selectors": "none", "dscp": "none", "dev": "any",
        "local": "any", "local_selectors": "any", "last_received": "never",
        "last_sent": "never"}


# Of what nobody asked for the text says nothing.
SILENT = [("problems", []), ("origin", "hand"), ("if_id", None),
          ("shared", False), ("refusals", 0), ("refused", []),
          ("traffic_selectors", [])]


def as_text(name, value):
    """How the text says a value of the JSON."""
    if value is None or value == []:
        return NONE[name]
    if name in ("spi", "fwmark"):
        return f"{value:#x}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def ranges(numbers):
    """1 2 3 7 as 1-3 7."""
    runs = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{low}-{high}" if low < high else f"{low}" for low, high in runs]


def blocks_of_json(one):
    """[[(name, value)]] of a device, and then of its peers, each before its
    SAs: as the text says them."""
    own, inner = [], []
    for name, value in one.items():
        if isinstance(value, dict):
            own += [(counter, str(count)) for counter, count in value.items()]
        elif name == "dscp" and isinstance(value, list):
            check_equal(one["dscp_ranges"], ranges(value), "ranges")
        elif name == "dscp_ranges":
            own.append(("dscp", as_text("dscp", value)))
        elif (name, value) in SILENT:
            pass
        elif name in ("peers", "sas"):
            inner += [block for each in value for block in blocks_of_json(each)]
        elif name.replace("_", "-") not in TIMES:
            own.append((name, as_text(name, value)))
    return [own, *inner]


def blocks_of_text(text):
    """The same of the text, where the first word says what begins."""
    blocks = []
    for line in re.sub(r",\n +", ",", text).splitlines():
        words = line.split()
        begins = ("device" if not line.startswith(" ") else
                  "direction" if words[0] in ("in", "out") else
                  "name" if words[0] == "peer" else None)
        if begins:
            blocks.append([])
            words = [begins, *words[begins == "name":]]
        blocks[-1] += [(word.replace("-", "_"), value) for word, value
                       in zip(words[::2], words[1::2]) if word not in TIMES]
    return blocks


@case("text and JSON agree")
def _():
    a.bhsec("peer add bh0 c selectors 10.8.0.0/16\n")
    udp_exchange(a, tunnel.b_inner4, range(10), tunnel.a_inner4)
    sa = tunnel.new_sa()
    a.bhsec(sa.bhsec("bh0", "c", "out", "dscp 10-12,46 soft-packets 7 "
                                        "hard-seconds 90000"))
    a.bhsec("set bh0 fwmark 0x1f\n")
    text = a.cli("show", "--stats", "all").stdout
    wanted = [block for device in a.show() for block in blocks_of_json(device)]
    seen = blocks_of_text(text)
    check_equal(len(seen), len(wanted), f"blocks of {text}")
    for block, other in zip(seen, wanted):
        check_equal(block, other, f"block of {text}")


@case("a device that lacks the one that it leaves by says so")
def _():
    a.ip("link add bh5 type bhsec\nlink add gone0 type dummy\n")
    a.bhsec("set bh5 dev gone0\n")
    check_equal(a.device("bh5")["dev"], "gone0", "dev")
    a.ip("link del gone0\n")
    why = "the underlay device is gone"
    check_equal(a.device("bh5").get("reason"), why, "reason")
    text = a.cli("show", "bh5").stdout
    check(f"reason {why}" in " ".join(text.split()), text)
    a.bhsec("set bh5 dev any\n")
    check("reason" not in a.device("bh5"), "a reason is left")
    a.ip("link del bh5\n")


@case("show narrows to a device and to a peer")
def _():
    one = json.loads(a.cli("show", "bh0", "-j").stdout)
    check_equal([d["device"] for d in one], ["bh0"], "devices")
    one = json.loads(a.cli("show", "bh0", "peer", "many", "-j").stdout)
    check_equal([p["name"] for d in one for p in d["peers"]], ["many"], "peers")
    text = a.cli("show", "bh0", "peer", "many").stdout
    check("10.6.0.0/16" in text and tunnel.b_net4 not in text, text)


main()
