# SPDX-License-Identifier: GPL-2.0
"""The tunnels that are compared. MODES: a function for each that sets one up
between two gateways of namespaces.py, and the kernels that have it."""

import functools
import secrets
import socket
import struct
import subprocess

import genl
from workloads import MTU

PORT = 4500
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
# Bytes of key and salt, the kernel's name.
CIPHERS = {
    "aes128": ("aes-gcm-128", 20, "rfc4106(gcm(aes))"),
    "aes256": ("aes-gcm-256", 36, "rfc4106(gcm(aes))"),
    "chacha": ("chacha20-poly1305", 36, "rfc7539esp(chacha20,poly1305)"),
}
open_sockets = []


class Sa:
    def __init__(self, cipher):
        self.cipher, key_bytes, self.template = CIPHERS[cipher]
        self.key = secrets.token_hex(key_bytes)
        self.spi = 0x1000 + secrets.randbelow(0xffffe000)


def both(a, b):
    return (a, b), (b, a)


def plain(a, b):
    for end, other in both(a, b):
        end.ip(f"route add {other.net} via {other.outer} src {end.inner} "
               f"mtu {MTU}")


def macsec(a, b):
    keys = {end: secrets.token_hex(16) for end in (a, b)}
    for end, other in both(a, b):
        end.ip(f"link add link ul ms0 mtu {MTU} type macsec port 1 encrypt on "
               "validate strict replay on window 128")
        end.ip(f"macsec add ms0 tx sa 0 pn 1 on key 01 {keys[end]}\n"
               f"macsec add ms0 rx port 1 address {other.mac}\n"
               f"macsec add ms0 rx port 1 address {other.mac} sa 0 pn 1 on "
               f"key 02 {keys[other]}\n"
               "link set ms0 addrgenmode none up\n"
               f"route add {other.net} via {other.outer} dev ms0 onlink "
               f"src {end.inner}\n"
               f"neigh replace {other.outer} lladdr {other.mac} "
               "nud permanent dev ms0")


# The kernel's own IPsec, behind an interface: without one TCP would send each
# segment alone, and UDP_SEGMENT be refused.

def encap_socket(end):
    """What an IKE daemon holds open."""
    with end.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    sock.bind(("0.0.0.0", PORT))
    open_sockets.append(sock)


def states_and_policies(end, other, into, out, encap):
    """As a daemon installs them for an if_id."""
    if encap == "udp":
        encap_socket(end)
    template = f"encap espinudp {PORT} {PORT} 0.0.0.0" if encap == "udp" else ""
    lines = []
    for sa, src, dst in ((out, end, other), (into, other, end)):
        lines.append(
            f"xfrm state add src {src.outer} dst {dst.outer} proto esp "
            f"spi {sa.spi:#x} reqid 1 mode tunnel flag esn flag af-unspec "
            f"replay-window 128 aead {sa.template} 0x{sa.key} 128 "
            f"{template} if_id 1")
    for direction, src, dst in (("out", end, other), ("in", other, end),
                                ("fwd", other, end)):
        lines.append(
            f"xfrm policy add src {src.net} dst {dst.net} dir {direction} "
            f"if_id 1 tmpl src {src.outer} dst {dst.outer} proto esp reqid 1 "
            "mode tunnel")
    end.ip("\n".join(lines))


def xfrm_end(end, other, into, out, encap):
    end.ip(f"link add ipsec0 mtu {MTU} type xfrm dev ul if_id 1\n"
           "link set ipsec0 addrgenmode none up\n"
           f"route add {other.net} dev ipsec0 src {end.inner}")
    states_and_policies(end, other, into, out, encap)


def bound_end(end, other, into, out, encap):
    """The same states, taken by bhsec."""
    end.ip(f"link add bh0 mtu {MTU} type bhsec\n"
           "link set bh0 addrgenmode none up\n"
           f"route add {other.net} dev bh0 src {end.inner}")
    end.run("bhsec", "set", "bh0", "if-id", "1")
    states_and_policies(end, other, into, out, encap)


def bhsec_end(end, other, into, out, encap):
    end.ip(f"link add bh0 mtu {MTU} type bhsec\n"
           "link set bh0 addrgenmode none up\n"
           f"route add {other.net} dev bh0 src {end.inner}")
    lines = [f"peer add bh0 p endpoint {other.outer} encap {encap} "
             f"selectors {other.net}\n"]
    lines += [f"sa add bh0 p {direction} spi {sa.spi:#x} cipher {sa.cipher} "
              f"key {sa.key}\n" for direction, sa in (("in", into), ("out", out))]
    end.run("bhsec", "-batch", "-", input="".join(lines))


def esp(a, b, from_end, to_end, encap="esp", cipher="aes128"):
    """From one kind of end to another kind."""
    out, back = Sa(cipher), Sa(cipher)
    from_end(a, b, back, out, encap)
    to_end(b, a, out, back, encap)


def xfrm(a, b, **options):
    esp(a, b, xfrm_end, xfrm_end, **options)


