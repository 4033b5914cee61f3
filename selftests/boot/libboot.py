# SPDX-License-Identifier: GPL-2.0
"""Machines that boot as any Debian does, from what a chroot has installed, with a
disk each that stays when the plug is pulled.

    station = Machine("bs1", root, files)
    station.plug_in(); station.run("ip link"); station.pull_plug()
"""

import base64
import os
import shutil
import socket
import subprocess

from libcase import wait_for
from libdeb import work

BOOT = os.path.dirname(os.path.realpath(__file__))
AGENT = "etc/systemd/system/agent.service"
WANTED = "etc/systemd/system/multi-user.target.wants"
SECRET = ".key", ".nmconnection"
# Systemd starts a hundred programs, where each instruction is emulated.
LIMIT = 600
_machines = []


class Machine:
    """One with a wire to the other one of its name in peers."""

    def __init__(self, name, root, peer, files):
        self.name, self.root, self.peer = name, root, peer
        self.mac = f"02:00:00:00:00:{len(_machines) + 1:02x}"
        self.qemu = self.channel = None
        self.place = f"{work}/{name}"
        self.own = f"{self.place}/own"
        for path, text in files.items():
            self.give(path, text, 0o600 if path.endswith(SECRET) else 0o644)
        self.give("etc/hostname", f"{name}\n")
        self.give("opt/agent", open(f"{BOOT}/agent").read(), 0o755)
        self.give(AGENT, open(f"{BOOT}/agent.service").read())
        self.link(f"/{AGENT}", f"{WANTED}/agent.service")
        subprocess.run(["mke2fs", "-q", "-t", "ext4", f"{self.place}/disk", "1G"],
                       check=True, stdout=subprocess.DEVNULL)
        _machines.append(self)

    def give(self, path, text, mode=0o644):
        """A file that it has from the beginning."""
        place = f"{self.own}/{path}"
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w") as file:
            file.write(text)
        os.chmod(place, mode)

    def link(self, target, path):
        place = f"{self.own}/{path}"
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(target, place)

    def initrd(self):
        """What vm/initramfs has made, and the first process."""
        shutil.copy(f"{BOOT}/init", self.place)
        with open(f"{self.place}/initrd", "wb") as out, \
                open(f"{self.root}/initramfs", "rb") as common:
            shutil.copyfileobj(common, out)
            out.flush()
            subprocess.run([f"{self.root}/usr/bin/busybox", "cpio", "-o", "-H",
                            "newc"], cwd=self.place, input=b"init\n", stdout=out,
                           stderr=subprocess.DEVNULL, check=True)
        return f"{self.place}/initrd"

    def plug_in(self):
        """It begins to boot."""
        for name in "agent", "wire":
            if os.path.exists(f"{self.place}/{name}"):
                os.unlink(f"{self.place}/{name}")
        exports = []
        for tag, path in ("common", self.root), ("own", self.own):
            exports += ["-virtfs", f"local,id={tag},mount_tag={tag},path={path},"
                        "security_model=none,multidevs=remap,readonly=on"]
        release = open(f"{self.root}/release").read().strip()
        self.qemu = subprocess.Popen([
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display",
            "none", "-no-reboot", "-m", "1024", "-accel", "tcg,thread=single", "-icount",
            "shift=0", "-cpu", "max,-erms,-fsrm,-la57",
            "-kernel", f"{self.root}/boot/vmlinuz-{release}",
            "-initrd", self.initrd(),
            "-append", "console=ttyS0 quiet no_timer_check mitigations=off "
            "tsc=reliable norandmaps net.ifnames=0",
            "-serial", f"file:{self.place}/console",
            "-device", "virtio-serial-pci", "-chardev",
            f"socket,id=agent,path={self.place}/agent,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-device", "virtio-rng-pci", *exports,
            "-drive", f"file={self.place}/disk,format=raw,if=virtio,cache=unsafe",
            "-netdev", "dgram,id=wire,local.type=unix,"
            f"local.path={self.place}/wire,remote.type=unix,"
            f"remote.path={work}/{self.peer}/wire",
            "-device", f"virtio-net-pci,netdev=wire,mac={self.mac}"],
            stdin=subprocess.DEVNULL)

    def pull_plug(self):
        self.qemu.kill()
        self.ended()

    def ended(self):
        self.qemu.wait(LIMIT)
        if self.channel:
            self.channel.close()
        self.qemu = self.channel = None

    def answers(self):
        """Waited for: as soon as its agent is there."""
        if self.channel:
            return
        wait_for(lambda: os.path.exists(f"{self.place}/agent"), what="QEMU")
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.settimeout(LIMIT)
        self.channel.connect(f"{self.place}/agent")
        self.lines = self.channel.makefile("r")
        self.lines.readline()

    def try_(self, command):
        """(exit status, what it said)"""
        self.answers()
        self.channel.sendall(base64.b64encode(command.encode()) + b"\n")
        status, _, said = self.lines.readline().partition(" ")
        return int(status), base64.b64decode(said).decode(errors="replace")

    def run(self, command):
        status, said = self.try_(command)
        if status:
            raise RuntimeError(f"{self.name}: {command}: exit {status}: {said}")
        return said


def unplug_all():
    for machine in _machines:
        if machine.qemu:
            machine.pull_plug()
