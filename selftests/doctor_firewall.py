#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec doctor: what a firewall drops of a tunnel, by nftables and iptables."""

from libdoctor import *

# The family of a table, its chains, and whether ESP in UDP gets through. DEV is
# the underlay's device, FAR the other end, NET what that is in.
RULES = [
    ("inet", INPUT + "}", False),
    ("ip", INPUT + "}", False),
    ("ip6", INPUT + "}", True),
    ("inet", INPUT + "udp dport 4500 accept; }", True),
    ("inet", INPUT + "udp dport { 500, 4400-4600 } accept; }", True),
    ("inet", INPUT + "ip saddr NET accept; }", True),
    ("inet", INPUT + "ip saddr { 10.0.0.0/8, 203.0.113.9 } accept; }", False),
    ("inet", INPUT + "iifname { DEV, w0 } accept; }", True),
    ("inet", INPUT + "iifname lo accept; tcp dport 22 accept; }", False),
    ("inet", INPUT + "ct state vmap { established : accept, invalid : drop }; }",
     False),
    ("inet", INPUT + "meta mark 7 accept; }", True),
    ("inet", OPEN + "udp dport 4500 counter log reject; }", False),
    ("inet", OPEN + "udp dport 4501 drop; tcp dport 4500 drop; }", True),
    ("inet", OPEN + "udp dport 4500 limit rate over 9/second drop; }", True),
    ("inet", OPEN + "ct state invalid drop; meta l4proto esp drop; }", True),
    ("inet", OPEN + "udp dport != 53 drop; }", False),
    ("inet", "chain c { ip saddr FAR return; drop; }; "
     + OPEN + "meta l4proto udp jump c; }", True),
    ("inet", "chain c { udp dport 4500 drop; }; " + OPEN + "goto c; }", False),
    ("ip", OUTPUT + "udp dport 4500 drop; }", False),
    ("ip", OUTPUT + "ip daddr FAR udp sport 4500 drop; }", False),
    ("ip", OUTPUT + "oifname w0 drop; }", True),
]


@hosts("a firewall that surely drops ESP in UDP, and none that may let it through")
def _(a, b, link, t):
    wrong = []
    names = {"DEV": link.if_a, "FAR": t.b_outer, "NET": f"{t.b_outer}/24"}
    for family, text, passes in RULES:
        chains = text
        for name, value in names.items():
            chains = chains.replace(name, value)
        rules(a, chains, family)
        found = doctor(a)
        if list(found) != ([] if passes else ["firewall"]):
            wrong.append(f"{family} {text}: {found}")
    check(not wrong, "\n".join(wrong))


@hosts("what is advised lets it through, by whatever chain it is dropped")
def _(a, b, link, t):
    for text in (INPUT + "}", OUTPUT + "udp dport 4500 drop; }",
                 "chain c { udp dport 4500 drop; }; " + OPEN + "goto c; }"):
        rules(a, text)
        healed(a, only(a, "firewall", "bh0: nftables drops UDP to port 4500"))


@hosts("what is known of one peer says nothing of the next")
def _(a, b, link, t):
    a.bhsec(f"peer set bh0 b endpoint {t.b_outer}:4501\npeer add bh0 z\n")
    rules(a, OPEN + f"ip saddr {t.b_outer} udp sport 4500 drop; }}")
    check_equal(doctor(a), {}, "nobody there has port 4500")


@hosts("IP protocol 50, where a peer has it")
def _(a, b, link, t):
    rules(a, OPEN + "meta l4proto esp drop; }")
    check_equal(doctor(a), {}, "no peer has it")
    a.bhsec("peer add bh0 raw encap esp\n")
    healed(a, only(a, "firewall", "bh0: nftables drops ESP, IP protocol 50, on its "
                   "way in, in chain i of table t"))


@hosts("iptables, by nft and by its older tables")
def _(a, b, link, t):
    drop = "-A INPUT -p udp -m multiport --dports 500,4400:4600 -j DROP"
    a.run("iptables-nft -A INPUT -p udp --dport 4500 -j DROP")
    healed(a, only(a, "firewall", "chain INPUT of table filter"))
    rules(a, "")
    if a.run(f"iptables-legacy {drop}", check=False).returncode:
        raise Skip("this kernel has no older tables")
    healed(a, only(a, "firewall", "iptables drops UDP to port 4500"))
    a.run("iptables-legacy -F; iptables-legacy -N own; "
          "iptables-legacy -P INPUT DROP; iptables-legacy -A INPUT -j own; "
          "iptables-legacy -A own -p udp --dport 4500 -m comment "
          "--comment 'to bhsec, and -j DROP' -m conntrack "
          "--ctstate NEW,ESTABLISHED ! -s 10.0.0.0/8 -j ACCEPT")
    check_equal(doctor(a), {}, "it is let in")
    a.run("iptables-legacy -R own 1 -p udp --dport 4500 -s 10.0.0.0/8 -j ACCEPT")
    healed(a, only(a, "firewall", "in chain INPUT of table filter"))


main()
