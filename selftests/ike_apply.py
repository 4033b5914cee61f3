#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""bhsec apply and an unmodified strongSwan: a controller and its base stations
are made by their files alone. What of a file changes concerns the peers that it
is about, and no packet of the others."""

from libapply import *
from libike import *
import libstream
from libstream import *

# swanctl is a process, and has to get on beside the traffic.
libstream.PAUSE = 0.05

CONTROLLER = f"""
[Device]
address = 10.8.0.1/24
if-id = 42
{identity("ctl.example", "own")}
[Peer]
name = stations
endpoint = any
ca = /etc/bhsec/ca.crt
pool = 10.9.0.0/24
"""
FAR = """
[Peer]
name = far
endpoint = any
identity = far.example
ca = /etc/bhsec/ca.crt
networks = 10.7.0.0/24
"""
STATION = """
[Device]
{address}
if-id = 42
""" + identity("{name}.example", "own") + """
[Peer]
name = ctl
endpoint = {controller}
identity = ctl.example
ca = /etc/bhsec/ca.crt
networks = 10.8.0.0/24
{more}
"""
LAB = """
[Device]
address = {inner}/24
if-id = 7
[Identity]
name = {name}
psk-file = /etc/bhsec/psk
ppk-file = /etc/bhsec/ppk
ppk-id = lab
[Peer]
name = other
endpoint = {endpoint}
identity = {other}
networks = {network}
"""

EF = 46
ca = Authority("operator")


class Site(Host):
    """A host with a daemon, that of the latest start()."""

    def __init__(self, name):
        super().__init__(name)
        self.name, self.daemon = name, None
        who = ca.certify(f"{name}.example")
        self.write("ca.crt", pem(ca.certificate))
        self.write("own.crt", pem(who.certificate))
        self.write("own.key", who.key)

    def start(self, version, extra="install_virtual_ip_on = lo"):
        self.daemon = Daemon(self.ns, version, extra)
        self.talks_to(self.daemon)
        self.daemon.ready()

    def configure(self, text):
        self.write("bh0.conf", text)
        self.tool("up", "bh0")

    def ike_sas(self):
        """The other ends that there is a CHILD_SA with."""
        return {sa["remote-id"] for sa in self.daemon.sas()
                if any(child["state"] == "INSTALLED"
                       for child in sa.get("child-sas", {}).values())}

    def has(self, *names):
        """Waits until there are CHILD_SAs with these, and with no others. Who
        was called has them first: the caller is asked before it sends."""
        wait_for(lambda: self.ike_sas() == set(names),
                 what=lambda: f"{names} at {self.name}: {self.ike_sas()}")


controller, near, far = Site("ctl"), Site("near"), Site("far")
links = {site: veth(controller.ns, site.ns) for site in (near, far)}
NEAR = STATION.format(address="", name="near", controller=links[near].a4,
                      more="vip = ipv4")
FAR_STATION = STATION.format(address="address = 10.7.0.1/24", name="far",
                             controller=links[far].a4, more="")


def vip():
    address, = near.daemon.sas()[0]["local-vips"]
    return address


def joined(version):
    for site in controller, near, far:
        site.start(version)
    controller.configure(CONTROLLER + FAR)
    near.configure(NEAR)
    far.configure(FAR_STATION)
    controller.has("far.example", "near.example")
    for site in near, far:
        site.has("ctl.example")
    udp_exchange(near.ns, "10.8.0.1", (0, 100, 1300), vip())
    udp_exchange(far.ns, "10.8.0.1", (0, 100, 1300), "10.7.0.1")
    udp_exchange(controller.ns, "10.7.0.1", (100,), "10.8.0.1")


@contextlib.contextmanager
def undisturbed():
    """Both ways with the near station nothing is lost meanwhile."""
    flows = [Flow(near.ns, controller.ns, vip(), "10.8.0.1"),
             Flow(controller.ns, near.ns, "10.8.0.1", vip(),
                  port=FLOW_PORT + 1)]
    with all_arrives(*flows):
        for flow in flows:
            flow.drained()
        yield


def again():
    """What is there already is not touched, nor told to the daemon twice."""
    for site in near, far:
        site.told()
        before = site.daemon.generation()
        site.tool("up", "bh0")
        check_equal(site.told(), [], "swanctl")
        site.tool("reload", "bh0")
        check_equal(site.told(), ["--load-all --noprompt"], "by reload")
        check_equal(site.daemon.generation(), before, "IKE_SAs")


def changed():
    """The far peer's network, at both ends: it comes back, with the other."""
    with undisturbed():
        controller.configure((CONTROLLER + FAR).replace("10.7.0", "10.6.0"))
        controller.has("near.example")
        far.configure(FAR_STATION.replace("10.7.0", "10.6.0"))
        controller.has("far.example", "near.example")
        far.has("ctl.example")
        udp_exchange(far.ns, "10.8.0.1", (100,), "10.6.0.1")