def xfrm_offload(a, b):
    """Its segmentation and GRO in software, which nobody loads unasked."""
    subprocess.run(["modprobe", "esp4_offload"], check=True)
    xfrm(a, b)


def bhsec(a, b, encap="udp", **options):
    esp(a, b, bhsec_end, bhsec_end, encap, **options)


def bhsec_ike(a, b, encap="udp"):
    esp(a, b, bound_end, bound_end, encap)


def bhsec_ike_list(a, b):
    for end in (a, b):
        end.ethtool("ul", "rx-gro-list", "on")
    bhsec_ike(a, b)


def bhsec_heard(a, b):
    """With a firewall, which has to see each datagram."""
    for end in (a, b):
        end.run("nft", "-f", "-", input="table inet t {\n chain c {\n"
                "  type filter hook input priority 0; policy accept;\n }\n}\n")
    bhsec(a, b)


def ifindex(name):
    return genl.u32(socket.if_nametoindex(name))


# Numbers of linux/wireguard.h

def wireguard_end(end, other, key, public, port=51820):
    end.ip(f"link add wg0 mtu {MTU} type wireguard\n"
           "link set wg0 addrgenmode none up\n"
           f"route add {other.net} dev wg0 src {end.inner}")
    endpoint = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port),
                           socket.inet_aton(other.outer))
    network = {1: genl.u16(socket.AF_INET), 3: genl.u8(24),
               2: socket.inet_aton(other.net.split("/")[0])}
    with end.inside():
        genl.Family("wireguard").do(1, {
            1: ifindex("wg0"), 3: key, 6: genl.u16(port),
            8: {0: {1: public, 4: endpoint, 9: {0: network}}}})


def wireguard(a, b):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import x25519

    keys = {end: x25519.X25519PrivateKey.generate() for end in (a, b)}
    for end, other in both(a, b):
        wireguard_end(end, other, keys[end].private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
            serialization.NoEncryption()), keys[other].public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw))


# Numbers of linux/ovpn.h

def ovpn_end(end, other, mine, its, port=1194):
    end.ip(f"link add ovpn0 mtu {MTU} type ovpn\n"
           "link set ovpn0 addrgenmode none up\n"
           f"route add {other.net} dev ovpn0 src {end.inner}")
    with end.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((end.outer, port))
        open_sockets.append(sock)
        family = genl.Family("ovpn")
        family.do(1, {1: ifindex("ovpn0"), 2: {
            1: genl.u32(1), 2: socket.inet_aton(other.outer),
            5: struct.pack(">H", port), 6: genl.u32(sock.fileno())}})
        aes_gcm, primary = 1, 0
        family.do(6, {1: ifindex("ovpn0"), 3: {
            1: genl.u32(1), 2: genl.u32(primary), 3: genl.u32(0),
            4: genl.u32(aes_gcm), 5: {1: mine[:16], 2: mine[16:]},
            6: {1: its[:16], 2: its[16:]}}})


def ovpn(a, b):
    # Nothing but its daemon loads it.
    subprocess.run(["modprobe", "ovpn"], check=True)
    keys = {end: secrets.token_bytes(24) for end in (a, b)}
    for end, other in both(a, b):
        ovpn_end(end, other, keys[end], keys[other])


class Mode:
    """since: the first kernel that has it."""

    def __init__(self, set_up, since=(6, 1), **options):
        self.set_up = functools.partial(set_up, **options)
        self.since = since

    def is_on(self, kernel):
        return tuple(map(int, kernel.split("."))) >= self.since


def meeting(from_end, to_end, encap):
    return Mode(esp, from_end=from_end, to_end=to_end, encap=encap)


MODES = {
    "plain": Mode(plain),
    "floor": Mode(plain),
    "macsec": Mode(macsec),
    "xfrm": Mode(xfrm),
    "xfrm-offload": Mode(xfrm_offload),
    "xfrm-udp": Mode(xfrm, encap="udp"),
    "ovpn": Mode(ovpn, since=(6, 16)),
    "wireguard": Mode(wireguard),
    "bhsec": Mode(bhsec),
    "bhsec-heard": Mode(bhsec_heard),
    "bhsec-ike": Mode(bhsec_ike),
    "bhsec-ike-list": Mode(bhsec_ike_list),
    "bhsec-esp": Mode(bhsec, encap="esp"),
    "bhsec-ike-esp": Mode(bhsec_ike, encap="esp"),
    "bhsec>xfrm": meeting(bhsec_end, xfrm_end, "udp"),
    "xfrm>bhsec": meeting(xfrm_end, bhsec_end, "udp"),
    "bhsec>xfrm-esp": meeting(bhsec_end, xfrm_end, "esp"),
    "xfrm>bhsec-esp": meeting(xfrm_end, bhsec_end, "esp"),
    "xfrm-aes256": Mode(xfrm, cipher="aes256"),
    "bhsec-aes256": Mode(bhsec, cipher="aes256"),
    "xfrm-chacha": Mode(xfrm, cipher="chacha"),
    "bhsec-chacha": Mode(bhsec, cipher="chacha"),
}
