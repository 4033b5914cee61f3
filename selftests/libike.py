# SPDX-License-Identifier: GPL-2.0
"""IKE daemons: strongSwan's, unmodified, one in each namespace that wants one.

    ca = Authority("operator")
    gateway = Daemon(ns, "6.1")
    gateway.trust(ca)
    gateway.identity(ca.certify("gw.example"))
    gateway.load("connections { ... }")     # as in a swanctl.conf
"""

import tempfile

from lib import *
from libca import *
from libvici import Vici, conf

ROOTS = os.path.join(os.environ.get("BHSEC_CACHE", ""), "strongswan")
CHARON = "/usr/sbin/charon-systemd"
# All others would be tried for at each start.
PLUGINS = """random nonce openssl x509 revocation constraints pubkey pem pkcs1
pkcs8 kdf hmac kernel-netlink socket-default updown vici""".split()
CONF = """
charon {
    load = %s
    install_routes = no
    retransmit_timeout = 1
    retransmit_base = 1.4
    retransmit_tries = 6
    make_before_break = yes
    plugins { vici { socket = unix:///run/vici } }
    filelog { log { path = /run/log
        time_format = %%T
        flush_line = yes
        default = 1
        knl = 2
        cfg = 2
    } }
    %s
}
charon-systemd { journal { default = -1 } }
"""
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def versions():
    """The releases that a kernel is tried with: all on the newest, as both
    speak of newer things; on the others the oldest."""
    found = sorted(os.listdir(ROOTS)) if os.path.isdir(ROOTS) else []
    found = [name for name in found if re.fullmatch(r"\d+\.\d+", name)]
    return found if os.environ.get("BHSEC_KERNEL") == "7.2" else found[:1]


# Daemons

_daemons = []


class Rooted:
    """A daemon in a namespace, and in a root where /run is its own."""

    def __init__(self, ns, root):
        self.ns, self.root, self.process = ns, root, None
        self.holder = tempfile.TemporaryDirectory(prefix=f"ike-{ns.label}-")
        self.run = self.holder.name             # its /run
        _daemons.append(self)

    def spawn(self, command, **env):
        with open(f"{self.run}/out", "ab") as out:
            self.process = self.ns.popen(
                command, preexec_fn=self.enter, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env=env)

    def enter(self):
        """In the new process: a mount namespace of its own, then the root."""
        must(libc.unshare(CLONE_NEWNS))
        must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        for source, place in (("/dev", "/dev"), ("/proc", "/proc"),
                              (self.run, "/run")):
            must(libc.mount(source.encode(), (self.root + place).encode(), None,
                            MS_BIND | MS_REC, None))
        os.chroot(self.root)
        os.chdir("/")

    def kill(self):
        """Without a chance to say or delete anything."""
        self.process.kill()
        self.process.wait()

    def tail(self, count=40):
        lines = []
        for name in "out", "log":
            if os.path.exists(f"{self.run}/{name}"):
                with open(f"{self.run}/{name}", errors="replace") as file:
                    lines += file.read().splitlines()[-count:]
        return lines


