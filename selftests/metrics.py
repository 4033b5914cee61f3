#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""What bhsec prints for Prometheus: its form, and that it says what show does."""

from libmetrics import *
from libnetlink import SETS

NOBODY = 65534
a, b = Ns("a"), Ns("b")
link = veth(a, b)
t = tunnel_bhsec(a, b, link)
udp_echo(b, t.b_inner4)
OWN = {"device": "bh0", "peer": t.peer}


def talk():
    udp_exchange(a, t.b_inner4, [100] * 3, t.a_inner4)


def send_to(ns, address, data, port=ESP_PORT):
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM, keep=False) as sock:
        sock.sendto(data, (address, port))


def own(name, **labels):
    """A sample of the tunnel's peer now."""
    return sample(scrape(a), f"bhsec_peer_{name}", **OWN, **labels)


@case("no device, no sample, but all metrics")
def _():
    metrics = scrape(Ns("none"))
    check({"bhsec_device_up", "bhsec_peer_up"} <= metrics.keys(), metrics)
    check(not any(metric.samples for metric in metrics.values()), metrics)


@case("promtool finds nothing to complain of, whatever a device is called")
def _():
    names = {'q"uote', "back\\slash", "ümlaut", "bell\a", "€uro"}
    broken = [b"\xff\xfe", b"\xe2\x82", b"\xed\xaf\x80x", b"\xc0\xaf"]
    odd = Ns("odd")
    for name in [*names, *broken]:
        odd.run(["ip", "link", "add", name, "type", "bhsec"])
    text = odd.run(["bhsec", "show", "--openmetrics"], text=False).stdout
    said = by(take_apart(text.decode()), "bhsec_device_up", "device")
    check_equal(said.keys(), names | {
        r"\xff\xfe", r"\xe2\x82", r"\xed\xaf\x80x", r"\xc0\xaf"}, "devices")
    check_equal(promtool("check", "metrics", input=text.decode()), "", "said")


@case("each metric has a help and a type, a unit if its name has one")
def _():
    for name, metric in scrape(a).items():
        said = metric.said
        check(name.startswith("bhsec_") and said["HELP"].endswith("."), said)
        check_equal(said["TYPE"], "counter" if name.endswith("_total")
                    else "gauge", f"type of {name}")
        unit = said.get("UNIT")
        check_equal(unit is None, name.endswith(("_up", "_configured")),
                    f"no unit of {name}")
        check(not unit or re.search(rf"_{unit}(_total)?$", name), name)
        check(metric.samples, f"no sample of {name}")


@case("a peer is up when it was heard, and there before")
def _():
    check_equal((own("configured"), own("up")), (1, 0), "not yet heard")
    for end in "received", "sent":
        check_equal(own(f"last_{end}_timestamp_seconds"), 0, end)
    talk()
    check_equal((own("configured"), own("up")), (1, 1), "heard")


def check_now(what, begun, when):
    """Neither clock has more than seconds, and they tick at other moments."""
    check(begun - 2 <= when <= time.time() + 1, f"{what}: {when - begun} s off")


@case("when a packet came and went, and a key was added")
def _():
    begun = time.time()
    talk()
    t.rekey()
    for name in "last_received", "last_sent":
        check_now(name, begun, own(f"{name}_timestamp_seconds"))
    for direction in "in", "out":
        check_now(direction, begun,
                  own("key_added_timestamp_seconds", direction=direction))


def drop_some():
    """For a peer, its device and the underlay."""
    a.ip("route add 10.99.0.0/24 dev bh0\n")
    try:
        send_to(a, "10.99.0.1", b"nobody's")
    except OSError:
        pass    # its sender is told
    for spi in t.spi_in, new_spi():
        send_to(b, link.a4, struct.pack("!II", spi, 1 << 20) + bytes(60))
    wait_for(lambda: t.stats()["auth"] and a.no_sa("bh0"), what="drops")


def check_peer(metrics, peer):
    labels = {"device": "bh0", "peer": peer["name"]}
    told = {name: sample(metrics, f"bhsec_peer_{name}_total", **labels)
            for name in peer["stats"] if name[:3] in ("rx_", "tx_")}
    told |= by(metrics, "bhsec_peer_dropped_packets_total", "cause", **labels)
    # those two are never a peer's
    check_equal(told | {"no_sa": 0, "no_peer": 0}, peer["stats"], "counters")
    check_equal(by(metrics, "bhsec_peer_icmp_errors_total", "kind", **labels),
                peer["icmp"], "ICMP errors")
    check_equal(sample(metrics, "bhsec_peer_mtu_bytes", **labels), peer["mtu"],
                "MTU")


@case("what was counted is what JSON says, for all devices, one, and one peer")
def _():
    drop_some()
    a.bhsec("peer add bh0 idle selectors 10.77.0.0/24\n")
    for words in [], ["bh0"], ["bh0", "peer", t.peer]:
        metrics = scrape(a, *words)
        device, = json.loads(a.cli("show", *words, "-j").stdout)
        check_equal(by(metrics, "bhsec_peer_configured", "peer"),
                    {peer["name"]: 1 for peer in device["peers"]}, "peers")
        for peer in device["peers"]:
            check_peer(metrics, peer)
        dropped = by(metrics, "bhsec_device_dropped_packets_total", "cause")
        check_equal({"no_sa": 0} | dropped, {
            name: count for name, count in device["stats"].items()
            if name[:3] not in ("rx_", "tx_")}, "of a device")
        check_equal(dropped["no_peer"], 1, "what nobody owns")
        check_equal(by(metrics, "bhsec_underlay_dropped_packets_total", "cause"),
                    {"no_sa": device["no_sa"]}, "of the underlay")
        check_equal(sample(metrics, "bhsec_device_peers", device="bh0"), 2,
                    "number of peers")
    a.bhsec("peer del bh0 idle\n")


