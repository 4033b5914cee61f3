#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What others say ESP is: scapy's packets are accepted and delivered byte for
byte, bhsec's packets are opened by scapy and tshark, and RFC 7634's published
packet is accepted. RFC 4106 publishes no packet; its draft's vectors are those
of the cipher alone, which the kernel's crypto self-tests run."""

import subprocess
import tempfile

from lib import *
from libesp import *

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation

SCAPY_NAMES = {"aes-gcm-128": "AES-GCM", "aes-gcm-256": "AES-GCM",
               "aes-ccm-128": "AES-CCM", "aes-ccm-256": "AES-CCM",
               "chacha20-poly1305": "CHACHA20-POLY1305",
               "null-sha256": "NULL"}
SCAPY_MACS = {32: "SHA2-256-128", 48: "SHA2-384-192", 64: "SHA2-512-256"}
LENGTHS = range(24)
# By the source port it is seen which packet this is; no protocol has these.
FIRST_PORT = 47000
# With ESN, numbers on both sides of where their low half starts anew.
NEAR_WRAP = (1 << 32) - 10

a, b = Ns("a"), Ns("b")
link = veth(a, b)
udp_sink(a)
# What one CPU sends overtakes what another has in its queue.
os.sched_setaffinity(0, {0})


def specs():
    """scapy 2.5 knows no GMAC, and of ESN only where an AEAD seals."""
    ways = ("udp", 4), ("esp", 6)
    for n, cipher in enumerate(CIPHERS):
        if "gmac" in cipher:
            continue
        for esn in (True, False) if cipher in AEADS else [False]:
            for encap, family in ways if cipher in AEADS else [ways[n % 2]]:
                yield {"cipher": cipher, "esn": esn, "encap": encap,
                       "family": family,
                       "seq_in": NEAR_WRAP if esn else None,
                       "seq_out": NEAR_WRAP if esn else None}
    for encap, family in (("esp", 4), ("udp", 6)):
        yield {"encap": encap, "family": family}


def name(t):
    return (f"{t.cipher} {t.encap} over IPv{t.family} "
            f"{'with' if t.esn else 'without'} ESN")


def scapy_sa(t, sa, src, dst):
    outer = (IP if t.family == 4 else IPv6)(src=src, dst=dst)
    suite = SUITES[t.cipher]
    mac = {} if not suite.mac else {"auth_algo": SCAPY_MACS[suite.mac_key],
                                    "auth_key": sa.key[suite.key:]}
    key = sa.key[:suite.key] if suite.mac else sa.key
    return SecurityAssociation(
        ESP, spi=sa.spi, crypt_algo=SCAPY_NAMES.get(t.cipher, "AES-CBC"),
        crypt_key=key, tunnel_header=outer, **mac)


def inner_packets(src, dst):
    """By number, IPv4 and IPv6 in turn."""
    for i in LENGTHS:
        family = 6 if i % 2 else 4
        yield udp(src(family), dst(family), FIRST_PORT + i, SINK_PORT,
                  bytes(range(i)))


def sealed_by_scapy(t, inner, seq):
    sa = scapy_sa(t, t.in_, t.b_outer, t.a_outer)
    packet = (IPv6 if inner[0] >> 4 == 6 else IP)(inner)
    # not as an argument, where scapy takes zero for none
    sa.seq_num = seq & 0xffffffff
    return bytes(sa.encrypt(packet, esn_en=t.esn, esn=seq >> 32))


def accepted(t):
    """Delivered on the device as they were before encryption."""
    wire = Wire(t)
    sent = list(inner_packets(lambda f: t.inner("b", f),
                              lambda f: t.inner("a", f)))
    before = t.stats()
    capture = Capture(a, t.dev, outgoing=False)
    for number, inner in enumerate(sent, (t.in_.seq or 0) + 1):
        packet = sealed_by_scapy(t, inner, number)
        if t.encap == "udp":
            # scapy 2.5 says 8 for the length of any UDP datagram around ESP
            wire.send(packet[20 if t.family == 4 else 40:])
        else:
            wire.send_ip(packet)
    capture.wait(len(sent))
    check_packets(capture.stop(), sent)
    moved = difference(before, t.stats())
    check_equal(moved, {"rx_packets": len(sent),
                        "rx_bytes": sum(map(len, sent))}, "counters")


def sent_by_bhsec(t):
    """What goes in through a packet socket, and the ESP that comes out."""
    sent = list(inner_packets(lambda f: t.inner("a", f),
                              lambda f: t.inner("b", f)))
    return sent, sealed_by(t, sent)


