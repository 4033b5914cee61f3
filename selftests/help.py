#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""Help, man page and completion of the tool: in step with each other."""

from lib import *

VERBS = ["set", "peer", "sa", "apply", "up", "reload", "down", "check", "show",
         "explain", "doctor", "top", "monitor", "genkey"]

a = Ns("a")
link = veth(a, Ns("b"))


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
apply x
up
reload
down
check
show
show d
explain d s t
doctor
top
monitor
genkey
"""


def completed(lines=COMPLETED):
    """All words that the completion offers behind these."""
    result = a.run(["bash", "-c", COMPLETE, "bash",
                    f"{SOURCE['userspace']}/bhsec.bash"], input=lines)
    return set(result.stdout.split())


TYPED = """. "$1"
COMP_WORDS=(bhsec "${@:2}") COMP_CWORD=$(($# - 1))
_bhsec
printf '%s\\n' "${COMPREPLY[@]}"
"""


def typed(*words):
    """What the completion makes of the last one, as bash takes them apart."""
    return a.run(["bash", "-c", TYPED, "bash",
                  f"{SOURCE['userspace']}/bhsec.bash", *words]).stdout.split()


@case("the completion knows the links behind %, and what follows an endpoint")
def _():
    dev, begun = link.if_a, "peer add bh0 n endpoint".split()
    check_equal(typed(*begun, "fe80", "::", f"b1%{dev[:1]}"), [f"b1%{dev}"],
                "bare")
    check_equal(typed(*begun, "[fe80", "::", f"b1%{dev[:1]}"), [f"b1%{dev}"],
                "in brackets")
    for words in (["fe80", "::", f"b1%{dev}"], ["192.0.2.1", ":", "4500"],
                  ["[fe80", "::", f"b1%{dev}]", ":", "4500"]):
        check_equal(typed(*begun, *words, "ke"), ["keepalive"],
                    f"after {words}")


@case("the completion knows the names of devices and of what is on them")
def _():
    a.ip("link add bh0 type bhsec\nlink property add dev bh0 altname to-core-7\n"
         f"link property add dev {link.if_a} altname uplink-7\n")
    a.bhsec("peer add bh0 p7\n" + Sa(spi=0x777).bhsec("bh0", "p7", "in"))
    check_equal(completed("show\n") - {"-j", "--stats", "--openmetrics", "--why",
                                       "--help"},
                {"bh0", "to-core-7"}, "devices")
    check({"bh0", "to-core-7", link.if_a, "uplink-7", "any"}
          <= completed("set to-core-7 dev\n"), "underlay devices")
    for dev in "bh0", "to-core-7":
        check_equal(completed(f"peer set {dev}\n"), {"p7"}, f"peers of {dev}")
        check_equal(completed(f"sa del {dev} p7 in spi\n"), {"0x777"},
                    f"SPIs of {dev}")
    a.ip("link del bh0\n"
         f"link property del dev {link.if_a} altname uplink-7\n")


@case("the completion knows what may stand behind an if-id")
def _():
    rest = completed("set d if-id 42\n")
    check({"shared", "window"} <= rest and "if-id" not in rest, rest)
    check_equal(completed("set d if-id 42 shared\n"), rest - {"shared"},
                "behind shared")
    check("any" in completed("set d if-id 42 shared dev\n"), "no value")


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


@case("the completion names every class that has a name")
def _():
    names = {"be", "ef", *(f"cs{n}" for n in range(8)),
             *(f"af{n}{m}" for n in range(1, 5) for m in range(1, 4))}
    check_equal(completed("set d dscp\n"), names | {"copy"}, "of a device")
    line = "sa add d n out spi 4096 dscp"
    check_equal(completed(f"{line}\n"), names, "of an SA")
    check_equal(set(typed(*line.split(), "46,0-7,c")),
                {f"46,0-7,cs{n}" for n in range(8)}, "in a list")


@case("the completion knows what may stand before a verb")
def _():
    verbs, rest = completed("\n"), completed("show d\n")
    check({*VERBS, "-batch"} <= verbs, verbs)
    check_equal(completed("--stats\n"), verbs | {"all"}, "behind --stats")
    for words in "-j", "--json", "--stats all", "-j --stats all":
        check_equal(completed(f"{words}\n"), verbs, f"behind {words}")
        check_equal(completed(f"{words} show d\n"), rest, f"behind {words}")


main()
