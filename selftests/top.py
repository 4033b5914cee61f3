#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec top: its figures against what was sent, and how it goes with terminals,
slow ones and none."""

import select
import signal

from libmetrics import scrape
from libterm import *

NOBODY = 65534
IDLE = 60
HEAD, NUMBERS, FIGURES = 3, 56, 8

a, b = Ns("a"), Ns("b")
link = veth(a, b)
busy, calm = made = tunnels(a, b, link, [{}, {}], far="bhsec")
echo = [udp_echo(b, t.b_inner4) for t in made]
a.bhsec("".join(f"peer add bh0 idle{n} selectors 10.77.{n}.0/24\n"
                for n in range(IDLE)))
IDLES = [f"idle{n}" for n in range(IDLE)]


# What it prints, taken apart

Row = collections.namedtuple("Row", "mark name pps_in bps_in pps_out bps_out "
                             "drop_rate drops age last")
Head = collections.namedtuple("Head", "peers up silent down rest seconds pps_in "
                              "bps_in pps_out bps_out drop_rate drops")
COUNTS = re.compile(r"peers (\d+)  up (\d+)  silent (\d+)  down (\d+)  (.*)")
TOTALS = re.compile(r"([\d.]+) s  in (\S+) pps (\S+) bps  out (\S+) pps (\S+) bps"
                    r"  drops (\S+)/s  (\S+)")
UNITS = {unit: 1000 ** n for n, unit in enumerate("kMGTPE", 1)}


def number(text):
    """None of what is not known."""
    if text == "-":
        return None
    check(re.fullmatch(r"\d+(\.\d+)?[kMGTPE]?", text), f"no number: {text}")
    return float(text.rstrip("kMGTPE")) * UNITS.get(text[-1], 1)


def row_of(line, width):
    """Of a line whose name ends at that column."""
    figures = line[width:].split()
    check_equal(len(figures), FIGURES, f"figures in {line!r}")
    return Row(line[0], line[2:width].strip(), *map(number, figures[:6]),
               *figures[6:])


def head_of(lines):
    counts, totals = COUNTS.fullmatch(lines[0]), TOTALS.fullmatch(lines[1])
    check(counts and totals, lines[:2])
    return Head(*map(int, counts.groups()[:4]), counts[5], float(totals[1]),
                *map(number, totals.groups()[1:]))


class Blocks:
    """What it prints where no terminal is, block by block."""

    def __init__(self, *words, ns=a, command=("bhsec",)):
        self.begun = time.monotonic()
        self.process = ns.popen([*command, "top", *words], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def next(self):
        """(head, {peer: row}), the peers in their order."""
        lines = []
        while (line := self.process.stdout.readline()) not in ("\n", ""):
            lines.append(line.rstrip("\n"))
        check(lines, "no block")
        check("\033" not in "".join(lines), lines)
        width = len(lines[2]) - NUMBERS
        rows = [row_of(line, width) for line in lines[HEAD:]]
        return head_of(lines), {row.name: row for row in rows}

    def until(self, condition, what):
        """The first block of which the condition is true; those from before
        what was done may come first."""
        deadline = time.monotonic() + PATIENCE
        while True:
            head, rows = self.next()
            if condition(head, rows):
                return head, rows
            check(time.monotonic() < deadline, f"{what}: {head} {rows}")


def rows_on(terminal, columns=80):
    """Those that are whole: it may be drawing."""
    width = columns - NUMBERS
    return [row_of(line, width) for line in terminal.lines()[HEAD:-1]
            if len(line[width:].split()) == FIGURES]


def first_on(terminal):
    rows = rows_on(terminal)
    return rows[0] if rows else Row(*[None] * len(Row._fields))


def wait_for_rates(terminal):
    wait_for(lambda: first_on(terminal).pps_in is not None,
             what=lambda: f"rates: {terminal.lines()}")


def names_on(terminal, columns=80):
    return [row.name for row in rows_on(terminal, columns)]


def top(*words, ns=a, **kw):
    """On a terminal, when its first screen stands."""
    terminal = Terminal(ns, "bhsec", "top", *words, **kw)
    wait_for(lambda: " quit" in terminal.lines()[-1],
             what=lambda: f"a screen: {terminal.lines()}")
    return terminal


# Figures

def send(t, count, size=100, burst=20):
    udp_exchange(a, t.b_inner4, [size] * count, t.a_inner4, burst=burst)


def forge(t, count):
    """What has the SPI of b's SA to a, and no right ICV."""
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        for n in range(count):
            sock.sendto(struct.pack("!II", t.spi_in, (1 << 20) + n) + bytes(64),
                        (t.a_outer, ESP_PORT))
    before = drops.get(t, 0)
    drops[t] = before + count
    wait_for(lambda: t.stats()["auth"] == drops[t], what="forged ones")


