#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Raw ESP that nobody on the host takes is no_sa and audited (RFC 4303 3.4.2),
with the kernel's own IPsec loaded or not; what that takes is its own, also where
an SA by hand has the same SPI for another encapsulation."""

from lib import *
from libesp import *

# All that take raw ESP for xfrm, what depends on another before that.
MODULES = ("esp4_offload", "esp6_offload", "esp4", "esp6", "ip_vti", "ip6_vti",
           "xfrm_interface")
MARK, DAEMON = 9, 4510

a, b = Ns("a"), Ns("b")
link = veth(a, b)
link.know_other_end(a)
link.know_other_end(b)
a.ip("link add bh0 type bhsec\nlink set bh0 up\n")
udp_echo(a, "0.0.0.0")
a.encap_sockets(DAEMON)
# What is sent after a packet comes after it, where one CPU sends both.
os.sched_setaffinity(0, {0})
ways = {f: Tunnel(a, b, link, encap="esp", family=f) for f in (4, 6)}


def loaded():
    return [module for module in MODULES
            if os.path.isdir(f"/sys/module/{module}")]


def load(*modules):
    for module in modules:
        subprocess.run(["modprobe", module], check=True)


def unload_all():
    for module in loaded():
        subprocess.run(["rmmod", module], check=False, capture_output=True)
    if loaded():
        raise Skip(f"{loaded()} stay loaded")


def settle():
    """What b sent before has been through a's stack."""
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.settimeout(PATIENCE)
        sock.sendto(b"settled", (link.a4, 7007))
        check_equal(sock.recv(100), b"settled", "echo")


def arrives(f, spi):
    """How much no_sa moves by a datagram, and how often xfrm found no SA."""
    before = a.no_sa("bh0"), without_state()
    Wire(ways[f]).send(struct.pack("!II", spi, 7) + bytes(60))
    settle()
    return a.no_sa("bh0") - before[0], without_state() - before[1]


def without_state():
    with a, open("/proc/thread-self/net/xfrm_stat") as lines:
        return int(dict(map(str.split, lines))["XfrmInNoStates"])


def audited(f, counted_by_xfrm):
    monitor, spi = Monitor(a), new_spi()
    check_equal(arrives(f, spi), (1, counted_by_xfrm), "no_sa, XfrmInNoStates")
    event, = monitor.wait(spi, "no_sa")
    check_equal([event.get(word) for word in ("src", "dst", "seq")],
                [link.address(b, f), link.address(a, f), 7], "event")


def without_xfrm(f):
    unload_all()
    audited(f, 0)


def beside_xfrm(f):
    load("esp4", "esp6")
    audited(f, 1)


def state(f, sa, mark=""):
    return sa.xfrm(link.address(b, f), link.address(a, f), 5, "esp"
                   ).rstrip() + f"{mark}\n"


def of_xfrm(f):
    """Not authentic, but an SA of the kernel's has the SPI."""
    sa = Sa()
    a.ip(state(f, sa))
    check_equal(arrives(f, sa.spi), (0, 0), "no_sa, XfrmInNoStates")
    a.ip("xfrm state flush\n")
    check_equal(arrives(f, sa.spi), (1, 1), "once the SA has gone")


def of_vti(f):
    """Its SAs are found by a mark that no packet has."""
    kind, sa = ("vti", "vti6")[f == 6], Sa()
    made = a.ip(f"link add t{f} type {kind} local {link.address(a, f)} "
                f"remote {link.address(b, f)} key {MARK}\n"
                f"link set t{f} up\n", check=False)
    if made.returncode:
        raise Skip(f"no {kind}: {made.stderr.strip()}")
    a.ip(state(f, sa, f" mark {MARK} mask 0xffffffff"))
    check_equal(arrives(f, sa.spi), (0, 0), "no_sa, XfrmInNoStates")
    a.ip(f"link del t{f}\nxfrm state flush\n")


def moved(t, spi):
    """What one datagram moves, at a peer and of xfrm's reasons."""
    def counters():
        errors = a.xfrm_stat()
        return {**a.stats("bh0", "p"), "no_sa": a.no_sa("bh0"),
                **{name: errors.get(name, 0) for name in
                   ("XfrmInNoStates", "XfrmInStateProtoError")}}
    before = counters()
    Wire(t).send(struct.pack("!II", spi, 7) + bytes(60))
    settle()
    return difference(before, counters())


def same_spi(f, encap):
    """Not authentic, so xfrm says that its SA has had it."""
    t = Tunnel(a, b, link, encap=encap, family=f, port=DAEMON)
    sa = Sa()
    line = sa.xfrm(t.b_outer, t.a_outer, 5, encap, DAEMON)
    a.ip(line)
    a.bhsec(f"peer add bh0 p endpoint {t.b_outer}\n" + sa.bhsec("bh0", "p", "in"))
    try:
        check_equal(moved(t, sa.spi), {"XfrmInStateProtoError": 1},
                    "counters beside a state that was there")
        a.ip("xfrm state flush\n")
        check_equal(moved(t, sa.spi), {"encap" if encap == "esp" else "auth": 1},
                    "counters without a state")
        a.ip(line)
        check_equal(moved(t, sa.spi), {"XfrmInStateProtoError": 1},
                    "counters beside a state that came later")
    finally:
        a.bhsec("peer del bh0 p\n")
        a.ip("xfrm state flush\n")


def raw_has_one(f):
    """Only one can take raw ESP of an SPI."""
    sa = Sa()
    a.ip(state(f, sa))
    refused = a.bhsec(f"peer add bh0 p encap esp endpoint {link.address(b, f)}\n"
                      + sa.bhsec("bh0", "p", "in"), check=False)
    a.ip("xfrm state flush\n")
    a.bhsec(sa.bhsec("bh0", "p", "in") + "peer del bh0 p\n")
    check("own IPsec has this SPI" in refused.stderr, refused.stderr)


for family in 4, 6:
    add_case(f"IPv{family}: nobody's, xfrm's esp is not loaded", without_xfrm,
             family)
for family in 4, 6:
    add_case(f"IPv{family}: nobody's, xfrm's esp is loaded", beside_xfrm, family)
for family in 4, 6:
    add_case(f"IPv{family}: an SA of xfrm's", of_xfrm, family)
    add_case(f"IPv{family}: an SA of vti's", of_vti, family)
for family in 4, 6:
    add_case(f"IPv{family}: an SA of xfrm's, a peer in UDP has the SPI",
             same_spi, family, "esp")
    add_case(f"IPv{family}: the same in UDP, at a daemon's socket", same_spi,
             family, "udp")
    add_case(f"IPv{family}: a raw peer gets no SPI that xfrm has", raw_has_one,
             family)

main()
