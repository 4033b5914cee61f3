# SPDX-License-Identifier: GPL-2.0
"""What the Python tests share: namespaces, tunnels, traffic, captures.

A test program is a list of cases:

    from lib import *

    @case("what is promised")
    def _():
        check(...)

    main()

An exception fails its case and the next one runs. A process costs a tenth of
a second in an emulated guest, so namespaces, sockets and servers are made in
this one, and ip and bhsec are given many lines at once.
"""

import atexit
import ctypes
import fcntl
import hashlib
import ipaddress
import itertools
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

# Behind all else, or a test could pass for a module of its name.
sys.path.append(sys.path.pop(0))
TESTS = os.path.dirname(os.path.realpath(__file__))
KSFT_DIR = os.environ.get("KSFT_DIR") or f"{TESTS}/../kselftest"
LINUX = f"{KSFT_DIR}/../../../.."
sys.path.insert(0, KSFT_DIR)
import ksft

# bhsec's own sources: beside the tests, or where a kernel's tree has them.
IN_TREE = {"kmod": "drivers/net/bhsec", "userspace": "tools/net/bhsec"}
SOURCE = {room: f"{TESTS}/../{room}" if os.path.isdir(f"{TESTS}/../{room}")
          else f"{TESTS}/../../../../{place}" for room, place in IN_TREE.items()}

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MNT_DETACH = 2
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8913, 0x8914, 0x8922, 1
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
PACKET_OUTGOING = 4
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU = 10, 14, 23, 24
PMTUDISC_DONT, PMTUDISC_DO = 0, 2
IP_RECVERR, IPV6_RECVERR = 11, 25
ESP_PORT = 4500
SINK_PORT = 47100
# Generous: an emulated guest shares its CPUs with whatever the host does.
PATIENCE = 30 if os.environ.get("BHSEC_KERNEL") != "debug" else 120

# Name: bytes of key and salt, the kernel's name.
CIPHER_TABLE = {
    "aes-gcm-128": (20, "rfc4106(gcm(aes))"),
    "aes-gcm-256": (36, "rfc4106(gcm(aes))"),
    "chacha20-poly1305": (36, "rfc7539esp(chacha20,poly1305)"),
    "aes-ccm-128": (19, "rfc4309(ccm(aes))"),
    "aes-ccm-256": (35, "rfc4309(ccm(aes))"),
}
CIPHERS = {name: size for name, (size, _) in CIPHER_TABLE.items()}

DROPS = """no_sa auth replay malformed selector padding fragment encap dummy
expired exhausted no_key no_endpoint no_route too_big loop down backlog nomem
crypto""".split()

TROUBLE = re.compile(r"WARNING: |BUG|Oops|Call Trace:|refcount_t: |"
                     r"unregister_netdevice: waiting|general protection fault")

libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    """Of a libc call that says -1 for an error."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# Cases

class Failure(Exception):
    pass


class Skip(Exception):
    """This kernel cannot show what the case promises; the reason."""


def check(condition, message="not so"):
    if not condition:
        raise Failure(message)


def brief(value, most=600):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)})"


def check_equal(seen, wanted, what="value"):
    check(seen == wanted, f"{what}: {brief(seen)} instead of {brief(wanted)}")


def check_packets(seen, wanted, what="packets on the device"):
    """All of them, once each, in any order: two CPUs may have had them."""
    check_equal(len(seen), len(wanted), f"number of {what}")
    for pair in zip(sorted(seen), sorted(wanted)):
        check_equal(*pair, what)


def wait_for(condition, seconds=PATIENCE, what="condition"):
    """Returns what the condition becomes; fails if it stays false."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"waited {seconds} s for: {what}")
        time.sleep(0.005)


_cases = []


def case(description):
    """Decorator: the function is a case of this test program."""
    def add(function):
        _cases.append((description, function))
        return function
    return add


def add_case(description, function, *args, **kwargs):
    """The same for one of a table."""
    _cases.append((description, lambda: function(*args, **kwargs)))


def run_case(description, function):
    try:
        function()
        ksft.test_result_pass(description)
    except Skip as reason:
        ksft.test_result_skip(f"{description}: {reason}")
    except Exception as error:
        for line in traceback.format_exc().splitlines():
            ksft.print_msg(line)
        if isinstance(error, subprocess.CalledProcessError):
            ksft.print_msg(f"stderr: {error.stderr}")
        ksft.test_result_fail(description)
    sys.stdout.flush()


