#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What root, an unprivileged user, and the root of a user namespace that was
given a device may read and write."""

import base64

from lib import *

NOBODY = 65534
a, b = Ns("a"), Ns("b")
link = veth(a, b)
t = tunnel_bhsec(a, b, link)
key_file = "/tmp/privileges.key"
with open(key_file, "w") as file:
    file.write(base64.b64encode(new_key("aes-gcm-256")).decode())
os.chmod(key_file, 0o644)

WRITES = [
    "set {dev} window 64", "set {dev} dscp 3", "set {dev} df copy",
    "set {dev} port 4600", "set {dev} dev any", "set {dev} fwmark 7",
    "set {dev} local 0.0.0.0", "set {dev} local ::",
    "set {dev} if-id 7", "set {dev} if-id 0",
    "peer add {dev} new", "peer add {dev} other endpoint 192.0.2.99",
    "peer set {dev} b selectors 10.99.0.0/16",
    "peer set {dev} b endpoint 192.0.2.99", "peer set {dev} b encap udp",
    "peer set {dev} b roam on", "peer set {dev} b entropy off",
    "peer set {dev} b keepalive 20",
    "peer del {dev} b",
    f"sa add {{dev}} b in spi 4660 cipher aes-gcm-256 key-file {key_file}",
    "sa del {dev} b in spi {spi}",
]
# Those that choose how outer packets travel need the underlay's privilege.
UNDERLAY = ("port", "dev any", "fwmark", "local ", "if-id", "endpoint", "encap",
            "roam", "entropy")


def words(line, **kw):
    return ["bhsec", *line.format(**kw).split()]


def without_times(peer):
    for one in peer, *peer["sas"]:
        for word in "age", "last_received", "last_sent":
            one.pop(word, None)


def state(ns):
    """All that a write could change."""
    devices = ns.show()
    for device in devices:
        for peer in device["peers"]:
            peer.pop("stats"), peer.pop("mtu")
            for sa in peer["sas"]:
                sa.pop("stats"), sa.pop("seq")
            without_times(peer)
        device.pop("stats"), device.pop("no_sa", None)
    return devices


def view(devices):
    """All that one sees, but for what moves by itself: of counters the names."""
    for device in devices:
        for one in device, *device["peers"]:
            one["stats"] = list(one["stats"])
        for peer in device["peers"]:
            without_times(peer)
            for sa in peer["sas"]:
                sa["stats"] = list(sa["stats"])
    return devices


def one_sentence(result, what):
    check_equal(result.returncode, 1, f"exit status of {what}")
    check_equal(len(result.stderr.splitlines()), 1, f"sentences of {what}")


def as_nobody(ns, command):
    return ns.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                   "--clear-groups", *command], check=False)


@case("anybody reads settings, peers, SAs and counters")
def _():
    result = as_nobody(a, ["bhsec", "show", "-j"])
    check_equal(result.returncode, 0, f"exit status ({result.stderr})")
    seen = view(json.loads(result.stdout))
    check(seen[0]["peers"][0]["sas"], "no SA is seen")
    check_equal(seen, view(a.show()), "what is seen, beside root's view")


@case("an unprivileged user changes nothing")
def _():
    before = state(a)
    for line in WRITES:
        result = as_nobody(a, words(line, dev=t.dev, spi=t.spi_in))
        one_sentence(result, line)
        check("CAP_NET_ADMIN" in result.stderr, f"{line}: {result.stderr}")
    check_equal(state(a), before, "state")


@case("an unprivileged user hears no events")
def _():
    one_sentence(as_nobody(a, ["bhsec", "monitor"]), "monitor")


class Container:
    """A user namespace with a netns of its own, as its root sees it."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--net", "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # it echoes only once the namespaces are there
        self.process.stdin.write(b"x")
        self.process.stdin.flush()
        self.process.stdout.read1(1)
        self.pid = self.process.pid

    def run(self, command):
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", "--user", "--net",
             "--preserve-credentials", *command], check=False,
            capture_output=True, text=True, timeout=60)

    def show(self):
        return json.loads(self.run(["bhsec", "show", "-j"]).stdout)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def in_container(function):
    """With a second device of a's underlay moved into a container."""
    a.ip("link add bh9 type bhsec\n")
    a.bhsec("peer add bh9 b endpoint 192.0.2.9 selectors 10.9.0.0/16\n"
            + Sa(spi=0x7777).bhsec("bh9", "b", "in"))
    container = Container()
    try:
        a.ip(f"link set bh9 netns {container.pid}\n")
        container.run(["ip", "link", "set", "bh9", "up"])
        function(container)
    finally:
        container.run(["ip", "link", "del", "bh9"])
        container.stop()


@case("a container's root keys and selects, but does not choose the outside")
def _():
    def test(container):
        for line in WRITES:
            if "del" in line:
                continue
            before = state(container)
            result = container.run(words(line, dev="bh9", spi=0x7777))
            if any(word in line for word in UNDERLAY):
                one_sentence(result, line)
                check("underlay" in result.stderr, f"{line}: {result.stderr}")
                check_equal(state(container), before, f"state after {line}")
            else:
                check_equal(result.returncode, 0, f"{line}: {result.stderr}")
        # Nor may a packet choose it instead.
        peer = next(p for p in container.show()[0]["peers"] if p["name"] == "new")
        check_equal(peer["roam"], False, "roam of a peer without endpoint")
        for line in ("sa del {dev} b in spi {spi}", "peer del {dev} b"):
            result = container.run(words(line, dev="bh9", spi=0x7777))
            check_equal(result.returncode, 0, f"{line}: {result.stderr}")
    in_container(test)


@case("a container's root does not see the underlay's own devices")
def _():
    def test(container):
        check_equal([d["device"] for d in container.show()], ["bh9"], "devices")
        one_sentence(container.run(["bhsec", "peer", "del", t.dev, t.peer]),
                     "peer del")
    in_container(test)
    check_equal(a.peer(t.dev, t.peer)["name"], t.peer, "the peer")


@case("the underlay's root does everything")
def _():
    for line in WRITES:
        if "port 4600" in line or "encap" in line:
            continue    # refused while there are SAs
        result = a.run(words(line, dev=t.dev, spi=t.spi_in), check=False)
        if line.startswith("sa del"):
            continue    # it went with its peer
        check_equal(result.returncode, 0, f"{line}: {result.stderr}")
        if line == "peer del {dev} b":
            a.bhsec(f"peer add {t.dev} b\n")


main()
