#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The tool: its grammar, its input rules, its refusals in the user's words,
text and JSON from one path, and help, man page and completion in step."""

import base64
import tempfile

from lib import *

VERBS = ["set", "peer", "sa", "show", "monitor", "genkey"]
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
    for sa in sas:
        del sa["age"]
    return devices, [nl.dump("peer-get", ifname=d["ifname"]) for d in devices], sas


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
        ("show bh0 bogus", USAGE, "bogus"), ("monitor bogus", USAGE, "bogus"),
        ("genkey bogus", {REFUSED, USAGE}, "bogus"),
    ])


@case("what does not exist and what exists is exit 1, in the user's words")
def _():
    outcomes([
        ("set none port 1", REFUSED, "none"), ("set lo port 1", REFUSED, "lo"),
        ("peer add none x", REFUSED, "none"), ("show none", REFUSED, "none"),
        ("show bh0 peer none", REFUSED, "none"),
        ("peer add bh0 b", REFUSED, "b"), ("peer del bh0 none", REFUSED, "none"),
        ("peer set bh0 none encap udp", REFUSED, "none"),
        ("sa del bh0 b in spi 0x4242", REFUSED, "0x4242"),
        ("sa del bh0 none in spi 0x4242", REFUSED, "none"),
        ("peer set bh0 b encap esp", REFUSED, "encap"),
        ("set bh0 port 4999", REFUSED, "port"),
    ])


@case("the owner of a prefix and of an SPI is named")
def _():
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
             + number_rows("set bh1 df", ["copy", "set", "clear"], ["on", "SET"])
             + number_rows("peer set bh0 c keepalive", ["65535", "20", "0"],
                           ["65536", "-1", "20s"])
             + number_rows("peer set bh0 c roam", ["on", "off"], ["1", "yes"])
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
            ("[2001:db8::9]:65535", "[2001:db8::9]:65535")):
        a.cli("peer", "set", "bh1", "e", "endpoint", given)
        check_equal(shown_endpoint(), shown, f"endpoint {given}")
    outcomes([(f"peer set bh1 e endpoint {value}", {REFUSED, USAGE}, value)
              for value in ("host.example", "localhost", "192.0.2", "192.0.2.256",
                            "192.0.2.9:0", "192.0.2.9:65536", "192.0.2.9:",
                            "[2001:db8::9", "[192.0.2.9]:1", "[2001:db8::9]:x",
                            "224.0.0.1", "0.0.0.0", "::", "ff02::1",
                            "192.0.2.9/24")])
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
        for form in KEY_FORMS:
            for end in ("", "\n"):
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
        for length in {1, 16, 19, 20, 24, 32, 35, 36, 37} - {size}:
            for form in KEY_FORMS[:2]:
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

# What the text says for null or an empty list.
NONE = {"endpoint": "none", "selectors": "none", "dscp": "none", "dev": "any",
        "local": "any", "local_selectors": "any"}


def as_text(name, value):
    """How the text says a value of the JSON."""
    if value is None or value == []:
        return NONE[name]
    if name in ("spi", "fwmark"):
        return f"{value:#x}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(ranges(value) if name == "dscp" else value)
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
        elif name in ("peers", "sas"):
            inner += [block for each in value for block in blocks_of_json(each)]
        elif name != "age":
            own.append((name, as_text(name, value)))
    return [own, *inner]


def blocks_of_text(text):
    """The same of the text, where the first word says what begins."""
    blocks = []
    for line in text.splitlines():
        words = line.split()
        begins = ("device" if not line.startswith(" ") else
                  "direction" if words[0] in ("in", "out") else
                  "name" if words[0] == "peer" else None)
        if begins:
            blocks.append([])
            words = [begins, *words[begins == "name":]]
        blocks[-1] += [(word.replace("-", "_"), value) for word, value
                       in zip(words[::2], words[1::2]) if word != "age"]
    return blocks


@case("text and JSON agree")
def _():
    udp_sink(b)
    udp_echo(b, tunnel.b_inner4)
    udp_exchange(a, tunnel.b_inner4, range(10), tunnel.a_inner4)
    sa = tunnel.new_sa()
    a.bhsec(sa.bhsec("bh0", "c", "out", "dscp 10-12,46 soft-packets 7 "
                                        "hard-seconds 90000"))
    a.bhsec("set bh0 fwmark 0x1f\n")
    text = a.cli("show", "--stats").stdout
    wanted = [block for device in a.show() for block in blocks_of_json(device)]
    seen = blocks_of_text(text)
    check_equal(len(seen), len(wanted), f"blocks of {text}")
    for block, other in zip(seen, wanted):
        check_equal(block, other, f"block of {text}")


@case("show narrows to a device and to a peer")
def _():
    one = json.loads(a.cli("show", "bh0", "-j").stdout)
    check_equal([d["device"] for d in one], ["bh0"], "devices")
    one = json.loads(a.cli("show", "bh0", "peer", "c", "-j").stdout)
    check_equal([p["name"] for d in one for p in d["peers"]], ["c"], "peers")
    text = a.cli("show", "bh0", "peer", "c").stdout
    check("10.8.0.0/16" in text and tunnel.b_net4 not in text, text)


# Words about it

def read(name):
    with open(os.path.join(SOURCE["userspace"], name), encoding="utf-8") as text:
        return text.read()


def help_of(verb):
    return a.cli(*verb.split(), "--help").stdout


def options_of(text):
    """The words that stand first in the indented list of a help text."""
    body = text.split("Example", 1)[0]
    found = set()
    for match in re.finditer(r"^  (?! )(\S+)", body, re.M):
        word = match[1].rstrip(",")
        first, *others = word.split("|")
        found.add(first)
        stem = first.split("-")[0]
        found |= {f"{stem}-{other}" for other in others
                  if first.startswith(("soft-", "hard-"))}
    return found


@case("help of the tool and of every verb: exit 0, an example, on stdout")
def _():
    for verb in ("", *VERBS):
        result = a.cli(*verb.split(), "--help")
        check_equal(result.stderr, "", f"{verb}: stderr")
        example = result.stdout.split("Example", 1)
        check(len(example) == 2 and "bhsec" in example[1], f"{verb}: no example")


COMPLETE = """. "$1"
function=$(complete -p bhsec | sed 's/.*-F \\([^ ]*\\).*/\\1/')
while read -r -a words; do
    COMP_WORDS=(bhsec "${words[@]}" "") COMP_CWORD=$((${#words[@]} + 1))
    "$function"
    printf '%s\\n' "${COMPREPLY[@]}"
done"""
COMPLETED = """
set d
peer
peer add d n
sa
sa add d n in
show
show d
monitor
genkey
"""


def completed():
    """All words that the completion offers."""
    result = a.run(["bash", "-c", COMPLETE, "bash",
                    f"{SOURCE['userspace']}/bhsec.bash"], input=COMPLETED)
    return set(result.stdout.split())


@case("man page and completion name every option of the help")
def _():
    options = {word for verb in VERBS for word in options_of(help_of(verb))}
    check({"port", "endpoint", "spi", "esn", "hard-seconds", "-j"} <= options,
          f"options: {options}")
    # mdoc: .Fl j, .Fl -stats
    man = re.sub(r"\bFl (?=\S)", "-", read("bhsec.8"))
    missing = sorted(word for word in options | set(VERBS)
                     if not re.search(rf"(?<![\w-]){re.escape(word)}(?!\w)", man))
    check(not missing, f"the man page lacks {missing}")
    # "key" stands in batches alone, which nobody types.
    missing = (options | set(VERBS)) - completed() - {"key"}
    check(not missing, f"the completion lacks {missing}")


main()
