#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: newest
"""SAs side by side, one for each CPU and one for all (RFC 9611): by which of
them a CPU sends, when a daemon is asked for one, and that any of them brings in
what is sent by it, on any CPU. The far end is the kernel's own IPsec."""

from libbound import *
from libpercpu import *
from libsites import *

EF = 46
OWN_PORT = 4600

maker = Maker()
if not maker.works():
    sys.exit(4)     # kselftest's word for skipped

a, b = Ns("a"), Ns("b")
link = veth(a, b)
made = [Bound(a, b, link, n=n, encap=encap, family=family)
        for n, (encap, family) in enumerate(itertools.product(("udp", "esp"),
                                                              (4, 6)))]
udp_echo(b, "0.0.0.0")
udp_echo(b, "::")
udp_sink(b)
install_bound(made)
for t in made:
    t.own = {}


# States of one CPU

def out_line(t, sa, more=""):
    """At the near end."""
    line = sa.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap)
    return line.replace("\n", f"{more} if_id {t.if_id}\n")


def shown(t):
    """{SPI: (direction, CPU or None)}"""
    return {sa["spi"]: (sa["direction"], sa.get("cpu")) for sa in t.sas()}


def give(t, cpu, more=""):
    """An outbound SA of a CPU; the new one."""
    sa = t.new_sa()
    b.ip(sa.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    maker.add(a, out_line(t, sa, more), OUT, cpu)
    wait_for(lambda: sa.spi in shown(t), what="the state")
    return sa


def take(t, *sas):
    for sa in sas:
        a.ip(f"xfrm state delete src {t.a_outer} dst {t.b_outer} proto esp "
             f"spi {sa.spi:#x}\n")
        wait_for(lambda sa=sa: sa.spi not in shown(t), what="its end")


# What is sent

def sent(t):
    return {sa["spi"]: sa["stats"]["tx-packets"] for sa in t.sas()
            if sa["direction"]}


def send(t, cpu, count=3, dscp=0):
    """From one CPU; nobody answers. {SPI: packets}"""
    before = sent(t)
    with on_cpu(cpu), a.socket(socket.AF_INET, socket.SOCK_DGRAM,
                               keep=False) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        sock.bind((t.a_inner4, 0))
        for _ in range(count):
            sock.sendto(b"of a CPU", (t.b_inner4, SINK_PORT))
    return difference(before, sent(t))


def goes_by(t, wanted, **more):
    """{CPU: SA}"""
    for cpu, sa in wanted.items():
        check_equal(send(t, cpu, **more), {sa.spi: 3}, f"sent on CPU {cpu}")


def arrives(t):
    """From each CPU, and comes back."""
    for cpu in CPUS:
        with on_cpu(cpu):
            t.works()
            tcp_transfer(a, b, t.b_inner4, 100_000, t.a_inner4)


def its_own(t):
    """The others were there before, and one that comes goes to its CPU."""
    goes_by(t, {0: t.out, 1: t.out})
    for cpu in CPUS:
        t.own[cpu] = give(t, cpu)
        goes_by(t, {n: t.own.get(n, t.out) for n in CPUS})
    arrives(t)
    check_equal(shown(t), {t.in_.spi: (0, None), t.out.spi: (1, None),
                           t.own[0].spi: (1, 0), t.own[1].spi: (1, 1)}, "SAs")


def is_said(t):
    """In text, in JSON, and of a hand-keyed one nothing."""
    peer = a.peer(t.dev, t.peer)
    check_equal({sa.get("cpu") for sa in peer["sas"]}, {None, *CPUS}, "JSON")
    text = " ".join(unwrapped(a.cli("show", t.dev, "peer", t.peer).stdout))
    for cpu, sa in t.own.items():
        check(re.search(rf"spi {sa.spi:#x}\b[^:]*?\bcpu {cpu} origin", text),
              f"no CPU of {sa.spi:#x}: {text}")


def newest(t):
    """A rekey of one CPU's under traffic from both."""
    with flows(a, b, t.a_inner4, t.b_inner4) as drained:
        for cpu in CPUS:
            drained()
            old, t.own[cpu] = t.own[cpu], give(t, cpu)
            drained()
            take(t, old)
        drained()
    goes_by(t, t.own)


def newer_of_all(t):
    """Nor does a new one of all take a CPU's place."""
    old, t.out = t.out, t.new_sa()
    b.ip(t.out.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    a.ip(out_line(t, t.out))
    wait_for(lambda: t.out.spi in shown(t), what="the state")
    take(t, old)
    goes_by(t, t.own)


def class_first(t):
    """Its window is apart from the others', whatever sends."""
    voice = t.new_sa()
    b.ip(voice.xfrm(t.a_outer, t.b_outer, t.reqid, t.encap))
    a.ip(out_line(t, voice, f" output-mark {EF}"))
    wait_for(lambda: voice.spi in shown(t), what="the state")
    goes_by(t, {0: voice, 1: voice}, dscp=EF)
    goes_by(t, t.own)
    own = give(t, 1, f" output-mark {EF}")
    goes_by(t, {0: voice, 1: own}, dscp=EF)
    goes_by(t, t.own)
    take(t, own, voice)
    goes_by(t, t.own, dscp=EF)


def falls_back(t):
    take(t, t.own.pop(1))
    goes_by(t, {0: t.own[0], 1: t.out})
    arrives(t)


def fails_closed(t):
    """Nobody sends by another CPU's."""
    take(t, t.out)
    goes_by(t, t.own)
    with on_cpu(1):
        t.is_told("no_key")
    a.ip(out_line(t, t.out))
    wait_for(lambda: t.out.spi in shown(t), what="the state")
    goes_by(t, {0: t.own[0], 1: t.out})


# When it is asked for

def cpus_asked(asked):
    return [cpu_in(message[ACQUIRE_SIZE:])
            for message in told(asked, XFRM_MSG_ACQUIRE)]


def is_asked(t):
    """Once, of the CPU, by a policy that wants it; traffic goes on meanwhile."""
    asked = listen(a, GROUP_ACQUIRE)
    goes_by(t, {0: t.own[0], 1: t.out})
    check_equal(cpus_asked(asked), [], "asked for while no policy wants it")
    a.ip(t.near_policy_lines("update").replace(
        " dir out", f" dir out flag {XFRM_POLICY_CPU_ACQUIRE:#x}"))
    wait_for(lambda: send(t, 1) and (found := cpus_asked(asked)) and
             check_equal(found, [1], "asked for") is None or found,
             what="a question")
    for _ in range(3):
        goes_by(t, {0: t.own[0], 1: t.out})
    check_equal(cpus_asked(asked), [], "asked for again")
    t.own[1] = give(t, 1)
    goes_by(t, t.own)
    take(t, t.own.pop(0))
    wait_for(lambda: send(t, 0) and cpus_asked(asked) == [0], what="a question")
    goes_by(t, {0: t.out, 1: t.own[1]})
    t.own[0] = give(t, 0)
    goes_by(t, t.own)
    check_equal(cpus_asked(asked), [], "asked for when all are there")


# What comes in

def taken_on_any(t):
    """The far end has one for each CPU, too; here they are the other CPU's. In
    UDP each may leave from a port of its own, which is no NAT's doing."""
    ears = Ears(a)
    for cpu in CPUS:
        sa = t.new_sa()
        line = sa.xfrm(t.b_outer, t.a_outer, t.reqid, t.encap)
        maker.add(a, line.replace("\n", f" if_id {t.if_id}\n").replace(
            f"espinudp {ESP_PORT}", "espinudp 0"), IN, 1 - cpu)
        wait_for(lambda sa=sa: sa.spi in shown(t), what="the state")
        check_equal(shown(t)[sa.spi], (0, 1 - cpu), "what is shown of it")
        maker.add(b, line.replace(f"espinudp {ESP_PORT}",
                                  f"espinudp {OWN_PORT + cpu}"), OUT, cpu)
        before = t.stats()
        count = {s["spi"]: s["stats"]["rx-packets"] for s in t.sas()
                 if not s["direction"]}
        with on_cpu(cpu), b.socket(socket.AF_INET, socket.SOCK_DGRAM,
                                   keep=False) as sock:
            sock.bind((t.b_inner4, 0))
            for _ in range(3):
                sock.sendto(b"to any CPU", (t.a_inner4, SINK_PORT))
        moved = wait_counted(t.stats, before, 3)
        check_equal(moved["rx_packets"], 3, f"received on CPU {cpu}: {moved}")
        check_equal(difference(count, {s["spi"]: s["stats"]["rx-packets"]
                                       for s in t.sas() if not s["direction"]}),
                    {sa.spi: 3}, "by which SA")
    check_equal(ears.of("mapping"), [], "mappings")


udp_sink(a)
for what, function in (
        ("each CPU sends by its own", its_own),
        ("show names the CPU", is_said),
        ("a CPU's is replaced under traffic, nothing is lost", newest),
        ("a new one of all takes no CPU's place", newer_of_all),
        ("the class comes before the CPU", class_first),
        ("a CPU without one sends by that of all", falls_back),
        ("without that, nothing leaves by another CPU's", fails_closed),
        ("a daemon is asked for a CPU's, once", is_asked),
        ("what comes in may come on any CPU", taken_on_any)):
    for t in made:
        add_case(f"{t.where()}: {what}", function, t)


# By an IKE daemon

OWN4, OWN6 = "10.9.0.9/32", "fd09::9/128"
ca = Authority("operator")


def site(name, **options):
    """A controller and one station, which has its address before it asks."""
    child = "per_cpu_sas = yes"
    controller = Controller(f"c{name}", ca, child=child)
    controller.text = controller.text.replace(
        "pools = inner4,inner6\n", "").replace(
        "local_ts =", f"remote_ts = {OWN4},{OWN6}\nlocal_ts =")
    station = Station(name, controller, ca.certify(f"{name}.example"), "bhsec",
                      child=child, **options)
    station.text = station.text.replace("vips = 0.0.0.0,::\n", "").replace(
        "remote_ts =", f"local_ts = {OWN4},{OWN6}\nremote_ts =")
    station.inner4, station.inner6 = (own.partition("/")[0]
                                      for own in (OWN4, OWN6))
    serve(controller, station)
    udp_sink(controller.ns)
    return controller, station


def outbound(ns):
    """{CPU: (SPI, packets)} of those that carry anything."""
    return {sa.get("cpu"): (sa["spi"], sa["stats"]["tx-packets"])
            for sa in ns.nl.dump("sa-get", ifname="bh0")
            if sa["direction"] and sa["dscp-mask"]}


def poke(station, cpu, count=1):
    """By which SAs that goes: {CPU: packets}"""
    before = outbound(station.ns)
    with on_cpu(cpu), station.ns.socket(socket.AF_INET, socket.SOCK_DGRAM,
                                        keep=False) as sock:
        sock.bind((station.inner4, 0))
        for _ in range(count):
            with contextlib.suppress(OSError):  # told that there is none
                sock.sendto(b"of a CPU", (station.controller.inner4, SINK_PORT))
    after = outbound(station.ns)
    return {whose: number - before.get(whose, (0, 0))[1]
            for whose, (spi, number) in after.items()
            if (spi, number) != before.get(whose)}


def each_by_its_own(station):
    for cpu in CPUS:
        check_equal(poke(station, cpu, 3), {cpu: 3}, f"sent on CPU {cpu}")


def negotiated(pair):
    """The first packet asks for the SA of all, the next ones for the CPUs'."""
    controller, station = pair
    start(None, *pair)
    station.ns.ip(f"addr add {OWN4} dev bh0\naddr add {OWN6} dev bh0 nodad\n")
    station.route()
    station.daemon.ask("install", {"child": station.name})
    wait_for(lambda: poke(station, 0) and None in outbound(station.ns),
             what="the SA of all")
    for cpu in CPUS:
        wait_for(lambda cpu=cpu: poke(station, cpu) and
                 cpu in outbound(station.ns), what=f"the SA of CPU {cpu}")
    each_by_its_own(station)
    talk(station)
    check_equal(len(station.ns.nl.dump("peer-get", ifname="bh0")), 1, "peers")


def rekeyed(pair):
    """All of them, with traffic from each CPU, and nothing is lost."""
    controller, station = pair
    before = outbound(station.ns)
    with flows(station.ns, controller.ns, station.inner4,
               controller.inner4) as drained:
        station.daemon.rekey(child=station.name)
        wait_for(lambda: set(before) == set(now := outbound(station.ns)) and
                 not {spi for spi, _ in before.values()}
                 & {spi for spi, _ in now.values()},
                 what=lambda: f"others: {before} {outbound(station.ns)}")
        drained()
    each_by_its_own(station)
    talk(station)
    end(*pair)


if "6.1" in versions():
    for encap in "udp", "esp":
        pair = site(encap, encap=encap)
        add_case(f"strongSwan, {encap}: the SA of each CPU comes on demand",
                 negotiated, pair)
        add_case(f"strongSwan, {encap}: all are rekeyed under traffic", rekeyed,
                 pair)

main()
