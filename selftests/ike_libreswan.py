#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""Another IKE daemon than strongSwan: Libreswan, which keeps an xfrm interface
of the if_id. What comes in is bhsec's, what goes out is by its route; the far
end is strongSwan with the kernel's own IPsec."""

import contextlib

from libpluto import *
from libstream import *

IF_ID = 42
XFRM = f"ipsec{IF_ID}"      # Libreswan's
SIZES = 0, 1, 100, 1300
NEAR, FAR = "10.1.0.1", "10.2.0.1"
NEAR_NET, FAR_NET = "10.1.0.0/24", "10.2.0.0/24"
SECRET = secrets.token_hex(16)
STRONGSWAN = """
connections {{ near {{
    version = 2
    remote_addrs = {gateway}
    proposals = aes128gcm16-prfsha256-ecp256
    local {{ auth = psk
        id = far.example }}
    remote {{ auth = psk
        id = near.example }}
    children {{ near {{
        local_ts = {FAR_NET}
        remote_ts = {NEAR_NET}
        esp_proposals = aes128gcm16-ecp256
        if_id_in = {IF_ID}
        if_id_out = {IF_ID}
    }} }}
}} }}
secrets {{ ike-1 {{ id-1 = near.example
    secret = {SECRET} }} }}
"""

a, b = Ns("near"), Ns("far")
link = veth(a, b)


def start():
    global near, far
    a.ip("link add bh0 type bhsec\nlink set bh0 up\n"
         f"addr add {NEAR}/32 dev bh0\nroute add {FAR_NET} dev bh0\n")
    b.ip(f"link add ipsec0 type xfrm dev {link.if_b} if_id {IF_ID}\n"
         f"link set ipsec0 up\naddr add {FAR}/32 dev ipsec0\n"
         f"route add {NEAR_NET} dev ipsec0\n")
    far = Daemon(b)
    near = Pluto(a, "near.example", SECRET)
    for encap in "udp", "esp":
        near.load(encap, left=link.a4, right=link.b4,
                  leftid="@near.example", rightid="@far.example",
                  authby="secret", leftsubnet=NEAR_NET, rightsubnet=FAR_NET,
                  encapsulation="yes" if encap == "udp" else "no",
                  ike="aes_gcm128-sha2_256;dh19", esp="aes_gcm128;dh19",
                  ipsec_interface=IF_ID, leftupdown="%disabled", auto="add")
    far.load(STRONGSWAN.format(gateway=link.a4, **globals()))
    for ns, address in (a, NEAR), (b, FAR):
        udp_echo(ns, address)


def bound():
    said = a.cli("set", "bh0", "if-id", IF_ID, check=False)
    check("an xfrm interface has this if-id: say shared" in said.stderr,
          f"{said}")
    a.cli("set", "bh0", "if-id", IF_ID, "shared")


def spis():
    """As the far end's daemon tells, in our directions."""
    return {way: int(child[name], 16) for child in far.children()
            if child["state"] == "INSTALLED"
            for way, name in (("in", "spi-out"), ("out", "spi-in"))}


def adopted():
    """The peer, once it has these SAs and no other."""
    def seen():
        for peer in a.device("bh0")["peers"]:
            sas = {sa["direction"]: int(str(sa["spi"]), 0) for sa in peer["sas"]}
            if len(peer["sas"]) == 2 and sas == spis():
                return peer
        return None
    return wait_for(seen, what=lambda: f"{spis()}")


def shown(encap):
    near.initiate(encap)
    peer = adopted()
    check_equal((peer["origin"], peer["encap"]), ("ike", encap), "peer")
    check_equal(peer["name"], f"ike-{peer['reqid']}", "name")
    check_equal(peer["endpoint"],
                link.b4 + (":4500" if encap == "udp" else ""), "endpoint")
    check_equal((peer["selectors"], peer["local_selectors"]),
                ([FAR_NET], [NEAR_NET]), "selectors")
    check_equal(peer["problems"], [], "problems")
    out, = (sa for sa in peer["sas"] if sa["direction"] == "out")
    # It marks what it sends with the if_id, which means no class.
    check_equal(len(out["dscp"]), 64, "DSCPs")


def passed_by():
    """What the xfrm interface has sent and received."""
    link, = json.loads(a.run(f"ip -j -s link show dev {XFRM}").stdout)
    return {way: link["stats64"][way]["packets"] for way in ("rx", "tx")}


def talk():
    name = adopted()["name"]
    before, beside = a.stats("bh0", name), passed_by()
    udp_exchange(a, FAR, SIZES, NEAR)
    udp_exchange(b, NEAR, SIZES, FAR)
    moved = difference(before, a.stats("bh0", name))
    check_equal({name: count for name, count in moved.items()
                 if not name.endswith("_bytes")},
                dict.fromkeys(("rx_packets", "tx_packets"), 2 * len(SIZES)),
                "counters")
    check_equal(passed_by(), beside, f"packets of {XFRM}")


def renewed(rekey):
    before = spis()
    rekey()
    wait_for(lambda: not set(before.values()) & set(spis().values()),
             what=lambda: f"{spis()} instead of {before}")
    adopted()


@contextlib.contextmanager
def streams(*flows):
    """All of it has arrived when they end, and nothing by the interface."""
    beside = passed_by()
    with all_arrives(*flows):
        yield
    check_equal(passed_by(), beside, f"packets of {XFRM}")


def to_us(port):
    return Flow(b, a, FAR, NEAR, over_xfrm=True, port=port)


def rekeyed(encap):
    """By the one, then by the other: where Libreswan answers, it sends by the
    new SA at once, and the far end may not have it yet."""
    with streams(Flow(a, b, NEAR, FAR), to_us(FLOW_PORT + 1)):
        renewed(lambda: near.rekey(encap))
    with streams(to_us(FLOW_PORT)):
        renewed(lambda: far.rekey(child="near"))
    talk()


def ended(encap):
    """Nothing leaves any more, in clear least of all."""
    near.terminate(encap)
    wait_for(lambda: not a.device("bh0")["peers"], what="no peer")
    capture = Capture(a, link.if_a, outgoing=True)
    check_equal(refused(a, FAR, NEAR), errno.EHOSTUNREACH,
                "error at the sender")
    check(not any(b"never" in frame for frame in capture.stop()), "in clear")


if not os.path.isdir(ROOT):
    sys.exit(4)     # kselftest's word for skipped
add_case("both daemons start", start)
add_case("Libreswan has an interface of the if_id: shared, or refused", bound)
for encap, words in ("udp", "ESP in UDP"), ("esp", "raw ESP"):
    add_case(f"{words}: bhsec shows what Libreswan has agreed on", shown, encap)
    add_case(f"{words}: both ways, nothing by the other interface", talk)
    add_case(f"{words}: rekeyed by each end under traffic, nothing is lost",
             rekeyed, encap)
    add_case(f"{words}: terminated, and closed", ended, encap)
main()
