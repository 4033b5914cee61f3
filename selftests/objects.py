#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
"""The ends of objects under traffic: SA, peer, device, module and network
namespaces, either first, and random lives from two CPUs. Nothing is left."""

import glob

from lib import *
from libesp import udp

ROUNDS = 500
WORKERS = 2
# The kernel makes things of its own meanwhile, so a few more are no leak; what
# so many lives would leave if each left one thing is many times more. So with
# traffic: of each packet and each rekey.
LIVES, PEERS = 15, 20
LEAKS = {"net_namespace": LIVES // 2, "kmalloc": LIVES * PEERS}
SPELLS, PACKETS, REKEYS = 15, 100, 20
TRAFFIC_LEAKS = {"skbuff": SPELLS * REKEYS, "kmalloc": SPELLS * REKEYS}


class Flood:
    """Datagrams both ways through a tunnel, whatever becomes of it."""

    def __init__(self, *tunnels):
        self.over = threading.Event()
        flows = [self.sockets(t, *ends) for t in tunnels for ends in ("ab", "ba")]
        self.sent = [0] * len(flows)
        self.threads = [threading.Thread(target=self.run, args=flow, daemon=True)
                        for flow in enumerate(flows)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def sockets(t, here, there):
        """One of each family, with the address that it sends to."""
        host = t.a if here == "a" else t.b
        return [(host.socket(family_of(t.inner(there, f)), socket.SOCK_DGRAM),
                 (t.inner(there, f), SINK_PORT)) for f in (4, 6)]

    def run(self, n, socks):
        while not self.over.is_set():
            for sock, address in socks:
                try:
                    sock.sendto(bytes(400), address)
                except OSError:
                    pass    # whatever the tunnel's end makes of it
                self.sent[n] += 1
        for sock, _ in socks:
            sock.close()

    def more(self, count=50):
        """Some traffic from now on, of each direction."""
        goals = [sent + count for sent in self.sent]
        wait_for(lambda: all(map(int.__ge__, self.sent, goals)), what="traffic")

    def passes(self, t):
        """What is sent from now on does, both ways."""
        before = t.stats()
        self.more()
        wait_for(lambda: {"tx_packets", "rx_packets"}
                 <= set(difference(before, t.stats())), what="both directions")

    def __enter__(self):
        self.more()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def pair(make=tunnel_bhsec, **spec):
    a, b = Ns("a"), Ns("b")
    for ns in (a, b):
        udp_sink(ns)
    return make(a, b, veth(a, b), **spec)


def refcount():
    with open("/sys/module/bhsec/refcnt", encoding="ascii") as value:
        return int(value.read())


def devices_gone(t):
    return all("bhsec" not in ns.run(["ip", "-d", "link"]).stdout
               for ns in (t.a, t.b))


@case("SAs deleted and added under traffic")
def _():
    t = pair()
    with Flood(t) as flood:
        for _ in range(10):
            out, in_ = t.out, t.in_
            t.a.bhsec(f"sa del bh0 b out spi {out.spi}\n"
                      f"sa del bh0 b in spi {in_.spi}\n")
            flood.more(10)
            t.a.bhsec(in_.bhsec("bh0", "b", "in") + out.bhsec("bh0", "b", "out"))
            flood.more(10)
        flood.passes(t)


@case("peers deleted and added under traffic")
def _():
    t = pair(encap="esp", family=6)
    with Flood(t) as flood:
        for _ in range(10):
            t.a.bhsec("peer del bh0 b\n")
            check_equal(t.a.device("bh0")["peers"], [], "peers")
            flood.more(10)
            t.a.bhsec(t.peer_lines("a"))
            flood.more(10)
        flood.passes(t)


def near_lines(t):
    return t.device_lines("a") + t.route_lines("a")


@case("devices deleted and made under traffic")
def _():
    t = pair()
    with Flood(t) as flood:
        for _ in range(5):
            t.a.ip("link del bh0\n")
            flood.more(10)
            t.a.ip(near_lines(t))
            t.a.bhsec(t.peer_lines("a"))
            flood.more(10)
        t.a.ip("link del bh0\n")
        check_equal(t.a.show(), [], "devices")


def rmmod_under_traffic(make):
    t = pair(make)
    with Flood(t):
        begin = time.monotonic()
        subprocess.run(["rmmod", "bhsec"], check=True, timeout=60)
        ksft.print_msg(f"rmmod took {time.monotonic() - begin:.2f} s")
        check(devices_gone(t), "a device is left")
        subprocess.run(["modprobe", "bhsec"], check=True)


@case("rmmod while datagrams wait for a neighbour that never answers")
def _():
    """Its queue outlives the module, and what is in it is freed later."""
    t = pair()
    t.b.ip(f"link set {t.link.if_b} arp off\n")
    t.a.ip(f"neigh flush dev {t.link.if_a}\n")
    with t.a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        before = t.stats()
        for _ in range(20):
            sock.sendto(bytes(400), (t.b_inner4, SINK_PORT))
        check_equal(wait_counted(t.stats, before, 20).get("tx_packets"), 20,
                    "sent")
        subprocess.run(["rmmod", "bhsec"], check=True, timeout=60)
        wait_for(lambda: "FAILED" in t.a.run(
            ["ip", "neigh", "show", t.b_outer]).stdout, what="the neighbour's end")
    subprocess.run(["modprobe", "bhsec"], check=True)


add_case("rmmod under traffic takes the devices along, against xfrm",
         rmmod_under_traffic, tunnel_xfrm)
add_case("rmmod under traffic takes the devices along, two bhsec",
         rmmod_under_traffic, tunnel_bhsec)


@case("a namespace deleted with live tunnels takes all of it along")
def _():
    """Its end of the link goes early, but only after what was deleted before
    it has gone altogether: the kernel takes namespaces down in turn."""
    for _ in range(3):
        t = pair()
        with Flood(t):
            t.a.close()
            link_ends(t.b, t.link.if_b)
        check_equal(t.b.peer("bh0", "a")["name"], "a", "the other end's peer")
        t.b.close()
    others_gone()


def others_gone():
    """All namespaces deleted so far: two more are, for the kernel may take the
    first one down along with them."""
    for _ in range(2):
        a, b = Ns("a"), Ns("b")
        link = veth(a, b)
        a.close()
        link_ends(b, link.if_b)
        b.close()


def link_ends(ns, ifname):
    """With the namespace at its other end."""
    def there():
        with ns:
            return ifname in (name for _, name in socket.if_nameindex())
    wait_for(lambda: not there(), what="the deleted namespace's end")


def moved_device():
    """bh0 was made in under, its device lives in inside."""
    t = pair()
    inside = Ns("inside")
    t.a.ip(f"link set bh0 netns {inside}\n")
    inside.ip("link set bh0 up\n" + t.route_lines("a"))
    udp_echo(t.b, t.b_inner4)
    udp_exchange(inside, t.b_inner4, [1, 2, 3], t.a_inner4)
    return t, inside


@case("the device's namespace goes first: nothing of it is left beneath")
def _():
    t, inside = moved_device()
    inside.close()
    wait_for(lambda: not port_open(t.a), what="the port to be closed")
    t.a.ip(near_lines(t))
    t.a.bhsec(t.peer_lines("a"))
    t.rekey(delete_old=False)   # the far end has seen the old one's numbers
    udp_exchange(t.a, t.b_inner4, [1, 2, 3], t.a_inner4)


def port_open(ns):
    with ns, open("/proc/thread-self/net/udp", encoding="ascii") as lines:
        return any(line.split()[1].endswith(f":{ESP_PORT:04X}")
                   for line in list(lines)[1:])


def carrier(ns):
    return "LOWER_UP" in ns.ip("link show bh0\n").stdout


@case("the underlay's namespace goes first: the device says why and stays, "
      "only deletion is left")
def _():
    t, inside = moved_device()
    t.a.close()
    wait_for(lambda: inside.device("bh0").get("reason"), what="a reason")
    reason = inside.device("bh0")["reason"]
    check("namespace" in reason, reason)
    check(reason in inside.cli("show").stdout, "show does not say it")
    wait_for(lambda: not carrier(inside), what="the carrier to be off")
    refused_all(inside)
    inside.ip("link del bh0\n")
    check_equal(inside.show(), [], "devices")


def refused_all(inside):
    for line in ("set bh0 port 4501", "set bh0 fwmark 7",
                 "peer set bh0 b endpoint 192.0.2.9",
                 f"sa add bh0 b in spi {new_spi()} cipher aes-gcm-256 key "
                 f"{new_key('aes-gcm-256').hex()}"):
        result = inside.bhsec(line + "\n", check=False)
        check_equal(result.returncode, 1, f"exit status of {line}")
        check("namespace" in result.stderr, result.stderr)


@case("the underlay's namespace goes first: every packet is no_route")
def _():
    t, inside = moved_device()
    t.a.close()
    wait_for(lambda: inside.device("bh0").get("reason"), what="a reason")
    without_route(t, inside)
    inside.ip("link set bh0 down\nlink set bh0 up\n")
    check(not carrier(inside), "a carrier after down and up")
    without_route(t, inside)


def without_route(t, inside):
    before = inside_counters(inside)
    with inside.socket(socket.AF_PACKET, socket.SOCK_RAW, keep=False) as sock:
        sock.bind(("bh0", 0x800))
        for _ in range(5):
            try:
                sock.send(inner_packet(t))
            except OSError:
                pass    # no carrier, no queue
    moved = wait_counted(lambda: inside_counters(inside), before, 5)
    check_equal(moved, {"no_route": 5}, "counters")


def inside_counters(ns):
    """Of the device and its peers together."""
    total = ns.own_stats("bh0")
    for stats in ns.all_stats("bh0").values():
        for name, value in stats.items():
            total[name] = total.get(name, 0) + value
    return total


def inner_packet(t):
    return udp(t.a_inner4, t.b_inner4, 7, SINK_PORT, b"x")


# Random lives. Each worker is a process with random devices of its own, so
# that two CPUs meet in the module; both work on shared ones too.

WORKER = """
import random, sys
from libnetlink import *
seed, rounds = int(sys.argv[1]), int(sys.argv[2])
random.seed(seed)
nl = Genl()
done = 0

def attempt(command, **attributes):
    global done
    try:
        nl.do(command, **attributes)
        done += 1
    except OSError as error:
        assert error.strerror, error.errno

def step():
    device = {"ifname": random.choice(["bh0", "bh1", "none"])}
    peer = random.choice("pqrs")
    # Two networks for four peers, so that they get in each other's way.
    net = bytes([10, random.randrange(2), random.randrange(8), 0])
    spi, direction = 4096 + random.randrange(16), random.randrange(2)
    what = random.randrange(10)
    if what < 3:
        attempt("peer-add", name=peer, **device,
                endpoint_addr=bytes([192, 0, 2, random.randrange(1, 9)]),
                encap=random.randrange(2),
                selectors=[("prefix", [("addr", net), ("len", 24)])])
    elif what == 3:
        attempt("peer-del", name=peer, **device)
    elif what == 4:
        attempt("peer-set", name=peer, **device,
                selectors=[("prefix", [("addr", net), ("len", 24)])])
    elif what < 8:
        attempt("sa-add", peer=peer, direction=direction, spi=spi, cipher=0,
                key=random.randbytes(20),
                hard_packets=random.choice([3, 1 << 32]), **device)
    elif what == 8:
        attempt("sa-del", peer=peer, direction=direction, spi=spi, **device)
    else:
        nl.dump("sa-get", ifname="bh0")
        attempt("dev-set", ifname="bh0", window=random.randrange(1, 65536))

for _ in range(rounds):
    step()
print(done)
"""


@case(f"{ROUNDS} rounds of random lives from two CPUs, under traffic")
def _():
    a = Ns("a")
    a.ip("link add bh0 type bhsec\nlink add bh1 type bhsec\n"
         "link set bh0 up\nlink set bh1 up\nroute add 10.0.0.0/16 dev bh0\n"
         "route add 10.1.0.0/16 dev bh1\naddr add 192.0.2.1/24 dev lo\n")
    workers = [a.popen(["/usr/bin/python3", "-c", WORKER, str(seed), str(ROUNDS)],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       cwd=os.path.dirname(os.path.realpath(__file__)))
               for seed in range(WORKERS)]
    sealed = recreate(a, workers)
    check(sealed, "not a packet was sealed meanwhile")
    ksft.print_msg(f"{sealed} packets sealed by bh0")
    for worker in workers:
        out, err = worker.communicate(timeout=120)
        check_equal(worker.returncode, 0, err)
        check(int(out) > ROUNDS / 10, f"only {out} of {ROUNDS} requests were done")
        ksft.print_msg(f"{out.strip()} of {ROUNDS} requests done")


def recreate(ns, workers):
    """Meanwhile bh1 comes and goes, and packets go to random peers. Returns how
    many bh0 has sealed."""
    over = threading.Event()
    thread = threading.Thread(target=scatter, args=(ns, over), daemon=True)
    thread.start()
    while any(worker.poll() is None for worker in workers):
        ns.ip("link del bh1\nlink add bh1 type bhsec\nlink set bh1 up\n"
              "route add 10.1.0.0/16 dev bh1\n")
    over.set()
    thread.join()
    return sent_by(ns, "bh0")


def scatter(ns, over):
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        while not over.is_set():
            for n in range(16):
                try:
                    sock.sendto(b"x", (f"10.{n & 1}.{n >> 1}.1", SINK_PORT))
                except OSError:
                    pass


def sent_by(ns, dev):
    """Packets, by the device's own counter: peers come and go with theirs."""
    with ns, open("/proc/thread-self/net/dev", encoding="ascii") as lines:
        words = next(line.split() for line in lines
                     if line.split()[0] == f"{dev}:")
    return int(words[10])


@case("nothing is left: no reference, no namespace, no memory")
def _():
    clean_up()
    wait_for(lambda: refcount() == 0, what="references of the module to go")
    leaves_nothing(LEAKS, lambda: lives(5), lambda: lives(LIVES))


@case("of packets and rekeys nothing is left in memory")
def _():
    t = pair()
    udp_echo(t.b, t.b_inner4)
    leaves_nothing(TRAFFIC_LEAKS, lambda: spells(t, 5), lambda: spells(t, SPELLS))


def leaves_nothing(leaks, begin, go_on):
    """The first round makes what stays for good, the next one no more."""
    begin()
    before = settled(leaks)
    go_on()
    for name, most in leaks.items():
        wait_for(lambda: slab_objects(name) - before[name] < most,
                 what=f"objects of {name} to come back")
        ksft.print_msg(f"{name}: {slab_objects(name) - before[name]} more")


def settled(names):
    """Objects of each, once what was given up before is freed: it would hide
    as many that are left later."""
    others_gone()
    now = {name: slab_objects(name) for name in names}
    while True:
        before = now
        time.sleep(1)
        now = {name: slab_objects(name) for name in names}
        if all(now[name] >= before[name] for name in names):
            return before


def spells(t, count):
    """Of packets both ways, each with many rekeys behind it."""
    for _ in range(count):
        udp_exchange(t.a, t.b_inner4, [100] * PACKETS, t.a_inner4)
        rekeys = [rekey_lines(t) for _ in range(REKEYS)]
        t.b.bhsec("".join(far for _, far in rekeys))
        t.a.bhsec("".join(near for near, _ in rekeys))


def rekey_lines(t):
    """For either end: a new pair of SAs and away with the old one."""
    old = t.out, t.in_
    t.out, t.in_ = t.new_sa(), t.new_sa()

    def lines(peer, *directions):
        return "".join(
            new.bhsec("bh0", peer, direction)
            + f"sa del bh0 {peer} {direction} spi {gone.spi:#x}\n"
            for new, gone, direction in zip((t.out, t.in_), old, directions))
    return lines("b", "out", "in"), lines("a", "in", "out")


def lives(count):
    """A namespace and everything in it, once, and away with it."""
    for _ in range(count):
        ns = Ns("lives")
        ns.ip("link add bh0 type bhsec\nlink set bh0 up\n")
        ns.bhsec("".join(
            f"peer add bh0 p{n} endpoint 192.0.2.{n + 1} selectors 10.{n}.0.0/16\n"
            + Sa().bhsec("bh0", f"p{n}", "in") + Sa().bhsec("bh0", f"p{n}", "out")
            for n in range(PEERS)))
        ns.close()


def slab_objects(name):
    """How many there are in the slabs whose names begin so, without the free
    ones that a CPU keeps for itself: those count as objects as well."""
    for path in glob.glob(f"/sys/kernel/slab/{name}*/shrink"):
        with open(path, "w", encoding="ascii") as control:
            control.write("1")
    with open("/proc/slabinfo", encoding="ascii") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(name))


main()
