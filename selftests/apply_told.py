#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# kernels: newest
"""What bhsec apply tells the IKE daemon: of the connections that differ, and of no
other; where something else differs or the daemon is not as the file left it,
swanctl tells it all. The daemon is a few lines of Python at its socket."""

import signal

from libapply import *
from libcontrol import *

LOAD_ALL = "--load-all --noprompt"
PEERS = 300
DEVICE = f"""
[Device]
address = 172.16.0.1/24, fd16::1/64
if-id = 42
{identity("ctl.example", "ctl")}"""
PSK = """
[Device]
address = 172.16.0.1/24
if-id = 42
[Identity]
name = ctl.example
psk-file = /etc/bhsec/psk
"""
ANY = """
[Peer]
name = {name}
endpoint = any
identity = {name}.example
ca = ca.crt
networks = 10.{n}.0.0/16, fd{n:02}::/64
"""
CALLED = """
[Peer]
name = called
endpoint = [2001:db8::1]:4501
identity = C=DE, O="x", CN=called
networks = 10.99.0.0/16
classes = ef, 12
"""
POOL = """
[Peer]
name = pool
endpoint = any
ca = ca.crt
pool = 10.98.0.0/16
"""

host = Host("a")
FILES = {"ctl.crt": b"\x30\0certificate\0\xff", "ctl.key": "key",
         "other.crt": "other", "other.key": "other", "psk": "secret"}
for name, content in FILES.items():
    host.write(name, content)
CA = "-----BEGIN CERTIFICATE-----\n"
with open(f"{host.etc}/swanctl/x509ca/ca.crt", "w", encoding="ascii") as file:
    file.write(CA)


def text_of(device, *names, more=""):
    return device + "".join(ANY.format(name=name, n=n)
                            for n, name in enumerate(names, 1)) + more


BEFORE = text_of(DEVICE, "one", "two", more=CALLED)


def loaded():
    """Names of the connections that the file for swanctl has."""
    text, _ = host.listing()["conf.d/bhsec-bh0.conf"]
    return set(conf(text).get("connections", {}))


def up(text, **kw):
    host.write("bh0.conf", text)
    return host.tool("up", "bh0", **kw)


@contextlib.contextmanager
def daemon_with(text=BEFORE):
    """One that has what a file says, when that has been so for a while."""
    if "conf.d/bhsec-bh0.conf" in host.listing():
        host.tool("down", "bh0")
    up(text)
    host.told()
    with Connections(loaded() | {"foreign"}) as daemon:
        yield daemon


def without_files(connection):
    """What a message has where the text has a file's name: {key: content}."""
    return {key: connection[end].pop(key)
            for end, key in (("local", "certs"), ("remote", "cacerts"))
            if key in connection[end]}


@case("of what differs the daemon is told, as the file tells it")
def _():
    with daemon_with() as daemon:
        text = text_of(DEVICE, "one", "new", more=CALLED.replace("99", "97"))
        result = up(text)
        check_equal(result.stdout + result.stderr, "", "output")
        requests = list(daemon.requests)
        check_equal(daemon.told(), [("load-conn", "bhsec-bh0-called"),
                                    ("load-conn", "bhsec-bh0-new"),
                                    ("unload-conn", "bhsec-bh0-two"),
                                    ("terminate", "bhsec-bh0-two")], "told")
        check_equal(requests[-1][1], {"ike": "bhsec-bh0-two", "force": "yes",
                                      "timeout": "1000"}, "the last one")
        check_equal(host.told(), [], "swanctl")
        check_equal(daemon.names, loaded() | {"foreign"}, "connections")
        text, _ = host.listing()["conf.d/bhsec-bh0.conf"]
        wanted = conf(text)["connections"]
        for _, message in requests[:2]:
            (name, said), = message.items()
            files = without_files(said)
            check_equal(files["certs"],
                        [FILES["ctl.crt"].decode(errors="replace")], "certificate")
            check_equal(files.get("cacerts", [CA]), [CA], "the CA's")
            without_files(wanted[name])
            check_equal(said, wanted[name], name)
        check_equal(daemon.connections, 1, "how often it was asked")


@case("what does not differ is not told, nor what is only in another order")
def _():
    with daemon_with() as daemon:
        up(BEFORE)
        up(text_of(DEVICE, more=CALLED) + BEFORE[len(DEVICE):].replace(CALLED, ""))
        check_equal((daemon.told(), host.told()), ([], []), "told")
        check_equal(daemon.connections, 1, "how often it was asked")


