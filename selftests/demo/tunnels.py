# SPDX-License-Identifier: GPL-2.0
"""The sites, the operator's network between them, and the tunnels over it."""

import os
import shutil
import subprocess

from programs import RUN, inside, run

DRAWING = """\
                                .----------.
 bs1 10.0.0.11 -- 203.0.113.1 --| operator |-- 192.0.2.1 ------.
                                |  network |-- 2001:db8:1::1 --+-- ctl  10.0.0.1
 bs2 10.0.0.12 -- 2001:db8:2::1-|   (net)  |-- 198.51.100.1 ------ core 10.0.0.2
                                '----------'
 bs1-ctl, bs1-core: ESP in UDP over IPv4. bs2-ctl: over IPv6. ctl-core: raw ESP"""

# The underlay address that a site's router has is the last of the subnet.
UNDERLAY = {
    "ctl": ["192.0.2.1/24", "2001:db8:1::1/64"],
    "core": ["198.51.100.1/24"],
    "bs1": ["203.0.113.1/24"],
    "bs2": ["2001:db8:2::1/64"],
}
TUNNEL = {"ctl": "10.0.0.1", "core": "10.0.0.2",
          "bs1": "10.0.0.11", "bs2": "10.0.0.12"}
NUMBER = {"ctl": 1, "core": 2, "bs1": 3, "bs2": 4}
# Pairs of sites with the addresses of their ends.
PAIRS = [
    ("ctl", "core", "192.0.2.1", "198.51.100.1"),
    ("ctl", "bs1", "192.0.2.1", "203.0.113.1"),
    ("core", "bs1", "198.51.100.1", "203.0.113.1"),
    ("ctl", "bs2", "2001:db8:1::1", "2001:db8:2::1"),
]
RAW = {"ctl", "core"}                   # the one pair without UDP
CIPHER = {"bs2": "chacha20-poly1305"}   # the others: aes-gcm-256


def spi(source, target, generation=1):
    """Readable: 0x3102 goes from site 3 to site 1, their second."""
    return f"{NUMBER[source]:#x}{NUMBER[target]:x}{generation:02x}"


def cipher(*sites):
    return next((CIPHER[site] for site in sites if site in CIPHER),
                "aes-gcm-256")


def key_file(source, target, generation=1):
    return f"{source}-{target}.{generation}"


def show(netns, command):
    print(f"{netns}# {command}", flush=True)


def command(netns, line):
    """One command of the tool, shown as typed."""
    show(netns, f"bhsec {line}")
    return run(netns, "bhsec", *line.split())


def batch(netns, lines):
    """Many commands of the tool in one process, shown as typed."""
    show(netns, "bhsec -batch - <<.")
    print("\n".join(f"  {line}" for line in lines), flush=True)
    run(netns, "bhsec", "-batch", "-", stdin="\n".join(lines) + "\n")


def genkey(source, target, generation=1):
    """Every direction has its own key; root alone reads it."""
    path = f"{RUN}/{key_file(source, target, generation)}"
    with open(path, "w", opener=lambda name, flags:
              os.open(name, flags, mode=0o600)) as key:
        key.write(run(source, "bhsec", "genkey", cipher(source, target)))


def sa(here, there, direction, generation=1):
    """The words that follow `sa add` on one side of a tunnel."""
    ends = (there, here) if direction == "in" else (here, there)
    return (f"bh0 {there} {direction} spi {spi(*ends, generation)} "
            f"cipher {cipher(*ends)} key-file {key_file(*ends, generation)}")


def ip_batch(lines, *options):
    subprocess.run(["ip", *options, "-batch", "-"], check=True, text=True,
                   input="\n".join(lines) + "\n")


def router(address):
    """The other end of a site's cable: 192.0.2.254, 2001:db8:1::fe."""
    start, length = address.split("/")
    return f"{start[:-1]}{'fe' if ':' in start else '254'}", length


def address(own, device):
    """Usable at once: IPv6 would look for duplicates first."""
    return f"address add {own} dev {device}{' nodad' if ':' in own else ''}"


def make_underlay():
    """One router with a cable to each site. The sites have no link-local
    addresses: nothing but the tunnels speaks on the cables, and what finds
    the neighbours. No cable carries several datagrams in one packet."""
    os.makedirs(RUN, exist_ok=True)
    ip_batch(["netns add net", *(f"netns add {site}" for site in UNDERLAY)])
    lines = []
    for site, own in UNDERLAY.items():
        lines += [f"link add {site} type veth peer name eth0 netns {site}",
                  f"link set {site} up"]
        lines += [address("/".join(router(a)), site) for a in own]
    ip_batch(lines, "-n", "net")
    for site, own in UNDERLAY.items():
        ip_batch(["link set lo up", "link set eth0 addrgenmode none",
                  "link set eth0 gso_max_segs 1 up",
                  *(address(a, "eth0") for a in own),
                  *(f"route add default via {router(a)[0]}" for a in own)],
                 "-n", site)
    with inside("net"):
        for knob in "ipv4/ip_forward", "ipv6/conf/all/forwarding":
            with open(f"/proc/sys/net/{knob}", "w") as value:
                value.write("1")


def make_device(site):
    lines = ["link add bh0 type bhsec",
             f"address add {TUNNEL[site]}/24 dev bh0", "link set bh0 up"]
    show(site, "; ".join(f"ip {line}" for line in lines))
    ip_batch(lines, "-n", site)


def peers(site):
    for one, other, its, others in PAIRS:
        if site == one:
            yield other, others
        elif site == other:
            yield one, its


def configure():
    show("all", "bhsec genkey CIPHER >FROM-TO.1     "
         "(a key for each direction of each tunnel)")
    for one, other, *_ in PAIRS:
        genkey(one, other)
        genkey(other, one)
    for site in UNDERLAY:
        make_device(site)
        lines = []
        for peer, endpoint in peers(site):
            encap = " encap esp" if RAW == {site, peer} else ""
            lines += [f"peer add bh0 {peer} endpoint {endpoint}{encap} "
                      f"selectors {TUNNEL[peer]}/32",
                      "sa add " + sa(site, peer, "in"),
                      "sa add " + sa(site, peer, "out")]
        batch(site, lines)


def draw():
    print(DRAWING, flush=True)


def remove_devices():
    show("all", "ip link del bh0")
    for site in UNDERLAY:
        ip_batch(["link del bh0"], "-n", site)


def hide(site):
    """A NAT between the site and the network."""
    own = UNDERLAY[site][0].partition("/")[0]
    run("net", "nft", "add table ip nat; add chain ip nat post "
        "{ type nat hook postrouting priority srcnat; }; add rule ip nat post "
        f"ip saddr {own} masquerade")


def remove():
    ip_batch([f"netns delete {name}" for name in os.listdir("/run/netns")
              if name in {*UNDERLAY, "net"}])
    shutil.rmtree(RUN, ignore_errors=True)
