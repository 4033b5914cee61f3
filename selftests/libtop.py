# SPDX-License-Identifier: GPL-2.0
"""What bhsec top prints, taken apart."""

import contextlib
import signal

from lib import *

# Lines above those of the peers; columns of a peer's figures, and their number.
HEAD, NUMBERS, FIGURES = 3, 56, 8

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

    def __init__(self, ns, *words, command=("bhsec",)):
        self.begun = time.monotonic()
        self.process = ns.popen([*command, "top", *words], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    @contextlib.contextmanager
    def stopped(self):
        """What is done meanwhile is between two looks."""
        self.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: self.state() == "T", what="a process that is stopped")
        yield
        self.process.send_signal(signal.SIGCONT)

    def state(self):
        path = f"/proc/{self.process.pid}/stat"
        with open(path, encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0]

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
