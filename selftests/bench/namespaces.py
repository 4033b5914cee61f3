# SPDX-License-Identifier: GPL-2.0
"""Where it is measured:

        host a ---- gateway a ==== gateway b ---- host b
       10.1.0.2    10.1.0.1            10.2.0.1    10.2.0.2
                   192.0.2.1          192.0.2.2

The underlay, between the gateways, is like two NICs without segmentation, so
that nothing larger than its MTU crosses, and with GRO, by NAPI. So is a host's
link on its way to the gateway; the gateways' own NICs there segment.
"""

import contextlib
import ctypes
import subprocess

from workloads import HOSTS, MTU

CLONE_NEWNET = 0x40000000
UNDERLAY_MTU = 1500
libc = ctypes.CDLL(None, use_errno=True)


def mac_of(address):
    return "02:00:" + ":".join(f"{int(n):02x}" for n in address.split("."))


class Namespace:
    def __init__(self, name):
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link set lo up")

    def run(self, *command, **options):
        return subprocess.run(["ip", "netns", "exec", self.name, *command],
                              check=True, text=True, **options)

    def batch(self, program, lines):
        subprocess.run([program, "-n", self.name, "-batch", "-"], check=True,
                       text=True, input=lines + "\n")

    def ip(self, lines):
        self.batch("ip", lines)

    def tc(self, lines):
        self.batch("tc", lines)

    def ethtool(self, ifname, *words):
        self.run("ethtool", "-K", ifname, *words, stdout=subprocess.DEVNULL)

    def statistic(self, ifname, name):
        path = f"/sys/class/net/{ifname}/statistics/{name}"
        return int(self.run("cat", path, stdout=subprocess.PIPE).stdout)

    @contextlib.contextmanager
    def inside(self):
        """This thread is."""
        with open("/proc/thread-self/ns/net", encoding="ascii") as home, \
                open(f"/run/netns/{self.name}", encoding="ascii") as there:
            self.enter(there)
            yield
            self.enter(home)

    @staticmethod
    def enter(file):
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Gateway(Namespace):
    def __init__(self, name, number):
        super().__init__(name)
        self.outer = f"192.0.2.{number}"
        self.mac = mac_of(self.outer)
        self.net = f"10.{number}.0.0/24"
        self.inner = f"10.{number}.0.1"
        self.behind = f"10.{number}.0.2"
        self.run("sysctl", "-q", "net.ipv4.ip_forward=1")


def segmentation(ns, ifname):
    """The features of a device that have it send what a NIC without any
    segmentation would not be given."""
    lines = ns.run("ethtool", "-k", ifname, stdout=subprocess.PIPE).stdout
    on = [line.split(":")[0].strip() for line in lines.splitlines()
          if line.endswith(": on")]
    return [name for name in on if name.startswith("tx-") and (
        name.endswith("-segmentation")
        or name in ("tx-gso-list", "tx-scatter-gather-fraglist"))]


def like_a_nic(ns, ifname, features=()):
    words = ["gro", "on"]
    for name in segmentation(ns, ifname):
        if name not in features:
            words += [name, "off"]
    ns.ethtool(ifname, *words)


def wire(a, b, ifname, addresses, mtu):
    """A veth pair of one name, whose ends know each other."""
    macs = [mac_of(address) for address in addresses]
    a.ip(f"link add {ifname} mtu {mtu} address {macs[0]} type veth peer "
         f"name {ifname} netns {b.name} mtu {mtu} address {macs[1]}")
    for ns, mine, other in ((a, 0, 1), (b, 1, 0)):
        ns.ip(f"link set {ifname} addrgenmode none up\n"
              f"addr add {addresses[mine]}/24 dev {ifname}\n"
              f"neigh replace {addresses[other]} lladdr {macs[other]} "
              f"nud permanent dev {ifname}")


class Network:
    def __init__(self, underlay):
        self.a, self.b = Gateway("gw-a", 1), Gateway("gw-b", 2)
        self.host_a, self.host_b = Namespace("host-a"), Namespace("host-b")
        wire(self.a, self.b, "ul", (self.a.outer, self.b.outer), UNDERLAY_MTU)
        for gateway, host in ((self.a, self.host_a), (self.b, self.host_b)):
            wire(host, gateway, "lan", (gateway.behind, gateway.inner), MTU)
            host.ip(f"route add default via {gateway.inner}")
            like_a_nic(gateway, "ul",
                       ["tx-udp-segmentation"] if underlay == "nic" else ())
            like_a_nic(host, "lan")
            gateway.ethtool("lan", "gro", "on")

    def close(self):
        for ns in self.a, self.b, self.host_a, self.host_b:
            subprocess.run(["ip", "netns", "del", ns.name], check=True)

    def ends(self, where):
        """From, to and the address there."""
        if where == HOSTS:
            return self.host_a, self.host_b, self.b.behind
        return self.a, self.b, self.b.inner

    @contextlib.contextmanager
    def dropping(self):
        """What reaches gateway b is gone before GRO and IP see it."""
        self.b.ethtool("ul", "gro", "off")
        self.b.tc("qdisc add dev ul clsact\n"
                  "filter add dev ul ingress matchall action drop")
        yield
        self.b.tc("qdisc del dev ul clsact")
        self.b.ethtool("ul", "gro", "on")