# What the file says then, what it has said, and what of the files has changed.
ALL = {
    "another certificate": (DEVICE.replace("ctl.crt", "other.crt"), DEVICE),
    "another key": (DEVICE.replace("ctl.key", "other.key"), DEVICE),
    "another name": (DEVICE.replace("ctl.ex", "other.ex"), DEVICE),
    "a secret besides": (PSK + "ppk-file = /etc/bhsec/psk\nppk-id = x\n", PSK),
    "a certificate for a secret": (DEVICE, PSK),
    "another name for a secret": (PSK.replace("ctl.ex", "other.ex"), PSK),
}


def is_all(daemon, text):
    """swanctl tells it all, and SAs are ended at most."""
    result = up(text)
    check_equal(result.stderr, "", "sentences")
    check_equal({command for command, _ in daemon.told()} - {"terminate"}, set(),
                "told")
    check_equal(host.told()[:1], [LOAD_ALL], "swanctl")


def peers_of(device):
    peers = text_of("", "one", "two")
    return device + (peers.replace("ca = ca.crt\n", "") if "psk" in device
                     else peers)


for what, (new, old) in ALL.items():
    @case(f"where something else differs swanctl tells it all: {what}")
    def _(new=new, old=old):
        with daemon_with(peers_of(old)) as daemon:
            is_all(daemon, peers_of(new))


@case("where a pool comes, changes or goes swanctl tells it all")
def _():
    with daemon_with() as daemon:
        for text in BEFORE + POOL, BEFORE + POOL.replace("98", "96"), BEFORE:
            is_all(daemon, text)
            daemon.names = loaded()


@case("where a file was changed in place swanctl tells it all, once")
def _():
    texts = [BEFORE.replace("10.99", f"10.{n}") for n in range(90, 96)]
    for name in "bhsec/ctl.crt", "bhsec/ctl.key", "swanctl/x509ca/ca.crt":
        with daemon_with() as daemon:
            path = f"{host.etc}/{name}"
            with open(path, "rb") as file:
                content = file.read()
            with open(path, "wb") as file:
                file.write(content)
            is_all(daemon, texts[0])
            up(texts[1])
            check_equal(daemon.told(), [("load-conn", "bhsec-bh0-called")],
                        f"told after {name}")


@case("where a link leads back to an older file swanctl tells it all")
def _():
    link = host.path("current.crt")
    os.symlink("ctl.crt", link)
    texts = [BEFORE.replace("ctl.crt", "current.crt").replace("10.99", f"10.{n}")
             for n in (99, 97)]
    with daemon_with(texts[0]) as daemon:
        os.unlink(link)
        os.symlink("other.crt", link)
        is_all(daemon, texts[1])
    os.unlink(link)


FOREIGN = """connections { x {
    version = 2
} }

secrets { y {
    secret = "of somebody else"
} }

"""


@case("what somebody else wrote there is none of ours, and goes by swanctl")
def _():
    path = f"{host.etc}/swanctl/conf.d/bhsec-bh0.conf"
    for more in FOREIGN, FOREIGN.replace("\n\n", "\n"), "# x\ny { z }\n\n":
        with daemon_with() as daemon:
            made, _ = host.listing()["conf.d/bhsec-bh0.conf"]
            with open(path, "a", encoding="ascii") as file:
                file.write(more)
            check_equal(host.dry(), [], "what differs")
            is_all(daemon, BEFORE)
            check_equal(host.listing()["conf.d/bhsec-bh0.conf"][0], made, "text")
            check_equal(daemon.told(), [], "told")


@case("reload has swanctl tell it all")
def _():
    with daemon_with() as daemon:
        host.write("bh0.conf", BEFORE.replace("10.99", "10.97"))
        host.tool("reload", "bh0")
        check_equal((daemon.told(), host.told()), ([], [LOAD_ALL]), "told")


@case("a daemon that is not as the file left it is told all")
def _():
    for change in (lambda names: names.clear(),
                   lambda names: names.discard("bhsec-bh0-one"),
                   lambda names: names.add("bhsec-bh0-left-over")):
        with daemon_with() as daemon:
            change(daemon.names)
            is_all(daemon, BEFORE.replace("10.99", "10.97"))


@case("a daemon that does not answer is told all by swanctl")
def _():
    end = "--terminate --ike bhsec-bh0-two --force --timeout 1"
    for command in "get-conns", "load-conn", "unload-conn", "terminate":
        with daemon_with() as daemon:
            daemon.leaves = {command}
            up(text_of(DEVICE, "one", more=CALLED.replace("99", "97")))
            check_equal(host.told(), [LOAD_ALL] * (command != "terminate")
                        + [end], f"swanctl, without {command}")


