# SPDX-License-Identifier: GPL-2.0
"""A host that is configured by files: a namespace with an /etc/bhsec and an
/etc/swanctl of its own, and what stands in swanctl's place.

    host = Host("a")
    host.write("bh0.conf", "[Device] ...")
    host.tool("up", "bh0")
"""

import shutil
import tempfile

from lib import *

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18
# What strongSwan's package has.
SWANCTL_DIRS = """conf.d ecdsa pkcs12 pkcs8 private pubkey rsa x509 x509aa x509ac
x509ca x509crl x509ocsp""".split()
# Says what it was told, and does what it is told to.
STANDIN = """#!/bin/sh
echo "$@" >>{etc}/told
! [ -e {etc}/fails ] || {{ cat {etc}/fails >&2; exit 1; }}
"""
# The real one, in its daemon's root, with the host's files.
SWANCTL = """#!/bin/sh
echo "$@" >>{etc}/told
exec unshare -m sh -c '
for dir in /dev /etc/swanctl /etc/bhsec; do mount --bind $dir {root}$dir; done
mount --bind {run} {root}/run
exec chroot {root} /usr/sbin/swanctl "$@" --uri unix:///run/vici' sh "$@"
"""


def identity(name, file):
    """A section, by a certificate."""
    return (f"[Identity]\nname = {name}\n"
            f"certificate = /etc/bhsec/{file}.crt\n"
            f"key = /etc/bhsec/{file}.key\n")


class Host:
    """run: a directory that the tool has as /run, if it is another."""

    ROOMS = "bhsec", "swanctl"      # of /etc

    def __init__(self, name):
        self.ns, self.run = Ns(name), None
        self.etc = tempfile.mkdtemp(prefix=f"etc-{name}-")
        for place in "bin", *self.ROOMS, *(f"swanctl/{d}" for d in SWANCTL_DIRS):
            os.makedirs(f"{self.etc}/{place}", exist_ok=True)
        for room in self.ROOMS:
            os.makedirs(f"/etc/{room}", exist_ok=True)
        self.program("swanctl", STANDIN.format(etc=self.etc))

    def program(self, name, script):
        """What the host finds by this name before all else."""
        path = f"{self.etc}/bin/{name}"
        with open(path, "w", encoding="ascii") as file:
            file.write(script)
        os.chmod(path, 0o755)

    def talks_to(self, daemon):
        """swanctl is the real one from now on, and this its daemon."""
        os.makedirs(f"{daemon.root}/etc/bhsec", exist_ok=True)
        with open(f"{self.etc}/swanctl/swanctl.conf", "w",
                  encoding="ascii") as file:
            file.write("include conf.d/*.conf\n")
        self.program("swanctl", SWANCTL.format(
            etc=self.etc, root=daemon.root, run=daemon.run))

    # Its files

    def path(self, name):
        return f"{self.etc}/bhsec/{name}"

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        return f"/etc/bhsec/{name}"

    def remove(self, name):
        path = self.path(name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def told(self):
        """What swanctl was told since the last time, a line each."""
        path = f"{self.etc}/told"
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        os.unlink(path)
        return lines

    @contextlib.contextmanager
    def failing(self, why="connecting to 'unix:///run/x' failed: no daemon"):
        """swanctl, with a reason."""
        with open(f"{self.etc}/fails", "w", encoding="utf-8") as file:
            file.write(f"plugin 'x': failed to load\n{why}\nloaded 0 of 1\n")
        try:
            yield
        finally:
            os.unlink(f"{self.etc}/fails")

    # The tool

    def enter(self):
        """In the new process: its /etc, and its /run."""
        must(libc.unshare(CLONE_NEWNS))
        must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        rooms = {f"{self.etc}/{room}": f"/etc/{room}" for room in self.ROOMS}
        if self.run:
            rooms[self.run] = "/run"
        for source, place in rooms.items():
            must(libc.mount(source.encode(), place.encode(), None, MS_BIND,
                            None))

    def environ(self):
        return {**os.environ, "PATH": f"{self.etc}/bin:{os.environ['PATH']}"}

    def tool(self, *args, check=True, **kw):
        return self.ns.run(["bhsec", *args], check, preexec_fn=self.enter,
                           env=self.environ(), **kw)

    def dry(self, dev="bh0"):
        """The lines of a difference, without the device."""
        lines = self.tool("up", dev, "--dry-run").stdout.splitlines()
        check(all(line.startswith(f"{dev}: ") for line in lines), lines)
        return [line.removeprefix(f"{dev}: ") for line in lines]

    # What there is

    def listing(self):
        """Its files for swanctl: {path: (text or target, mode)}."""
        found = {}
        top = f"{self.etc}/swanctl"
        for place, _, names in os.walk(top):
            for name in names:
                path = os.path.join(place, name)
                if os.path.islink(path):
                    found[os.path.relpath(path, top)] = os.readlink(path), None
                    continue
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, top)] = (
                        file.read(), os.stat(path).st_mode & 0o777)
        return found

    def links(self):
        """Devices with their settings, addresses and routes, by name; what the
        kernel adds by itself is left out."""
        links = json.loads(self.ns.run(["ip", "-j", "addr"]).stdout)
        shown = {d["device"]: d for d in self.ns.show()}
        found = {}
        for link in links:
            name = link["ifname"]
            if name not in shown:
                continue
            found[name] = {
                "up": "UP" in link["flags"], "mtu": link["mtu"],
                "vrf": link.get("master"),
                **{key: shown[name][key] for key in ("if_id", "port", "dscp")},
                "addresses": {f"{a['local']}/{a['prefixlen']}"
                              for a in link["addr_info"]
                              if not a["local"].startswith("fe80:")},
                "routes": self.routes(name)}
        return found

    def routes(self, dev):
        found = set()
        for family in "-4", "-6":
            text = self.ns.run(["ip", "-j", family, "route", "show", "table",
                                "all", "dev", dev]).stdout
            found |= {(r["dst"], str(r.get("table", "main")))
                      for r in json.loads(text or "[]")
                      if r.get("type", "unicast") == "unicast"
                      and r.get("protocol") != "kernel"}
        return found

    def state(self):
        return self.links(), self.listing()
