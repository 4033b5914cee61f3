# SPDX-License-Identifier: GPL-2.0
"""Network namespaces, and what joins them."""

import functools

from libcase import *
from libnetlink import Genl


def as_shown(stats):
    """Counters by the names that the tool gives them."""
    return {name.replace("-", "_"): value for name, value in stats.items()}


def unwrapped(text):
    """The lines of what the tool shows, each with what goes on four columns
    further in; a list goes on behind its comma."""
    lines, begun = [], 0
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if lines and indent == begun + 4:
            between = "" if lines[-1].endswith(",") else " "
            lines[-1] += between + line.lstrip()
        else:
            lines.append(line)
            begun = indent
    return lines


class Ns:
    """A network namespace with lo up; `with ns:` puts the thread into it."""

    numbers = itertools.count(1)

    def __init__(self, name):
        load_module()
        self.label = name
        self.name = f"{name}-{os.getpid()}-{next(Ns.numbers)}"
        self.path = f"/run/netns/{self.name}"
        self.sockets = []
        self.stack = threading.local()
        os.makedirs("/run/netns", exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o444))
        # A thread of its own, for it ends up in the new namespace.
        self.error = None
        thread = threading.Thread(target=self.create)
        thread.start()
        thread.join()
        if self.error:
            os.unlink(self.path)
            raise self.error
        self.fd = os.open(self.path, os.O_RDONLY)
        open_namespaces.append(self)
        self.set_up("lo")

    def create(self):
        try:
            must(libc.unshare(CLONE_NEWNET))
            task = f"/proc/self/task/{threading.get_native_id()}/ns/net"
            must(libc.mount(task.encode(), self.path.encode(), b"none",
                            MS_BIND, None))
        except OSError as error:
            self.error = error

    def __str__(self):
        return self.name

    def __enter__(self):
        if not hasattr(self.stack, "fds"):
            self.stack.fds = []
        task = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        self.stack.fds.append(os.open(task, os.O_RDONLY))
        must(libc.setns(self.fd, CLONE_NEWNET))
        return self

    def __exit__(self, *_):
        fd = self.stack.fds.pop()
        must(libc.setns(fd, CLONE_NEWNET))
        os.close(fd)

    def close(self):
        if self not in open_namespaces:
            return
        open_namespaces.remove(self)
        for sock in self.sockets:
            sock.close()
        os.close(self.fd)
        libc.umount2(self.path.encode(), MNT_DETACH)
        os.unlink(self.path)

    def flags(self, ifname):
        with self.socket(keep=False) as sock:
            return struct.unpack_from("h", fcntl.ioctl(
                sock, SIOCGIFFLAGS,
                struct.pack("16sh14x", ifname.encode(), 0)), 16)[0]

    def set_up(self, ifname):
        flags = self.flags(ifname) | IFF_UP
        with self.socket(keep=False) as sock:
            fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack(
                "16sh14x", ifname.encode(), flags))

    def set_mtu(self, ifname, mtu):
        with self.socket(keep=False) as sock:
            fcntl.ioctl(sock, SIOCSIFMTU, struct.pack(
                "16si20x", ifname.encode(), mtu))

    def run(self, cmd, check=True, **kw):
        """A command, as a list or as a line for the shell, in here."""
        kw.setdefault("capture_output", True)
        kw.setdefault("text", True)
        kw.setdefault("timeout", 4 * PATIENCE)
        with self:
            result = subprocess.run(cmd, shell=isinstance(cmd, str),
                                    check=False, **kw)
        if check and result.returncode:
            raise Failure(f"{cmd}: exit {result.returncode}: {result.stderr}")
        return result

    def popen(self, cmd, **kw):
        """A process that ends with the test at the latest."""
        with self:
            process = subprocess.Popen(cmd, shell=isinstance(cmd, str), **kw)
        open_processes.append(process)
        return process

    def ip(self, text, check=True):
        return self.run(["ip", "-batch", "-"], check, input=text)

    def bhsec(self, text, check=True):
        return self.run(["bhsec", "-batch", "-"], check, input=text)

    def cli(self, *args, check=True, **kw):
        return self.run(["bhsec", *map(str, args)], check, **kw)

    def show(self):
        return json.loads(self.cli("show", "-j").stdout)

    def device(self, dev):
        return next(d for d in self.show() if d["device"] == dev)

    def peer(self, dev, name):
        return next(p for p in self.device(dev)["peers"] if p["name"] == name)

    # Counters are asked for often, so without a process.

    @functools.cached_property
    def nl(self):
        return Genl(self)

    def stats(self, dev, name):
        """A peer's."""
        peer, = self.nl.do("peer-get", ifname=dev, name=name)
        return as_shown(peer["stats"])

    def all_stats(self, dev):
        """{peer: its counters}"""
        return {peer["name"]: as_shown(peer["stats"])
                for peer in self.nl.dump("peer-get", ifname=dev)}

    def own_stats(self, dev):
        """What belongs to no peer of the device."""
        device, = self.nl.do("dev-get", ifname=dev)
        return as_shown(device["stats"])

    def no_sa(self, dev):
        device, = self.nl.do("dev-get", ifname=dev)
        return device["no-sa"]

    def xfrm_stat(self):
        """What the kernel's own IPsec has dropped, by cause."""
        with self, open("/proc/thread-self/net/xfrm_stat") as lines:
            return {name: int(count) for name, count in map(str.split, lines)
                    if int(count)}

    def socket(self, *args, keep=True):
        """A socket of this namespace, closed with it."""
        with self:
            sock = socket.socket(*args)
        if (sock.family == socket.AF_INET6
                and sock.type in (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if keep:
            self.sockets.append(sock)
        return sock

    def sysctl(self, settings):
        """Each name below net and its value."""
        with self:
            for name, value in settings.items():
                with open(f"/proc/sys/net/{name}", "w") as setting:
                    setting.write(str(value))

    def be_router(self):
        """And do not hold errors back, for there may be many."""
        self.sysctl({"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1,
                     "ipv4/icmp_ratelimit": 0, "ipv6/icmp/ratelimit": 0})

    def ifindex(self, ifname):
        with self:
            return socket.if_nametoindex(ifname)

    def encap_sockets(self, port=ESP_PORT):
        """What an IKE daemon would hold open: xfrm's door for ESP in UDP."""
        for family, any_address in ((socket.AF_INET, "0.0.0.0"),
                                    (socket.AF_INET6, "::")):
            sock = self.socket(family, socket.SOCK_DGRAM)
            sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
            sock.bind((any_address, port))


class Link:
    """A veth pair; a4, b4, a6, b6 are the addresses at its ends."""

    numbers = itertools.count()

    def __init__(self, a, b, v4=True, v6=True, queues=1):
        n = next(Link.numbers)
        self.ns_a, self.ns_b = a, b
        self.if_a = self.if_b = f"v{n}"
        base4 = ipaddress.ip_address("192.0.2.0") + 16 * n
        base6 = ipaddress.ip_address(f"2001:db8:{n:x}::" if n else "2001:db8::")
        self.a4, self.b4 = str(base4 + 1), str(base4 + 2)
        self.a6, self.b6 = str(base6 + 1), str(base6 + 2)
        queues = f"numtxqueues {queues} numrxqueues {queues}"
        a.ip(f"link add {self.if_a} {queues} type veth "
             f"peer name {self.if_b} netns {b} {queues}\n"
             + self.configure(self.if_a, v4 and self.a4, v6 and self.a6))
        b.ip(self.configure(self.if_b, v4 and self.b4, v6 and self.b6))
        self.mac_a, self.mac_b = (self.mac(ns) for ns in (a, b))

    @staticmethod
    def configure(ifname, v4, v6):
        lines = [f"link set {ifname} up"]
        if v4:
            lines.append(f"addr add {v4}/28 dev {ifname}")
        if v6:
            lines.append(f"addr add {v6}/64 dev {ifname} nodad")
        return "\n".join(lines) + "\n"

    def mac(self, ns):
        ifname = self.if_a if ns is self.ns_a else self.if_b
        with ns.socket(keep=False) as sock:
            reply = fcntl.ioctl(sock, 0x8927,   # SIOCGIFHWADDR
                                struct.pack("16s24x", ifname.encode()))
        return reply[18:24]

    def address(self, ns, family):
        return getattr(self, ("a" if ns is self.ns_a else "b") + str(family))

    def gateway(self, ns, family):
        """What ns has to go through to get to the other end."""
        return self.address(self.ns_b if ns is self.ns_a else self.ns_a, family)

    def know_other_end(self, ns):
        """ns never searches for it: nothing is sent but what a test sends."""
        ifname, mac = ((self.if_a, self.mac_b) if ns is self.ns_a else
                       (self.if_b, self.mac_a))
        ns.ip("".join(f"neigh replace {self.gateway(ns, f)} lladdr "
                      f"{mac.hex(':')} nud permanent dev {ifname}\n"
                      for f in (4, 6)))


class Path:
    """Two links with a router between them, for a Tunnel from end to end."""

    def __init__(self, a, router, b):
        self.ns_a, self.router, self.ns_b = a, router, b
        self.near, self.far = veth(a, router), veth(router, b)
        router.be_router()
        for ns, link, other in ((a, self.near, self.far),
                                (b, self.far, self.near)):
            net4 = ipaddress.ip_network(f"{other.a4}/28", strict=False)
            net6 = ipaddress.ip_network(f"{other.a6}/64", strict=False)
            ns.ip(f"route add {net4} via {link.gateway(ns, 4)}\n"
                  f"route add {net6} via {link.gateway(ns, 6)}\n")

    def link_of(self, ns):
        return self.near if ns is self.ns_a else self.far

    def address(self, ns, family):
        return self.link_of(ns).address(ns, family)

    def gateway(self, ns, family):
        return self.link_of(ns).gateway(ns, family)


# Further addresses of a first link, which nobody has.
SPARE = {4: [f"192.0.2.{n}" for n in range(5, 9)],
         6: [f"2001:db8::{n}" for n in range(5, 9)]}


def set_mtu(link, mtu):
    """Of both its ends."""
    link.ns_a.set_mtu(link.if_a, mtu)
    link.ns_b.set_mtu(link.if_b, mtu)


def veth(a, b, v4=True, v6=True, queues=1):
    return Link(a, b, v4, v6, queues)
