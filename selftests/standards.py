#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""STANDARDS.md says which test shows which clause: what it names is there, and
no clause that binds is missing."""

import ast
import collections
import functools

from lib import *

HEADER = ["clause", "what it asks", "shown by"]
# Of each document the clauses that ask something of the data plane.
CLAUSES = {
    "TS 33.210": "",
    "TS 33.401": "11 12",
    "TS 33.501": "9.1.2 9.1.3 9.2 9.3 9.4 9.8",
    "RFC 3948": "2.1 2.2 2.3 4",
    "RFC 4106": "2 5",
    "RFC 4301": "4.1 4.4.1.1 5.1 5.1.2 5.2 7 7.3 8",
    "RFC 4303": "2.2.1 2.4 2.6 2.7 3.3.3 3.3.4 3.4.1 3.4.2 3.4.3 3.4.4 4",
    "RFC 4543": "",
    "RFC 6040": "4",
    "RFC 6479": "",
    "RFC 7634": "",
    "RFC 8221": "5 6",
    "RFC 8784": "",
    "RFC 9370": "",
    "RFC 9611": "",
    "NIST SP 800-38D": "8.2.1",
    "ETSI GS QKD 014": "",
    "O-RAN WG11 SecProtSpec": "4.5.1",
}
# What O-RAN WG11 SecProtSpec 4.5.1 lists.
ITEMS = ["tunnel mode", "NAT traversal", "DSCP", "replay protection", "ESN",
         "confidentiality", "exhaustion", "rekey", "several SAs", "DPD",
         "selectors", "responder", "X.509", "DH group 19", "RFC 9370",
         "no IKEv1"]
DOCUMENT = re.compile(rf"({'|'.join(map(re.escape, CLAUSES))})"
                      r"(?: (\d+(?:\.\d+)*(?:, \d+(?:\.\d+)*)*))?(?:: (.+))?")
SHOWN = re.compile(r'(\w+)(?:: ("[^"]+"(?:, "[^"]+")*))?')
REASON = re.compile(r"reason: \S.*")

Row = collections.namedtuple("Row", "line clause asked shown")


def read(path):
    with open(f"{TESTS}/{path}", encoding="utf-8") as file:
        return file.read()


def rows_of(text):
    """The rows of all tables with that header, and what is none."""
    rows, wrong, inside = [], [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells == HEADER:
            inside = True
        elif not inside:
            wrong.append(f"in no table: {line}")
        elif set(line) - set("|-"):
            if len(cells) == len(HEADER) and all(cells):
                rows.append(Row(line, *cells))
            else:
                wrong.append(f"not a clause, what it asks and a test: {line}")
    return rows, wrong


def clauses_of(row):
    """(document, clauses, item) of each; None for what is none."""
    parts = [DOCUMENT.fullmatch(part) for part in row.clause.split("; ")]
    return [part and (part[1], (part[2] or "").split(", "), part[3])
            for part in parts]


def claims_of(row):
    """(test, titles) of each; none for a reason, None for neither."""
    if REASON.fullmatch(row.shown):
        return []
    if not re.fullmatch(rf"{SHOWN.pattern}(; {SHOWN.pattern})*", row.shown):
        return None
    return [(match[1], re.findall(r'"([^"]+)"', match[2] or ""))
            for match in SHOWN.finditer(row.shown)]


# What the tests call their cases

def said_by(tree):
    """Every string of a program but its comments. Strings that stand together
    are one, and what an f-string fills in is {}."""
    apart = {id(node.value) for node in ast.walk(tree)
             if isinstance(node, ast.Expr)}
    apart |= {id(part) for node in ast.walk(tree)
              if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "{}"
                for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) \
                and id(node) not in apart:
            yield node.value


@functools.cache
def titles_of(test):
    """None if there is no such test."""
    if os.path.exists(f"{TESTS}/{test}.py") and not test.startswith("lib"):
        return list(said_by(ast.parse(read(f"{test}.py"))))
    if os.path.exists(f"{TESTS}/unit/{test}.c"):
        return re.findall(r"^TEST(?:_F)?\((?:\w+, )?(\w+)\)",
                          read(f"unit/{test}.c"), re.M)
    return None


# What may be wrong with a text

def malformed(text):
    rows, wrong = rows_of(text)
    for row in rows:
        if None in clauses_of(row):
            wrong.append(f"no clause: {row.line}")
        if claims_of(row) is None:
            wrong.append(f"neither tests nor a reason: {row.line}")
    return wrong


def unfounded(text):
    """Tests that do not exist, and cases that they have not."""
    wrong = []
    for row in rows_of(text)[0]:
        for test, titles in claims_of(row) or []:
            known = titles_of(test)
            if known is None:
                wrong.append(f"no test {test}: {row.clause}")
            else:
                wrong += [f"{test} has no case {title}: {row.clause}"
                          for title in titles
                          if not any(title in one for one in known)]
    return wrong


def missing(text):
    found, items = set(), set()
    for row in rows_of(text)[0]:
        for document, clauses, item in filter(None, clauses_of(row)):
            found |= {(document, clause) for clause in ["", *clauses]}
            items.add(item)
    wanted = {(document, clause) for document, clauses in CLAUSES.items()
              for clause in ["", *clauses.split()]}
    return [" ".join(pair) for pair in sorted(wanted - found)] + \
        [item for item in ITEMS if item not in items]


TABLE = read("STANDARDS.md")


def none(wrong):
    check(not wrong, "\n".join(wrong))


@case("every row has a clause, what it asks, and a test or a reason")
def _():
    none(malformed(TABLE))


@case("every test that is named is there, and has the case")
def _():
    none(unfounded(TABLE))


@case("every clause that binds has a row")
def _():
    none(missing(TABLE))


def is_seen(find, old, new):
    """A change of the table is a mistake that was not in it before."""
    check(old in TABLE, f"nothing to change: {old}")
    found = set(find(TABLE.replace(old, new))) - set(find(TABLE))
    check(found, f"not seen: {new} for {old}")


@case("a mistake in the table is seen")
def _():
    rows = rows_of(TABLE)[0]
    proven = next(row for row in rows if claims_of(row))
    excused = next(row for row in rows if claims_of(row) == [])
    test, (title, *_) = claims_of(proven)[0]
    shown, line = proven.shown, proven.line
    for find, old, new in (
            (malformed, line, line.replace(f" {shown} |", "")),
            (malformed, line, line.replace(shown, "")),
            (malformed, line, line.replace(shown, f"see {test}")),
            (malformed, line, line.replace(proven.clause, "RFC 1 1")),
            (malformed, line, f"\n{line}"),
            (malformed, excused.shown, "reason:"),
            (unfounded, f"| {test}:", f"| {test}s:"),
            (unfounded, f"| {test}:", "| lib:"),
            (unfounded, f'"{title}"', f'"{title} at last"'),
            *((missing, f"{row.line}\n", "") for row in rows
              if sum(row.clause == other.clause for other in rows) == 1
              and row.clause.startswith("O-RAN")),
            (missing, "RFC 9611", "RFC 9370"),
            (missing, "3.4.2, ", "")):
        is_seen(find, old, new)


main()
