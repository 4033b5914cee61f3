# SPDX-License-Identifier: GPL-2.0
"""What the tests of the Debian packages share: trees, and a Debian to build
in. They run on the host, for a chroot is all that they need."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile

DEB = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(f"{DEB}/../..")
VERSION_LINE = re.compile(r'^MODULE_VERSION\("(.*)"\);', re.M)
# Of a tree that no commit dates.
SECONDS = "1700000000"


def shell(script, *args):
    """What lib.sh knows; all that it says."""
    done = subprocess.run(["bash", "-c", f'. "{DEB}/lib.sh"; {script}', "sh",
                           *args], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    print("".join(f"# {line}\n" for line in done.stdout.splitlines()), end="")
    return done


CACHE = shell('echo "$cache"').stdout.strip()
work = tempfile.mkdtemp(dir=CACHE, prefix="deb.")
atexit.register(shutil.rmtree, work)


class Debian:
    """One made by lib.sh, in which the cache is where it is outside."""

    def __init__(self, root):
        self.root = root

    def try_(self, script, *env):
        return shell('in_root "$@"', self.root, "DEBIAN_FRONTEND=noninteractive",
                     *env, "sh", "-ec", script)

    def run(self, script, *env):
        done = self.try_(script, *env)
        done.check_returncode()
        return done.stdout


def builder(suite):
    shell(f"need_builder {suite}").check_returncode()
    return Debian(f"{CACHE}/deb/{suite}/builder")


def copy_of_tree(name):
    """The tree as it is, without what says when."""
    tree = f"{work}/{name}"
    shutil.copytree(TOP, tree, symlinks=True,
                    ignore=shutil.ignore_patterns(".git", "dist", "*.o", "*.ko"))
    return tree


def version_of(tree):
    with open(f"{tree}/kmod/main.c") as file:
        return VERSION_LINE.search(file.read())[1]
