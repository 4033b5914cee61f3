#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""Ways to key a base station beside the plain one: on demand, anew by volume,
with a post-quantum preshared key (RFC 8784) and with ML-KEM beside X25519
(RFC 9370)."""

from libsites import *
from libstream import *

SIZES = 0, 100, 1300
OWN4, OWN6 = "10.9.0.9/32", "fd09::9/128"
PPK = secrets.token_hex(32)
# The hard ones are far above. 5.9 takes a random part off that may leave none.
VOLUMES = {
    "packets": "rekey_packets = 300\nlife_packets = 3000\nrand_packets = 10",
    "bytes": "rekey_bytes = 40000\nlife_bytes = 400000\nrand_bytes = 1000",
    "time": "rekey_time = 3s\nlife_time = 10m\nrand_time = 1s"}

ca = Authority("operator")


def site(name, **options):
    """A controller and one station, both with bhsec."""
    child = options.pop("child", "")
    more = options.pop("more", "")
    controller = Controller(f"c{name}", ca, more=more)
    station = Station(name, controller, ca.certify(f"{name}.example"), "bhsec",
                      more=more, child=child, **options)
    serve(controller, station)
    return controller, station


def joins(pair, version):
    start(version, *pair)
    pair[1].join()
    talk(pair[1], SIZES)


# On demand

def asked(pair, version):
    """The first packet asks, and the next ones pass."""
    controller, station = pair
    start(version, *pair)
    station.inner4, station.inner6 = (own.partition("/")[0]
                                      for own in (OWN4, OWN6))
    station.ns.ip(f"addr add {OWN4} dev bh0\naddr add {OWN6} dev bh0 nodad\n")
    station.route()
    station.daemon.ask("install", {"child": station.name})
    peer, = wait_for(lambda: station.ns.nl.dump("peer-get", ifname="bh0"))
    before = station.ns.stats("bh0", peer["name"])
    with station.ns.socket(socket.AF_INET, socket.SOCK_DGRAM,
                           keep=False) as sock:
        sock.bind((station.inner4, 0))
        sock.sendto(b"who asks", (controller.inner4, 7007))
    check_equal(difference(before, station.ns.stats("bh0", peer["name"])),
                {"no_key": 1}, "counters")
    wait_for(lambda: len(station.ns.nl.dump("sa-get", ifname="bh0")) == 2)
    wait_for(lambda: len(controller.ns.nl.dump("sa-get", ifname="bh0")) == 2)
    talk(pair[1], SIZES)
    check_equal(len(station.daemon.children()), 1, "CHILD_SAs")
    end(*pair)


# By class

def told_apart(pair, version):
    """Two CHILD_SAs with the same selectors: one has its class by its mark, at
    the end that gave it one, and each goes its own way through a rekey."""
    controller, station = pair
    joins(pair, version)
    station.daemon.initiate(VOICE, ike=station.name)

    def classes():
        return {tuple(sa["dscp"]) for peer in station.ns.device("bh0")["peers"]
                for sa in peer["sas"] if sa["direction"] == "out"}
    wanted = {(EF,), tuple(n for n in range(64) if n != EF)}
    wait_for(lambda: classes() == wanted, what=lambda: f"{classes()}")
    check_equal(len(station.ns.device("bh0")["peers"]), 1, "peers")
    talk(station, SIZES)
    for child in VOICE, station.name:
        station.daemon.rekey(child=child)
        wait_for(lambda: classes() == wanted, what=lambda: f"{classes()}")
        talk(station, SIZES)
    end(*pair)


# Silence

def noticed(pair, version):
    """A station that has died says nothing more: the controller's daemon finds
    that out (RFC 7296 2.4), and nothing leads there any more."""
    controller, station = pair
    start(version, *pair, extra=IMPATIENT)
    station.join()
    talk(station, SIZES)
    station.daemon.kill()
    wait_for(lambda: not controller.ns.nl.dump("peer-get", ifname="bh0") or None)
    check_equal(refused(controller.ns, station.inner4, controller.inner4),
                errno.EHOSTUNREACH, "error at the sender")
    end(*pair)


# By volume

def newest(station):
    return max((int(child["uniqueid"])
                for child in station.daemon.children(station.name)), default=0)


def rekeyed_by(pair, version):
    controller, station = pair
    joins(pair, version)
    first = newest(station)
    flow = Flow(station.ns, controller.ns, station.inner4, controller.inner4)
    try:
        wait_for(lambda: newest(station) > first + 1, what="two rekeys")
        flow.drained()
        flow.stop()
    finally:
        flow.close()
    ksft.print_msg(f"{flow.sent} datagrams by {newest(station)} CHILD_SAs")
    talk(pair[1], SIZES)
    end(*pair)


# Against whoever keeps what is sent today

def with_ppk(pair, version):
    joins(pair, version)
    for one in pair:
        sa, = one.daemon.sas()
        check_equal(sa.get("ppk"), "yes", f"ppk, {one.ns.label}: {sa}")
    end(*pair)


def with_mlkem(pair, version):
    joins(pair, version)
    for one in pair:
        sa, = one.daemon.sas()
        check(any("ML_KEM_768" in str(value) for value in sa.values()), f"{sa}")
    station = pair[1]
    station.daemon.rekey(child=station.name)
    check(any("ML_KEM_768" in str(value) for value in station.child().values()),
          f"{station.child()}")
    talk(pair[1], SIZES)
    end(*pair)


VOICE, EF = "voice", 46
IMPATIENT = "retransmit_tries = 1\nretransmit_timeout = 1\n"
# As the guide quantum.md has it.
MLKEM = {"proposals": "aes256gcm16-prfsha384-x25519-ke1_mlkem768",
         "esp_proposals": "aes256gcm16-x25519-ke1_mlkem768-esn"}
NEWEST = versions()[-1:]
demand = site("demand")
volume = {what: site(f"by{what}", child=child)
          for what, child in VOLUMES.items()}
ppk = site("ppk", more="ppk_id = station-key\nppk_required = yes")
mlkem = site("mlkem")
silent = site("silent")
silent[0].text = silent[0].text.replace("pools =", "dpd_delay = 1s\npools =")
classes = site("classes")
# a second child beside the first, with a mark
child = re.search(r"children \{ classes (\{.*?\})", classes[1].text, re.S)[1]
marked = child.replace("if_id_in", f"set_mark_out = {EF}\nif_id_in")
classes[1].text = classes[1].text.replace(child, f"{child}\n{VOICE} {marked}")
for one in ppk:
    one.text += (f"secrets {{ ppk-1 {{\n id-1 = station-key\n"
                 f" secret = 0x{PPK}\n }} }}\n")
for one in mlkem:
    one.text = with_values(one.text, **MLKEM)
# A trap has no address from a pool: it is there before any daemon is asked.
demand[0].text = demand[0].text.replace("pools = inner4,inner6\n", "").replace(
    "local_ts =", f"remote_ts = {OWN4},{OWN6}\nlocal_ts =")
demand[1].text = demand[1].text.replace("vips = 0.0.0.0,::\n", "").replace(
    "remote_ts =", f"local_ts = {OWN4},{OWN6}\nremote_ts =")

for version in versions():
    add_case(f"strongSwan {version}: the first packet asks for an SA", asked,
             demand, version)
    add_case(f"strongSwan {version}: two classes, a CHILD_SA for each",
             told_apart, classes, version)
    add_case(f"strongSwan {version}: a station that is silent is let go",
             noticed, silent, version)
    for what, pair in volume.items():
        add_case(f"strongSwan {version}: anew by {what}, nothing is lost",
                 rekeyed_by, pair, version)
    add_case(f"strongSwan {version}: with a PPK", with_ppk, ppk, version)
for version in NEWEST:
    if os.environ.get("BHSEC_KERNEL") == "7.2":
        add_case(f"strongSwan {version}: ML-KEM-768 beside X25519", with_mlkem,
                 mlkem, version)

if not versions():
    sys.exit(4)     # kselftest's word for skipped
main()
