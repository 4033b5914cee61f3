# SPDX-License-Identifier: GPL-2.0
"""A host that is configured by files alone, with a daemon that is told by the
tool.

    ctl = Configured("ctl", ca)
    ctl.start("6.1")
    ctl.configure("[Device] ...")
"""

from libapply import *
from libike import *

STATION = """
[Device]
{address}
if-id = 42
""" + identity("{name}.example", "own") + """
[Peer]
name = ctl
endpoint = {controller}
identity = ctl.example
ca = /etc/bhsec/ca.crt
networks = 10.8.0.0/24
{more}
"""


class Configured(Host):
    """A host with a daemon, that of the latest start()."""

    def __init__(self, name, ca):
        super().__init__(name)
        self.name, self.daemon = name, None
        who = ca.certify(f"{name}.example")
        self.write("ca.crt", pem(ca.certificate))
        self.write("own.crt", pem(who.certificate))
        self.write("own.key", who.key)

    def start(self, version, extra="install_virtual_ip_on = lo", control=False):
        """control: the tool finds its socket."""
        self.daemon = Daemon(self.ns, version, extra)
        if control:
            os.symlink("vici", f"{self.daemon.run}/charon.vici")
        self.run = self.daemon.run if control else None
        self.talks_to(self.daemon)
        self.daemon.ready()

    def configure(self, text):
        self.write("bh0.conf", text)
        self.tool("up", "bh0")

    def ike_sas(self):
        """The other ends that there is a CHILD_SA with."""
        return {sa["remote-id"] for sa in self.daemon.sas()
                if any(child["state"] == "INSTALLED"
                       for child in sa.get("child-sas", {}).values())}

    def has(self, *names):
        """Waits until there are CHILD_SAs with these, and with no others. Who
        was called has them first: the caller is asked before it sends."""
        wait_for(lambda: self.ike_sas() == set(names),
                 what=lambda: f"{names} at {self.name}: {self.ike_sas()}")
