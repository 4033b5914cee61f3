#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Ten thousand peers with two SAs each: made by one batch, dumped completely
and consistently, deleted. Time is printed, not judged."""

from lib import *
from libnetlink import *

PEERS = 10000
# For what takes a minute or two where nothing is slow.
LIMIT = 10 * PATIENCE
# KiB that a peer with two SAs may take with one CPU, and for each further one.
ONE_CPU, EACH_CPU = 6.2, 0.15
# What all else in the guest may take meanwhile, a peer's share of it.
OTHERS = 0.2
a = Ns("a")
link = veth(a, Ns("b"))
a.ip("link add bh0 type bhsec\nlink set bh0 up\n")


def memory():
    """KiB that the kernel holds for itself, and for each CPU among that."""
    with open("/proc/meminfo", encoding="ascii") as file:
        info = {line.split(":")[0]: int(line.split()[1]) for line in file}
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        cpus = int(file.read().split("-")[-1]) + 1
    each = info["Percpu"] / cpus
    return info["SUnreclaim"] + info["VmallocUsed"] + each, each


def shown():
    result = a.cli("show", "bh0", "-j", timeout=LIMIT)
    return json.loads(result.stdout)[0]["peers"]


def timed(what, function):
    start = time.monotonic()
    result = function()
    ksft.print_msg(f"{what}: {time.monotonic() - start:.1f} s")
    return result


def name(n):
    return f"bts{n}"


def count():
    """Peers, as the device counts them."""
    device, = a.nl.do("dev-get", ifname="bh0")
    return device["peers"]


def add_lines(n):
    into, out = Sa(), Sa()
    return (f"peer add bh0 {name(n)} endpoint {link.b4}:{1024 + n} "
            f"selectors 10.{n >> 8}.{n & 255}.0/24\n"
            + into.bhsec("bh0", name(n), "in") + out.bhsec("bh0", name(n), "out"))


@case(f"{PEERS} peers with two SAs each by one batch")
def _():
    lines = "".join(add_lines(n) for n in range(PEERS))
    one, each = memory()
    timed("adding", lambda: a.run(["bhsec", "-batch", "-"], input=lines,
                                  timeout=LIMIT))
    one, each = ((after - before) / PEERS
                 for before, after in zip((one, each), memory()))
    ksft.print_msg(f"a peer with two SAs: {one:.2f} KiB with one CPU, "
                   f"{each:.3f} for each further one")
    # what watches, or wraps a cipher, takes more
    if (os.environ.get("BHSEC_KERNEL") != "debug"
            and not os.environ.get("BHSEC_CRYPTO")):
        check(one <= ONE_CPU + OTHERS and each <= EACH_CPU,
              f"{one:.2f} and {each:.3f} KiB")


@case("one dump has them all, each once, with both SAs")
def _():
    peers = timed("showing", shown)
    check_equal(len(peers), PEERS, "peers")
    check_equal({p["name"] for p in peers}, {name(n) for n in range(PEERS)},
                "names")
    for peer in peers:
        check_equal(sorted(sa["direction"] for sa in peer["sas"]),
                    ["in", "out"], f"SAs of {peer['name']}")


# Dumps beside changes. The first and the last peer pass a token on, a selector
# of its own at each: at any moment one of them has it, or both. A dump goes
# from the first to the last, so it may find it at neither, or a peer that was
# made anew twice, unless all of it is from one moment.

ENDS = [(name(n), [("prefix", [("addr", bytes([172, 16, n & 255, 0])),
                               ("len", 24)])]) for n in (0, PEERS - 1)]


def select(peer, prefixes):
    a.nl.do("peer-set", ifname="bh0", name=peer, selectors=prefixes)


def pass_on(giver, taker):
    select(*taker)
    select(giver[0], [])


def renew(peer):
    """It goes, and comes again behind all others."""
    a.nl.do("peer-del", ifname="bh0", name=peer)
    a.nl.do("peer-add", ifname="bh0", name=peer)


def dump_around(change):
    """A dump whose first part the kernel makes when it is asked, the others
    only as that is read: [(name, are there selectors)] and the verdict."""
    nl = Genl(a)
    number, op = COMMANDS["peer-get"]
    request = Encoder().encode(op["attribute-set"], [("ifname", "bh0")])
    nl.send(nl.message(nl.id, number, request, NLM_F_DUMP))
    change()
    reply = nl.receive()
    ids = [SETS["peer"][word][0] for word in ("name", "selectors")]
    fields = [dict(parse(body)) for _, body in reply.messages]
    return ([(one[ids[0]].rstrip(b"\0").decode(), bool(one[ids[1]]))
             for one in fields], reply.interrupted)


def has_token(peers):
    return any(selectors for name, selectors in peers
               if name in (ENDS[0][0], ENDS[1][0]))


@case("a dump that a change came into says so, another does not")
def _():
    first, last = ENDS
    pass_on(last, first)
    peers, interrupted = dump_around(lambda: None)
    check(has_token(peers), "nobody has the token")
    check(not interrupted, "interrupted, although nothing changed")
    pass_on(first, last)
    peers, interrupted = dump_around(lambda: pass_on(last, first))
    check(not has_token(peers), "this dump should miss the token")
    check(interrupted, "peers that were set: the dump claims to be whole")
    again = name(1)
    peers, interrupted = dump_around(lambda: renew(again))
    check_equal([one for one, _ in peers].count(again), 2,
                "in this dump, of a peer made anew")
    check(interrupted, "a peer made anew: the dump claims to be whole")


def dumping():
    """Is somebody in the midst of a dump?"""
    with a, open("/proc/thread-self/net/netlink", encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return any(row[1] == str(NETLINK_GENERIC) and row[6] != "0" for row in rows)


def shown_beside(change, times):
    """What the tool says while its dumps are so often changed in the midst, on
    one CPU and by whom goes first: no dump passes while that one stands still."""
    over, cpus = threading.Event(), os.sched_getaffinity(0)

    def churn():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        left = times
        while left and not over.wait(0.02):     # a dump takes far longer
            if dumping():
                change()
                left -= 1
    os.sched_setaffinity(0, {0})
    thread = threading.Thread(target=churn, daemon=True)
    thread.start()
    try:
        return a.cli("show", "bh0", check=False, timeout=LIMIT)
    finally:
        over.set()
        thread.join()
        os.sched_setaffinity(0, cpus)


@case("what the tool shows beside a change has been so at one moment")
def _():
    first, last = ENDS
    pass_on(first, last)
    for change in (lambda: pass_on(last, first)), (lambda: renew(name(2))):
        result = shown_beside(change, 1)
        check_equal(result.returncode, 0, f"exit status: {result.stderr}")
        peers = re.findall(
            r"^  peer (\S+) .*\n(?:      .*\n|    problems .*\n)*"
            r"    selectors (\S+)", result.stdout, re.M)
        check_equal(len(peers), PEERS, "peers")
        check_equal(len(dict(peers)), PEERS, "different peers")
        check(has_token([(peer, nets != "none") for peer, nets in peers]),
              "nobody has the token")


@case("what changes all the time is not shown, in a sentence")
def _():
    result = shown_beside(lambda: renew(name(3)), 1 << 30)
    check_equal(result.returncode, 1, "exit status")
    check_equal(result.stdout.strip(), "", "output")
    check("too fast" in result.stderr, result.stderr)
    check_equal(result.stderr.count("\n"), 1, "sentences")
    check_equal(count(), PEERS, "peers afterwards")


@case("all deleted by one batch, nothing is left")
def _():
    lines = "".join(f"peer del bh0 {name(n)}\n" for n in range(PEERS))
    timed("deleting", lambda: a.run(["bhsec", "-batch", "-"], input=lines,
                                    timeout=LIMIT))
    check_equal(count(), 0, "peers")


main()
