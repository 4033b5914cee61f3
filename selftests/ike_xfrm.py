#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""strongSwan with the kernel's own IPsec at both ends, through interfaces of an
if_id: what the tests of IKE stand on. Each release that this kernel is tried
with: raw ESP and ESP in UDP, addresses of a pool, a revoked certificate, one
of another authority."""

from libike import *

IF_ID = 42
DEV = f"xfrm{IF_ID}"
GATEWAY = "10.8.0.1"
SIZES = 0, 1, 100, 1300

ca, other_ca = Authority("operator"), Authority("somebody else")
stations = {"raw": ca.certify("raw.example"), "udp": ca.certify("udp.example"),
            "revoked": ca.certify("revoked.example"),
            "foreign": other_ca.certify("foreign.example")}
ca.revoke(stations["revoked"])
gateway_identity = ca.certify("gw.example")


def gateway_conf(address):
    return f"""
connections {{ stations {{
    version = 2
    local_addrs = {address}
    proposals = aes128gcm16-prfsha256-ecp256
    pools = inner
    local {{ auth = pubkey
        id = gw.example }}
    remote {{ auth = pubkey }}
    children {{ data {{
        local_ts = 10.8.0.0/24
        esp_proposals = aes128gcm16-x25519
        if_id_in = {IF_ID}
        if_id_out = {IF_ID}
    }} }}
}} }}
pools {{ inner {{ addrs = 10.9.0.0/24 }} }}
"""


def station_conf(name, address):
    return f"""
connections {{ {name} {{
    version = 2
    remote_addrs = {address}
    proposals = aes128gcm16-prfsha256-ecp256
    encap = {"yes" if name == "udp" else "no"}
    vips = 0.0.0.0
    local {{ auth = pubkey
        id = {name}.example }}
    remote {{ auth = pubkey
        id = gw.example }}
    children {{ {name} {{
        remote_ts = 10.8.0.0/24
        esp_proposals = aes128gcm16-x25519
        if_id_in = {IF_ID}
        if_id_out = {IF_ID}
    }} }}
}} }}
"""


class Pair:
    """A gateway and a station that is whoever it says it is."""

    def __init__(self, version):
        a, b = self.a, self.b = Ns("gw"), Ns("bs")
        self.link = veth(a, b)
        for ns, dev, more in (
                (a, self.link.if_a, f"addr add {GATEWAY}/32 dev {DEV}\n"
                                    f"route add 10.9.0.0/24 dev {DEV}\n"),
                (b, self.link.if_b, "")):
            ns.ip(f"link add {DEV} type xfrm dev {dev} if_id {IF_ID}\n"
                  f"link set {DEV} up\n" + more)
        udp_echo(a, "0.0.0.0")
        self.gateway = Daemon(a, version)
        self.station = Daemon(b, version, f"install_virtual_ip_on = {DEV}")
        self.gateway.trust(ca)
        self.gateway.identity(gateway_identity)
        self.gateway.load(gateway_conf(self.link.a4))
        self.station.trust(ca)
        for name, identity in stations.items():
            self.station.identity(identity)
            self.station.load(station_conf(name, self.link.a4))

    def talks(self, name, encap):
        self.station.initiate(name)
        # Now, for a route goes with the last address of its device.
        self.b.ip(f"route add 10.8.0.0/24 dev {DEV}\n")
        child, = self.station.children(name)
        check_equal(child["state"], "INSTALLED", "state")
        check_equal(child.get("encap", "no"), encap, "UDP encapsulation")
        capture = Capture(self.b, self.link.if_b, outgoing=True)
        udp_exchange(self.b, GATEWAY, SIZES)
        spi = bytes.fromhex(child["spi-out"])
        seen = sum(spi in frame[:80] for frame in capture.stop())
        check(seen >= len(SIZES), f"{seen} packets of {spi.hex()}")
        self.station.rekey(child=name)
        udp_exchange(self.b, GATEWAY, SIZES)
        self.station.terminate(ike=name)
        check_equal(self.gateway.sas(), [], "the gateway's SAs")

    def gets_nothing(self, name):
        try:
            self.station.initiate(name)
        except Failure as refusal:
            ksft.print_msg(str(refusal))
        check_equal(self.station.sas() + self.gateway.sas(), [], "SAs")
        check_equal(self.a.run("ip xfrm state; ip xfrm policy").stdout
                    .count(f"if_id {IF_ID:#x}"), 0, "states and policies")


def start(version):
    global pair
    pair = Pair(version)


for version in versions():
    name = f"strongSwan {version}"
    add_case(f"{name} starts", start, version)
    for encap, words in (("raw", "raw ESP"), ("udp", "ESP in UDP")):
        add_case(f"{name}: {words} carries traffic, also after a rekey",
                 lambda e=encap: pair.talks(e, "yes" if e == "udp" else "no"))
    for who, words in (("revoked", "a revoked certificate"),
                       ("foreign", "a certificate of another authority")):
        add_case(f"{name}: {words} gets nothing",
                 lambda w=who: pair.gets_nothing(w))

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
