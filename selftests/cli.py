#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""The tool: its grammar, its input rules, its refusals in the user's words."""

import base64
import tempfile

from lib import *

DONE, REFUSED, USAGE = 0, 1, 2

a, b = Ns("a"), Ns("b")
link = veth(a, b)
tunnel = tunnel_bhsec(a, b, link)
a.ip("link add bh1 type bhsec\n")
a.bhsec("peer add bh0 c selectors 10.8.0.0/16\n")
directory = tempfile.mkdtemp()
nl = a.nl


def state():
    """All that the kernel knows, but for what time changes; no process."""
    devices = nl.dump("dev-get")
    sas = [sa for d in devices for sa in nl.dump("sa-get", ifname=d["ifname"])]
    peers = [nl.dump("peer-get", ifname=d["ifname"]) for d in devices]
    for each in itertools.chain(sas, *peers):
        for word in TIMES:
            each.pop(word, None)
    return devices, peers, sas


def one_sentence(result, what):
    check_equal(result.stdout, "", f"{what}: output")
    check_equal(result.stderr.count("\n"), 1, f"{what}: lines: {result.stderr}")


def outcomes(rows):
    """Each row: a line, an exit status or a set of them, words of the answer."""
    wrong = []
    for line, status, *words in rows:
        before = state()
        result = a.cli(*line.split(), check=False)
        allowed = status if isinstance(status, set) else {status}
        if result.returncode not in allowed:
            wrong.append(f"{line}: {result.returncode}: {result.stderr}")
        if result.returncode and result.stderr.count("\n") != 1:
            wrong.append(f"{line}: not one sentence: {result.stderr}")
        if result.returncode and state() != before:
            wrong.append(f"{line}: something changed")
        wrong += [f"{line}: no {word!r} in {result.stderr}" for word in words
                  if word not in result.stderr + result.stdout]
    check(not wrong, "\n".join(wrong))


def key_file(text):
    path = f"{directory}/key"
    with open(path, "w" if isinstance(text, str) else "wb") as file:
        file.write(text)
    return path


def forget_sa(spi, direction="in"):
    """Of peer c; no process either."""
    nl.do("sa-del", ifname="bh0", peer="c", spi=int(str(spi), 0),
          direction=["in", "out"].index(direction))


# Grammar

@case("what is not understood is exit 2, one sentence, in the user's words")
def _():
    outcomes([
        ("bogus", USAGE, "bogus"),
        ("set", USAGE), ("set bh0", USAGE),
        ("set bh0 bogus 1", USAGE, "bogus"), ("set bh0 port", USAGE, "port"),
        ("set bh0 window 64 window 65", USAGE, "window"),
        ("set bh1 if-id", USAGE, "if-id"),
        ("set bh1 shared", USAGE, "shared", "right behind if-id"),
        ("set bh1 if-id 7 window 64 shared", USAGE, "right behind if-id"),
        ("set bh1 if-id 7 shared shared", USAGE, "right behind if-id"),
        ("peer", USAGE), ("peer bogus bh0 x", USAGE, "bogus"),
        ("peer add", USAGE), ("peer add bh0", USAGE),
        ("peer set bh0 b", USAGE), ("peer add bh0 x bogus 1", USAGE, "bogus"),
        ("peer add bh0 x endpoint", USAGE, "endpoint"),
        ("peer del bh0 b bogus", USAGE, "bogus"),
        ("sa", USAGE), ("sa add bh0 b", USAGE),
        ("sa add bh0 b sideways spi 4096", USAGE, "sideways"),
        ("sa add bh0 b in cipher aes-gcm-256", USAGE),
        ("sa add bh0 b in spi 4096 cipher aes-gcm-256", USAGE, "key-file"),
        ("sa del bh0 b in", USAGE), ("sa del bh0 b in spi 4096 x", USAGE, "x"),
        ("show bh0 bogus", USAGE, "'bogus'", "'show bh0 peer bogus'"),
        ("show bh0 -j b", USAGE, "'b'", "'show bh0 peer b'"),
        ("show bh0 peer b b", USAGE, "'b' is too much\n"),
        ("show bh0 -x", USAGE, "'-x' is too much\n"),
        ("monitor bogus", USAGE, "bogus"),
        ("top bh0 bogus", USAGE, "bogus"), ("top --bogus", USAGE, "--bogus"),
        ("top --sort", USAGE, "--sort"), ("top --interval", USAGE, "--interval"),
        ("genkey bogus", {REFUSED, USAGE}, "bogus"),
        ("genkey --spi aes-gcm-128", USAGE, "'aes-gcm-128'"),
    ])


