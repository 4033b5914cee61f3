#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""The netlink family: malformed requests of every kind are refused with one
sentence and the attribute, and change nothing; the kernel's own client drives
it; every attribute that bhsec.yaml lets into a request has a policy."""

import errno

from lib import *
from libnetlink import *

U32_MAX, U64_MAX = (1 << 32) - 1, (1 << 64) - 1
DEV = ("ifname", "bh0")
PEER = ("peer", "p1")
IN, OUT = 0, 1
TYPES = {"u8": 2, "u16": 3, "u32": 4, "u64": 5, "binary": 10, "string": 12,
         "nest": 13}
SPI_IN, SPI_OUT = new_spi(), new_spi()
KEY_IN, KEY_OUT = new_key("aes-gcm-256"), new_key("aes-gcm-256")

a, b = Ns("a"), Ns("b")
link = veth(a, b)
nl = None


def prefix(addr, length, *more):
    return "prefix", [("addr", ipaddress.ip_address(addr).packed),
                      ("len", length), *more]


def sa(*changes, direction=OUT, without=()):
    """A request that would be good, changed."""
    pairs = dict([DEV, PEER, ("direction", direction), ("spi", new_spi()),
                  ("cipher", 1), ("key", new_key("aes-gcm-256"))])
    pairs.update(changes)
    return [(k, v) for k, v in pairs.items() if k not in without]


def new_peer(*pairs):
    return [DEV, ("name", "new"), *pairs]


def set_up():
    global nl
    a.ip("link add bh0 type bhsec\nlink add bh1 type bhsec\n")
    nl = Genl(a)
    nl.do("peer-add", ifname="bh0", name="p1",
          endpoint_addr=bytes([192, 0, 2, 2]),
          selectors=[prefix("10.0.0.0", 8), prefix("2001:db8:1::", 48)])
    nl.do("peer-add", ifname="bh0", name="p2")
    nl.do("peer-add", ifname="bh1", name="p1")
    for direction, spi, key in ((IN, SPI_IN, KEY_IN), (OUT, SPI_OUT, KEY_OUT)):
        nl.do("sa-add", ifname="bh0", peer="p1", direction=direction, spi=spi,
              cipher=1, key=key)


def state():
    """All that the family shows, but for what time changes."""
    devices = nl.dump("dev-get")
    peers = [nl.dump("peer-get", ifname=d["ifname"]) for d in devices]
    sas = [nl.dump("sa-get", ifname=d["ifname"]) for d in devices]
    for one in sum(peers + sas, []):
        for word in "age", "last-received", "last-sent":
            one.pop(word, None)
    return devices, peers, sas


def refused(requests, flags=NLM_F_ACK):
    """Each of them; all that are wrong are named."""
    before, wrong = state(), []
    for text, command, pairs in requests:
        reply, bad = nl.request(command, pairs, flags)
        said = reply.sentence or ""
        if not reply.errno:
            wrong.append(f"{text}: accepted")
        elif not said or len(said) > 79 or "\n" in said:
            wrong.append(f"{text}: {reply.errno}, sentence {said!r}")
        elif reply.has_offset and bad is not None and bad != reply.offset:
            wrong.append(f"{text}: {said!r} at {reply.offset}, not {bad}")
        after = state()
        if after != before:
            wrong.append(f"{text}: {what_changed(before, after)}")
        before = after
    check(not wrong, "\n".join(wrong))


def what_changed(before, after):
    old, new = (sum([devices, *peers, *sas], [])
                for devices, peers, sas in (before, after))
    return (f"{[one for one in old if one not in new]} became "
            f"{[one for one in new if one not in old]}")


# What no request may hold, whatever its command

def broken_frames(command, good):
    """Of a request that would be good, at the level of attributes."""
    replies = {"device": "stats", "peer": "mtu", "sa": "state", "way": "mtu"}
    reply_only = replies[COMMANDS[command][1]["attribute-set"]]
    return [
        ("unknown attribute", command, [*good, (99, Bad(b"1234"))]),
        ("attribute of replies", command, [*good, (reply_only, Bad(b"1234"))]),
        ("one byte behind", command, [*good, ("x", Raw(b"\0"))]),
        ("three bytes behind", command, [*good, ("x", Raw(b"abc"))]),
        ("attribute shorter than its header", command,
         [*good, ("x", Raw(struct.pack("=HH", 3, 1) + bytes(4)))]),
        ("attribute longer than the message", command,
         [*good, ("x", Raw(struct.pack("=HH", 200, 1) + bytes(4)))]),
        ("attribute without payload", command, [*good, ("ifname", Bad(b""))]),
    ]


def device_of(command, rest):
    return [
        ("no device", command, rest),
        ("no such ifname", command, [("ifname", Bad("none")), *rest]),
        ("no such ifindex", command, [("ifindex", Bad(9999)), *rest]),
        ("ifindex 0", command, [("ifindex", Bad(0)), *rest]),
        ("ifindex of two bytes", command, [("ifindex", Bad(b"11")), *rest]),
        ("another kind of device", command, [("ifname", Bad("lo")), *rest]),
        ("ifname of 128", command, [("ifname", Bad("x" * 128)), *rest]),
        ("ifname without end", command, [("ifname", Bad(b"bh0")), *rest]),
        ("ifname empty", command, [("ifname", Bad("")), *rest]),
    ]


@case("requests about devices")
def _():
    values = [
        ("port", 0), ("port", b"1"), ("port", b"1234"), ("port", 4501),
        ("dev", "none"), ("dev", "x" * 128), ("dev", b"v0"), ("fwmark", b"12"),
        ("fwmark", b"12345678"), ("dscp", 65), ("dscp", 255), ("dscp", b"12"),
        ("df", 3), ("df", U32_MAX), ("df", b"1"), ("local4", b""),
        ("local4", b"123"), ("local4", bytes(16)), ("local6", b"1234"),
        ("local6", bytes(17)), ("local4", bytes([224, 0, 0, 1])),
        ("local4", b"\xff" * 4), ("local6", b"\xff\2" + bytes(14)),
        ("window", 0), ("window", 65537),
        ("window", U32_MAX), ("window", b"12"),
    ]
    refused([(f"{name} {value!r}", "dev-set", [DEV, (name, Bad(value))])
             for name, value in values]
            + device_of("dev-set", [("dscp", 1)]) + device_of("dev-get", [])
            + broken_frames("dev-set", [DEV, ("dscp", 1)])
            + broken_frames("dev-get", [DEV]))


@case("a setting that is refused leaves those beside it alone")
def _():
    refused([("good before bad", "dev-set",
              [DEV, ("dscp", 7), ("window", 99), ("dev", Bad("none"))]),
             ("bad before good", "dev-set",
              [DEV, ("dev", Bad("none")), ("dscp", 7)]),
             ("good before busy", "dev-set",
              [DEV, ("df", 0), ("port", Bad(4999))]),
             ("endpoint before selector", "peer-set",
              [DEV, ("name", "p1"), ("endpoint-addr", bytes([192, 0, 2, 9])),
               ("selectors", [prefix("172.16.0.0", 12),
                              ("prefix", [("addr", Bad(b"\x0a\0\0\1")),
                                          ("len", 8)])])])])


@case("names of peers")
def _():
    names = ["", "a b", "a/b", "a:b", "a\n", "é", "ike-7", "ike-", "p1",
             "x" * 64, b"", b"new"]
    refused([(f"name {name!r}", "peer-add", [DEV, ("name", Bad(name))])
             for name in names]
            + [("no name", command, [DEV])
               for command in ("peer-add", "peer-set", "peer-del", "peer-get")]
            + [("no such peer", command, [DEV, ("name", Bad("none"))])
               for command in ("peer-set", "peer-del", "peer-get")]
            + [one for command in ("peer-add", "peer-set", "peer-del", "peer-get")
               for one in device_of(command, [("name", "p1")])]
            + broken_frames("peer-add", new_peer())
            + broken_frames("peer-set", [DEV, ("name", "p1")])
            + broken_frames("peer-del", [DEV, ("name", "p1")]))


@case("endpoints and encapsulations")
def _():
    addresses = [b"", b"123", b"12345", bytes(4), bytes(16), bytes(17),
                 bytes([224, 0, 0, 1]), bytes([255] * 4),
                 b"\xff\x02" + bytes(13) + b"\1"]
    wrong = [[("endpoint-addr", Bad(value))] for value in addresses]
    wrong += [[("endpoint-port", Bad(4500))]]
    wrong += [[("endpoint-addr", bytes([192, 0, 2, 9])),
               ("endpoint-port", Bad(value))] for value in (0, b"1", b"123")]
    wrong += [[("encap", Bad(value))] for value in (2, U32_MAX, b"1")]
    refused([(repr(pairs), command, [DEV, ("name", name), *pairs])
             for pairs in wrong for command, name in (("peer-add", "new"),
                                                      ("peer-set", "p1"))]
            + [("encap with live SAs", "peer-set",
                [DEV, ("name", "p1"), ("encap", Bad(1))])])


def bad_lists():
    """Values of a list of prefixes, each wrong in one place."""
    v4 = ("addr", bytes([172, 16, 0, 0]))
    return {
        "no length": [("prefix", Bad([v4]))],
        "no address": [("prefix", Bad([("len", 8)]))],
        "empty prefix": [("prefix", Bad([]))],
        "address of 5": [("prefix", [("addr", Bad(b"12345")), ("len", 8)])],
        "address of 0": [("prefix", [("addr", Bad(b"")), ("len", 8)])],
        "address of 17": [("prefix", [("addr", Bad(bytes(17))), ("len", 8)])],
        "IPv4 /33": [("prefix", [v4, ("len", Bad(33))])],
        "IPv6 /129": [("prefix", [("addr", bytes(16)), ("len", Bad(129))])],
        "length of 2": [("prefix", [v4, ("len", Bad(b"12"))])],
        "host bits": [("prefix", [("addr", Bad(b"\xac\x10\0\1")),
                                  ("len", 12)])],
        "IPv6 host bit": [("prefix", [("addr", Bad(bytes(15) + b"\1")),
                                      ("len", 127)])],
        "twice": [prefix("172.16.0.0", 12), prefix("::", 0),
                  ("prefix", Bad([v4, ("len", 12)]))],
        "unknown inside": [("prefix", [v4, ("len", 12), (9, Bad(b"1234"))])],
        "unknown beside": [prefix("172.16.0.0", 12), (9, Bad(b"1234"))],
        "not nested": [("prefix", Bad(attr(1, bytes(4)) + attr(2, b"\x0c")))],
        "garbage": [("prefix", [v4, ("x", Raw(b"\xff" * 7))])],
        "cut off": [("prefix", [v4, ("x", Raw(struct.pack("=HH", 40, 2)))])],
    }


@case("lists of prefixes")
def _():
    many = [prefix(f"172.16.{n >> 8}.{n & 255}", 32) for n in range(257)]
    requests = []
    for kind in ("selectors", "local-selectors"):
        for text, value in bad_lists().items():
            for command, name in (("peer-add", "new"), ("peer-set", "p1")):
                requests.append((f"{kind}: {text}", command,
                                 [DEV, ("name", name), (kind, value)]))
        requests += [
            (f"{kind}: not nested", "peer-add", new_peer((kind, Bad(b"1234")))),
            (f"{kind}: too many", "peer-add", new_peer((kind, Bad(many))))]
    refused(requests + [
        ("another's prefix", "peer-set",
         [DEV, ("name", "p2"), ("selectors", Bad([prefix("10.0.0.0", 8)]))]),
        ("another's prefix among own", "peer-add",
         new_peer(("selectors", Bad([prefix("10.1.0.0", 16),
                                     prefix("2001:db8:1::", 48)])))),
        ])


@case("names of SAs")
def _():
    gone = [("no peer", "peer"), ("no direction", "direction"), ("no SPI", "spi")]
    requests = [(text, command, [pair for pair in named if pair[0] != name])
                for text, name in gone
                for command, named in (
                    ("sa-add", sa()),
                    ("sa-del", [DEV, PEER, ("direction", IN), ("spi", SPI_IN)]),
                    ("sa-get", [DEV, PEER, ("direction", IN), ("spi", SPI_IN)]))]
    for command in ("sa-del", "sa-get"):
        requests += [
            ("no such SPI", command,
             [DEV, PEER, ("direction", IN), ("spi", Bad(new_spi()))]),
            ("the other direction", command,
             [DEV, PEER, ("direction", OUT), ("spi", Bad(SPI_IN))]),
            ("another peer's", command,
             [DEV, ("peer", "p2"), ("direction", IN), ("spi", Bad(SPI_IN))]),
            ("no such peer", command,
             [DEV, ("peer", Bad("none")), ("direction", IN), ("spi", SPI_IN)])]
    refused(requests + [
        ("no such peer", "sa-add", sa(("peer", Bad("none")))),
        ("SPI taken, outbound", "sa-add", sa(("spi", Bad(SPI_OUT)))),
        ("SPI taken, inbound", "sa-add", sa(("spi", Bad(SPI_IN)), direction=IN)),
        ("SPI taken at another peer", "sa-add",
         sa(("peer", "p2"), ("spi", Bad(SPI_IN)), direction=IN)),
        ("SPI taken at another device", "sa-add",
         sa(("ifname", "bh1"), ("spi", Bad(SPI_IN)), direction=IN)),
        ] + [one for command in ("sa-add", "sa-del", "sa-get")
             for one in device_of(command, sa(without=("ifname",)))]
        + broken_frames("sa-add", sa())
        + broken_frames("sa-del", [DEV, PEER, ("direction", IN),
                                   ("spi", SPI_IN)]))


@case("values of SAs")
def _():
    values = [("direction", 2), ("direction", U32_MAX), ("direction", b"1"),
              ("spi", 0), ("spi", 255), ("spi", b"12"), ("cipher", len(CIPHERS)),
              ("cipher", U32_MAX), ("cipher", b"1"), ("esn", 2), ("esn", 255),
              ("esn", b"12"), ("window", 0), ("window", 65537),
              ("window", b"1"), ("dscp-mask", 0), ("dscp-mask", b"1234"),
              ("seq", (1 << 63) + 1), ("seq", U64_MAX), ("seq", b"1234")]
    limits = [f"{kind}-{unit}" for kind in ("soft", "hard")
              for unit in ("packets", "bytes", "seconds")]
    values += [(name, value) for name in limits for value in (0, b"1234")]
    requests = [(f"{name} {value!r}", "sa-add",
                 sa((name, Bad(value)),
                    direction=IN if name == "window" else OUT))
                for name, value in values]
    requests += [(f"soft {unit} above hard", "sa-add",
                  sa((f"soft-{unit}", Bad(11)), (f"hard-{unit}", 10)))
                 for unit in ("packets", "bytes", "seconds")]
    refused(requests + [
        ("an outbound window", "sa-add", sa(("window", Bad(64)))),
        ("an inbound DSCP", "sa-add", sa(("dscp-mask", Bad(1)), direction=IN)),
        ("seq 2^32 without ESN", "sa-add", sa(("esn", 0), ("seq", Bad(1 << 32)))),
        ])


@case("keys of every cipher, of every other length")
def _():
    requests = [("no key", "sa-add", sa(without=["key"])),
                ("no cipher", "sa-add", sa(without=["cipher"])),
                ("the same key, outbound", "sa-add", sa(("key", Bad(KEY_OUT)))),
                ("the same key, inbound", "sa-add",
                 sa(("key", Bad(KEY_OUT)), direction=IN)),
                ("the inbound key outbound", "sa-add", sa(("key", Bad(KEY_IN))))]
    for number, (cipher, size) in enumerate(CIPHERS.items()):
        for length in {*range(38), 64, 97} - {size}:
            requests.append((f"{cipher} with {length}", "sa-add",
                             sa(("cipher", number),
                                ("key", Bad(secrets.token_bytes(length))))))
    refused(requests)


@case("dumps")
def _():
    refused([one for command, rest in (("peer-get", []), ("sa-get", []))
             for one in device_of(command, rest)]
            + broken_frames("peer-get", [DEV]) + broken_frames("sa-get", [DEV])
            + [("no such peer", "sa-get", [DEV, ("peer", Bad("none"))])],
            NLM_F_DUMP)


@case("the longest lists go to one who has read little, too")
def _():
    longest = [prefix(f"fd99:{n:x}::", 32) for n in range(256)]
    with Ns("c") as c:
        c.ip("link add bh0 type bhsec\n")
        reader = Genl(c, room=2048)
        reader.do("peer-add", ifname="bh0", name="long", selectors=longest,
                  local_selectors=longest)
        reader.room = 1 << 17
        peer, = reader.dump("peer-get", ifname="bh0")
    for kind in "selectors", "local-selectors":
        check_equal(len(peer[kind]["prefix"]), len(longest), kind)


@case("a good request cut off at every length")
def _():
    number, op = COMMANDS["sa-add"]
    good = Encoder().encode("sa", sa(without=["key"]) + [
        ("hard-packets", 5), ("key", new_key("aes-gcm-256"))])
    before, wrong = state(), []
    for length in range(len(good)):
        reply = nl.exchange(nl.id, number, good[:length])
        if not reply.errno or not reply.sentence:
            wrong.append(f"{length}: {reply.errno} {reply.sentence}")
    check(state() == before, "something changed")
    check(not wrong, "\n".join(wrong))
    check_equal(nl.exchange(nl.id, number, good).errno, 0, "the whole of it")


@case("requests that ask where a packet would go")
def _():
    ends = {"src": bytes(4), "dst": bytes(4)}
    values = [
        ("src", b""), ("src", bytes(5)), ("src", bytes(17)), ("dst", bytes(16)),
        ("dst", b""), ("protocol", b"12"), ("dport", b"1"), ("dscp", 64),
        ("dscp", b"12"), ("size", 65536), ("size", U32_MAX), ("size", b"12"),
    ]
    refused([(f"{name} {value!r}", "explain",
              [DEV, *(ends | {name: Bad(value)}).items()])
             for name, value in values]
            + [(f"no {name}", "explain",
                [DEV, *((n, v) for n, v in ends.items() if n != name)])
               for name in ends]
            + device_of("explain", list(ends.items()))
            + broken_frames("explain", [DEV, *ends.items()]))


@case("an unknown command")
def _():
    # one that is only ever told is none either
    for number in (0, COMMANDS["sa-del-ntf"][0], len(COMMANDS) + 1, 99):
        check_equal(nl.exchange(nl.id, number, b"").errno, errno.EOPNOTSUPP,
                    f"command {number}")


# The policies

def expected_range(definition):
    checks = definition.get("checks", {})
    bits = int(definition["type"][1:])
    return checks.get("min", 0), checks.get("max", (1 << bits) - 1)


def expected_lengths(definition):
    checks = definition.get("checks", {})
    exact = checks.get("exact-len")
    return exact or checks.get("min-len"), exact or checks.get("max-len")


def number_of(policy, field):
    data = policy.get(field)
    return int.from_bytes(data, sys.byteorder) if data else None


def compare_policy(where, definition, policy, tables):
    """Every way in which the kernel's policy is not the yaml's."""
    kind = definition["type"]
    if number_of(policy, 1) != TYPES[kind]:
        return [f"{where}: type {number_of(policy, 1)}, not {TYPES[kind]}"]
    if kind in INTEGERS:
        seen = number_of(policy, 4), number_of(policy, 5)
        wanted = expected_range(definition)
    elif kind == "nest":
        return compare_table(where, SETS[definition["nested-attributes"]],
                             tables[number_of(policy, 8)], tables)
    else:
        seen = number_of(policy, 6), number_of(policy, 7)
        wanted = expected_lengths(definition)
    return [] if seen == wanted else [f"{where}: {seen}, not {wanted}"]


def compare_table(where, wanted, table, tables):
    wrong = []
    for name, (number, definition) in wanted.items():
        if number not in table:
            wrong.append(f"{where}/{name}: no policy")
            continue
        wrong += compare_policy(f"{where}/{name}", definition, table[number],
                                tables)
    return wrong


def request_attributes():
    """{(command, "do"|"dump"): names}, {set: names in any request}"""
    uses, sets = {}, {}
    for name, (_, op) in COMMANDS.items():
        for mode in ("do", "dump"):
            if mode in op:
                names = op[mode].get("request", {}).get("attributes", [])
                uses[name, mode] = names
                sets.setdefault(op["attribute-set"], set()).update(names)
    return uses, sets


@case("every attribute of a request has the policy that bhsec.yaml gives it")
def _():
    ops, tables = nl.policies()
    uses, sets = request_attributes()
    wrong = []
    for (name, mode), attributes in uses.items():
        number, op = COMMANDS[name]
        table = tables[ops[number][mode]]
        kind = SETS[op["attribute-set"]]
        wrong += compare_table(f"{name} {mode}",
                               {key: kind[key] for key in attributes},
                               table, tables)
        known = {kind[key][0] for key in sets[op["attribute-set"]]}
        wrong += [f"{name} {mode}: attribute {extra} is in no request"
                  for extra in set(table) - known]
    check(not wrong, "\n".join(wrong))
    check_equal(set(ops), {COMMANDS[name][0] for name, _ in uses}, "commands")


# The kernel's own client

def ynl_family(ns):
    sys.path.insert(0, f"{LINUX}/tools/net/ynl/pyynl")
    sys.dont_write_bytecode = True
    # This library is called lib as well.
    ours = {name: sys.modules.pop(name) for name in list(sys.modules)
            if name == "lib"}
    try:
        from lib import YnlFamily
    finally:
        sys.modules.update(ours)
    with ns:
        return YnlFamily(YAML, f"{LINUX}/Documentation/netlink/genetlink.yaml")


def ynl_tunnel(near, far, keys, addresses):
    """One end of a tunnel; keys are pairs of SPI and key, out and in."""
    (spi_out, key_out), (spi_in, key_in) = keys
    near.do("dev-set", {"ifname": "yn0", "port": 4511, "df": "copy",
                        "dscp": 46, "window": 1000})
    near.do("peer-add", {
        "ifname": "yn0", "name": "far", "endpoint-addr": far,
        "endpoint-port": 4511, "encap": "udp",
        "selectors": {"prefix": [{"addr": addresses[1], "len": 32}]},
        "local-selectors": {"prefix": [{"addr": addresses[0], "len": 32}]}})
    for direction, spi, key in (("in", spi_in, key_in), ("out", spi_out, key_out)):
        near.do("sa-add", {"ifname": "yn0", "peer": "far", "spi": spi,
                           "direction": direction, "cipher": "aes-gcm-128",
                           "key": key, "hard-packets": 1000})


@case("the kernel's YNL client drives the family from end to end")
def _():
    ends = ("10.9.0.1", "10.9.0.2")
    packed = [ipaddress.ip_address(end).packed for end in ends]
    keys = [(new_spi(), new_key("aes-gcm-128")) for _ in "ab"]
    for ns, mine, other in ((a, *ends), (b, *ends[::-1])):
        ns.ip(f"link add yn0 type bhsec\naddr add {mine}/32 dev yn0\n"
              f"link set yn0 up\nroute add {other} dev yn0\n")
    ynl_a, ynl_b = ynl_family(a), ynl_family(b)
    outer = [ipaddress.ip_address(x).packed for x in (link.a4, link.b4)]
    ynl_tunnel(ynl_a, outer[1], keys, packed)
    ynl_tunnel(ynl_b, outer[0], keys[::-1], packed[::-1])
    udp_echo(b, ends[1])
    udp_exchange(a, ends[1], range(100, 110), ends[0])

    device = next(d for d in ynl_a.dump("dev-get", {})
                  if d["ifname"] == "yn0")
    check_equal({k: device[k] for k in ("port", "df", "dscp", "window", "peers")},
                {"port": 4511, "df": "copy", "dscp": 46, "window": 1000,
                 "peers": 1}, "device")
    peer = ynl_a.do("peer-get", {"ifname": "yn0", "name": "far"})
    check_equal(peer["stats"]["tx-packets"], 10, "tx-packets")
    check_equal(peer["selectors"]["prefix"], [{"addr": packed[1], "len": 32}],
                "selectors")
    sas = ynl_a.dump("sa-get", {"ifname": "yn0", "peer": "far"})
    check_equal({(s["direction"], s["spi"], s["seq"], s["state"]) for s in sas},
                {("out", keys[0][0], 10, "active"),
                 ("in", keys[1][0], 10, "active")}, "SAs")
    for direction, (spi, _) in zip(("out", "in"), keys):
        ynl_a.do("sa-del", {"ifname": "yn0", "peer": "far",
                            "direction": direction, "spi": spi})
    check_equal(ynl_a.dump("sa-get", {"ifname": "yn0"}), [], "SAs")
    ynl_a.do("peer-del", {"ifname": "yn0", "name": "far"})
    check_equal(ynl_a.dump("peer-get", {"ifname": "yn0"}), [], "peers")


@case("events come to the group, with what the yaml names")
def _():
    listener = Genl(b)
    listener.join("events")
    sender = b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    spi = new_spi()
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(struct.pack(">II", spi, 77) + bytes(40), (link.b4, 4511))
    event = listener.event(PATIENCE)
    sender.close()
    check(event, "no event")
    check_equal((event["event"], event["spi"], event["seq"], event["src"],
                 event["dst"]),
                (0, spi, 77, ipaddress.ip_address(link.a4).packed,
                 ipaddress.ip_address(link.b4).packed), "event")


set_up()
main()