drops = {}


def renew(t):
    """Its peer at a is made anew, and new keys for both ends."""
    a.bhsec(f"peer del bh0 {t.peer}\n" + t.peer_lines("a"))
    t.rekey()


def check_near(seen, wanted, what):
    """Each figure has three digits, and a time two behind its point."""
    check(abs(seen - wanted) <= 0.02 * wanted, f"{what}: {seen}, not {wanted}")


@case("a rate by its time is what was sent, received and dropped meanwhile")
def _():
    sums, seconds = [0] * 5, 0

    def is_over(head, rows):
        nonlocal sums, seconds
        row = rows[busy.peer]
        check(head.seconds >= 1, f"{head.seconds} s, one is asked for")
        check_equal(row[2:6], head[6:10], "the one that carries, of all")
        check(head.drop_rate >= row.drop_rate, "drops of all")
        sums = [one + rate * head.seconds for one, rate in zip(sums, row[2:7])]
        seconds += head.seconds
        return row.drops == 100 and not any(row[2:7])

    with Blocks("bh0", "--interval", "1") as blocks:
        blocks.next()
        before = busy.stats()
        send(busy, 300)
        forge(busy, 100)
        moved = difference(before, busy.stats())
        head, _ = blocks.until(is_over, "an end")
        check(seconds <= time.monotonic() - blocks.begun, "its clock is fast")
    for seen, name, unit in zip(sums, (
            "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "auth"),
            (1, 8, 1, 8, 1)):
        check_near(seen, moved[name] * unit, name)
    check_equal(moved["tx_packets"], 300, "packets")
    # What the host says of itself over IPv6 is nobody's.
    check(100 <= head.drops <= 100 + a.own_stats("bh0")["no_peer"], head)


UNKNOWN, STILL = (None,) * 5, (0,) * 5


@case("text has all peers, and no negative or made up rate of one made anew")
def _():
    send(calm, 40)
    with Blocks("bh0", "--interval", "1", "--sort", "name") as blocks:
        _, rows = blocks.next()
        check_equal(list(rows), [*(t.peer for t in made), *IDLES], "order")
        renew(calm)
        _, rows = blocks.until(lambda _, rows: rows[calm.peer][2:7] == UNKNOWN,
                               "one made anew")
        check_equal(rows["idle1"][2:7], STILL, "rates of another")
        _, rows = blocks.next()
        check_equal(rows[calm.peer][2:7], STILL, "rates a look later")
        a.bhsec("peer add bh0 late\n")
        _, rows = blocks.until(lambda _, rows: "late" in rows, "a new one")
        check_equal(rows["late"][2:7], UNKNOWN, "rates of a new one")
        a.bhsec("peer del bh0 late\n")
        blocks.until(lambda _, rows: "late" not in rows, "one that has gone")


@case("up, silent and down are what metrics say, and why")
def _():
    a.bhsec(f"peer add bh0 unheard endpoint {link.b4}:9 selectors 10.78.0.0/24\n"
            + Sa().bhsec("bh0", "unheard", "in")
            + Sa().bhsec("bh0", "unheard", "out"))
    send(busy, 1)
    send(calm, 1)
    up = {dict(labels)["peer"] for labels, value
          in scrape(a)["bhsec_peer_up"].samples.items() if value}
    with Blocks("--interval", "1") as blocks:
        head, rows = blocks.next()
    marks = {mark: {name for name, row in rows.items() if row.mark == mark}
             for mark in " ?!"}
    check_equal(marks[" "], up, "up")
    check_equal(up, {t.peer for t in made}, "up")
    check_equal(marks["?"], {"unheard"}, "silent")
    check_equal(head[:4], (len(rows), *map(len, marks.values())), "numbers")
    check_equal(head.rest, "bh0", "devices")
    a.ip("link set bh0 down\n")
    with Blocks("--interval", "1") as blocks:
        head, _ = blocks.next()
    a.ip("link set bh0 up\n" + "".join(
        f"route add {t.b_net4} dev bh0 src {t.a_inner4}\n" for t in made))
    check_equal(head[:4], (len(rows), 0, 0, len(rows)), "with the device down")
    a.bhsec("peer del bh0 unheard\n")


def seconds_of(text):
    check(re.fullmatch(r"\d+[smh]", text), text)
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


@case("age and last are those of show")
def _():
    with Blocks("--interval", "1") as blocks:
        _, rows = blocks.next()
        check_equal((rows["idle1"].age, rows["idle1"].last), ("-", "-"), "of none")
        for t in made:
            peer = a.peer("bh0", t.peer)
            for seen, most in ((rows[t.peer].age,
                                max(sa["age"] for sa in peer["sas"])),
                               (rows[t.peer].last, peer["last_received"])):
                check(seconds_of(seen) <= most, f"{seen}, then {most} s")
        # With one direction anew it is the other one's.
        one, old = Sa(), seconds_of(rows[busy.peer].age)
        a.bhsec(one.bhsec("bh0", busy.peer, "in"))
        for _ in range(2):
            _, rows = blocks.next()
            check(seconds_of(rows[busy.peer].age) >= old, "the newer direction's")
        a.bhsec("".join(f"sa del bh0 {busy.peer} in spi {sa.spi}\n"
                        for sa in (one, busy.in_)))
        blocks.until(lambda _, rows: rows[busy.peer].age == "-", "without one")
    a.bhsec(busy.in_.bhsec("bh0", busy.peer, "in"))


@case("anybody may watch")
def _():
    with Blocks("--interval", "1", command=(
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
            "--clear-groups", "--bounding-set=-all", "bhsec")) as blocks:
        head, rows = blocks.next()
        check_equal(rows[busy.peer].drops, drops[busy], "drops")
        check_equal(head.peers, len(made) + IDLE, "peers")


@case("several devices: names tell whose a peer is, and totals are of all")
def _():
    a.ip("link add bh1 type bhsec\n")
    a.bhsec("peer add bh1 idle1\n")
    with Blocks("--interval", "1") as blocks:
        head, rows = blocks.next()
        check_equal(head.rest, "bh0 bh1", "devices")
        check({"bh0/idle1", "bh1/idle1"} <= set(rows), rows)
        a.ip("link del bh1\n")
        head, rows = blocks.until(lambda head, _: head.rest == "bh0", "then")
        check_equal(head.peers, len(made) + IDLE, "peers")
        check("idle1" in rows, rows)


@case("a device that goes is told, and one that comes again is shown again")
def _():
    ns = Ns("gone")
    ns.ip("link add bh7 type bhsec\n")
    ns.bhsec("peer add bh7 p\n")
    with Blocks("bh7", "--interval", "1", ns=ns) as blocks:
        check_equal(list(blocks.next()[1]), ["p"], "peers")
        ns.ip("link del bh7\n")
        head, rows = blocks.until(lambda head, _: head.rest != "bh7", "then")
        check_equal((head.rest, head.peers, rows), ("bh7 is gone", 0, {}), "then")
        ns.ip("link add bh7 type bhsec\n")
        ns.bhsec("peer add bh7 q\n")
        _, rows = blocks.until(lambda _, rows: list(rows) == ["q"], "again")
        check_equal(rows["q"][2:7], UNKNOWN, "rates of one on a device made anew")
    with Blocks("--interval", "1", ns=Ns("none")) as blocks:
        check_equal(blocks.next()[0].rest, "no device", "where there is none")


# Ends where no terminal is

@case("a reader that has gone ends it at once, without a word")
def _():
    done = a.run("bhsec top --interval 1 | head -n 1; echo ${PIPESTATUS[*]}",
                 executable="/bin/bash")
    check_equal((done.stdout.splitlines()[1:], done.stderr), (["0 0"], ""),
                "behind head")
    blocks = Blocks("--interval", "3600")
    blocks.process.stdout.close()
    check_equal((blocks.process.wait(PATIENCE), blocks.process.stderr.read()),
                (0, ""), "while it waits")


@case("a signal ends it, and what cannot be written is told")
def _():
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        with Blocks("--interval", "1") as blocks:
            blocks.next()
            blocks.process.send_signal(number)
            check_equal((blocks.process.wait(PATIENCE),
                         blocks.process.stderr.read()), (0, ""), number)
    done = a.run("exec bhsec top --interval 1 >/dev/full", check=False)
    check_equal((done.returncode, done.stderr),
                (1, "bhsec: top: No space left on device\n"), "full")


@case("where the cursor does not move, lines come, as many as are seen")
def _():
    for term, rows in ("dumb", 24), ("dumb", 12), ("of-no-kind", 24):
        with Terminal(a, "bhsec", "top", "--interval", "1", "--sort", "name",
                      term=term, rows=rows) as terminal:
            blocks = wait_for(lambda: terminal.sent().count(b"\r\n\r\n") >= 2
                              and terminal.sent().decode().split("\r\n\r\n"),
                              what="blocks")
            lines = blocks[1].split("\r\n")
            check_equal(len(lines), rows - 2, "lines of a block")
            check("\033" not in terminal.sent().decode(), "an escape")
            check(all(len(line) <= 80 for line in lines), lines)
            check_equal(row_of(lines[HEAD], 80 - NUMBERS).name, busy.peer, "first")
            terminal.press("\3")
            terminal.hears("ended 0")


# Screens

@case("a screen of 80x24 has a head, peers and the keys, and figures change")
def _():
    for term in "vt100", "vt220", "linux", "xterm-256color":
        with top("--interval", "1", term=term) as terminal:
            wait_for_rates(terminal)
            lines = terminal.lines()
            check_equal(len(lines), 24, "lines")
            check_equal(head_of(lines).peers, len(made) + IDLE, "peers")
            check_equal(len(rows_on(terminal)), 24 - HEAD - 1, "peers shown")
            check(lines[-1].startswith(f"1-20 of {len(made) + IDLE} by in"),
                  lines[-1])
            with meanwhile(lambda: send(busy, 20)):
                wait_for(lambda: first_on(terminal).bps_in)
                check_equal(first_on(terminal).name, busy.peer, "first")


@case("another size is taken at once, larger and smaller")
def _():
    with top("--interval", "3600", "--sort", "name") as terminal:
        for rows, columns in (40, 120), (10, 80), (24, 60), (3, 80), (1, 10), (30, 90):
            terminal.resize(rows, columns)
            if columns < 80 or rows < 6:
                time.sleep(0.1)
                continue
            wait_for(lambda: " quit" in terminal.lines()[-1]
                     and len(names_on(terminal, columns)) == rows - HEAD - 1,
                     what=lambda: f"{rows}x{columns}: {terminal.lines()}")
            check_equal(names_on(terminal, columns),
                        [*(t.peer for t in made), *IDLES][:rows - HEAD - 1],
                        "names")
        terminal.press("q")
        terminal.hears("ended 0")


def sorted_by(terminal, key, names, foot):
    terminal.press(key)
    wait_for(lambda: f"by {foot}  " in terminal.lines()[-1]
             and names_on(terminal)[:len(names)] == names,
             what=lambda: f"{names}, {foot}: {terminal.lines()}")


@case("a key sorts by its column, and once more the other way round")
def _():
    both = [busy.peer, calm.peer]
    forge(calm, 3)
    with top("--interval", "1") as terminal:
        wait_for_rates(terminal)
        sorted_by(terminal, "n", both + IDLES[:18], "name")
        sorted_by(terminal, "n", IDLES[::-1][:20], "name, reversed")
        sorted_by(terminal, "d", both, "drops")
        sorted_by(terminal, "d", IDLES[:20], "drops, reversed")
        forge(calm, 200)
        sorted_by(terminal, "d", both[::-1], "drops")
        # Nobody of those has a key, or was heard.
        sorted_by(terminal, "a", IDLES[:20], "age")
        for key, foot in ("a", "age, reversed"), ("l", "last"), (
                "l", "last, reversed"):
            sorted_by(terminal, key, [] if "rev" in foot else IDLES[:20], foot)
            if "rev" in foot:
                check_equal(set(names_on(terminal)[:2]), set(both), foot)
        with meanwhile(lambda: send(calm, 20)):
            sorted_by(terminal, "r", both[::-1][:1], "in")
            sorted_by(terminal, "t", both[::-1][:1], "out")
        sorted_by(terminal, "t", IDLES[:18], "out, reversed")
    with top("--sort", "age", "bh0", "--interval", "1") as terminal:
        check_equal(names_on(terminal), IDLES[:20], "as asked")


@case("it scrolls by lines and pages, to both ends and no further")
def _():
    names = [*(t.peer for t in made), *IDLES]
    down, up, after, before = "\033OB", "\033OA", "\033[6~", "\033[5~"
    with top("--interval", "3600", "--sort", "name") as terminal:
        for keys, first in ((up, 0), (down * 3, 3), (up, 2), (after, 22),
                            (after, 42), (after, 42), (down, 42), (before, 22),
                            ("\033[B", 23), ("\033[A", 22), (before * 2, 0)):
            terminal.press(keys)
            wait_for(lambda: names_on(terminal) == names[first:first + 20]
                     and terminal.lines()[-1].startswith(f"{first + 1}-"),
                     what=lambda: f"{first} by {keys!r}: {terminal.lines()}")
        # fewer peers than what is scrolled to
    with top("--interval", "1", "--sort", "name") as terminal:
        terminal.press(after * 3)
        wait_for(lambda: names_on(terminal) == names[-20:])
        a.bhsec("".join(f"peer del bh0 {name}\n" for name in IDLES[-10:]))
        wait_for(lambda: names_on(terminal) == names[-30:-10],
                 what=lambda: f"fewer: {terminal.lines()}")
        a.bhsec("".join(f"peer add bh0 {name} selectors 10.77.{n}.0/24\n"
                        for n, name in enumerate(IDLES) if n >= IDLE - 10))


@case("a look at what hardly changes costs a slow line few bytes")
def _():
    with top("--interval", "1", "--sort", "name") as terminal:
        wait_for_rates(terminal)
        before, ages = len(terminal.sent()), [first_on(terminal).age]

        def looked():
            age = first_on(terminal).age
            ages.extend([age] if age not in (None, ages[-1]) else [])
            return len(ages) > 5
        wait_for(looked, what="looks")
        each = (len(terminal.sent()) - before) / (len(ages) - 1)
        ksft.print_msg(f"{each:.0f} bytes a look, a screen has {80 * 24}")
        check(each < 240, f"{each} bytes: a second at 2400 baud")
        terminal.clear()
        terminal.press("\f")
        wait_for(lambda: "quit" in terminal.lines()[-1]
                 and len(rows_on(terminal)) == 20, what="a screen drawn anew")


# Ends on a terminal

def check_given_back(terminal):
    check_equal(terminal.modes(), terminal.fresh, "terminal's modes")
    cursor = terminal.screen.cursor
    wait_for(lambda: not cursor.hidden and not cursor.attrs.reverse,
             what="the cursor as it was")


@case("q, ^C, a signal and ^Z give the terminal back as it was")
def _():
    for keys, number in (("q", None), ("\3", None), (None, signal.SIGTERM),
                         (None, signal.SIGHUP), ("\x1c", None)):
        for term in "vt220", "xterm":
            with top("--interval", "3600", term=term) as terminal:
                check(terminal.modes() != terminal.fresh, "it has changed none")
                if number:
                    os.kill(terminal.pid_of("bhsec"), number)
                else:
                    terminal.press(keys)
                terminal.hears("ended 0")
                check_given_back(terminal)


@case("stopped and woken it draws anew, for the size that is then")
def _():
    with top("--interval", "3600", "--sort", "name") as terminal:
        taken = terminal.modes()
        for rows in 24, 30:
            terminal.press("\x1a")
            terminal.hears("stopped")
            check_given_back(terminal)
            terminal.resize(rows, 80)
            terminal.clear()
            terminal.go_on()
            wait_for(lambda: len(rows_on(terminal)) == rows - HEAD - 1
                     and "quit" in terminal.lines()[-1],
                     what=lambda: f"a screen anew: {terminal.lines()}")
            check_equal(terminal.modes(), taken, "modes")
        terminal.press("q")
        terminal.hears("ended 0")


@case("a line that is hung up ends it")
def _():
    terminal = top("--interval", "3600")
    pid = os.pidfd_open(terminal.pid_of("bhsec"))
    with terminal:
        pass
    check(select.select([pid], [], [], PATIENCE)[0], "it goes on")
    os.close(pid)


@case("a refusal leaves the terminal as it was")
def _():
    ns = Ns("refused")
    with Terminal(ns, "bhsec", "top", "none") as terminal:
        terminal.hears("ended 1")
        check_equal(terminal.sent(), b"bhsec: none: no such device\r\n", "said")
        check_given_back(terminal)


main()