def removed():
    """It is let go at once; its certificate gets it in as one of the others
    alone, without the network that was its own."""
    with undisturbed():
        controller.configure(CONTROLLER)
        check("far.example" not in controller.ike_sas(), "it is still there")
        check(not any("10.6.0.0/24" in peer["selectors"] for peer in
                      controller.ns.device("bh0")["peers"]), "its network")
        far.tool("down", "bh0")
        controller.has("near.example")
        controller.configure(CONTROLLER + FAR)


def by_class():
    """A CHILD_SA for each class, and each packet by its own."""
    far.configure(FAR_STATION.replace("networks =", "classes = ef\nnetworks ="))

    def classes():
        return {tuple(sa["dscp"]) for peer in far.ns.device("bh0")["peers"]
                for sa in peer["sas"] if sa["direction"] == "out"}
    wait_for(lambda: classes() == {(EF,), tuple(n for n in range(64) if n != EF)},
             what=lambda: f"{classes()}")
    udp_exchange(far.ns, "10.8.0.1", (100,), "10.7.0.1")


def on_demand():
    """The daemon calls when there is something to send."""
    far.tool("down", "bh0")
    controller.has("near.example")
    far.configure(FAR_STATION + "start = on-demand\n")
    check_equal(far.ike_sas(), set(), "before there is anything to send")
    with far.ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.bind(("10.7.0.1", 0))

        def asked():
            with contextlib.suppress(OSError):  # an ICMP error, until then
                sock.sendto(b"?", ("10.8.0.1", 7007))
            return far.ike_sas()
        wait_for(asked, what="an SA")
    udp_exchange(far.ns, "10.8.0.1", (100,), "10.7.0.1")


def refused():
    """What the daemon does not take is told by its reason, and undone."""
    before = far.state()
    text = FAR_STATION.replace("ctl\n", "ctl2\n")
    far.write("bh0.conf", text)
    far.write("own.crt", "no certificate")
    result = far.tool("up", "bh0", check=False)
    check_equal(result.returncode, 1, "exit status")
    check("swanctl: " in result.stderr and result.stderr.count("\n") == 1,
          result.stderr)
    ksft.print_msg(result.stderr)
    check_equal(far.state(), before, "what there is")


def lab():
    """By a secret that both have, and one besides."""
    for site, name, other, inner, network in (
            (controller, "one", "two", "10.20.0.1", "10.21.0.0/24"),
            (near, "two", "one", "10.21.0.1", "10.20.0.0/24")):
        site.tool("down", "bh0")
        site.write("psk", "0x" + "5a" * 32 + "\n")
        site.write("ppk", "0x" + "a5" * 32 + "\n")
        site.configure(LAB.format(
            name=name, other=other, inner=inner, network=network,
            endpoint="any" if site is controller else links[near].a4))
    controller.has("two")
    near.has("one")
    udp_exchange(near.ns, "10.20.0.1", (100,), "10.21.0.1")
    for site in controller, near:
        sa, = site.daemon.sas()
        check_equal(sa.get("ppk"), "yes", f"ppk, {site.name}: {sa}")


def ended():
    for site in controller, near, far:
        if site.links():
            site.tool("down", "bh0")
        check_equal(site.state()[0], {}, f"devices of {site.name}")
        check_equal(set(site.listing()), {"swanctl.conf"}, "files")
        wait_for(lambda s=site: not s.daemon.children(), what="no CHILD_SA")
        site.daemon.stop()


udp_echo(controller.ns, "0.0.0.0")
for site in near, far:
    udp_echo(site.ns, "0.0.0.0")
for version in versions()[-1:]:
    def add(description, function, *args):
        add_case(f"strongSwan {version}: {description}", function, *args)
    add("a controller and two stations from their files", joined, version)
    add("a second time nothing happens", again)
    add("one peer is changed, the other loses nothing", changed)
    add("one peer is removed, the other loses nothing", removed)
    add("a class has an SA of its own", by_class)
    add("on demand", on_demand)
    add("what the daemon does not take is undone", refused)
    add("a PSK and a PPK", lab)
    add("down at all of them", ended)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