@case("what does not exist and what exists is exit 1, in the user's words")
def _():
    outcomes([
        ("set none port 1", REFUSED, "none"), ("set lo port 1", REFUSED, "lo"),
        ("peer add none x", REFUSED, "none"), ("show none", REFUSED, "none"),
        ("show bh0 peer none", REFUSED, "none"),
        ("top none", REFUSED, "none: no such device"),
        ("top lo", REFUSED, "lo: not a bhsec device"),
        ("top --sort bogus", REFUSED, "bogus", "drops"),
        ("top --interval 0", REFUSED, "from 1 to 3600"),
        ("top --interval 3601", REFUSED, "from 1 to 3600"),
        ("peer add bh0 b", REFUSED, "b"), ("peer del bh0 none", REFUSED, "none"),
        ("peer set bh0 none encap udp", REFUSED, "none"),
        ("sa del bh0 b in spi 0x4242", REFUSED, "0x4242"),
        ("sa del bh0 none in spi 0x4242", REFUSED, "none"),
        ("peer set bh0 b encap esp", REFUSED, "encap"),
        ("set bh0 port 4999", REFUSED, "port"),
    ])


@case("a peer that exists says what it has, and what changes it")
def _():
    nets = ",".join(f"10.7.{n}.0/24" for n in range(9))
    a.bhsec(f"peer add bh1 bare\npeer add bh1 rich endpoint [2001:db8::9]:77 "
            f"selectors {nets}\n" + Sa().bhsec("bh1", "rich", "in"))
    outcomes([
        ("peer add bh0 b", REFUSED, "peer b: the peer exists",
         f"endpoint {tunnel.endpoint('b')}",
         f"selectors {tunnel.b_net4},{tunnel.b_net6} and 2 SAs", "'peer set'"),
        ("peer add bh1 bare encap udp", REFUSED,
         "without endpoint, no selectors and 0 SAs", "'peer set'"),
        ("peer add bh1 rich selectors 10.7.0.0/24", REFUSED,
         "endpoint [2001:db8::9]:77, selectors 10.7.0.0/24,10.7.1.0/24,"
         "10.7.2.0/24,... and 1 SA; 'peer set'"),
    ])
    a.bhsec("peer del bh1 bare\npeer del bh1 rich\n")


@case("the owner of a prefix, of an SPI and of an if-id is named")
def _():
    a.ip("link add bh9 type bhsec\n")
    a.bhsec("set bh9 if-id 42\n")
    outcomes([("set bh1 if-id 42", REFUSED, "bh1: if-id 42: ", "device", ", bh9")])
    a.ip("link del bh9\n")
    path = key_file(new_key("aes-gcm-256").hex())
    outcomes([
        ("peer add bh0 d selectors 10.9.0.0/16,10.8.0.0/16", REFUSED,
         "10.8.0.0/16", " c"),
        (f"sa add bh0 c in spi {tunnel.spi_in} cipher aes-gcm-256 "
         f"key-file {path}", REFUSED, str(tunnel.spi_in), " b"),
    ])


# Input rules

def number_rows(prefix, good, bad):
    return [(f"{prefix} {value}", DONE) for value in good] + \
        [(f"{prefix} {value}", {REFUSED, USAGE}, value) for value in bad]