def main():
    ksft.print_header()
    ksft.set_plan(len(_cases) + 1)
    for description, function in _cases:
        run_case(description, function)
    finish()


# The module, and what has to go when a test ends

_kmsg = None
_namespaces = []
_processes = []
_servers = []


def load_module():
    """Once; from then on the kernel's log is watched."""
    global _kmsg
    if _kmsg is None:
        _kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(_kmsg, 0, os.SEEK_END)
        subprocess.run(["modprobe", "bhsec"], check=True)
        if template := os.environ.get("BHSEC_CRYPTO"):
            import libcrypto
            libcrypto.force(template)


def kernel_log():
    """Lines since the last call."""
    lines = []
    while True:
        try:
            record = os.read(_kmsg, 8192).decode(errors="replace")
        except BlockingIOError:
            return lines
        except BrokenPipeError:
            continue    # overwritten meanwhile: the next record follows
        lines.append(record.partition(";")[2].partition("\n")[0])


def clean_up():
    for server in _servers:
        server.stop()
    _servers.clear()
    for process in _processes:
        if process.poll() is None:
            process.kill()
        process.wait()
    _processes.clear()
    for ns in list(_namespaces):
        ns.close()


atexit.register(clean_up)


def unload():
    clean_up()
    load_module()
    subprocess.run(["rmmod", "bhsec"], check=True, timeout=60,
                   capture_output=True, text=True)
    trouble = [line for line in kernel_log() if TROUBLE.search(line)]
    check(not trouble, "\n".join(trouble))


def finish():
    """The last case of every program, and its end."""
    run_case("the module unloads and the kernel's log is clean", unload)
    ksft.finished()


# Namespaces

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
        _namespaces.append(self)
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
        if self not in _namespaces:
            return
        _namespaces.remove(self)
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
        kw.setdefault("timeout", 120)
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
        _processes.append(process)
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

    def stats(self, dev, name):
        return self.peer(dev, name)["stats"]

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


class Path:
    """Two links with a router between them, for a Tunnel from end to end."""

    def __init__(self, a, router, b):
        self.ns_a, self.router, self.ns_b = a, router, b
        self.near, self.far = veth(a, router), veth(router, b)
        be_router(router)
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


def set_mtu(link, mtu):
    """Of both its ends."""
    link.ns_a.set_mtu(link.if_a, mtu)
    link.ns_b.set_mtu(link.if_b, mtu)


def set_sysctl(ns, **values):
    """Below /proc/sys/net, "__" for "/"."""
    with ns:
        for name, value in values.items():
            path = "/proc/sys/net/" + name.replace("__", "/")
            with open(path, "w", encoding="ascii") as setting:
                setting.write(str(value))


def be_router(ns):
    """And do not hold errors back, for there are to be many."""
    set_sysctl(ns, ipv4__ip_forward=1, ipv6__conf__all__forwarding=1,
               ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)


def veth(a, b, v4=True, v6=True, queues=1):
    return Link(a, b, v4, v6, queues)


# Keys, SPIs, tunnels

_spis = set()


def new_spi():
    """Never the same twice in one run."""
    while True:
        spi = 0x1000 + secrets.randbelow(0xffffe000)
        if spi not in _spis:
            _spis.add(spi)
            return spi


def new_key(cipher):
    return secrets.token_bytes(CIPHERS[cipher])


