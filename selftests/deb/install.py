#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Packages in clean systems of three releases: installed, upgraded, met by another
kernel, removed and purged."""

from libcase import *
from libdeb import *

OWN = "/etc/bhsec/bh0.conf"     # the operator's
# What apt, dpkg and DKMS keep for themselves, whoever is installed.
THEIRS = re.compile(r"/(proc|dev|sys|tmp|var/(log|cache|lib/(apt|dpkg)))/|"
                    r"/var/lib/dkms/mok\.|/etc/ssl/|/etc/ld\.so\.cache|"
                    r".*/modules\.[a-z.]+$")


class Release:
    """One of Debian's, in which packages are built, and a clean one of it."""

    def __init__(self, suite):
        self.suite, self.clean = suite, Debian(f"{work}/{suite}")

    def make(self):
        self.builder = builder(self.suite)
        shell('cp -a --reflink=auto "$@"', self.builder.root,
              self.clean.root).check_returncode()
        self.clean.run("apt-get purge -q -y --autoremove build-essential debhelper "
                       "libjson-c-dev libmnl-dev libncurses-dev 2>&1")
        self.clean.run("apt-get install -q -y --no-install-recommends dkms "
                       "linux-headers-amd64 2>&1")

    def packages(self, version):
        """Of the tree as it is, called so."""
        tree = copy_of_tree(f"{self.suite}-{version}")
        path = f"{tree}/kmod/main.c"
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(VERSION_LINE.sub(f'MODULE_VERSION("{version}");', text))
        self.builder.run(f"cd {tree}; make -s deb", f"SOURCE_DATE_EPOCH={SECONDS}")
        return f"{tree}/dist/*.deb"

    def install(self, *packages):
        self.clean.run("apt-get install -q -y --no-install-recommends " +
                       " ".join(packages) + " 2>&1")

    def modules(self):
        """{kernel: version of its module}"""
        found = self.clean.run("""for ko in /lib/modules/*/updates/dkms/bhsec.ko*; do
            [ ! -e $ko ] || echo $ko $(modinfo -F version $ko); done""")
        return {line.split()[0].split("/")[3]: line.split()[1]
                for line in found.splitlines()}

    def kernels(self):
        """Those whose headers are there."""
        return set(self.clean.run(
            "cd /lib/modules; for k in *; do [ ! -e $k/build/Makefile ] || "
            "echo $k; done").split())

    def files(self):
        found = set()
        for directory, _, names in os.walk(self.clean.root):
            place = directory.removeprefix(self.clean.root)
            found.update(f"{place}/{name}" for name in names)
        return {path for path in found if not THEIRS.match(path)}


def installed(release):
    release.make()
    release.before = release.files()
    release.install(release.packages("7.0.0"))
    check_equal(release.modules(), {k: "7.0.0" for k in release.kernels()},
                "modules")
    check_equal(release.clean.run("bhsec --version"), "bhsec 7.0.0\n", "the tool")


def upgraded(release):
    release.clean.run(f"mkdir -p /etc/bhsec; echo '# mine' >{OWN}")
    release.install(release.packages("7.0.1"))
    check_equal(release.modules(), {k: "7.0.1" for k in release.kernels()},
                "modules")
    check_equal(release.clean.run("bhsec --version"), "bhsec 7.0.1\n", "the tool")
    check_equal(release.clean.run(f"cat {OWN}"), "# mine\n", "the operator's file")


def another_kernel(release):
    before = release.kernels()
    release.install("linux-headers-cloud-amd64")
    check_equal(len(release.kernels() - before), 1, "kernels that came")
    check_equal(release.modules(), {k: "7.0.1" for k in release.kernels()},
                "modules")


def removed(release):
    before = release.modules()
    release.clean.run("apt-get remove -q -y bhsec 2>&1")
    check(release.clean.try_("command -v bhsec").returncode, "the tool is left")
    check_equal(release.clean.run(f"cat {OWN}"), "# mine\n", "the operator's file")
    check_equal(release.modules(), before, "modules")


def purged(release):
    # Nothing is known of it any more where it has no state to purge.
    release.clean.run("dpkg --purge bhsec 2>&1")
    release.clean.run("apt-get purge -q -y --autoremove bhsec-dkms "
                      f"'~i~n^linux-.*cloud' 2>&1; rm {OWN}")
    check_equal(release.files() - release.before, set(), "files that are left")


for suite in "bookworm", "trixie", "sid":
    release = Release(suite)
    for what, function in (
            ("a clean system has the module and the tool, as installed", installed),
            ("an upgrade takes the place of both, and of nothing else", upgraded),
            ("another kernel comes: it has the module, too", another_kernel),
            ("the tool is removed, what the operator made is left", removed),
            ("the module is purged, nothing is left", purged)):
        add_case(f"{suite}: {what}", function, release)

main_on_host()