@case("numbers")
def _():
    outcomes(number_rows("set bh1 port", ["1", "65535", "4500"],
                         ["0", "65536", "-1", "x", "4500x", "99999999999999999999"])
             + number_rows("set bh1 window", ["1", "65536", "4096"],
                           ["0", "65537", "1k"])
             + number_rows("set bh1 dscp", ["0", "63", "copy"],
                           ["64", "-1", "none"])
             + number_rows("set bh1 fwmark", ["0", "4294967295", "0x10"],
                           ["4294967296", "0x"])
             + number_rows("set bh1 if-id",
                           ["42", "42 shared", "0x2a", "4294967295", "0"],
                           ["4294967296", "-1", "x", "0x", "shared"])
             + number_rows("set bh1 df", ["copy", "set", "clear"], ["on", "SET"])
             + number_rows("peer set bh0 c keepalive", ["65535", "20", "0"],
                           ["65536", "-1", "20s"])
             + number_rows("peer set bh0 c roam", ["on", "off"], ["1", "yes"])
             + number_rows("peer set bh0 c entropy", ["on", "off"], ["1", "yes"])
             + number_rows("set bh1 local", ["192.0.2.1", "2001:db8::1", "::",
                                             "0.0.0.0"],
                           ["192.0.2", "host.example", "224.0.0.1", "ff02::1"]))


def sa_line(spi, direction="in", rest=""):
    path = key_file(new_key("aes-gcm-256").hex())
    return (f"sa add bh0 c {direction} spi {spi} cipher aes-gcm-256 "
            f"key-file {path} {rest}")


def sa_outcomes(rows):
    """Line by line, for each needs a key of its own."""
    for spi, direction, rest, status, *words in rows:
        outcomes([(sa_line(spi, direction, rest), status, *words)])
        if status == DONE:
            forget_sa(spi, direction)


@case("SPIs are 256 to 2^32-1, decimal or 0x")
def _():
    bad = {REFUSED, USAGE}
    sa_outcomes([(spi, "in", "", DONE) for spi in
                 ("256", "4294967295", "0x100", "0xffffffff", "0xABCDEF")])
    sa_outcomes([(spi, "in", "", bad, spi) for spi in
                 ("0", "255", "0xff", "4294967296", "0x100000000", "-1", "0x",
                  "12x", "0b1")])


@case("options of SAs")
def _():
    bad = {REFUSED, USAGE}
    good = [("in", "esn off"), ("in", "esn on window 1"), ("in", "window 65536"),
            ("out", "dscp 46"), ("out", "dscp 0-63"), ("out", "dscp 46,0-7,10"),
            ("out", "seq 9223372036854775808"), ("in", "seq 5"),
            ("out", "soft-packets 1 hard-packets 2 soft-bytes 3 hard-bytes 4 "
                    "soft-seconds 5 hard-seconds 6")]
    sa_outcomes([("5000", direction, rest, DONE) for direction, rest in good])
    wrong = [("in", "esn maybe", "maybe"), ("in", "window 0", "0"),
             ("in", "window 65537", "65537"), ("out", "window 64", "window"),
             ("in", "dscp 46", "dscp"), ("out", "dscp 64", "64"),
             ("out", "dscp 7-5", "7-5"), ("out", "dscp 1,,2", "1,,2"),
             ("out", "seq 9223372036854775809", "seq"),
             ("out", "esn off seq 4294967296", "seq"),
             ("out", "hard-packets 0", "hard-packets"),
             ("out", "soft-bytes 5 hard-bytes 4", "soft-bytes")]
    sa_outcomes([("5000", direction, rest, bad, word)
                 for direction, rest, word in wrong])


