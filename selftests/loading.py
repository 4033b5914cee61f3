#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A cipher's module is loaded while nobody waits: modprobe reads disks, and may
be somebody's script."""

import tempfile

from lib import *

MODULE, CIPHER = "ccm", "aes-ccm-256"
MODPROBE = "/proc/sys/kernel/modprobe"


class SlowModprobe:
    """Says that it was asked, and waits to be let go."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp()
        self.asked = f"{self.directory}/asked"
        os.mkfifo(f"{self.directory}/go")
        script = f"{self.directory}/modprobe"
        with open(MODPROBE, encoding="ascii") as setting:
            self.old = setting.read().strip()
        with open(script, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n[ -e {self.asked} ] || {{ >{self.asked}; "
                       f"read x <{self.directory}/go; }}\n"
                       f'exec {self.old} "$@"\n')
        os.chmod(script, 0o755)
        self.set(script)
        return self

    def set(self, path):
        with open(MODPROBE, "w", encoding="ascii") as setting:
            setting.write(path)

    def go(self):
        with open(f"{self.directory}/go", "w", encoding="ascii") as pipe:
            pipe.write("\n")

    def __exit__(self, *_):
        self.set(self.old)


@case("an SA whose cipher is being loaded holds no other request up")
def _():
    subprocess.run(["modprobe", "-r", MODULE], check=False)
    with open("/proc/modules", encoding="ascii") as lines:
        if MODULE in (line.split()[0] for line in lines):
            raise Skip(f"{MODULE} is in use")
    a = Ns("a")
    a.ip("link add bh0 type bhsec\n")
    a.bhsec("peer add bh0 b\n")
    with SlowModprobe() as modprobe:
        adding = a.popen(["bhsec", "-batch", "-"], stdin=subprocess.PIPE,
                         text=True)
        adding.stdin.write(Sa(CIPHER).bhsec("bh0", "b", "out"))
        adding.stdin.close()
        wait_for(lambda: os.path.exists(modprobe.asked), what="modprobe")
        other = a.popen(["bhsec", "peer", "set", "bh0", "b", "keepalive", "7"])
        try:
            check_equal(other.wait(PATIENCE), 0, "exit status of another")
            check_equal(a.peer("bh0", "b")["keepalive"], 7, "keepalive")
            check(adding.poll() is None, "nothing was loaded")
        finally:
            modprobe.go()
        check_equal(adding.wait(PATIENCE), 0, "exit status")
    check_equal(a.peer("bh0", "b")["sas"][0]["cipher"], CIPHER, "cipher")


main()
