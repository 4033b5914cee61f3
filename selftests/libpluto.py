# SPDX-License-Identifier: GPL-2.0
"""Libreswan's IKE daemon, unmodified. It wants an xfrm interface for an if_id,
and makes it by itself.

    gateway = Pluto(ns, "gw.example", "a secret of both")
    gateway.load("far", left="192.0.2.1", right="192.0.2.2", ...)
    gateway.initiate("far")
"""

from libike import *

ROOT = os.path.join(os.environ.get("BHSEC_CACHE", ""), "libreswan")
LIBEXEC = "/usr/libexec/ipsec"
SETUP = """
config setup
    audit-log = no
    logfile = /run/log
"""


class Pluto(Rooted):
    def __init__(self, ns, identity, secret):
        super().__init__(ns, ROOT)
        self.identity = identity
        for name, text in (("conf", SETUP),
                           ("secrets", f'@{identity} : PSK "{secret}"\n')):
            with open(f"{self.run}/ipsec.{name}", "w") as file:
                file.write(text)
        os.mkdir(f"{self.run}/nss")
        self.command("/usr/bin/certutil", "-N", "-d", "sql:/run/nss",
                     "--empty-password")
        self.spawn([f"{LIBEXEC}/pluto", "--nofork", "--config",
                    "/run/ipsec.conf", "--secretsfile", "/run/ipsec.secrets",
                    "--nssdir", "/run/nss"])
        wait_for(lambda: os.path.exists(f"{self.run}/pluto/pluto.ctl"),
                 what=f"the daemon of {ns.label}")

    def command(self, *words):
        return self.ns.run(list(words), preexec_fn=self.enter).stdout

    def whack(self, *words):
        return self.command(f"{LIBEXEC}/whack", *words)

    def load(self, name, **options):
        lines = "".join(f"    {key.replace('_', '-')} = {value}\n"
                        for key, value in options.items())
        with open(f"{self.run}/ipsec.conf", "a") as file:
            file.write(f"conn {name}\n{lines}")
        self.command(f"{LIBEXEC}/addconn", "--config", "/run/ipsec.conf", name)

    def initiate(self, name):
        """Until the CHILD_SA is there."""
        said = self.whack("--name", name, "--initiate")
        check("established" in said, said)

    def rekey(self, name):
        self.whack("--rekey-child", "--name", name)

    def terminate(self, name):
        self.whack("--name", name, "--terminate")