@case("a long value that is refused is not repeated in whole")
def _():
    long = "x" * 3000
    many = ",".join(f"11.{n // 256}.{n % 256}.0/24" for n in range(257))
    for line, *words in (
            (f"peer add bh1 l selectors {many}", "selectors 11.0.0.0/24,", "256"),
            (f"peer set bh0 c local-selectors {many}", "11.0.1.0/24", "256"),
            (f"peer add bh1 l selectors {long}", "selector xxx", "address"),
            (f"peer add bh1 l endpoint {long}", "endpoint xxx", "address"),
            (f"peer add bh1 l endpoint [{long}", "endpoint [xxx", "[ADDR]"),
            (f"peer add bh1 {long}", "peer xxx", "63"),
            (f"set {long} port 1", "xxx"), (f"set bh1 dev {long}", "dev xxx"),
            (f"set bh1 window {long}", "window xxx", "65536"),
            (f"sa add bh0 c in spi {long}", "spi xxx"),
            (f"sa add bh0 c in spi 4096 dscp {long}", "dscp xxx"),
            (f"show {long}", "xxx"), (f"genkey {long}", "xxx")):
        result = a.cli(*line.split(), check=False)
        check_equal(result.returncode, REFUSED, f"exit status of {line[:40]}")
        one_sentence(result, line[:40])
        check(len(result.stderr) < 300 and "..." in result.stderr, result.stderr)
        check(all(word in result.stderr for word in words), result.stderr)


@case("an alternative name of a device is as good as its name, in every verb")
def _():
    other, uplink = "to-core." + "x" * 119, "uplink-" + "y" * 100
    a.ip("link add bh8 type bhsec\n"
         f"link property add dev bh8 altname {other}\n"
         f"link property add dev {link.if_a} altname {uplink}\n")
    path = key_file(new_key("aes-gcm-256").hex())
    outcomes([
        (f"set {other} port 4508 dev {uplink}", DONE),
        (f"peer add {other} p", DONE), (f"peer add {other} q", DONE),
        (f"peer del {other} q", DONE),
        (f"peer set {other} p endpoint fe80::9%{uplink}", DONE),
        (f"sa add {other} p in spi 0x1234 key-file {path}", DONE),
        (f"show {other}", DONE, "bh8", "port 4508", f"dev {link.if_a}"),
        (f"show {other} peer p", DONE, f"[fe80::9%{link.if_a}]:4508", "0x1234"),
        (f"peer add {other} p", REFUSED, "exists, with endpoint", "1 SA"),
        (f"sa del {other} p in spi 0x1234", DONE),
        (f"set {other}x port 1", REFUSED, "1 to 127"),
        (f"peer set {other} p endpoint fe80::9%{uplink}none", REFUSED,
         "no such device")])
    seen, = json.loads(a.cli("show", other, "-j").stdout)
    check_equal((seen["device"], [p["name"] for p in seen["peers"]]),
                ("bh8", ["p"]), "device and its peers")
    a.ip("link del bh8\n"
         f"link property del dev {link.if_a} altname {uplink}\n")


@case("names of peers")
def _():
    good = ["x", "A.b_c-9", "-", ".", "x" * 63, "ike"]
    outcomes([(f"peer add bh1 {name}", DONE) for name in good]
             + [(f"peer del bh1 {name}", DONE) for name in good]
             + [(f"peer add bh1 {name}", {REFUSED, USAGE}, name) for name in
                ("a/b", "a:b", "ü", "x" * 64, "ike-1", "a,b")])


def shown_endpoint():
    return a.peer("bh1", "e")["endpoint"]


