# SPDX-License-Identifier: GPL-2.0
"""strongSwan at the sites, as Debian has it, with the configuration and the
commands of the guide, word by word."""

import os
import re
import subprocess
import sys

from programs import RUN, check, inside, run, wait_for
from tunnels import show

HERE = os.path.dirname(os.path.abspath(__file__))
GUIDE = f"{HERE}/../../userspace/doc/strongswan.md"
SWANCTL, CONF = "/etc/swanctl", "/etc/swanctl/conf.d/bhsec.conf"
STRONGSWAN = "/etc/strongswan.d/bhsec.conf"
CONTROL = "/run/charon.vici"    # where the tool asks for identities
GATEWAY = "10.8.0.1"            # the controller, as base stations see it
# What the printed base station is at another site.
ELSEWHERE = {"bs2": [("bs1", "bs2"), ("192.0.2.1", "2001:db8:1::1")]}

sys.path.insert(0, f"{HERE}/..")
from libca import Authority, pem  # noqa: E402


def printed(mark, before=""):
    """The block of the guide that is marked so, below a line."""
    with open(GUIDE, encoding="utf-8") as guide:
        found = re.search(rf"^{before}```{re.escape(mark)}\n(.*?)^```$",
                          guide.read(), re.M | re.S)
    check(found, f"the guide has {mark}")
    return found[1]


class Daemon:
    """One charon; its root is Debian's below a layer of its own."""

    def __init__(self, programs, root, site):
        self.programs, self.site = programs, site
        self.root, layer = f"{RUN}/{site}-root", f"{RUN}/{site}-layer"
        for path in self.root, f"{layer}/new", f"{layer}/work":
            os.makedirs(path)
        self.mount("-t", "overlay", "-o", f"lowerdir={root},upperdir="
                   f"{layer}/new,workdir={layer}/work", "overlay")
        for path in "/dev", "/proc":
            self.mount("--bind", path, to=path)
        # As base-files does where it is installed.
        os.rmdir(f"{self.root}/var/run")
        os.symlink("/run", f"{self.root}/var/run")

    def mount(self, *words, to=""):
        subprocess.run(["mount", *words, self.root + to], check=True)

    def write(self, path, data):
        with open(self.root + path, "wb", opener=lambda name, flags:
                  os.open(name, flags, mode=0o600)) as file:
            file.write(data)

    def start(self):
        self.programs.start(self.site, f"{self.site}-charon", [
            "chroot", self.root, "/usr/sbin/charon-systemd"])

    def load(self):
        """As its systemd unit does, once it is up."""
        wait_for(lambda: os.path.exists(self.root + CONTROL),
                 f"the daemon of {self.site}")
        self.swanctl("--load-all", "--noprompt")

    def ask(self, *words):
        """swanctl's exit status and what it said."""
        with inside(self.site):
            done = subprocess.run(
                ["chroot", self.root, "/usr/sbin/swanctl", *words], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout

    def swanctl(self, *words):
        show(self.site, " ".join(["swanctl", *words]))
        status, said = self.ask(*words)
        check(status == 0, f"{self.site}: swanctl {' '.join(words)}: {said}")
        return said

    def address(self):
        """A station's inner address, once its CHILD_SA is up."""
        found = re.search(r", INSTALLED(?:.*\n)+? +local +(\S+)/32",
                          self.ask("--list-sas")[1])
        return found and found[1]

    def remove(self):
        for path in "/dev", "/proc", "":
            subprocess.run(["umount", self.root + path], check=True)


class Backhaul:
    """A controller that knows a CA, base stations with certificates of it."""

    def __init__(self, programs, root, controller, stations):
        self.authority = Authority("operator")
        self.identities = {site: self.authority.certify(f"{site}.example")
                           for site in (controller, *stations)}
        self.daemons = {site: Daemon(programs, root, site)
                        for site in self.identities}
        self.controller, self.stations = controller, stations
        os.symlink(self.daemons[controller].root + CONTROL, CONTROL)

    def configure(self):
        for site, daemon in self.daemons.items():
            who = "controller" if site == self.controller else "station"
            conf = printed(f"file {who} {CONF}")
            for word, other in ELSEWHERE.get(site, []):
                conf = conf.replace(word, other)
            daemon.write(CONF, conf.encode())
            if site in self.stations:
                daemon.write(STRONGSWAN,
                             printed(f"file {who} {STRONGSWAN}").encode())
            self.certify(site)
            daemon.start()
            for line in printed(f"sh {who}", "At each boot:\n\n").splitlines():
                show(site, line)
                run(site, "sh", "-c", line)

    def certify(self, site):
        daemon, who = self.daemons[site], self.identities[site]
        daemon.write(f"{SWANCTL}/x509ca/ca.crt",
                     pem(self.authority.certificate))
        daemon.write(f"{SWANCTL}/x509/{site}.crt", pem(who.certificate))
        daemon.write(f"{SWANCTL}/private/{site}.key", who.key)

    def load(self):
        for daemon in self.daemons.values():
            daemon.load()

    def revoke(self, site):
        """In the controller's CRL, and its IKE_SA ended."""
        daemon = self.daemons[self.controller]
        self.authority.revoke(self.identities[site])
        daemon.write(f"{SWANCTL}/x509crl/ca.crl", pem(self.authority.crl()))
        daemon.swanctl("--load-creds", "--noprompt")
        number = re.search(r"#(\d+), ESTABLISHED.*\n.*\n +remote '"
                           + self.identities[site].name,
                           daemon.ask("--list-sas")[1])
        check(number, f"the controller has an IKE_SA with {site}")
        daemon.swanctl("--terminate", "--ike-id", number[1])

    def remove(self):
        os.unlink(CONTROL)
        for daemon in self.daemons.values():
            daemon.remove()
