#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Two machines that boot a Debian 12 with bhsec's packages: what systemctl enable
has said once brings the tunnel up at each boot, whoever lost power. The controller's
network is NetworkManager's, the base station's is systemd-networkd's."""

import sys

sys.path[:0] = [f"{sys.path[0]}/../deb"]

import json

from libcase import *
from libdeb import *
from libboot import *

CTL, BS = "192.0.2.1", "192.0.2.2"
INNER = "10.8.0.1"
IDENTITY = """
[Identity]
name = {name}.example
certificate = /etc/bhsec/{name}.crt
key = /etc/bhsec/{name}.key
"""
CONTROLLER = f"""
[Device]
address = {INNER}/24
if-id = 42
{IDENTITY.format(name="ctl")}
[Peer]
name = stations
endpoint = any
ca = /etc/bhsec/ca.crt
pool = 10.9.0.0/24
"""
STATION = f"""
[Device]
if-id = 42
{IDENTITY.format(name="bs1")}
[Peer]
name = ctl
endpoint = {CTL}
identity = ctl.example
ca = /etc/bhsec/ca.crt
networks = 10.8.0.0/24
vip = ipv4
"""
# Whoever is silent is given up in seconds.
CHARON = """charon {
    install_virtual_ip_on = lo
    retransmit_timeout = 1
    retransmit_tries = 3
}
"""
NETWORKD = f"""[Match]
Name=eth0

[Network]
Address={BS}/24
"""
NETWORK_MANAGER = f"""[connection]
id=wire
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1={CTL}/24
"""
LIMIT = 900
EXPOSED = 35                # by systemd-analyze, in tenths, at most
PING = f"ping -c 1 -W 1 -I $(ip -4 -o addr show lo | grep -o '10[.]9[.]0[.][0-9]*') {INNER}"

builder = builder("bookworm")
host = Debian(f"{work}/common")
tree = copy_of_tree("checkout")


def certify():
    """By a CA of its own, each machine; below work."""
    host.run(f"""cd {work}
        printf '[req]\ndistinguished_name = name\n[name]\n' >req.conf
        make() {{
            name=$1; shift
            openssl req -x509 -config req.conf -days 30 -subj /CN=$name -nodes \
                -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout $name.key \
                -out $name.crt "$@" 2>&1
        }}
        make ca -addext basicConstraints=critical,CA:true
        for name in ctl bs1; do
            make $name -CA ca.crt -CAkey ca.key \
                -addext subjectAltName=DNS:$name.example
        done""")


def read(path):
    with open(path) as file:
        return file.read()


def machine(name, peer, conf, more):
    files = {f"etc/bhsec/{file}": read(f"{work}/{file}")
             for file in ("ca.crt", f"{name}.crt", f"{name}.key")}
    return Machine(name, host.root, peer, files | more | {
        "etc/bhsec/bh0.conf": conf, "etc/strongswan.d/test.conf": CHARON})


def packets(machine):
    """(in, out) of what bhsec has carried on a machine."""
    shown = json.loads(machine.run("bhsec show -j --stats"))
    stats = shown[0]["peers"][0]["stats"]
    return stats["rx_packets"], stats["tx_packets"]


def passes():
    """Traffic, by the tunnel at both ends, within a time, with nothing typed."""
    wait_for(lambda: bs1.try_(PING)[0] == 0, LIMIT, lambda: "\n".join(
        bs1.try_("bhsec show; systemctl --failed; journalctl -b -u bhsec@bh0 -u "
                 "strongswan | tail -n 30")[1].splitlines()))
    for end in ctl, bs1:
        before = packets(end)
        bs1.run(PING)
        check_equal(packets(end), tuple(n + 1 for n in before), "packets")


def enable(end):
    end.run("systemctl enable --now bhsec@bh0")


@case("bhsec's packages are installed, and DKMS builds the module")
def _():
    builder.run(f"cd {tree}; make -s deb", f"SOURCE_DATE_EPOCH={SECONDS}")
    host.run(f"apt-get install -q -y --no-install-recommends "
             f"{tree}/dist/*.deb 2>&1")
    host.run("test -e /lib/modules/$(cat /release)/updates/dkms/bhsec.ko")


