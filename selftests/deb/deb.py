#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""make deb and make dist: what is in them, and the same bytes from one source."""

import glob
import hashlib
import json

from libcase import *
from libdeb import *

debian = builder("sid")
tree = copy_of_tree("checkout")
dist = f"{tree}/dist"
version = version_of(tree)
name = f"bhsec-{version}"
BUILT = {f"bhsec_{version}_amd64.deb", f"bhsec-dkms_{version}_all.deb",
         f"{name}.tar.xz", f"{name}.spdx.json"}


def sums(directory):
    found = {}
    for file in os.listdir(directory):
        with open(f"{directory}/{file}", "rb") as data:
            found[file] = hashlib.sha256(data.read()).hexdigest()
    return found


def make(directory, *env, before=""):
    return debian.run(f"{before} cd {directory}; make -s deb; make -s dist", *env)


def contents(package):
    """The files of a package."""
    listed = debian.run(f"dpkg-deb --fsys-tarfile {dist}/{package} | tar t")
    return {line[2:] for line in listed.splitlines() if line[-1] != "/"}


def sources(pattern):
    return {os.path.relpath(path, tree)
            for path in glob.glob(f"{tree}/{pattern}", recursive=True)}


@case("a commit is built, and nothing that is not in it")
def _():
    with open(f"{tree}/forgotten", "w") as file:
        file.write("x")
    debian.run(f"""cd {tree}; git init -q; git add -A; git rm -q --cached forgotten
        git -c user.name=x -c user.email=x@example.org commit -qm x""",
               f"GIT_COMMITTER_DATE={SECONDS} +0000")
    make(tree)
    check_equal(set(os.listdir(dist)), BUILT, "files built")
    listed = debian.run(f"tar tf {dist}/{name}.tar.xz").split()
    check(f"{name}/README.md" in listed, "no README in the tarball")
    check(f"{name}/forgotten" not in listed, "what is not in the commit is in it")


@case("its tarball builds the same bytes elsewhere, later, for another user")
def _():
    other = f"{work}/other/place"
    os.makedirs(other)
    debian.run(f"""tar -C {other} -xf {dist}/{name}.tar.xz
        find {other} -exec touch -d 2001-02-03 {{}} +""")
    make(f"{other}/{name}", "TZ=Asia/Tokyo", "LC_ALL=C", "HOME=/nowhere",
         before="umask 077;")
    check_equal(sums(f"{other}/{name}/dist"), sums(dist), "checksums")


@case("what is not dated is not built")
def _():
    bare = copy_of_tree("bare")
    done = debian.try_(f"cd {bare}; make -s deb")
    check(done.returncode and "set SOURCE_DATE_EPOCH" in done.stdout, done.stdout)
    check_equal(os.listdir(f"{bare}/dist"), [], "files built")


@case("bhsec has the tool and what belongs to it")
def _():
    files = contents(f"bhsec_{version}_amd64.deb")
    for file in ("bin/bhsec", "share/man/man8/bhsec.8.gz", "include/linux/bhsec.h",
                 "share/bash-completion/completions/bhsec",
                 "share/bhsec/bhsec.yaml", "share/bhsec/alerts.yml",
                 "libexec/bhsec-http", "lib/systemd/system/bhsec-metrics.socket",
                 "lib/systemd/system/bhsec-journal.service",
                 "lib/systemd/system/bhsec@.service",
                 "share/doc/bhsec/bhsec.spdx.json"):
        check(f"usr/{file}" in files, f"no {file} in {files}")
    guides = sources("userspace/doc/*.md")
    check(guides, "there are no guides")
    for guide in guides:
        file = f"usr/share/doc/bhsec/{os.path.basename(guide)}"
        check(file in files, f"no {file} in {files}")
    said = debian.run(f"dpkg-deb -x {dist}/bhsec_{version}_amd64.deb {work}/x; "
                      f"{work}/x/usr/bin/bhsec --version")
    check_equal(said, f"bhsec {version}\n", "version")


@case("bhsec-dkms has the module's sources, each of them")
def _():
    place = f"usr/src/{name}/"
    files = {path.removeprefix(place)
             for path in contents(f"bhsec-dkms_{version}_all.deb")
             if path.startswith(place)}
    check_equal(files, sources("Kbuild") | sources("kmod/**/*.[ch]") |
                {"dkms.conf", "first-error"}, "files")


@case("lintian finds nothing to warn of")
def _():
    debian.run(f"lintian --allow-root --fail-on warning {dist}/*.deb")


@case("the SPDX document is valid, and names each file as it is")
def _():
    debian.run(f"pyspdxtools -i {dist}/{name}.spdx.json")
    with open(f"{dist}/{name}.spdx.json") as file:
        document = json.load(file)
    debian.run(f"mkdir {work}/tar; tar -C {work}/tar -xf {dist}/{name}.tar.xz")
    listed = {file["fileName"]: file["checksums"][1]["checksumValue"]
              for file in document["files"]}
    found = debian.run(f"cd {work}/tar/{name}; find . -type f | xargs sha256sum")
    check_equal(listed, {path: digest for digest, path in
                         map(str.split, found.splitlines())}, "files")
    check_equal(document["packages"][0]["versionInfo"], version, "version")


@case("the validator sees a mistake in one")
def _():
    with open(f"{dist}/{name}.spdx.json") as file:
        wrong = file.read().replace('"GPL-2.0-only"', '"of our own"', 1)
    with open(f"{work}/wrong.spdx.json", "w") as file:
        file.write(wrong)
    check(debian.try_(f"pyspdxtools -i {work}/wrong.spdx.json").returncode,
          "it went unseen")


main_on_host()
