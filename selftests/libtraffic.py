# SPDX-License-Identifier: GPL-2.0
"""Traffic through them, and who looks at it."""

from libns import *


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def hear_errors(sock):
    """Of ICMP errors that may pass, too, not of the final ones alone."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


def refused(ns, address, source=None, data=b"never"):
    """One datagram to port 7007; the error number that its sender hears of."""
    with ns.socket(family_of(address), socket.SOCK_DGRAM, keep=False) as sock:
        hear_errors(sock)
        if source:
            sock.bind((source, 0))
        sock.connect((address, 7007))
        sock.send(data)
        sock.settimeout(PATIENCE)
        try:
            sock.recv(1)
        except OSError as error:
            return error.errno
    raise Failure("an answer")


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
        open_servers.append(self)

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

    def wait(self, count, of=bool):
        """For so many frames of those that of() is true of: the search for a
        neighbour comes first, and may take longer than stop() waits."""
        wait_for(lambda: sum(bool(of(frame)) for frame in list(self.frames))
                 >= count, what=f"{count} frames")

    def stop(self, least=0):
        """Ends when a while has passed without a frame; returns them all. A
        counter can move before its packet is seen: least waits for that many."""
        self.wait(least)
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
        wait_for(lambda: Monitor.subscribed(self.process, ns),
                 what="the monitor's start")
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    @staticmethod
    def subscribed(process, ns):
        """Is there a socket of the process that has joined both groups?"""
        with ns, open("/proc/thread-self/net/netlink", encoding="ascii") as lines:
            rows = [line.split() for line in lines]
        return any(row[2] == str(process.pid) and
                   int(row[3], 16).bit_count() >= 2 for row in rows[1:])

    def collect(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def of(self, spi, *names):
        """Those about an SPI, of these names (none: of all packets and lives,
        but not of what is configured)."""
        return [e for e in list(self.events) if e.get("spi") == spi
                and (e["event"] in names if names
                     else not e["event"].startswith("sa_"))]

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


def join(ns, ifname, group, port):
    """A socket that is a member of the group; several may have the port."""
    sock = ns.socket(family_of(group), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(PATIENCE)
    packed, index = socket.inet_pton(sock.family, group), ns.ifindex(ifname)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        packed + bytes(4) + struct.pack("=I", index))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                        packed + struct.pack("=I", index))
    sock.bind((group, port))
    return sock


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


# linux/if_tun.h
TUNSETIFF = 0x400454ca
IFF_TUN, IFF_TAP, IFF_NAPI, IFF_NAPI_FRAGS, IFF_NO_PI = 1, 2, 0x10, 0x20, 0x1000


class Tun:
    """A device, and what is behind it."""

    def __init__(self, ns, ifname, flags):
        subprocess.run(["modprobe", "tun"], check=True)
        with ns:
            self.fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.fd, TUNSETIFF,
                        struct.pack("16sH22x", ifname.encode(), flags))
        open_servers.append(self)

    def send(self, data):
        os.write(self.fd, data)

    def stop(self):
        os.close(self.fd)


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
        open_servers.append(self)

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
            # A connection that waits for its last acknowledgement would keep
            # the namespace, and all in it, for minutes.
            for sock in (conn, client):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
        try:
            client.recv(1)      # the reset ends it here, and comes no later
        except OSError:
            pass
    check_equal(seen, nbytes, "bytes over TCP")
    check(digest.digest() == hashlib.sha256(data).digest(),
          "TCP's content changed on its way")


def send_all(sock, address, data):
    sock.connect(address)
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