@case("the device is enabled on both machines: traffic passes")
def _():
    for end in ctl, bs1:
        end.plug_in()
    for end in ctl, bs1:
        enable(end)
    passes()


@case("its service may do little but change the network")
def _():
    ctl.run(f"systemd-analyze security --threshold={EXPOSED} bhsec@bh0")


@case("the base station's plug is pulled, and put in again")
def _():
    bs1.pull_plug()
    bs1.plug_in()
    passes()


@case("the controller's")
def _():
    ctl.pull_plug()
    ctl.plug_in()
    passes()


@case("both, and the base station is back long before the controller")
def _():
    for end in bs1, ctl:
        end.pull_plug()
    bs1.plug_in()
    wait_for(lambda: bs1.try_("systemctl is-active bhsec@bh0")[0] == 0, LIMIT,
             "the base station's device")
    ctl.plug_in()
    passes()


def reboot(end):
    # The answer comes before whoever gives it is stopped.
    end.run("systemd-run --on-active=1 systemctl reboot")
    end.ended()
    end.plug_in()


@case("the base station is rebooted in order")
def _():
    reboot(bs1)
    passes()


@case("the controller is")
def _():
    reboot(ctl)
    passes()


def settings(end):
    return end.run("ip -o addr show bh0; ip route show dev bh0")


@case("who manages the network leaves the device alone, started again too")
def _():
    for end, service in (ctl, "NetworkManager"), (bs1, "systemd-networkd"):
        before = settings(end)
        end.run(f"systemctl restart {service}")
        check_equal(settings(end), before, f"settings beside {service}")
    state = ctl.run("nmcli -g GENERAL.STATE device show bh0")
    check("unmanaged" in state or "externally" in state, state)
    state = bs1.run("networkctl list bh0 --no-legend")
    check_equal(state.split()[-1], "unmanaged", "networkd's state")
    passes()


@case("a mistake in the file: what is there stays, and the journal says which")
def _():
    bs1.run("echo 'mut = 1400' >>/etc/bhsec/bh0.conf")
    status, _ = bs1.try_("systemctl reload bhsec@bh0")
    check(status, "it was taken")
    said = bs1.run("journalctl -b -u bhsec@bh0 -o cat")
    check("bh0.conf:" in said and "mut" in said, said)
    passes()
    bs1.run("sed -i /^mut/d /etc/bhsec/bh0.conf; systemctl reload bhsec@bh0")


@case("stopped, nothing is left; started, all of it is back")
def _():
    ctl.run("systemctl stop bhsec@bh0")
    check_equal(ctl.try_("ip link show bh0")[0], 1, "the device is gone: status")
    check_equal(ctl.run("ls /etc/swanctl/conf.d /etc/swanctl/private").split(),
                ["/etc/swanctl/conf.d:", "/etc/swanctl/private:"], "left")
    ctl.run("systemctl start bhsec@bh0")
    bs1.run("systemctl restart bhsec@bh0")
    passes()


shell('need_host bookworm; cp -a --reflink=auto "$cache/deb/bookworm/host" "$1"\n'
      '(cd "$1/lib/modules" && echo *) >"$1/release"\n'
      '"$vm/initramfs" "$1" ext4 virtio_blk', host.root).check_returncode()
certify()
ctl = machine("ctl", "bs1", CONTROLLER, {
    "etc/NetworkManager/system-connections/wire.nmconnection": NETWORK_MANAGER})
bs1 = machine("bs1", "ctl", STATION, {"etc/systemd/network/wire.network": NETWORKD})
bs1.link("/dev/null", "etc/systemd/system/NetworkManager.service")
bs1.link("/lib/systemd/system/systemd-networkd.service",
         f"{WANTED}/systemd-networkd.service")
try:
    main_on_host()
finally:
    unplug_all()