@case("endpoints: the port defaults to the device's, names are not resolved")
def _():
    a.cli("peer", "add", "bh1", "e")
    for given, shown in (
            ("192.0.2.9", "192.0.2.9:4500"), ("192.0.2.9:77", "192.0.2.9:77"),
            ("2001:db8::9", "[2001:db8::9]:4500"),
            ("[2001:db8::9]", "[2001:db8::9]:4500"),
            ("[2001:db8::9]:65535", "[2001:db8::9]:65535"),
            ("[2001:db8::9:4500]", "[2001:db8::9:4500]:4500"),
            # these cannot be an address and a port, or do not look so
            ("2001:db8::4500", "[2001:db8::4500]:4500"),
            ("2001:db8::9:45", "[2001:db8::9:45]:4500"),
            ("2001:db8::9:b500", "[2001:db8::9:b500]:4500"),
            ("2001:db8:1:2:3:4:5:4500", "[2001:db8:1:2:3:4:5:4500]:4500")):
        a.cli("peer", "set", "bh1", "e", "endpoint", given)
        check_equal(shown_endpoint(), shown, f"endpoint {given}")
    outcomes([(f"peer set bh1 e endpoint {value}", {REFUSED, USAGE}, value)
              for value in ("host.example", "localhost", "192.0.2", "192.0.2.256",
                            "192.0.2.9:0", "192.0.2.9:65536", "192.0.2.9:",
                            "[2001:db8::9", "[192.0.2.9]:1", "[2001:db8::9]:x",
                            "224.0.0.1", "0.0.0.0", "::", "ff02::1",
                            "192.0.2.9/24")]
             + [(f"peer set bh1 e endpoint {addr}:{port}", REFUSED,
                 f"[{addr}]:{port}", *alone) for addr, port, *alone in (
                     ("2001:db8::9", 4500, "[2001:db8::9:4500]"),
                     ("fe80::a:9", 500, "[fe80::a:9:500]"),
                     ("2001:db8::9", 45000), ("fe80::9%lo", 80),
                     ("2001:db8:1:2:3:4:5:6", 4500))]
             + [("peer set bh1 e endpoint fe80::9:4500%lo", REFUSED,
                 "[fe80::9%lo]:4500", "[fe80::9:4500%lo]")])
    a.cli("peer", "del", "bh1", "e")


@case("an endpoint without a port is taken as it is shown")
def _():
    dev = link.if_a
    a.cli("peer", "add", "bh1", "e", "encap", "esp")
    for addr, shown in (
            ("2001:db8::9", "2001:db8::9"),
            ("2001:db8::9:4500", "[2001:db8::9:4500]"),
            (f"fe80::9%{dev}", f"fe80::9%{dev}"),
            (f"fe80::9:4500%{dev}", f"[fe80::9:4500%{dev}]")):
        for given in f"[{addr}]", shown:
            a.cli("peer", "set", "bh1", "e", "endpoint", given)
            check_equal(shown_endpoint(), shown, f"endpoint {given}")
    a.cli("peer", "del", "bh1", "e")


@case("prefixes")
def _():
    a.cli("peer", "add", "bh1", "s")
    for given, shown in (
            ("10.0.0.0/8,2001:db8::/32", {"10.0.0.0/8", "2001:db8::/32"}),
            ("0.0.0.0/0,::/0", {"0.0.0.0/0", "::/0"}),
            ("10.1.2.3/32", {"10.1.2.3/32"}), ("none", set())):
        a.cli("peer", "set", "bh1", "s", "selectors", given)
        check_equal(set(a.peer("bh1", "s")["selectors"]), shown, given)
    outcomes([(f"peer set bh1 s {kind} {value}", {REFUSED, USAGE}, word)
              for kind in ("selectors", "local-selectors")
              for value, word in (
                  ("10.0.0.1/8", "10.0.0.1/8"), ("10.0.0.0/33", "10.0.0.0/33"),
                  ("2001:db8::1/64", "2001:db8::1/64"), ("::/129", "::/129"),
                  ("10.0.0.0/x", "10.0.0.0/x"), ("10.0.0.0/", "10.0.0.0/"),
                  ("host/8", "host"), ("11.0.0.0/8,,12.0.0.0/8", "selector"),
                  ("11.0.0.0/8,10.0.0.1/8", "10.0.0.1/8"),
                  ("11.0.0.0/8,11.0.0.0/8", "11.0.0.0/8"))])
    a.cli("peer", "del", "bh1", "s")


# Keys

def add_with(text, cipher="aes-gcm-256", **how):
    spi = new_spi()
    return spi, a.cli("sa", "add", "bh0", "c", "in", "spi", spi, "cipher", cipher,
                      "key-file", key_file(text), check=False, **how)