class Sa:
    """One direction of a tunnel: what both ends have to know."""

    def __init__(self, cipher="aes-gcm-256", esn=True, window=None, seq=None,
                 key=None, spi=None):
        self.cipher, self.esn, self.window = cipher, esn, window
        self.seq = seq
        self.key = key or new_key(cipher)
        self.spi = spi or new_spi()

    def bhsec(self, dev, peer, direction, extra=""):
        """The line that adds it to a bhsec device."""
        line = (f"sa add {dev} {peer} {direction} spi {self.spi:#x} "
                f"cipher {self.cipher} key {self.key.hex()}")
        if not self.esn:
            line += " esn off"
        if self.window and direction == "in":
            line += f" window {self.window}"
        if self.seq:
            line += f" seq {self.seq}"
        return f"{line} {extra}\n"

    def xfrm(self, src, dst, reqid, encap, port=ESP_PORT):
        """The line that adds it to the kernel's own SAD."""
        # The kernel's window ends at 4096, and at 32 without ESN.
        window = min(self.window or 128, 4096)
        replay = (f"flag esn flag af-unspec replay-window {window}" if self.esn
                  else f"flag af-unspec replay-window {min(window, 32)}")
        line = (f"xfrm state add src {src} dst {dst} proto esp "
                f"spi {self.spi:#x} reqid {reqid} mode tunnel {replay} ")
        if self.seq:
            line += (f"replay-seq {self.seq & 0xffffffff:#x} "
                     f"replay-oseq {self.seq & 0xffffffff:#x} ")
            if self.esn:
                line += (f"replay-seq-hi {self.seq >> 32:#x} "
                         f"replay-oseq-hi {self.seq >> 32:#x} ")
        line += f"aead {CIPHER_TABLE[self.cipher][1]} 0x{self.key.hex()} 128"
        if encap == "udp":
            line += f" encap espinudp {port} {port} 0.0.0.0"
        return line + "\n"


# Outer headers, by (encapsulation, family): the largest inner packet at 1500.
INNER_MAX = {("esp", 4): 1446, ("udp", 4): 1438,
             ("esp", 6): 1426, ("udp", 6): 1418}




def inner_max(encap, family, mtu):
    """The same for any path: ESP's header, IV and ICV are 32 bytes, two more
    with the inner packet are padded to four (RFC 4303 2)."""
    around = {4: 20, 6: 40}[family] + 8 * (encap == "udp") + 32
    return (mtu - around) // 4 * 4 - 2


