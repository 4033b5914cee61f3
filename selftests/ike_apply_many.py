#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec apply and an unmodified strongSwan that has hundreds of peers. One of them is
changed, and the daemon is told of that one: no other loses a packet, and who has
moved stays where it is."""

from libconfigured import *
import libstream
from libstream import *
from libsites import Nat

# The daemon has to get on beside the traffic.
libstream.PAUSE = 0.05
LIMIT = 10 * PATIENCE
PEERS = 500
RANGES = itertools.cycle(["20000-20999", "30000-30999"])
DEVICE = f"""
[Device]
address = 10.8.0.1/24
if-id = 42
{identity("ctl.example", "own")}"""
PEER = """
[Peer]
name = {name}
endpoint = any
identity = {name}.example
ca = /etc/bhsec/{ca}.crt
networks = {net}.0/24
"""
NEAR = PEER.format(name="near", ca="ca", net="10.6.0")
FAR = PEER.format(name="far", ca="ca", net="10.7.0")
MORE = FAR.replace("far", "more").replace("10.7", "10.5")
REQUEST_LINE = re.compile(r"requests: ((?:un)?load-\S+|terminate)")

ca = Authority("operator")
controller, near, far = (Configured(name, ca) for name in ("ctl", "near", "far"))
nat = Nat("nat", controller)
link = veth(nat.ns, near.ns)
near.ns.ip(f"route add default via {link.a4}\n")
NEAR_STATION = STATION.format(address="address = 10.6.0.1/24", name="near",
                              controller=nat.out.a4, more="")
FAR_STATION = STATION.format(address="address = 10.7.0.1/24", name="far",
                             controller=veth(controller.ns, far.ns).a4, more="")
controller.write("broken.crt", "no certificate")
os.makedirs(controller.path("bh0.d"))
with open(controller.path("bh0.d/many.conf"), "w", encoding="ascii") as file:
    for n in range(PEERS - 2):
        file.write(PEER.format(name=f"bts{n}", ca="ca",
                               net=f"10.{100 + (n >> 8)}.{n & 255}"))


def requests():
    """What the controller's daemon was asked to change since the last time."""
    with open(f"{controller.daemon.run}/log", errors="replace") as file:
        file.seek(requests.end)
        text = file.read()
        requests.end = file.tell()
    return REQUEST_LINE.findall(text)


def configure(text):
    """The controller, and what its daemon was asked then."""
    requests()
    controller.told()
    controller.write("bh0.conf", text)
    start = time.monotonic()
    controller.tool("up", "bh0")
    ksft.print_msg(f"{time.monotonic() - start:.1f} s")
    check_equal(controller.told(), [], "swanctl")
    return requests()


def peer_of(network):
    """What the controller shows of who is behind it."""
    return next(peer for peer in controller.ns.device("bh0")["peers"]
                if network in peer["selectors"])


def endpoint():
    """Of the near one: address, and port."""
    addr, _, port = peer_of("10.6.0.0/24")["endpoint"].rpartition(":")
    return addr, int(port)


def joined(version):
    nat.translate(next(RANGES))
    for site in controller, near, far:
        site.start(version, control=True)
    requests.end = 0
    controller.write("bh0.conf", DEVICE + NEAR + FAR)
    controller.tool("up", "bh0", timeout=LIMIT)
    check_equal(requests().count("load-conn"), PEERS, "connections")
    near.configure(NEAR_STATION)
    far.configure(FAR_STATION)
    controller.has("far.example", "near.example")
    for site in near, far:
        site.has("ctl.example")
    udp_exchange(near.ns, "10.8.0.1", (0, 100, 1300), "10.6.0.1")
    udp_exchange(far.ns, "10.8.0.1", (0, 100, 1300), "10.7.0.1")


def moved():
    """Its NAT has forgotten it."""
    ports = next(RANGES)
    low, high = map(int, ports.split("-"))
    nat.translate(ports)

    def there():
        with near.ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
            sock.bind(("10.6.0.1", 0))
            sock.sendto(b"here I am", ("10.8.0.1", SINK_PORT))
        return low <= endpoint()[1] <= high
    wait_for(there, what=lambda: f"{endpoint()}, not {ports}")


@contextlib.contextmanager
def undisturbed():
    """Both ways with the near one nothing is lost meanwhile, and it stays where it
    was last."""
    before = endpoint(), near.daemon.generation(), controller.daemon.generation(
        "bhsec-bh0-near")
    flows = [Flow(near.ns, controller.ns, "10.6.0.1", "10.8.0.1"),
             Flow(controller.ns, near.ns, "10.8.0.1", "10.6.0.1",
                  port=FLOW_PORT + 1)]
    with all_arrives(*flows):
        for flow in flows:
            flow.drained()
        yield
    check_equal((endpoint(), near.daemon.generation(),
                 controller.daemon.generation("bhsec-bh0-near")), before,
                "where it is, and IKE_SAs")


def changed():
    """The far one's network, at both ends."""
    with undisturbed():
        check_equal(configure(DEVICE + NEAR + FAR.replace("10.7", "10.4")),
                    ["load-conn", "terminate"], "asked")
        controller.has("near.example")
        far.configure(FAR_STATION.replace("10.7", "10.4"))
        controller.has("far.example", "near.example")
        far.has("ctl.example")
        udp_exchange(far.ns, "10.8.0.1", (100,), "10.4.0.1")


def connections():
    """All that the daemon has, as it tells it."""
    with controller.daemon.vici(LIMIT) as vici:
        _, told = vici.stream("list-conns", "list-conn")
    return {name: conn for event in told for name, conn in event.items()}


def came_and_went():
    """One comes, one goes; of the others and of these the daemon has what it has
    when swanctl tells it all."""
    with undisturbed():
        check_equal(configure(DEVICE + NEAR + MORE),
                    ["load-conn", "unload-conn", "terminate"], "asked")
        controller.has("near.example")
        have = connections()
        check_equal(len(have), PEERS, "connections")
        check("bhsec-bh0-more" in have and "bhsec-bh0-far" not in have, "which")
    controller.tool("reload", "bh0", timeout=LIMIT)
    check_equal(requests().count("load-conn"), PEERS, "told by reload")
    wanted = connections()
    for name in sorted(have | wanted):
        check_equal(have.get(name), wanted.get(name), name)


def refused():
    """What the daemon does not take is told by its reason, and undone."""
    with undisturbed():
        before, have = controller.listing(), set(connections())
        requests()
        controller.write("bh0.conf", DEVICE + NEAR + MORE
                         + FAR.replace("/ca.crt", "/broken.crt"))
        result = controller.tool("up", "bh0", check=False)
        check_equal(result.returncode, 1, "exit status")
        check("strongSwan: loading connection 'bhsec-bh0-far' failed: invalid"
              in result.stderr and result.stderr.count("\n") == 1, result.stderr)
        check_equal(requests(), ["load-conn"], "asked")
        check_equal(controller.listing(), before, "files")
        check_equal(set(connections()), have, "connections")


def ended():
    for site in controller, near, far:
        site.tool("down", "bh0", timeout=LIMIT)
        site.daemon.stop()
        site.told()


udp_echo(controller.ns, "0.0.0.0")
udp_sink(controller.ns)
for version in versions():
    def add(description, function, *args):
        add_case(f"strongSwan {version}: {description}", function, *args)
    add(f"{PEERS} peers, two of which are there", joined, version)
    add("one of them moves", moved)
    add("one is changed, and no other", changed)
    add("one comes, one goes, as with swanctl", came_and_went)
    add("what the daemon does not take is undone", refused)
    add("down at all of them", ended)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