KEY_FORMS = (bytes.hex, lambda k: base64.b64encode(k).decode(),
             lambda k: k.hex().upper())


@case("keys are 2n hex digits or the base64 of n bytes, one newline may follow")
def _():
    for cipher in CIPHERS:
        # the table is one, so what is no AEAD has one form of them
        for form in KEY_FORMS if cipher in AEADS else KEY_FORMS[:1]:
            for end in ("", "\n") if cipher in AEADS else ("\n",):
                spi, result = add_with(form(new_key(cipher)) + end, cipher)
                check_equal(result.returncode, DONE, f"{cipher}: {result.stderr}")
                forget_sa(spi)


@case("other keys are refused, and never repeated")
def _():
    key = new_key("aes-gcm-256")
    text, b64 = key.hex(), base64.b64encode(key).decode()
    for bad in ("", "\n", text + "\n\n", " " + text, text + " ", "0x" + text,
                text[:-1], text[:-1] + "g", b64[:-2] + "*=", text + "\r\n",
                text[:36] + "\n" + text[36:], key, b64 + b64):
        before = state()
        _, result = add_with(bad)
        check(result.returncode in (REFUSED, USAGE), f"accepted: {bad!r}")
        one_sentence(result, repr(bad))
        check(text[:16] not in result.stderr and b64[:12] not in result.stderr,
              f"it is repeated: {result.stderr}")
        check_equal(state(), before, f"{bad!r}: state")


@case("a key of another length: both lengths are told")
def _():
    # 48 hexadecimal digits would be 36 bytes of base64
    for cipher, size in CIPHERS.items():
        lengths = ({1, 16, 19, 20, 24, 32, 35, 36, 37} if cipher in AEADS
                   else {size - 1, size + 1})
        for length in lengths - {size}:
            for form in KEY_FORMS[:2 if cipher in AEADS else 1]:
                _, result = add_with(form(secrets.token_bytes(length)), cipher)
                check_equal(result.returncode, REFUSED, "exit status")
                check(f"key has {length} byte" in result.stderr
                      and f"{cipher} needs {size}" in result.stderr,
                      f"{cipher}, {length}: {result.stderr}")


@case("key-file - reads standard input; a missing file is named")
def _():
    spi = str(new_spi())
    words = ["sa", "add", "bh0", "c", "in", "spi", spi, "cipher", "aes-gcm-256",
             "key-file"]
    result = a.cli(*words, "/none/such", check=False)
    check_equal(result.returncode, REFUSED, "exit status")
    check("/none/such" in result.stderr, result.stderr)
    a.cli(*words, "-", input=new_key("aes-gcm-256").hex() + "\n")
    forget_sa(spi)


@case("genkey makes what sa add takes, another each time")
def _():
    seen = set()
    for cipher in CIPHERS:
        for _ in range(2):
            key = a.cli("genkey", cipher).stdout
            seen.add(key)
            spi, result = add_with(key, cipher)
            check_equal(result.returncode, DONE, result.stderr)
            forget_sa(spi)
    check_equal(len(seen), 2 * len(CIPHERS), "different keys")
    check_equal(len(base64.b64decode(a.cli("genkey").stdout)), 36,
                "bytes of the default cipher's key")


@case("genkey --spi draws what sa add takes, another each time")
def _():
    drawn = [a.cli("genkey", "--spi").stdout for _ in range(5)]
    check(all(re.fullmatch(r"0x[0-9a-f]{8}\n", spi) for spi in drawn), drawn)
    check_equal(len(set(drawn)), len(drawn), "different SPIs")
    peer_sa = Sa(spi=int(drawn[0], 16))
    a.bhsec(peer_sa.bhsec("bh0", "b", "in"))
    a.cli("sa", "del", "bh0", "b", "in", "spi", drawn[0].strip())