class Daemon(Rooted):
    """One charon, in a namespace and a root of its release; whatever is asked
    of it first waits until it is up, so that many come up side by side. extra
    goes into its strongswan.conf's charon section."""

    def __init__(self, ns, version=None, extra="", plugins=()):
        self.version = version or versions()[-1]
        super().__init__(ns, f"{ROOTS}/{self.version}")
        self.given = []
        with open(f"{self.run}/strongswan.conf", "w") as file:
            file.write(CONF % (" ".join([*PLUGINS, *plugins]), extra))
        self.launch()

    # Its life

    def start(self):
        """Anew, and it is given what it had."""
        self.launch()
        for command, message in self.given:
            self.ask(command, message)

    def launch(self):
        self.up = False
        if os.path.exists(f"{self.run}/vici"):
            os.unlink(f"{self.run}/vici")
        self.spawn([CHARON], STRONGSWAN_CONF="/run/strongswan.conf")

    def ready(self):
        if not self.up:
            wait_for(self.answers, what=f"the daemon of {self.ns.label}")
        self.up = True

    def answers(self):
        check(self.process.poll() is None,
              f"the daemon of {self.ns.label} is no more")
        try:
            with Vici(f"{self.run}/vici") as vici:
                return vici.ask("version")
        except OSError:
            return None

    def stop(self):
        """As an operator would: it says good-bye to its peers."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    # What it is given

    def vici(self, seconds=PATIENCE):
        self.ready()
        return Vici(f"{self.run}/vici", seconds)

    def ask(self, command, message=None):
        with self.vici() as vici:
            return vici.ask(command, message)

    def give(self, command, message):
        self.given.append((command, message))
        self.ask(command, message)

    def trust(self, authority):
        """Its certificate, and its list of what it revoked."""
        self.give("load-cert", {"type": "X509", "flag": "CA",
                                "data": pem(authority.certificate)})
        self.give("load-cert", {"type": "X509_CRL", "flag": "NONE",
                                "data": pem(authority.crl())})

    def identity(self, who):
        self.give("load-cert", {"type": "X509", "flag": "NONE",
                                "data": pem(who.certificate)})
        self.give("load-key", {"type": "any", "data": who.key})

    def load(self, text):
        """A swanctl.conf's connections, pools and secrets."""
        sections = conf(text)
        for name, pool in sections.get("pools", {}).items():
            self.give("load-pool", {name: pool})
        for name, secret in sections.get("secrets", {}).items():
            self.give("load-shared", self.secret(name, secret))
        for name, connection in sections.get("connections", {}).items():
            self.give("load-conn", {name: connection})

    @staticmethod
    def secret(name, secret):
        """ike-NAME or ppk-NAME, with a secret and ids."""
        data = secret["secret"]
        return {"type": name.partition("-")[0].upper(),
                "data": bytes.fromhex(data[2:]) if data.startswith("0x") else data,
                "owners": [value for key, value in secret.items()
                           if key.startswith("id")]}

    # What it does

    def initiate(self, child, ike=None):
        """Until the CHILD_SA is there; a Failure says why it is not."""
        self.order("initiate", PATIENCE * 1000, child=child,
                   **({"ike": ike} if ike else {}))

    def terminate(self, **which):
        """ike= or child=, by name."""
        self.order("terminate", PATIENCE * 1000, **which)

    def forget(self, ike):
        """Without waiting for the other end, which may know nothing of it."""
        try:
            self.order("terminate", 1, ike=ike, force="yes")
        except Failure:
            pass    # the answer that nobody has waited for
        wait_for(lambda: not self.sas(ike), what=f"the end of {ike}")

    def order(self, command, milliseconds, **message):
        with self.vici(PATIENCE + 5) as vici:
            vici.ask(command, {**message, "timeout": milliseconds})

    def rekey(self, reauth=False, **which):
        """ike= or child=, by name; waits until the new one has taken over. One
        that is asked for while another is under way may be forgotten."""
        wait_for(self.idle, what=lambda: f"nothing under way: {self.sas()}")
        before = self.generation(**which)
        check(before, f"nothing to rekey: {which}")
        self.ask("rekey", {**which, **({"reauth": "yes"} if reauth else {})})
        wait_for(lambda: self.generation(**which) - before and
                 not self.generation(**which) & before,
                 what=lambda: f"the rekeyed {which}: {self.sas()}")

    def generation(self, ike=None, child=None):
        """What no two generations share, of those in use."""
        if child:
            return {c["spi-in"] for c in self.children(child)
                    if c["state"] == "INSTALLED"}
        return {sa["initiator-spi"] for sa in self.sas(ike)
                if sa["state"] == "ESTABLISHED"}

    # What it knows

    def idle(self):
        """No exchange is under way, and nothing ends."""
        return not any(
            sa["state"] != "ESTABLISHED" or sa.keys() & {
                "tasks-queued", "tasks-active", "tasks-passive"} or
            any(child["state"] not in ("INSTALLED", "REKEYED", "DELETED")
                for child in sa.get("child-sas", {}).values())
            for sa in self.sas())

    def sas(self, ike=None):
        """IKE_SAs as VICI tells of them, each with its "name"."""
        with self.vici() as vici:
            _, told = vici.stream("list-sas", "list-sa",
                                  {"ike": ike} if ike else {})
        return [{"name": name, **sa} for event in told
                for name, sa in event.items()]

    def children(self, name=None):
        """CHILD_SAs of all of them."""
        return [child for sa in self.sas()
                for child in sa.get("child-sas", {}).values()
                if name in (None, child["name"])]


def tell_logs():
    for daemon in _daemons:
        for line in daemon.tail():
            ksft.print_msg(f"{daemon.ns.label}: {line}")


on_failure.append(tell_logs)