@case("a daemon that says no and not why is told all by swanctl")
def _():
    with daemon_with() as daemon:
        daemon.refuses = {"bhsec-bh0-called": ""}
        result = up(BEFORE.replace("10.99", "10.97"))
        check_equal(result.stderr, "", "sentences")
        check_equal(host.told()[:1], [LOAD_ALL], "swanctl")


def is_told_once(daemon, text):
    """By swanctl, although the file is as it is to be."""
    host.told()
    for wanted in [LOAD_ALL], []:
        up(text)
        check_equal((host.told(), daemon.told()), (wanted, []), "told")


@case("who dies before the daemon was told is made up for")
def _():
    with daemon_with() as daemon:
        host.program("swanctl", "#!/bin/sh\nkill -9 $PPID\n")
        try:
            result = up(BEFORE + POOL, check=False)
        finally:
            host.program("swanctl", STANDIN.format(etc=host.etc))
        check_equal(result.returncode, -signal.SIGKILL, "exit status")
        is_told_once(daemon, BEFORE + POOL)


@case("so is what could not be undone")
def _():
    with daemon_with() as daemon:
        before = host.state()
        with host.failing("swanctl failed"):
            check_equal(up(BEFORE + POOL, check=False).returncode, 1, "status")
        check_equal(host.state(), before, "what there is")
        is_told_once(daemon, BEFORE)


@case("an apply that told nothing leaves it to the next what is to be told")
def _():
    with daemon_with() as daemon:
        host.write("ctl.crt", FILES["ctl.crt"])
        host.write("bh0.conf", BEFORE.replace("10.99", "10.97"))
        host.write("bh1.conf", BEFORE.replace("= 42", "= 43"))
        barrier = f"{host.etc}/swanctl/conf.d/bhsec-bh1.conf.new"
        os.mkdir(barrier)
        result = host.tool("apply", "/etc/bhsec", check=False)
        os.rmdir(barrier)
        os.unlink(host.path("bh1.conf"))
        check_equal((result.returncode, daemon.told(), host.told()), (1, [], []),
                    "exit status, and told")
        is_all(daemon, BEFORE.replace("10.99", "10.97"))


@case("of very many swanctl tells")
def _():
    names = [f"bts{n}" for n in range(PEERS)]
    texts = [DEVICE + "".join(
        f"[Peer]\nname = {name}\nendpoint = 192.0.2.1\nidentity = {name}\n"
        f"networks = 10.{n >> 8}.{n & 255}.{part}/32\n"
        for n, name in enumerate(names)) for part in (1, 2)]
    with daemon_with(texts[0]) as daemon:
        is_all(daemon, texts[1])
        # Every other one again
        up("[Peer]".join(texts[n % 2].split("[Peer]")[n]
                         for n in range(PEERS + 1)))
        check_equal(len(daemon.told()), PEERS // 2, "told")
        check_equal(host.told(), [], "swanctl")


def is_refused(daemon, name, text, swanctl):
    before = host.state()
    daemon.refuses = {name: "invalid value for: x,\33config discarded"}
    result = up(text, check=False)
    check_equal(result.returncode, 1, "exit status")
    check_equal(result.stderr, f"bhsec: strongSwan: loading connection '{name}' "
                "failed: invalid value for: x,?config discarded\n", "sentence")
    check_equal(host.state(), before, "what there is")
    check_equal(host.told(), swanctl, "swanctl")


@case("what the daemon refuses is undone, with its reason")
def _():
    with daemon_with() as daemon:
        is_refused(daemon, "bhsec-bh0-one",
                   BEFORE.replace("10.1.", "10.81."), [])
        check_equal(daemon.names, loaded() | {"foreign"}, "connections")
        # What it took before that, swanctl tells it again as it was.
        is_refused(daemon, "bhsec-bh0-one", BEFORE.replace("10.1.", "10.81.")
                   .replace("10.99", "10.97").replace(", fd02::/64", ""),
                   [LOAD_ALL])
        check_equal([name for _, name in daemon.told()],
                    ["bhsec-bh0-one", "bhsec-bh0-called", "bhsec-bh0-one"],
                    "told")


@case("down ends what there was with all peers, and tells the rest by swanctl")
def _():
    with daemon_with() as daemon:
        host.tool("down", "bh0")
        check_equal(host.told(), [LOAD_ALL], "swanctl")
        check_equal(daemon.told(), [("terminate", f"bhsec-bh0-{name}")
                                    for name in ("called", "one", "two")], "told")


main()