# What getrandom() gives a process: 0, 1 ... 255, then 256.
UNLUCKY = """#include <string.h>
long getrandom(void *to, unsigned long size, unsigned int flags)
{
	static unsigned int next;

	memcpy(to, &next, size);
	next++;
	return size + 0 * flags;
}
"""


@case("an SPI that is reserved is drawn again")
def _():
    library = f"{directory}/unlucky.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-xc", "-", "-o", library],
                   input=UNLUCKY, text=True, check=True)
    shown = a.run(["bhsec", "genkey", "--spi"],
                  env={**os.environ, "LD_PRELOAD": library}).stdout
    check_equal(shown, "0x00000100\n", "SPI")


# Batches

@case("a batch stops at the first refusal and names its line")
def _():
    text = "peer add bh1 l1\n\n# a comment\npeer add bh1 l1\npeer add bh1 l2\n"
    for bad, status in ((text, REFUSED),
                        (text.replace("l1\npeer add bh1 l2", "x y z\n"), USAGE)):
        result = a.bhsec(bad, check=False)
        check_equal(result.returncode, status, f"exit status: {result.stderr}")
        one_sentence(result, "batch")
        check(re.search(r"\b4\b", result.stderr), f"no line 4: {result.stderr}")
        check_equal([p["name"] for p in a.device("bh1")["peers"]], ["l1"], "peers")
        a.bhsec("peer del bh1 l1\n")


@case("a batch from a file; keys in it, and from standard input only there")
def _():
    key = new_key("aes-gcm-256").hex()
    line = "sa add bh0 c in spi 60001 cipher aes-gcm-256"
    path = f"{directory}/batch"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{line} key {key}\nsa del bh0 c in spi 60001\n")
    a.cli("-batch", path)
    result = a.bhsec(f"{line} key-file -\n", check=False)
    check(result.returncode in (REFUSED, USAGE), "key-file - in a batch from -")
    one_sentence(result, "key-file -")
    result = a.cli(*line.split(), "key", key, check=False)
    check(result.returncode in (REFUSED, USAGE), "a key on the command line")
    check(key not in result.stderr, "it is repeated")
    result = a.cli("-batch", "/none/such", check=False)
    check("/none/such" in result.stderr and result.returncode, result.stderr)


# Output

@case("a standard output that is closed is told by every verb, and nothing done")
def _():
    path = key_file(new_key("aes-gcm-256").hex())
    lines = [
        "set bh1 window 77", "peer add bh1 closed", "peer set bh0 c keepalive 7",
        "peer del bh0 c", f"sa add bh0 c in spi 7777 key-file {path}",
        f"sa del bh0 b in spi {tunnel.spi_in}", "show", "show bh0 -j", "monitor", "top",
        "genkey", "--help", "--version", "set --help", f"-batch {path}"]
    before = state()
    for line in lines:
        result = a.run(f"exec bhsec {line} >&-", check=False)
        check_equal(result.returncode, REFUSED, f"exit status of {line}")
        one_sentence(result, line)
        check("output" in result.stderr, result.stderr)
    check_equal(state(), before, "state")


@case("a full device is told; closed input and errors take nobody's place")
def _():
    for line in "show", "show -j", "genkey", "--help":
        result = a.run(f"exec bhsec {line} >/dev/full", check=False)
        check_equal(result.returncode, REFUSED, f"exit status of {line}")
        check("No space left" in result.stderr, result.stderr)
    check_equal(a.run("exec bhsec show bh1 <&- 2>&-").stdout,
                a.cli("show", "bh1").stdout, "output")
    batch = f"{directory}/batch"
    with open(batch, "w", encoding="ascii") as file:
        file.write("sa add bh0 c in spi 7777 key-file -\n")
    for line in f"-batch {batch}", "-batch -":
        result = a.run(f"exec bhsec {line} <&-", check=False)
        check_equal(result.returncode, REFUSED, f"exit status of {line}")
        one_sentence(result, line)
        check("Bad file descriptor" in result.stderr, result.stderr)


main()