@case("the specification, the header, tool, man page and metrics have the same "
      "causes")
def _():
    names = [name.replace("-", "_") for name in SETS["stats"]]
    causes = names[names.index("no_sa"):]
    check_equal(causes, DROPS, "causes of the specification and of these tests")
    with open(f"{SOURCE['kmod']}/uapi/bhsec.h", encoding="ascii") as header:
        numbers = re.findall(r"^\tBHSEC_A_STATS_(\w+),", header.read(), re.M)
    check_equal([name.lower() for name in numbers], names[1:], "of the header")
    check_equal([name for name in a.device("bh0")["stats"]
                 if name[:3] not in ("rx_", "tx_")], causes, "of the tool")
    with open(f"{SOURCE['userspace']}/bhsec.8", encoding="utf-8") as page:
        told = page.read().partition("dropped packets by cause:")[2]
    items = re.findall(r"^\.It (\w+)$", told.partition(".El")[0], re.M)
    check_equal(items, causes, "of the man page")
    metrics = scrape(a)
    for level in "device", "peer", "underlay":
        found = by(metrics, f"bhsec_{level}_dropped_packets_total", "cause")
        check_equal(list(found), {
            "device": causes[1:], "underlay": ["no_sa"],
            "peer": [name for name in causes[1:] if name != "no_peer"]}[level],
            f"of a {level}'s metric")


@case("the man page has each metric")
def _():
    with open(f"{SOURCE['userspace']}/bhsec.8", encoding="utf-8") as page:
        told = set(re.findall(r"(?<!:)\bbhsec_\w+", page.read()))
    check_equal(told, set(scrape(a)), "metrics")


@case("it needs no privilege, and nothing is withheld")
def _():
    text = a.cli("show", "--openmetrics").stdout
    told = a.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                  "--clear-groups", "--bounding-set=-all", "--no-new-privs",
                  "bhsec", "show", "--openmetrics"])
    check_equal(told.stderr, "", "remarks")
    timeless = [re.sub(r"(_timestamp_seconds\{.*) \d+", r"\1", one)
                for one in (text, told.stdout)]
    check_equal(timeless[1].splitlines(), timeless[0].splitlines(), "metrics")
    for secret in (f"{t.spi_in:x}", str(t.spi_out), t.b_outer, t.key_in.hex()):
        check(secret not in text, f"{secret} in metrics")


def check_down(what, break_it, mend_it):
    break_it()
    check_equal((own("configured"), own("up")), (1, 0), what)
    mend_it()
    check_equal(own("up"), 1, f"after: {what}")


@case("a peer is down that lacks a key, an inner address or a path, or whose "
      "device is down")
def _():
    talk()
    for direction, sa in ("in", t.in_), ("out", t.out):
        check_down(f"no key {direction}",
                   lambda: a.bhsec(f"sa del bh0 {t.peer} {direction} "
                                   f"spi {sa.spi}\n"),
                   lambda: a.bhsec(Sa().bhsec("bh0", t.peer, direction)))
    check_down("no inner address",
               lambda: a.bhsec(f"peer set bh0 {t.peer} selectors none\n"),
               lambda: a.bhsec(f"peer set bh0 {t.peer} selectors {t.b_net4}\n"))
    check_down("no path", lambda: a.ip(f"link set {link.if_a} down\n"),
               lambda: a.ip(f"link set {link.if_a} up\n"))
    check_down("device down", lambda: a.ip("link set bh0 down\n"),
               lambda: a.ip("link set bh0 up\n"))


@case("of what has gone no key is told")
def _():
    before = own("key_added_timestamp_seconds", direction="out")
    check(before, "no key")
    spi, = (sa["spi"] for sa in a.peer("bh0", t.peer)["sas"]
            if sa["direction"] == "out")
    a.bhsec(f"sa del bh0 {t.peer} out spi {spi}\n")
    check_equal(own("key_added_timestamp_seconds", direction="out"), 0, "key")
    check(own("key_added_timestamp_seconds", direction="in"), "the other's")


@case("a device says whether it is up")
def _():
    for word, value in ("down", 0), ("up", 1):
        a.ip(f"link set bh0 {word}\n")
        check_equal(sample(scrape(a), "bhsec_device_up", device="bh0"), value,
                    word)


@case("it goes with no other form, and what is refused has no metrics")
def _():
    for words in (["-j"], ["--stats"], ["--stats", "all"]):
        done = a.cli("show", "--openmetrics", *words, check=False)
        check_equal((done.returncode, done.stdout), (2, ""), words)
        check_equal(done.stderr.count("\n"), 1, "sentences")
    for words in ["none"], ["bh0", "peer", "none"]:
        done = a.cli("show", *words, "--openmetrics", check=False)
        check_equal((done.returncode, done.stdout), (1, ""), words)


main()
