# SPDX-License-Identifier: GPL-2.0
"""bhsec doctor and what it is asked about: two hosts and a tunnel."""

from lib import *

# The hook of a chain of nftables, and what it does with the rest.
INPUT = "chain i { type filter hook input priority 0; policy drop; "
OPEN = "chain i { type filter hook input priority 0; "
OUTPUT = "chain o { type filter hook output priority 0; "


def found_of(done):
    """{check: finding} of what was printed; the exit status says the same."""
    findings = json.loads(done.stdout)
    check_equal(done.returncode, int(bool(findings)), f"exit status: {done}")
    return {one["check"]: one for one in findings}


def hosts(description, make=lambda *ends: tunnel_bhsec(*ends, mtu=1400)):
    """A case that has two hosts and a tunnel of its own, which works."""
    def add(function):
        def on_hosts():
            a, b = Ns("a"), Ns("b")
            link = veth(a, b)
            try:
                function(a, b, link, make(a, b, link))
            finally:
                a.close()
                b.close()
        add_case(description, on_hosts)
    return add


def doctor(ns):
    return found_of(ns.cli("doctor", "-j", check=False))


def only(ns, wanted, say=""):
    """The one finding that there is, and what it says."""
    found = doctor(ns)
    check_equal(list(found), [wanted], f"findings: {found}")
    check(say in found[wanted]["finding"], f"no {say!r}: {found}")
    return found[wanted]


def healed(ns, finding):
    """By what is advised."""
    ns.run(finding["command"])
    check_equal(doctor(ns), {}, f"after {finding['command']}")


def rules(ns, text, family="inet"):
    """All that nftables has there: a table of these chains, or nothing."""
    lines = text.replace("; ", "\n").replace("{ type", "{\ntype")
    table = f"table {family} t {{\n{lines}\n}}\n" if text else ""
    ns.run(["nft", "-f", "-"], input=f"flush ruleset\n{table}")