class Tunnel:
    """Between ns a (always a bhsec device) and ns b (bhsec or xfrm).

    Number n joins 10.1.n.0/24 and fd01:0:0:n::/64 behind a with 10.2.n.0/24
    and fd02:0:0:n::/64 behind b; each end has address 1 of its networks.
    .out is the SA from a to b, .in_ the one back.
    """

    def __init__(self, a, b, link, far="xfrm", cipher="aes-gcm-256",
                 encap="udp", family=4, esn=True, window=None, n=0, dev="bh0",
                 peer="b", mtu=1500, port=ESP_PORT, seq_out=None, seq_in=None,
                 queues=1):
        self.a, self.b, self.link, self.far = a, b, link, far
        self.cipher, self.encap, self.family = cipher, encap, family
        self.esn, self.window, self.n = esn, window, n
        self.dev, self.peer, self.mtu, self.port = dev, peer, mtu, port
        self.far_dev, self.far_peer = dev, "a" if n == 0 else f"a{n}"
        self.reqid = n + 1
        self.a_outer = link.address(a, family)
        self.b_outer = link.address(b, family)
        self.a_net4, self.b_net4 = f"10.1.{n}.0/24", f"10.2.{n}.0/24"
        self.a_inner4, self.b_inner4 = f"10.1.{n}.1", f"10.2.{n}.1"
        group = f"0:0:{n:x}:" if n else ""
        self.a_net6, self.b_net6 = f"fd01:{group}:/64", f"fd02:{group}:/64"
        self.a_inner6, self.b_inner6 = f"fd01:{group}:1", f"fd02:{group}:1"
        self.inner_max = INNER_MAX[encap, family]
        self.queues = queues
        self.out, self.in_ = self.new_sa(seq_out), self.new_sa(seq_in)

    def new_sa(self, seq=None):
        return Sa(self.cipher, self.esn, self.window, seq)

    spi_out = property(lambda self: self.out.spi)
    spi_in = property(lambda self: self.in_.spi)
    key_out = property(lambda self: self.out.key)
    key_in = property(lambda self: self.in_.key)

    def inner(self, end, family):
        return getattr(self, f"{end}_inner{family}")

    def endpoint(self, end):
        address = getattr(self, f"{end}_outer")
        if self.encap == "esp":
            return address
        return f"[{address}]:{self.port}" if self.family == 6 else \
            f"{address}:{self.port}"

    # Text for ip and bhsec, so that many tunnels go in one batch.

    def device_lines(self, end):
        dev = self.dev if end == "a" else self.far_dev
        return (f"link add {dev} mtu {self.mtu} numtxqueues {self.queues} "
                "type bhsec\n"
                f"link set {dev} addrgenmode none\nlink set {dev} up\n")

    def route_lines(self, end):
        """Addresses of this end's networks, and the way to the other's."""
        other = "b" if end == "a" else "a"
        mine4, mine6 = self.inner(end, 4), self.inner(end, 6)
        net4 = getattr(self, f"{other}_net4")
        net6 = getattr(self, f"{other}_net6")
        if end == "b" and self.far == "xfrm":
            via4 = f"via {self.link.gateway(self.b, 4)}"
            via6 = f"via {self.link.gateway(self.b, 6)}"
            dev = "lo"
        else:
            dev = self.dev if end == "a" else self.far_dev
            via4 = via6 = f"dev {dev}"
        return (f"addr add {mine4}/32 dev {dev}\n"
                f"addr add {mine6}/128 dev {dev} nodad\n"
                f"route add {net4} {via4} src {mine4}\n"
                f"route add {net6} {via6} src {mine6}\n")

    def peer_lines(self, end):
        """The peer at one end and both SAs."""
        other = "b" if end == "a" else "a"
        dev, peer = ((self.dev, self.peer) if end == "a"
                     else (self.far_dev, self.far_peer))
        nets = ",".join(getattr(self, f"{other}_net{f}") for f in (4, 6))
        port = "" if self.port == ESP_PORT or self.n else \
            f"set {dev} port {self.port}\n"
        into, out = ((self.in_, self.out) if end == "a"
                     else (self.out, self.in_))
        return (f"{port}peer add {dev} {peer} endpoint {self.endpoint(other)} "
                f"encap {self.encap} selectors {nets}\n"
                + into.bhsec(dev, peer, "in") + out.bhsec(dev, peer, "out"))

    def state_lines(self):
        """The far end's states."""
        a, b = self.a_outer, self.b_outer
        return (self.out.xfrm(a, b, self.reqid, self.encap, self.port)
                + self.in_.xfrm(b, a, self.reqid, self.encap, self.port))

    def policy_lines(self):
        lines = ""
        for f in (4, 6):
            near, far = (getattr(self, f"{e}_net{f}") for e in "ab")
            for direction, src, dst, tsrc, tdst in (
                    ("out", far, near, self.b_outer, self.a_outer),
                    ("in", near, far, self.a_outer, self.b_outer)):
                lines += (f"xfrm policy add src {src} dst {dst} dir {direction} "
                          f"tmpl src {tsrc} dst {tdst} proto esp "
                          f"reqid {self.reqid} mode tunnel\n")
        return lines

    def stats(self):
        return self.a.stats(self.dev, self.peer)

    def far_stats(self):
        return self.b.stats(self.far_dev, self.far_peer)

    def rekey(self, delete_old=True):
        """Make before break: in at both ends, then out. Returns the old."""
        old = self.out, self.in_
        self.out, self.in_ = self.new_sa(), self.new_sa()
        near = self.dev, self.peer
        far = self.far_dev, self.far_peer
        self.a.bhsec(self.in_.bhsec(*near, "in"))
        if self.far == "bhsec":
            self.b.bhsec(self.out.bhsec(*far, "in")
                         + self.in_.bhsec(*far, "out"))
        else:
            # xfrm goes on with the older of two states: it has to go.
            self.b.ip(self.state_lines()
                      + f"xfrm state delete src {self.b_outer} "
                        f"dst {self.a_outer} proto esp spi {old[1].spi:#x}\n")
        self.a.bhsec(self.out.bhsec(*near, "out"))
        if delete_old:
            self.delete(*old)
        return old

    def delete(self, out, in_):
        """Takes a pair of SAs away, the far end's outbound xfrm state was."""
        near = f"{self.dev} {self.peer}"
        far = f"{self.far_dev} {self.far_peer}"
        self.a.bhsec(f"sa del {near} out spi {out.spi:#x}\n"
                     f"sa del {near} in spi {in_.spi:#x}\n")
        if self.far == "bhsec":
            self.b.bhsec(f"sa del {far} in spi {out.spi:#x}\n"
                         f"sa del {far} out spi {in_.spi:#x}\n")
        else:
            self.b.ip(f"xfrm state delete src {self.a_outer} "
                      f"dst {self.b_outer} proto esp spi {out.spi:#x}\n")


