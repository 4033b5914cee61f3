#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Ten thousand peers with two SAs each: made by one batch, dumped completely
and consistently, deleted. Time and memory are printed, not judged."""

from lib import *

PEERS = 10000
a = Ns("a")
link = veth(a, Ns("b"))
a.ip("link add bh0 type bhsec\nlink set bh0 up\n")


def memory():
    """KiB that the kernel holds for itself."""
    with open("/proc/meminfo") as file:
        info = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return info["Slab"] + info["Percpu"] + info.get("VmallocUsed", 0)


def timed(what, function):
    start = time.monotonic()
    result = function()
    ksft.print_msg(f"{what}: {time.monotonic() - start:.1f} s")
    return result


def name(n):
    return f"bts{n}"


def add_lines(n):
    into, out = Sa(), Sa()
    return (f"peer add bh0 {name(n)} endpoint {link.b4}:{1024 + n} "
            f"selectors 10.{n >> 8}.{n & 255}.0/24\n"
            + into.bhsec("bh0", name(n), "in") + out.bhsec("bh0", name(n), "out"))


@case(f"{PEERS} peers with two SAs each by one batch")
def _():
    lines = "".join(add_lines(n) for n in range(PEERS))
    before = memory()
    timed("adding", lambda: a.run(["bhsec", "-batch", "-"], input=lines,
                                  timeout=280))
    ksft.print_msg(f"kernel memory: {(memory() - before) / PEERS:.1f} "
                   "KiB a peer with two SAs")


@case("one dump has them all, each once, with both SAs")
def _():
    peers = timed("showing", lambda: a.device("bh0"))["peers"]
    check_equal(len(peers), PEERS, "peers")
    check_equal({p["name"] for p in peers}, {name(n) for n in range(PEERS)},
                "names")
    for peer in peers:
        check_equal(sorted(sa["direction"] for sa in peer["sas"]),
                    ["in", "out"], f"SAs of {peer['name']}")


@case("a dump beside changes is whole or says that it is not")
def _():
    churn = "".join("peer add bh0 churn\npeer del bh0 churn\n"
                    for _ in range(2000))
    process = a.popen(["bhsec", "-batch", "-"], stdin=subprocess.PIPE, text=True)
    feeder = threading.Thread(target=process.communicate, args=(churn,))
    feeder.start()
    whole = 0
    while process.poll() is None:
        result = a.run(["bhsec", "show", "bh0", "-j"], check=False)
        if result.returncode:
            check(len(result.stderr.splitlines()) == 1, result.stderr)
            continue
        names = [p["name"] for p in json.loads(result.stdout)[0]["peers"]]
        check(len(names) == len(set(names)), "a peer twice")
        check_equal(len(set(names) - {"churn"}), PEERS, "peers that stay")
        whole += 1
    feeder.join()
    check_equal(process.returncode, 0, "the changes' exit status")
    check_equal(len(a.device("bh0")["peers"]), PEERS, "peers afterwards")
    ksft.print_msg(f"{whole} whole dumps beside the changes")


@case("all deleted by one batch, nothing is left")
def _():
    lines = "".join(f"peer del bh0 {name(n)}\n" for n in range(PEERS))
    timed("deleting", lambda: a.run(["bhsec", "-batch", "-"], input=lines,
                                    timeout=280))
    check_equal(a.device("bh0")["peers"], [], "peers")


main()
