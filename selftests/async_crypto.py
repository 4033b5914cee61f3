#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: oldest newest
"""Ciphers that answer later: cryptd(...) and pcrypt(...) instances take the
place of the kernel's own. Traffic passes, SAs go while requests are in flight,
and a full queue is a drop that is counted as crypto."""

from lib import *
from libcrypto import *

TCP_BYTES = 300_000
ROUNDS = 30
SEGMENT, SEGMENTS, SENDS = 100, 40, 75


def functional(template, far):
    with Forced(template) as forced:
        a, b = Ns("a"), Ns("b")
        made = tunnels(a, b, veth(a, b), [
            {"encap": "udp"}, {"encap": "esp", "family": 6},
            {"encap": "udp", "esn": False}], far=far)
        ksft.print_msg(forced.driver)
        udp_echo(b, "0.0.0.0")
        udp_echo(b, "::")
        for t in made:
            exchange(t)
        all_went_through(forced.driver, a, 2 * len(made))


def all_went_through(driver, ns, sas):
    """The far end is of the same kernel, so it uses the instance as well: what
    bhsec's own SAs have of it is what goes with their device."""
    before = users(driver)
    ns.ip("link del bh0")
    wait_for(lambda: users(driver) == before - sas,
             what=f"{sas} of {before} users of {driver} to go")


def exchange(t):
    before = t.stats()
    for inner in (4, 6):
        ends = t.inner("a", inner), t.inner("b", inner)
        most = t.inner_max - (28 if inner == 4 else 48)
        udp_exchange(t.a, ends[1], [*range(40), most - 1, most], ends[0])
        tcp_transfer(t.a, t.b, ends[1], TCP_BYTES, ends[0])
    moved = difference(before, t.stats())
    # TCP finds its segments' size by what is too big.
    drops = set(moved) & set(DROPS) - {"too_big"}
    check(not drops, f"drops: {moved}")


def flood(ns, source, address, over):
    """Datagrams that nobody answers, as fast as they go."""
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind((source, 0))
        while not over.is_set():
            try:
                sock.sendto(bytes(1000), (address, SINK_PORT))
            except OSError:
                pass    # between two SAs


def in_flight(template):
    """SAs come and go, both directions, and nobody waits for the requests."""
    with Forced(template):
        a, b = Ns("a"), Ns("b")
        t = tunnel_bhsec(a, b, veth(a, b))
        for ns in (a, b):
            udp_sink(ns)
        over = threading.Event()
        threads = [threading.Thread(target=flood, args=(*ends, over))
                   for ends in ((a, t.a_inner4, t.b_inner4),
                                (b, t.b_inner4, t.a_inner4))]
        for thread in threads:
            thread.start()
        try:
            for _ in range(ROUNDS):
                churn(t)
            moved = t.stats()
            a.ip("link del bh0")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        check(moved["tx_packets"] and moved["rx_packets"], f"no traffic: {moved}")
        check_equal((moved["auth"], moved["malformed"]), (0, 0),
                    "auth, malformed")


def churn(t):
    """The SAs of host a go without notice, and new ones come."""
    old = t.out, t.in_
    t.out, t.in_ = t.new_sa(), t.new_sa()
    t.a.bhsec(f"sa del bh0 b out spi {old[0].spi:#x}\n"
              f"sa del bh0 b in spi {old[1].spi:#x}\n"
              + t.in_.bhsec("bh0", "b", "in") + t.out.bhsec("bh0", "b", "out"))
    t.b.bhsec(f"sa del bh0 a in spi {old[0].spi:#x}\n"
              f"sa del bh0 a out spi {old[1].spi:#x}\n"
              + t.out.bhsec("bh0", "a", "in") + t.in_.bhsec("bh0", "a", "out"))


def overrun():
    """Each send leaves as SEGMENTS packets without a break in which cryptd's
    worker could run: the first finds its queue's only place free, if any."""
    a, b = Ns("a"), Ns("b")
    t = tunnel_bhsec(a, b, veth(a, b))
    udp_sink(b)
    before = t.stats()
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        sock.bind((t.a_inner4, 0))
        for _ in range(SENDS):
            sock.sendto(bytes(SEGMENTS * SEGMENT), (t.b_inner4, SINK_PORT))
    moved = wait_counted(t.stats, before, SENDS * SEGMENTS)
    check_equal(set(moved), {"crypto", "tx_packets", "tx_bytes"}, "counters")
    check_equal(moved["crypto"] + moved["tx_packets"], SENDS * SEGMENTS,
                "crypto and tx_packets")
    check(moved["tx_packets"] <= SENDS, f"too few found it full: {moved}")


def reload_cryptd(*parameters):
    """With all that stands on it; transforms of old namespaces go first."""
    stacked = ["bhsec", "algif_aead", "ghash_clmulni_intel", "aesni_intel",
               "crypto_simd", "cryptd"]

    def unloaded():
        for module in stacked:
            subprocess.run(["rmmod", module], check=False, capture_output=True)
        return not os.path.exists("/sys/module/cryptd")
    wait_for(unloaded, what="cryptd to be unused")
    check(load("cryptd", *parameters), "cryptd does not load")
    load("-a", "aesni_intel", "bhsec")


def full_queue():
    if not os.path.exists("/sys/module/cryptd/initstate"):
        raise Skip("cryptd is built in, and so is its queue's length")
    clean_up()
    reload_cryptd("cryptd_max_cpu_qlen=1")
    try:
        with Forced("cryptd"):
            overrun()
    finally:
        reload_cryptd()


def with_template(template, function, *args):
    if not load(template):
        raise Skip(f"this kernel has no {template}")
    function(*args)


prepare()
for _template in ("cryptd", "pcrypt"):
    for _far in ("xfrm", "bhsec"):
        add_case(f"{_template}: traffic in both encapsulations, against {_far}",
                 with_template, _template, functional, _template, _far)
    add_case(f"{_template}: SAs and device deleted with requests in flight",
             with_template, _template, in_flight, _template)
add_case("cryptd: a full queue drops and counts crypto",
         with_template, "cryptd", full_queue)
main()