def tunnels(a, b, link, specs, far="xfrm"):
    """Many at once, on one device, each spec a dict for Tunnel; in few batches."""
    made = [Tunnel(a, b, link, far, n=n, peer=f"b{n}" if n else "b", **spec)
            for n, spec in enumerate(specs)]
    install(made)
    return made


def install(made):
    """Sets tunnels up that share their two ends and devices."""
    first = made[0]

    def text(lines, *args):
        return "".join(getattr(t, lines)(*args) for t in made)

    first.a.ip(first.device_lines("a") + text("route_lines", "a"))
    first.a.bhsec(text("peer_lines", "a"))
    if first.far == "bhsec":
        first.b.ip(first.device_lines("b") + text("route_lines", "b"))
        first.b.bhsec(text("peer_lines", "b"))
    else:
        if any(t.encap == "udp" for t in made):
            first.b.encap_sockets(first.port)
        first.b.ip(text("route_lines", "b") + text("state_lines")
                   + text("policy_lines"))


def tunnel_xfrm(a, b, link, **spec):
    """bhsec at a, the kernel's own IPsec at b."""
    made = Tunnel(a, b, link, "xfrm", **spec)
    install([made])
    return made


def tunnel_bhsec(a, b, link, **spec):
    """bhsec at both ends."""
    made = Tunnel(a, b, link, "bhsec", **spec)
    install([made])
    return made


def behind(t, family):
    """The address of a host behind a."""
    return t.inner("a", family)[:-1] + "2"


def put_behind(t, inside):
    """The host at the other end of a link of a's gets it, and both the routes."""
    host, there = inside.ns_a, {4: t.b_net4, 6: t.b_net6}
    host.ip("".join(
        f"addr add {behind(t, f)} dev lo{' nodad' * (f == 6)}\n"
        f"route add {there[f]} via {inside.address(t.a, f)} "
        f"src {behind(t, f)}\n" for f in (4, 6)))
    t.a.ip("".join(f"route add {behind(t, f)} via {inside.address(host, f)}\n"
                   for f in (4, 6)))


def difference(before, after):
    """The counters that moved, and by how much."""
    return {name: after[name] - before[name] for name in after
            if after[name] != before[name]}


def wait_counted(read, before, packets):
    """What moved in read() since before, once so many packets were counted,
    or as it is when patience ends."""
    def moved():
        now = difference(before, read())
        count = sum(value for name, value in now.items()
                    if not name.endswith("_bytes"))
        return (now,) if count >= packets else None
    try:
        return wait_for(moved)[0]
    except Failure:
        return difference(before, read())


# Traffic

def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def hear_errors(sock):
    """Of ICMP errors that may pass, too, not of the final ones alone."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


class Capture:
    """The frames of an interface, from the constructor to stop().

    outgoing: True for those sent only, False for those received only.
    """

    def __init__(self, ns, ifname, outgoing=None):
        self.frames = []
        self.outgoing = outgoing
        self.over = threading.Event()
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.sock.settimeout(0.05)
        self.sock.bind((ifname, ETH_P_ALL))
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()
        _servers.append(self)

    def collect(self):
        while True:
            last = self.over.is_set()
            try:
                frame, origin = self.sock.recvfrom(65536)
            except TimeoutError:
                if last:
                    return
                continue
            except OSError:
                return
            sent = origin[2] == PACKET_OUTGOING
            if self.outgoing is None or self.outgoing == sent:
                self.frames.append(frame)

    def wait(self, count, seconds=PATIENCE):
        wait_for(lambda: len(self.frames) >= count, seconds,
                 f"{count} frames")

    def stop(self):
        """Ends when a while has passed without a frame; returns them all."""
        self.over.set()
        self.thread.join()
        self.sock.close()
        return self.frames


class Monitor:
    """`bhsec monitor -j` in a namespace; .events grows as they come."""

    def __init__(self, ns):
        self.events = []
        self.process = ns.popen(["bhsec", "monitor", "-j"], text=True,
                                stdout=subprocess.PIPE)
        wait_for(lambda: self.subscribed(ns), what="the monitor's start")
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def subscribed(self, ns):
        """Is there a socket of the process that has joined a group?"""
        with ns, open("/proc/thread-self/net/netlink", encoding="ascii") as lines:
            rows = [line.split() for line in lines]
        return any(row[2] == str(self.process.pid) and int(row[3], 16)
                   for row in rows[1:])

    def collect(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def of(self, spi, *names):
        """Those about an SPI, of these names (none: of all)."""
        return [e for e in list(self.events) if e.get("spi") == spi
                and (not names or e["event"] in names)]

    def wait(self, spi, name, count=1):
        wait_for(lambda: len(self.of(spi, name)) >= count,
                 what=f"event {name} of {spi:#x}")
        return self.of(spi, name)


def udp_sink(ns, port=SINK_PORT):
    """Takes datagrams to a port and says nothing; no ICMP errors go back."""
    for family, any_address in ((socket.AF_INET, "0.0.0.0"),
                                (socket.AF_INET6, "::")):
        sock = ns.socket(family, socket.SOCK_DGRAM)
        sock.bind((any_address, port))


def path_mtu_discovery(sock, how):
    """PMTUDISC_DO: never in fragments; PMTUDISC_DONT: as they come."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, how)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, how)