def check_form(t, inner, esp, seq):
    """RFC 4303: sequence number, padding, next header, and the size."""
    low = struct.unpack_from("!I", esp, 4)[0]
    check_equal(low, seq & 0xffffffff, "sequence number")
    plain = unseal(t.out, esp, seq >> 32)
    next_header = NEXT_IPV6 if inner[0] >> 4 == 6 else NEXT_IPV4
    block = SUITES[t.cipher].block
    check_equal(plain, inner + trailer(len(inner), next_header, block=block),
                "plaintext")
    check_equal(len(esp) % 4, 0, "alignment")


def opened_by_scapy(t):
    sent, frames = sent_by_bhsec(t)
    sa = scapy_sa(t, t.out, t.a_outer, t.b_outer)
    outer = IP if t.family == 4 else IPv6
    ivs = set()
    first = (t.out.seq or 0) + 1
    for seq, (inner, frame) in enumerate(zip(sent, frames), first):
        esp = esp_of(frame)
        check_form(t, inner, esp, seq)
        ivs.add(iv_of(t.out, esp))
        # scapy takes ESP in IP: what carries it here was looked at above
        packet = outer(src=t.a_outer, dst=t.b_outer) / ESP(esp)
        opened = sa.decrypt(outer(bytes(packet)), esn_en=t.esn, esn=seq >> 32)
        check_equal(bytes(opened), inner, "what scapy opened")
    if SUITES[t.cipher].iv:
        check_equal(len(ivs), len(sent), "different IVs")


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            out.write(struct.pack("=IIII", 0, 0, len(frame), len(frame)))
            out.write(frame)


def esp_record(t):
    """A line of Wireshark's table of SAs."""
    fields = (f"IPv{t.family}", t.a_outer, t.b_outer, f"{t.spi_out:#x}",
              "AES-GCM with 16 octet ICV [RFC4106]", f"0x{t.key_out.hex()}", "NULL", "")
    return 'uat:esp_sa:' + ",".join(f'"{field}"' for field in fields)


def opened_by_tshark(chosen):
    """All tunnels in one capture, for tshark takes seconds to start."""
    captured = [sent_by_bhsec(t) for t in chosen]
    with tempfile.TemporaryDirectory() as home:
        path = f"{home}/esp.pcap"
        write_pcap(path, [f for _, frames in captured for f in frames])
        command = ["tshark", "-r", path, "-T", "fields", "-e", "data.data",
                   "-o", "esp.enable_encryption_decode:TRUE",
                   "-o", "esp.enable_null_encryption_decode_heuristic:FALSE",
                   "-E", "occurrence=l", "-e", "udp.srcport"]
        for t in chosen:
            command += ["-o", esp_record(t)]
        result = subprocess.run(command, check=True, capture_output=True,
                                text=True, timeout=120,
                                env={**os.environ, "HOME": home})
    seen = [line.split("\t") for line in result.stdout.splitlines()]
    wanted = [[bytes(range(i)).hex(), str(FIRST_PORT + i)]
              for _ in chosen for i in LENGTHS]
    check_equal(len(seen), len(wanted), "packets that tshark saw")
    for pair in zip(seen, wanted):
        check_equal(*pair, "what tshark opened")


def rfc7634_packet():
    """Appendix A: key and salt, the SPI, the number, and the packet."""
    key = bytes(range(0x80, 0xa0)) + bytes.fromhex("a0a1a2a3")
    source = bytes.fromhex(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
        "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
        "2425262728292a2b2c2d2e2f3031323334353637")
    esp = bytes.fromhex(
        "0102030400000005101112131415161724039428b97f417e3c13753a4f05087b"
        "67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"
        "2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da"
        "9165b82829f641e0" "76aaa8266b7fb0f7b11b369907e1ad43")
    return key, source, esp


def published_packet():
    key, source, esp = rfc7634_packet()
    a.ip("link add bh7 type bhsec\nlink set bh7 up\n")
    sa = Sa("chacha20-poly1305", esn=False, key=key, spi=0x01020304, seq=4)
    a.bhsec(f"peer add bh7 rfc endpoint {link.b4} encap esp "
            "selectors 198.51.100.0/24\n" + sa.bhsec("bh7", "rfc", "in"))
    capture = Capture(a, "bh7", outgoing=False)
    Wire(made[0]).send(esp, encap="esp")
    capture.wait(1)
    check_packets(capture.stop(), [source])
    check_equal(a.stats("bh7", "rfc")["rx_packets"], 1, "rx_packets")


made = tunnels(a, b, link, list(specs()))
for t in made:
    add_case(f"{name(t)}: scapy's packets are delivered as they were",
             accepted, t)
for t in made:
    add_case(f"{name(t)}: scapy opens ours; padding, numbers and IVs are as "
             "the RFCs say", opened_by_scapy, t)
add_case("tshark opens ours, sealed with AES-GCM", opened_by_tshark,
         [t for t in made if t.cipher.startswith("aes-gcm") and not t.esn
          or not t.out.seq and t.esn])
add_case("RFC 7634's packet is accepted and delivered", published_packet)

main()
