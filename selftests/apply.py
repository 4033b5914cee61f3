#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""bhsec apply: a device by its file. All mistakes are told and change nothing,
what differs is made, what does not is not touched, and what cannot be made whole
is not made."""

from libapply import *

RTNLGRP = {"link": 1, "ipv4 address": 5, "ipv4 route": 7, "ipv6 address": 9,
           "ipv6 route": 11}
NETLINK_ROUTE, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 0, 270, 1

CONTROLLER = f"""
[Device]
address = 10.8.0.1/24, fd08::1/64
if-id = 42

{identity("ctl.example", "ctl")}
[Peer]
name = stations
endpoint = any
ca = /etc/bhsec/ca.crt
pool = 10.9.0.0/24

[Peer]
name = west
endpoint = 192.0.2.7:4501
identity = west.example
networks = 10.7.0.0/24, fd07::/64
classes = ef
start = on-demand
"""
MADE = {"up": True, "mtu": 1418, "vrf": None, "if_id": 42, "port": 4500,
        "dscp": "copy", "addresses": {"10.8.0.1/24", "fd08::1/64"},
        "routes": {("10.9.0.0/24", "main"), ("10.7.0.0/24", "main"),
                   ("fd07::/64", "main")}}

# Each line tells after !! what is said of it.
BAD = """
stray = 1                       !! 'stray' stands in no section
no equals                       !! KEY = VALUE
[Device                         !! a section is [NAME]
[Devices]                       !! 'Devices' is no section
ignored = 1
[Device]
addres = 10.8.0.1/24            !! 'addres' is no key of [Device]
address = 10.8.0.1/33, x        !! '10.8.0.1/33' !! address 'x'
networks = 10.8.0.1/24          !! host bits are set
if-id = 0                       !! if-id: must be a number from 1
port = 65536                    !! port: must be a number from 1 to 65535
dscp = eff                      !! dscp: a DSCP is
mtu = 67                        !! mtu: must be a number from 68
routes = 10.0.0.0/8, none       !! routes 'none'
table = 0                       !! table: must be a number !! the VRF's table
vrf = none-such                 !! there is no VRF 'none-such'
mtu = 1400                      !! mtu: it is given twice
[Identity]                      !! key: it has to be given
certificate = /none/such        !! /none/such: No such file
certificate =                   !! twice
ppk-file = /etc/bhsec/empty     !! the file is empty
ppk-id =                        !! ppk-id: a value is missing
[device]                        !! [Device] is there already
[Peer]                          !! name: it has to !! identity: this or ca
endpoint = 192.0.2.1:0          !! endpoint: a port is
networks = 10.1.0.1/24, 10.2.0.0/24     !! networks '10.1.0.1/24'
pool = 10.9.0.0/24, 10.9.1.0/24 !! who has networks !! any !! of each family
start = now                     !! must be start or on-demand
vip = four                      !! must be ipv4, ipv6 or both
[Peer]
name = a.b                      !! name: it has 1 to 63
endpoint = any
ca = none.crt                   !! x509ca/none.crt: No such file
start = start                   !! has to begin itself
classes = ef                    !! who begins
networks = 10.2.0.0/24          !! is behind a peer already, at
[Peer]                          !! networks: they have
name = c
ca = a.crt,b.crt                !! a name with a comma is two
endpoint = fe80::1%eth0         !! no link is named
identity = c
classes = 0, 46, ef             !! '0' !! 'ef': it is given twice
start = on-demand
vip = ipv4                      !! needs an address already
[Peer]
name = c                        !! c is a peer already, at
endpoint = 192.0.2.1
identity = c
networks = 10.3.0.0/24
[Peer]
name = d
endpoint = 192.0.2.2
ca = 0Xabc                      !! what begins so is no name
networks = 10.4.0.0/24
[Peer]
name = e
endpoint = 192.0.2.3
ca = 'x'                        !! what begins so is no name
networks = 10.5.0.0/24
"""
PSK = """
[Device]
if-id = 42
[Identity]                      !! name: it has !! ppk-id: it has
psk-file = /etc/bhsec/two-lines !! a secret is one line
key = /etc/bhsec/ctl.key        !! with psk-file there is none
ppk-file = /etc/bhsec/psk       
[Peer]                          !! identity: with psk-file !! this or an address
name = a
endpoint = 192.0.2.1
ca = /etc/bhsec/ca.crt          !! with psk-file there is none
networks = 10.3.0.0/24
"""

host = Host("a")
for name in "ctl.crt", "ctl.key", "ca.crt":
    host.write(name, name)
host.write("empty", "\n")
host.write("two-lines", "one\ntwo\n")
host.write("psk", "a lab's secret\n")


def expected(text):
    """Line numbers and what is said there, and the text without that."""
    found, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        line, *said = line.split("!!")
        found += [(number, words.strip()) for words in said]
        lines.append(line.rstrip())
    return found, "\n".join(lines) + "\n"


def told_of(path, text, verb="check"):
    """That exactly these mistakes are told."""
    result = host.tool(verb, path, check=False)
    check_equal(result.returncode, 1, f"exit status: {result.stderr}")
    check_equal(result.stdout, "", "output")
    told = result.stderr.splitlines()
    for number, words in text:
        hits = [line for line in told if words in line
                and line.startswith(f"bhsec: {path}:{number}: ")]
        check(hits, f"line {number}: no {words!r} in\n{result.stderr}")
        told.remove(hits[0])
    check_equal(told, [], "told besides")


@case("all mistakes are told, each with its file, line and reason")
def _():
    for name, text in ("bad.conf", BAD), ("psk.conf", PSK):
        marks, text = expected(text)
        path = host.write(name, text)
        try:
            told_of(path, marks)
        finally:
            host.remove(name)


@case("what is no file of a device at all is told in one sentence")
def _():
    host.write("zero.conf", "[Device]\0\n")
    host.write("a.b.conf", CONTROLLER)
    os.makedirs(host.path("none"), exist_ok=True)
    wrong = []
    for args, words in ((["up", "bh9"], "/etc/bhsec/bh9.conf: No such file"),
                        (["check", "/etc/bhsec/zero.conf"], "zero byte"),
                        (["apply", "/etc/bhsec/a.b.conf"], "a device's name"),
                        (["apply", "/etc/bhsec/none"], "no *.conf"),
                        (["apply", "/etc/bhsec/none-such"], "No such file"),
                        (["down", "bh9"], "there is no such device"),
                        (["down", "../x"], "a device's name")):
        result = host.tool(*args, check=False)
        wrong += [f"{args}: {result.returncode}: {result.stderr}"] * (
            result.returncode != 1 or result.stderr.count("\n") != 1
            or words not in result.stderr)
    for name in "zero.conf", "a.b.conf", "none":
        host.remove(name)
    check(not wrong, "\n".join(wrong))


@case("a file with a mistake changes nothing, nor does one beside it")
def _():
    before = host.state()
    host.write("bh0.conf", CONTROLLER)
    host.write("bh1.conf", CONTROLLER.replace("42", "x"))
    for path in "/etc/bhsec", "/etc/bhsec/bh1.conf":
        result = host.tool("apply", path, check=False)
        check_equal(result.returncode, 1, "exit status")
        check("bh1.conf:4: if-id" in result.stderr, result.stderr)
        check_equal(result.stderr.count("\n"), 1, result.stderr)
    check_equal(host.state(), before, "what there is")
    check_equal(host.told(), [], "swanctl")
    host.remove("bh1.conf")


@case("a dry run prints what would be made, and makes nothing")
def _():
    before = host.state()
    check_equal(sorted(host.dry()), sorted([
        "+ device", "~ if-id 0 -> 42", "+ up", "+ address 10.8.0.1/24",
        "+ address fd08::1/64", "+ route 10.9.0.0/24", "+ route 10.7.0.0/24",
        "+ route fd07::/64", "+ key /etc/bhsec/ctl.key", "+ peer stations",
        "+ peer west"]), "difference")
    check_equal(host.state(), before, "what there is")
    check_equal(host.told(), [], "swanctl")


def check_made(**differs):
    check_equal(host.links().get("bh0"), {**MADE, **differs}, "bh0")


@case("up makes the device, and what swanctl loads")
def _():
    result = host.tool("up", "bh0")
    check_equal(result.stdout + result.stderr, "", "output")
    check_made()
    check_equal(host.told(), ["--load-all --noprompt"], "swanctl")
    files = host.listing()
    check_equal(set(files), {"conf.d/bhsec-bh0.conf", "private/bhsec-bh0"},
                "files")
    check_equal(files["private/bhsec-bh0"][0], "/etc/bhsec/ctl.key", "key")
    check_equal(files["conf.d/bhsec-bh0.conf"][1], 0o600, "mode")
    check_equal(host.tool("check", "bh0").stderr, "", "mistakes")


def heard(act):
    """What the kernel tells of links, addresses and routes meanwhile: types of
    messages."""
    types = []
    with host.ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE,
                        keep=False) as sock:
        sock.bind((0, 0))
        for group in RTNLGRP.values():
            sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        act()
        sock.setblocking(False)
        while True:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                return types
            types.append(struct.unpack_from("=IH", data)[1])


@case("a second time nothing happens")
def _():
    before = host.state()
    inode = os.stat(f"{host.etc}/swanctl/conf.d/bhsec-bh0.conf").st_ino
    check_equal(heard(lambda: host.tool("up", "bh0")), [], "messages")
    check_equal(host.told(), [], "swanctl")
    check_equal(host.state(), before, "what there is")
    check_equal(os.stat(f"{host.etc}/swanctl/conf.d/bhsec-bh0.conf").st_ino,
                inode, "the same file")
    check_equal(host.dry(), [], "difference")
    host.ns.ip("link set bh0 mtu 1400\n")
    check(heard(lambda: host.tool("up", "bh0")), "deaf")
    host.tool("reload", "bh0")
    check_equal(host.told(), ["--load-all --noprompt"], "swanctl, by reload")


# What somebody has changed, what is said of it.
SPOILED = [
    ("ip", "link set bh0 mtu 1300", ["~ mtu 1300 -> 1418"]),
    ("ip", "link set bh0 down", ["+ up", "+ address fd08::1/64", "+ route 10.7.0.0/24",
                                 "+ route 10.9.0.0/24", "+ route fd07::/64"]),
    ("ip", "addr del 10.8.0.1/24 dev bh0", ["+ address 10.8.0.1/24",
                                            "+ route 10.7.0.0/24",
                                            "+ route 10.9.0.0/24"]),
    ("ip", "addr del fd08::1/64 dev bh0", ["+ address fd08::1/64"]),
    ("ip", "route del 10.9.0.0/24 dev bh0", ["+ route 10.9.0.0/24"]),
    ("ip", "route del fd07::/64 dev bh0", ["+ route fd07::/64"]),
    ("bhsec", "set bh0 if-id 7", ["~ if-id 7 -> 42"]),
    ("bhsec", "set bh0 port 4700", ["~ port 4700 -> 4500"]),
    ("bhsec", "set bh0 dscp ef", ["~ dscp 46 -> copy"]),
    ("ip", "link set bh0 master red", ["~ vrf red -> none", ...]),
    ("ip", "link del bh0", ["+ device", ...]),
]


@case("what was changed by hand is told and made again")
def _():
    host.ns.ip("link add red type vrf table 77\nlink set red up\n")
    for tool, line, lines in SPOILED:
        getattr(host.ns, tool)(f"{line}\n")
        told = host.dry()
        if lines[-1] is ...:
            check_equal(told[:1], lines[:1], f"after {line}")
        else:
            check_equal(sorted(told), sorted(lines), f"after {line}")
        host.tool("up", "bh0")
        check_made()
        check_equal(host.dry(), [], f"difference after {line}")
    check_equal(host.told(), [], "swanctl")
    for path in "conf.d/bhsec-bh0.conf", "private/bhsec-bh0":
        os.unlink(f"{host.etc}/swanctl/{path}")
        host.tool("up", "bh0")
        check_equal(host.told(), ["--load-all --noprompt"], f"without {path}")
        check(path in host.listing(), f"no {path}")


# What the file says instead, what is said of it, what it makes.
EDITS = [
    ("if-id = 42", "if-id = 42\nmtu = 1300", ["~ mtu 1418 -> 1300"],
     {"mtu": 1300}),
    ("if-id = 42", "if-id = 42\ndscp = cs6\nport = 4700",
     ["~ port 4500 -> 4700", "~ dscp copy -> 48"], {"dscp": 48, "port": 4700}),
    ("10.8.0.1/24, ", "10.8.0.2/24, ",
     ["+ address 10.8.0.2/24", "- address 10.8.0.1/24"],
     {"addresses": {"10.8.0.2/24", "fd08::1/64"}}),
    ("fd08::1/64", "fd08::2/64",
     ["+ address fd08::2/64", "- address fd08::1/64", "~ peer stations",
      "~ peer west"][:2], {"addresses": {"10.8.0.1/24", "fd08::2/64"}}),
    ("if-id = 42", "if-id = 42\nroutes = none",
     ["- route 10.7.0.0/24", "- route 10.9.0.0/24", "- route fd07::/64"],
     {"routes": set()}),
    ("if-id = 42", "if-id = 42\nroutes = 10.0.0.0/8\ntable = 300",
     ["- route 10.7.0.0/24", "- route 10.9.0.0/24", "- route fd07::/64",
      "+ route 10.0.0.0/8 table 300"], {"routes": {("10.0.0.0/8", "300")}}),
    ("if-id = 42", "if-id = 42\nvrf = red", ["~ vrf none -> red", ...],
     {"vrf": "red", "routes": {(net, "77") for net, _ in MADE["routes"]}}),
    ("10.7.0.0/24, ", "10.6.0.0/24, ",
     ["- route 10.7.0.0/24", "+ route 10.6.0.0/24", "~ peer west"],
     {"routes": MADE["routes"] ^ {("10.6.0.0/24", "main"),
                                  ("10.7.0.0/24", "main")}}),
]


@case("what the file says anew is told, made, and goes with the words")
def _():
    for old, new, lines, differs in EDITS:
        host.write("bh0.conf", CONTROLLER.replace(old, new))
        told = host.dry()
        if lines[-1] is ...:
            check_equal(told[:1], lines[:1], new)
        else:
            check_equal(sorted(told), sorted(lines), new)
        host.tool("up", "bh0")
        check_made(**differs)
        check_equal(host.dry(), [], f"difference after {new}")
        host.write("bh0.conf", CONTROLLER)
        host.tool("up", "bh0")
        check_made()


@case("a peer that goes or is another one is let go, one that comes is loaded")
def _():
    west = CONTROLLER.index("[Peer]\nname = west")
    load, end = "--load-all --noprompt", "--terminate --ike bhsec-bh0-"
    host.told()
    for text, lines, told in (
            (CONTROLLER[:west], ["- peer west"], [load, "west"]),
            (CONTROLLER, ["+ peer west"], [load]),
            (CONTROLLER.replace("on-demand", "start"), ["~ peer west"], [load]),
            (CONTROLLER.replace("ca.crt", "ctl.crt"),
             ["~ peer stations", "~ peer west"], [load, "stations", "west"])):
        host.write("bh0.conf", text)
        check_equal([line for line in host.dry() if "peer" in line], lines,
                    "difference")
        host.tool("up", "bh0")
        check_equal([line.removeprefix(end).split(" --force")[0]
                     for line in host.told()], told, "swanctl")
    host.write("bh0.conf", CONTROLLER)
    host.tool("up", "bh0")
    host.told()


@case("addresses and routes of others on the device are left alone")
def _():
    host.ns.ip("addr add 10.8.9.9/32 dev bh0\n"
               "route add 10.99.0.0/16 dev bh0\n"
               "addr add fd99::1/128 dev bh0 nodad\n")
    check_equal(host.dry(), [], "difference")
    host.tool("up", "bh0")
    check_made(addresses=MADE["addresses"] | {"10.8.9.9/32", "fd99::1/128"},
               routes=MADE["routes"] | {("10.99.0.0/16", "main")})
    host.ns.ip("addr del 10.8.9.9/32 dev bh0\nroute del 10.99.0.0/16 dev bh0\n"
               "addr del fd99::1/128 dev bh0\n")


def is_undone(*words):
    """up fails with these words in one sentence, and all is as it was."""
    before = host.state()
    result = host.tool("up", "bh0", check=False)
    check_equal(result.returncode, 1, f"exit status: {result.stderr}")
    check_equal(result.stderr.count("\n"), 1, result.stderr)
    for word in words:
        check(word in result.stderr, f"no {word!r} in {result.stderr}")
    check_equal(host.state(), before, "what there is")


CHANGED = (CONTROLLER.replace("10.8.0.1/24", "10.8.0.5/24")
           .replace("if-id = 42", "if-id = 43\nmtu = 1300")
           .replace("10.7.0.0", "10.6.0.0").replace("ctl.key", "ca.crt"))


def fails_at_each_step():
    for why in "no daemon", "loading connection 'x' failed: no such cipher":
        with host.failing(why if "failed" in why else f"failed: {why}"):
            is_undone("strongSwan: ", why)
    host.ns.ip("link add other type dummy\nlink set other up\n"
               "route add 10.6.0.0/24 dev other\n"
               "route add 10.7.0.0/24 dev other metric 0\n", check=False)
    is_undone("bh0: route 10.", "File exists")
    host.ns.ip("link del other\n")
    os.rename(f"{host.etc}/swanctl/conf.d", f"{host.etc}/swanctl/gone")
    try:
        result = host.tool("up", "bh0", check=False)
        check_equal(result.returncode, 1, "exit status")
    finally:
        os.rename(f"{host.etc}/swanctl/gone", f"{host.etc}/swanctl/conf.d")


@case("what fails half-way leaves the device as it was")
def _():
    host.write("bh0.conf", CHANGED)
    before = host.state()
    fails_at_each_step()
    check_equal(host.state(), before, "what there is")
    host.ns.sysctl({"ipv6/conf/bh0/disable_ipv6": 1})
    host.write("bh0.conf", CHANGED.replace("fd08::1", "fd08::5"))
    is_undone("bh0: address fd08::5/64")
    host.ns.sysctl({"ipv6/conf/bh0/disable_ipv6": 0})
    host.write("bh0.conf", CONTROLLER)
    host.tool("up", "bh0")
    check_made()


@case("down leaves nothing, and ends what there was with the peers")
def _():
    host.told()
    host.tool("down", "bh0")
    check_equal(host.state(), ({}, {}), "what there is")
    check_equal([line.split(" --force")[0] for line in host.told()],
                ["--load-all --noprompt",
                 "--terminate --ike bhsec-bh0-stations",
                 "--terminate --ike bhsec-bh0-west"], "swanctl")


@case("what fails half-way leaves no device that was not there")
def _():
    host.write("bh0.conf", CHANGED)
    before = host.state()
    fails_at_each_step()
    check_equal(host.state(), before, "what there is")


@case("of the devices of a directory there are all or none")
def _():
    host.write("bh0.conf", CONTROLLER)
    host.write("bh1.conf", CONTROLLER.replace("10.", "10.1").replace("fd0", "fd1"))
    before = host.state()
    result = host.tool("apply", "/etc/bhsec", check=False)
    check_equal(result.returncode, 1, "exit status")
    check("bh1: if-id" in result.stderr, result.stderr)
    check_equal(host.state(), before, "what there is")
    host.write("bh1.conf", CONTROLLER.replace("10.", "10.1").replace("fd0", "fd1")
               .replace("= 42", "= 43"))
    host.tool("apply", "/etc/bhsec")
    check_equal(set(host.links()), {"bh0", "bh1"}, "devices")
    host.tool("down", "bh1")
    host.remove("bh1.conf")


main()