def path_mtu(sock, family):
    """What the stack knows of a connected socket's path."""
    if family == 4:
        return sock.getsockopt(socket.IPPROTO_IP, IP_MTU)
    return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)


class UdpEcho:
    def __init__(self, ns, address, port=7007):
        self.sock = ns.socket(family_of(address), socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.sock.settimeout(0.1)
        self.sock.bind((address, port))
        self.over = threading.Event()
        self.received = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        _servers.append(self)

    def serve(self):
        while not self.over.is_set():
            try:
                data, peer = self.sock.recvfrom(65536)
                self.received += 1
                self.sock.sendto(data, peer)
            except OSError:
                continue    # an ICMP error of an earlier one, or nothing yet

    def stop(self):
        self.over.set()
        self.thread.join()
        self.sock.close()


def udp_echo(ns, address, port=7007):
    return UdpEcho(ns, address, port)


def udp_exchange(ns, address, sizes, source=None, port=7007, burst=16,
                 seconds=PATIENCE):
    """Sends a payload of each size, burst at a time; each has to come back
    once, as it went. Nothing is sent twice."""
    with ns.socket(family_of(address), socket.SOCK_DGRAM, keep=False) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        sock.settimeout(seconds)
        if source:
            sock.bind((source, 0))
        sock.connect((address, port))
        sizes = list(sizes)
        for start in range(0, len(sizes), burst):
            sent = sorted(secrets.token_bytes(size)
                          for size in sizes[start:start + burst])
            for data in sent:
                sock.send(data)
            seen = sorted(receive(sock, len(sent)))
            check(seen == sent, f"sizes {[len(d) for d in sent]} came back as "
                                f"{[len(d) for d in seen]}, or changed")


def receive(sock, count):
    """Up to so many datagrams, within the socket's patience."""
    seen = []
    try:
        while len(seen) < count:
            seen.append(sock.recv(65536))
    except TimeoutError:
        pass
    return seen


def tcp_transfer(ns_a, ns_b, address, nbytes, source=None, port=7008,
                 seconds=120):
    """From a to b, the content compared by its digest."""
    data = secrets.token_bytes(nbytes)
    with ns_b.socket(family_of(address), socket.SOCK_STREAM,
                     keep=False) as server, \
            ns_a.socket(family_of(address), socket.SOCK_STREAM,
                        keep=False) as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen()
        for sock in (server, client):
            sock.settimeout(seconds)
        if source:
            client.bind((source, 0))
        sender = threading.Thread(target=send_all,
                                  args=(client, (address, port), data),
                                  daemon=True)
        sender.start()
        conn, _ = server.accept()
        digest, seen = hashlib.sha256(), 0
        with conn:
            conn.settimeout(seconds)
            while chunk := conn.recv(1 << 16):
                digest.update(chunk)
                seen += len(chunk)
        sender.join(seconds)
    check_equal(seen, nbytes, "bytes over TCP")
    check(digest.digest() == hashlib.sha256(data).digest(),
          "TCP's content changed on its way")


def send_all(sock, address, data):
    sock.connect(address)
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
