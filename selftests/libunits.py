# SPDX-License-Identifier: GPL-2.0
"""Systemd's units, as make install puts them in place."""

import shutil

from libcase import *

TOP = f"{TESTS}/.."
UNITS = "/usr/local/lib/systemd/system"
# Programs of systemd's size are long in starting where each page is emulated.
LIMIT = 10 * PATIENCE


def installed():
    """As by make install, into this guest, which forgets it."""
    if not os.path.exists(f"{TOP}/Makefile"):
        raise Skip("there is no make install beside the tests")
    shutil.copy(os.environ["BHSEC_KO"], f"{TOP}/bhsec.ko")
    done = subprocess.run(["make", "-s", "-C", TOP, "install", "DESTDIR=/tmp/root"],
                          capture_output=True, text=True, check=False)
    check_equal(done.returncode, 0, done.stderr)
    shutil.copytree("/tmp/root/usr/local", "/usr/local", dirs_exist_ok=True)


def analyze(*words):
    done = subprocess.run(["systemd-analyze", *words], capture_output=True,
                          text=True, check=False, timeout=LIMIT)
    return done.returncode, done.stdout + done.stderr


def confined(name, exposed):
    """A service is exposed so much at most, by systemd-analyze, in tenths."""
    status, said = analyze("security", "--offline=true", f"--threshold={exposed}",
                           f"{UNITS}/{name}")
    check_equal(status, 0, said)


def settings(name, key):
    """What each setting of this name in a unit says."""
    with open(f"{UNITS}/{name}", encoding="ascii") as file:
        return re.findall(rf"^{key}=(.*)$", file.read(), re.M)


def unit(name, key):
    """The last of them."""
    return settings(name, key)[-1]
