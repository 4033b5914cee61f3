#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: oldest newest
"""What root, an unprivileged user, and the root of a user namespace that was
given a device may read and write, and what they hear."""

import base64
import contextlib
import errno

from lib import *
from libnetlink import *

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


# What their inbound SAs take is the host's, or says where the host sends to.
REACH_OUT = {"raw": "encap esp endpoint 192.0.2.8",
             "rover": "roam on endpoint 192.0.2.8", "unknown": ""}


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


def without_proof(devices):
    """What nobody sees: what an ICMP error is believed by, and the underlay's."""
    for device in devices:
        device.pop("dev"), device.pop("fwmark")
        for peer in device["peers"]:
            peer.pop("endpoint")
            for sa in peer["sas"]:
                sa.pop("spi"), sa.pop("seq")
    return devices


@contextlib.contextmanager
def as_user(number):
    """This process, as far as privileges go."""
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


@case("anybody reads settings, names, states, ages and counters, and what is "
      "withheld is said once")
def _():
    result = as_nobody(a, ["bhsec", "show", "-j"])
    check_equal(result.returncode, 0, f"exit status ({result.stderr})")
    seen = view(json.loads(result.stdout))
    check(seen[0]["peers"][0]["sas"], "no SA is seen")
    check_equal(seen, without_proof(view(a.show())),
                "what is seen, beside root's view")
    for args in ("-j",), (), ("--stats",), (t.dev, "peer", t.peer):
        result = as_nobody(a, ["bhsec", "show", *args])
        check_equal(len(result.stderr.splitlines()), 1, result.stderr)
        for word in "SPIs", "endpoints", "fwmark", "withheld", "CAP_NET_ADMIN":
            check(word in result.stderr, f"{word} in {result.stderr}")
        for secret in (f"{t.spi_in:#x}", f"{t.spi_out}", t.b_outer, "fwmark",
                       "endpoint", "seq"):
            check(not re.search(rf"\b{secret}\b", result.stdout),
                  f"{secret} in {result.stdout}")
    check_equal(a.cli("show").stderr, "", "what root is told beside")


@case("netlink's answers hold nothing of it either")
def _():
    reader = Genl(a)
    secrets_of = [struct.pack("=I", t.spi_in), struct.pack("=I", t.spi_out),
                  socket.inet_aton(t.b_outer)]

    def answers():
        replies = [reader.request(command, pairs, flags)[0]
                   for command, pairs, flags in (
                       ("dev-get", [], NLM_F_DUMP),
                       ("peer-get", [("ifname", t.dev)], NLM_F_DUMP),
                       ("peer-get", [("ifname", t.dev), ("name", t.peer)],
                        NLM_F_ACK),
                       ("sa-get", [("ifname", t.dev)], NLM_F_DUMP))]
        check_equal([reply.errno for reply in replies], [0] * 4, "errors")
        return b"".join(body for reply in replies for _, body in reply.messages)
    whole = answers()
    check(all(secret in whole for secret in secrets_of), "root's view")
    with as_user(NOBODY):
        part = answers()
    check(len(part) > len(whole) / 2, "there is little left")
    check(not any(secret in part for secret in secrets_of), "a secret is told")


@case("an unprivileged user cannot try SPIs")
def _():
    reader = Genl(a)
    for spi in t.spi_in, t.spi_in ^ 1:
        try:
            with as_user(NOBODY):
                reader.do("sa-get", ifname=t.dev, peer=t.peer, direction=0,
                          spi=spi)
            raise Failure(f"SPI {spi} was looked for")
        except OSError as error:
            check_equal((error.errno, error.strerror),
                        (errno.EPERM,
                         "to name an SA by its SPI needs CAP_NET_ADMIN"), "error")


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


def in_container(function, first=""):
    """With a second device of a's underlay moved into a container."""
    a.ip("link add bh9 type bhsec\n")
    a.bhsec(first + "peer add bh9 b endpoint 192.0.2.9 selectors 10.9.0.0/16\n"
            + Sa(spi=0x7777).bhsec("bh9", "b", "in")
            + "".join(f"peer add bh9 {name} {options}\n"
                      for name, options in REACH_OUT.items()))
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


class Within(Ns):
    """A namespace that somebody else has made."""

    def __init__(self, pid):
        self.fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        self.stack = threading.local()
        self.sockets = []


HOST_DEV, HOST_MARK, HOST_LINK = "hostdev0", 0x1abcde, "fe80::77"


def host_like(text, what):
    for secret in HOST_DEV, str(HOST_MARK), f"{HOST_MARK:#x}":
        check(secret not in text, f"{what}: {secret} in {text}")


def moved_with_secrets(function):
    """A device in a container that leaves by a device of the host's."""
    a.ip(f"link add {HOST_DEV} type dummy\nlink set {HOST_DEV} up\n")
    try:
        in_container(function, f"set bh9 port 4599 dev {HOST_DEV} "
                     f"fwmark {HOST_MARK}\n"
                     f"peer add bh9 c endpoint {HOST_LINK}%{HOST_DEV}\n")
    finally:
        a.ip(f"link del {HOST_DEV}\n")


@case("a container's root sees all of its device but the host's names and mark")
def _():
    def test(container):
        result = container.run(["bhsec", "show", "-j"])
        check_equal(result.returncode, 0, "exit status")
        host_like(result.stdout, "JSON")
        one_line = result.stderr.splitlines()
        check(len(one_line) == 1 and "underlay" in one_line[0] and
              "SPI" not in one_line[0], result.stderr)
        device, = json.loads(result.stdout)
        check(not {"dev", "fwmark"} & set(device), device)
        peers = {peer["name"]: peer for peer in device["peers"]}
        check_equal([peers["b"]["sas"][0]["spi"], peers["b"]["endpoint"],
                     peers["c"]["endpoint"].startswith(f"[{HOST_LINK}]")],
                    [0x7777, "192.0.2.9:4599", True], "what it sees")
        host_like(container.run(["bhsec", "show"]).stdout, "text")
    moved_with_secrets(test)


@case("nor does it hear them")
def _():
    def test(container):
        ears = Genl(Within(container.pid))
        ears.join("config")
        check_equal(container.run(["bhsec", "set", "bh9", "window", "77"])
                    .returncode, 0, "exit status")
        container.run(["bhsec", "peer", "set", "bh9", "c", "keepalive", "9"])
        for wanted in "dev-set-ntf", "peer-set-ntf":
            name, found = ears.change(PATIENCE)
            check_equal(name, wanted, "change")
            host_like(repr(found), wanted)
            check_equal(found["withheld"], 2, "what is withheld")
        check_equal(found["endpoint-addr"],
                    ipaddress.ip_address(HOST_LINK).packed, "endpoint")
    moved_with_secrets(test)


@case("a container's root takes no raw ESP and lets no peer roam")
def _():
    add = (f"sa add bh9 {{peer}} {{way}} spi {{spi}} cipher aes-gcm-256 "
           f"key-file {key_file}")

    def test(container):
        for name in REACH_OUT:
            before = state(container)
            line = words(add, peer=name, way="in", spi=new_spi())
            result = container.run(line)
            one_sentence(result, f"{line}")
            check("CAP_NET_ADMIN over the underlay" in result.stderr,
                  f"{line}: {result.stderr}")
            check_equal(state(container), before, f"state after {line}")
            line = words(add, peer=name, way="out", spi=new_spi())
            result = container.run(line)
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
