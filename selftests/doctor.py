#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec doctor: each thing that keeps a tunnel from working is told where it is,
and not where it is not; where the host itself can do so, the command that is
advised is run and has to help."""

from libdoctor import *
from libbound import *

ADJ_MAXERROR, ADJ_ESTERROR, ADJ_STATUS, STA_UNSYNC = 4, 8, 0x10, 0x40


@hosts("a tunnel that works has nothing")
def _(a, b, link, t):
    udp_echo(b, t.b_inner4)
    udp_exchange(a, t.b_inner4, [100], t.a_inner4)
    check_equal(doctor(a), {}, "findings")
    done = a.cli("doctor")
    check_equal((done.stdout, done.stderr), ("nothing found\n", ""), "text")
    check_equal(a.cli("doctor", "bh0", check=False).returncode, 2, "usage")


def with_routes(t):
    """Addresses and routes of a device go with it; some are still there."""
    t.a.run(["ip", "-force", "-batch", "-"], check=False,
            input=t.route_lines("a"))


@hosts("a device that is down")
def _(a, b, link, t):
    a.ip("link set bh0 down\n")
    a.run(only(a, "down", "bh0: ")["command"])
    with_routes(t)
    check_equal(doctor(a), {}, "findings")


@hosts("an underlay that carries less than the device promises")
def _(a, b, link, t):
    for mtu in 1400, 1300:
        set_mtu(link, mtu)
        carried = inner_max("udp", 4, mtu)
        finding = only(a, "mtu", f"only {carried} to peer b")
        check_equal(finding["command"], f"ip link set bh0 mtu {max(carried, 1280)}",
                    "command")
        healed(a, finding)


@hosts("a UDP port that somebody has, and who that is")
def _(a, b, link, t):
    a.ip("link add bh1 type bhsec\nlink set bh1 up\n")
    check_equal(doctor(a), {}, "bhsec's own, of bh0")
    with open("/proc/self/comm", encoding="ascii") as comm:
        me = f"({comm.read().strip()}, process {os.getpid()})"
    for family in socket.AF_INET, socket.AF_INET6:
        a.bhsec("set bh1 port 4700\n")
        with a.socket(family, socket.SOCK_DGRAM, keep=False) as sock:
            sock.bind(("", 4700))
            finding = only(a, "port", f"bh1: UDP port 4700 is taken {me}")
            check_equal(finding["command"], "bhsec set bh1 port 4701", "command")
            healed(a, finding)
    a.ip("link add vx0 type vxlan id 1 dstport 4701\nlink set vx0 up\n")
    only(a, "port", "4701 is taken (the kernel itself)")
    a.bhsec("peer add bh1 raw encap esp\n")
    check_equal(doctor(a), {}, "raw ESP needs no port")


@hosts("no route to an endpoint")
def _(a, b, link, t):
    a.bhsec("peer add bh0 far endpoint 203.0.113.9\n"
            "peer add bh0 farther endpoint 203.0.113.10\n")
    finding = only(a, "route", "203.0.113.9, where peer far is (and 1 more)")
    a.run(finding["command"].replace("GATEWAY", link.address(b, 4)))
    finding = only(a, "route", "203.0.113.10, where peer farther is")
    a.ip("route add unreachable 203.0.113.10\n")
    only(a, "route", "203.0.113.10")
    a.bhsec("peer set bh0 farther endpoint 203.0.113.9\n")
    check_equal(doctor(a), {}, "findings")


@hosts("no route into the tunnel")
def _(a, b, link, t):
    for net in t.b_net4, t.b_net6:
        a.ip(f"route del {net} dev bh0\n")
        healed(a, only(a, "selectors", f"no route leads {net} of peer b into it"))
    a.bhsec("peer add bh0 all selectors 0.0.0.0/0,::/0\n")
    check_equal(doctor(a), {}, "a selector of everything is a rule's matter")


@hosts("a strict filter of sources, where the route back is another")
def _(a, b, link, t):
    setting = f"ipv4/conf/{link.if_a}/rp_filter"
    a.ip("link add d0 type dummy\nlink set d0 up\n"
         "rule add fwmark 0x77 lookup 77\n"
         f"route add {t.b_outer} dev {link.if_a} table 77\n")
    a.sysctl({"ipv4/conf/all/rp_filter": 0, setting: 1})
    check_equal(doctor(a), {}, "the route back is the same")
    a.bhsec("set bh0 fwmark 0x77\n")
    a.ip(f"route add {t.b_outer}/32 dev d0\n")
    healed(a, only(a, "rp_filter", f"{link.if_a} will refuse what comes from "
                   f"{t.b_outer}, where peer b is"))
    a.sysctl({setting: 0, "ipv4/conf/all/rp_filter": 1})
    only(a, "rp_filter", "leads by d0")
    a.bhsec(f"set bh0 fwmark 0 dev {link.if_a}\n")
    only(a, "rp_filter", "leads by d0")
    a.sysctl({"ipv4/conf/all/rp_filter": 0})
    check_equal(doctor(a), {}, "no filter")


# By IKE

def by_ike(a, b, link):
    bound = Bound(a, b, link, encap="esp", mtu=1400)
    install_bound([bound])
    bound.adopted()
    keep_time(0)
    return bound


def keep_time(status):
    """Who keeps the clock says so to the kernel; without STA_UNSYNC it is kept."""
    timex = bytearray(208)
    struct.pack_into("I", timex, 0, ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR)
    struct.pack_into("i", timex, 40, status)
    must(libc.adjtimex((ctypes.c_char * 208).from_buffer(timex)))


@hosts("the clock does not count for keys by hand")
def _(a, b, link, t):
    keep_time(STA_UNSYNC)
    check_equal(doctor(a), {}, "findings")


@hosts("the clock, where certificates count", by_ike)
def _(a, b, link, t):
    check_equal(doctor(a), {}, "kept")
    keep_time(STA_UNSYNC)
    check_equal(only(a, "clock", "nothing keeps the clock")["command"],
                "timedatectl set-ntp true", "command")
    now, begun = time.time(), time.monotonic()
    time.clock_settime(time.CLOCK_REALTIME, 86400)
    try:
        keep_time(0)
        only(a, "clock", "it is not 1970-01-02 ")
    finally:
        time.clock_settime(time.CLOCK_REALTIME, now + time.monotonic() - begun)


def with_offload(act):
    subprocess.run(["modprobe", "esp4_offload"], check=True)
    try:
        act()
    finally:
        subprocess.run(["modprobe", "-r", "esp4_offload"], check=False)


@hosts("esp4_offload does no harm to keys by hand")
def _(a, b, link, t):
    with_offload(lambda: check_equal(doctor(a), {}, "findings"))


@hosts("esp4_offload, where it takes the packets of a daemon's SAs", by_ike)
def _(a, b, link, t):
    def look():
        wait_for(lambda: a.device("bh0")["refusals"])
        healed(a, only(a, "offload", "bh0: esp4_offload takes the raw ESP"))
    with_offload(look)


@hosts("IKE's own port", by_ike)
def _(a, b, link, t):
    rules(a, INPUT + "meta l4proto esp accept; }")
    healed(a, only(a, "firewall", "UDP to port 500 on its way in"))


# Who looks

@hosts("a device whose underlay is elsewhere is not looked at, which is said")
def _(a, b, link, t):
    a.ip(f"link add bh7 type bhsec\nlink set bh7 netns {b}\n")
    done = b.cli("doctor", "-j", check=False)
    check("bh7 was not looked at" in done.stderr, done)
    check_equal([one for one in json.loads(done.stdout) if "bh7" in one["finding"]],
                [], "findings")


@hosts("without root it sees less, and says what")
def _(a, b, link, t):
    rules(a, INPUT + "}")
    a.ip("link set bh0 mtu 1450\nlink add bh1 type bhsec\nlink set bh1 up\n")
    a.bhsec("set bh1 port 4700\n")
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind(("", 4700))
        done = a.run(["setpriv", "--reuid=65534", "--clear-groups", "bhsec",
                      "doctor", "-j"], check=False)
    found = found_of(done)
    check_equal(sorted(found), ["mtu", "port"], f"findings: {found}")
    check("(somebody, root sees whom)" in found["port"]["finding"], found)
    for what in "where peers are", "the firewall's rules":
        check(f"bhsec: doctor: {what}" in done.stderr, done.stderr)


def everything(ns):
    with open("/proc/modules", encoding="ascii") as lines:
        modules = sorted(line.split()[0] for line in lines)
    return (modules, ns.run("ip -d link; ip -4 route show table all; ip rule; "
                            "nft list ruleset; sysctl net.ipv4.conf").stdout,
            ns.cli("show", "bh0").stdout.split("last-received")[0])


@hosts("it changes nothing, and its text says what its JSON says")
def _(a, b, link, t):
    rules(a, INPUT + "}")
    a.ip("link set bh0 mtu 1450\n")
    a.bhsec("peer add bh0 far endpoint 203.0.113.9 selectors 10.77.0.0/24\n")
    before = everything(a)
    found = doctor(a)
    check_equal(sorted(found), ["firewall", "mtu", "route", "selectors"],
                "findings")
    text = a.cli("doctor", check=False).stdout
    check_equal(everything(a), before, "the host")
    for one in found.values():
        check("".join((one["finding"] + one["command"]).split()) in
              "".join(text.split()), f"{one}: {text}")
        check(f"\n  {one['command']}\n" in text, f"{one}: {text}")
    check(max(map(len, text.splitlines())) <= 80, text)


main()
