#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Memory that others hold is never written over: the page cache under
sendfile and splice, a program's own buffer under MSG_ZEROCOPY, and the copies
that a packet socket or tc mirred took of a packet without its bytes."""

from lib import *
from libesp import *
from libpages import *

SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000
FILE_BYTES = 1 << 20
PACKETS = 8

a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
udp_sink(b)
made = tunnels(a, b, link, [{}, {"encap": "esp", "family": 6},
                            {"cipher": "chacha20-poly1305", "family": 6}])
add_inbound(a, made)


def sendfile_of_esp(t):
    inner, esp = incoming(t)
    sock, file = sender(t), with_file(esp)
    delivered(t, lambda: os.sendfile(sock.fileno(), file.fileno(), 0, len(esp)),
              [inner])
    unchanged(file, esp)


def splice_of_esp(t):
    """Many datagrams out of one page, for none may lie across two."""
    pairs = [incoming(t, family, 300) for family in (4, 6)
             for _ in range(PACKETS // 2)]
    content = b"".join(esp for _, esp in pairs)
    sock, file = sender(t), with_file(content)
    read_end, write_end = os.pipe()

    def send():
        offset = 0
        for _, esp in pairs:
            moved = os.splice(file.fileno(), write_end, len(esp), offset)
            check_equal(moved, len(esp), "bytes spliced from the file")
            moved = os.splice(read_end, sock.fileno(), len(esp))
            check_equal(moved, len(esp), "bytes spliced to the socket")
            offset += len(esp)
    delivered(t, send, [inner for inner, _ in pairs])
    unchanged(file, content)
    for end in read_end, write_end:
        os.close(end)


def zerocopy_of_esp(t):
    inner, esp = incoming(t)
    buffer = bytearray(esp)
    sock = sender(t)
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    delivered(t, lambda: sock.send(buffer, MSG_ZEROCOPY), [inner])
    check(buffer == esp, "the sender's buffer has changed")


def sendfile_through(t):
    """The file's pages are the inner packets' payload."""
    content = secrets.token_bytes(FILE_BYTES)
    file = with_file(content)
    for family in 4, 6:
        received = collect_stream(t, family, file)
        check(received == content, "another content arrived")
        unchanged(file, content)


def collect_stream(t, family, file):
    address, chunks = t.inner("b", family), []
    kind = family_of(address), socket.SOCK_STREAM
    with b.socket(*kind, keep=False) as server, \
            a.socket(*kind, keep=False) as client:
        server.settimeout(60)
        server.bind((address, 7010))
        server.listen()
        client.connect((address, 7010))
        conn, _ = server.accept()
        conn.settimeout(60)
        thread = threading.Thread(target=lambda: (
            client.sendfile(file, 0), client.shutdown(socket.SHUT_WR)))
        thread.start()
        with conn:
            while chunk := conn.recv(1 << 16):
                chunks.append(chunk)
        thread.join()
    return b"".join(chunks)


def udp_inside(t, frame):
    """The inner IPv4 datagram; an earlier stream's last packets are none."""
    esp = esp_of(frame)
    if not esp or esp[:4] != t.spi_out.to_bytes(4, "big"):
        return None
    plain = unseal(t.out, esp)
    return plain if plain[0] >> 4 == 4 and plain[9] == IPPROTO_UDP else None


def sendfile_of_datagrams(t):
    content = secrets.token_bytes(1000)
    file = with_file(content)
    capture = Capture(b, link.if_b, outgoing=False)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.connect((t.b_inner4, SINK_PORT))
        for _ in range(PACKETS):
            os.sendfile(sock.fileno(), file.fileno(), 0, len(content))
    capture.wait(PACKETS, lambda frame: udp_inside(t, frame))
    sealed = list(filter(None, (udp_inside(t, f) for f in capture.stop())))
    check_equal(len(sealed), PACKETS, "sealed datagrams")
    for plain in sealed:
        check(content in plain, "another content was sealed")
    unchanged(file, content)


def zerocopy_through(t):
    content = secrets.token_bytes(1000)
    buffer = bytearray(content)
    before = t.stats()
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        sock.connect((t.b_inner4, SINK_PORT))
        sock.send(buffer, MSG_ZEROCOPY)
    wait_for(lambda: t.stats()["tx_packets"] > before["tx_packets"])
    check(buffer == content, "the sender's buffer has changed")


def copies_coming_in(t, watched):
    pairs = [incoming(t, family) for family in (4, 6)
             for _ in range(PACKETS // 2)]
    late = [(Late(ns, ifname), ifname) for ns, ifname in watched]
    wire = Wire(t)
    delivered(t, lambda: [wire.send(esp) for _, esp in pairs],
              [inner for inner, _ in pairs])
    for capture, ifname in late:
        all_among([esp for _, esp in pairs], capture.frames(), f"on {ifname}")


def copies_going_out(t, watched):
    late = [(Late(a, ifname), ifname) for ifname in watched]
    payloads = [secrets.token_bytes(900) for _ in range(PACKETS)]
    before = t.stats()
    for i, data in enumerate(payloads):
        far = t.inner("b", 6 if i % 2 else 4)
        with a.socket(family_of(far), socket.SOCK_DGRAM, keep=False) as sock:
            sock.sendto(data, (far, SINK_PORT))
    wait_for(lambda: t.stats()["tx_packets"] >= before["tx_packets"] + PACKETS)
    for capture, ifname in late:
        all_among(payloads, capture.frames(), f"on {ifname}")


def mirror():
    """What comes in on the underlay, and what goes out through the device."""
    a.ip("link add mirror0 type dummy\nlink set mirror0 up\n"
         "link add mirror1 type dummy\nlink set mirror1 up\n")
    lines = "".join(
        f"qdisc add dev {dev} clsact\nfilter add dev {dev} {way} matchall "
        f"action mirred egress mirror dev {to}\n"
        for dev, way, to in ((link.if_a, "ingress", "mirror0"),
                             ("bh0", "egress", "mirror1")))
    a.run(["tc", "-batch", "-"], input=lines)


def mirrored():
    mirror()
    for t in made:
        copies_coming_in(t, [(a, "mirror0")])
        copies_going_out(t, ["mirror1"])


for t in made:
    where = f"{t.cipher} {t.encap} over IPv{t.family}"
    add_case(f"{where}: sendfile of an ESP datagram", sendfile_of_esp, t)
    add_case(f"{where}: splice of ESP datagrams", splice_of_esp, t)
    if t.encap == "udp":    # raw sockets know no MSG_ZEROCOPY
        add_case(f"{where}: ESP datagram by MSG_ZEROCOPY", zerocopy_of_esp, t)
    add_case(f"{where}: sendfile of a stream through the tunnel",
             sendfile_through, t)
    add_case(f"{where}: sendfile of datagrams through the tunnel",
             sendfile_of_datagrams, t)
    add_case(f"{where}: MSG_ZEROCOPY through the tunnel", zerocopy_through, t)
    add_case(f"{where}: a packet socket's clones of what comes in",
             copies_coming_in, t, [(a, link.if_a), (b, link.if_b)])
    add_case(f"{where}: a packet socket's clones of what goes out",
             copies_going_out, t, ["bh0"])
add_case("tc mirred's copies, both ways", mirrored)

main()
