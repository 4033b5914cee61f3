#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# two CPUs
# kernels: newest
"""These tests as a target of a kernel's own tools/testing/selftests."""

import shutil
import tempfile

from lib import *

SELFTESTS = "tools/testing/selftests"
# It reads the module's sources.
PROGRAM = "generated.py"
UNITS = [name for name in os.listdir(f"{TESTS}/unit") if name.endswith(".c")]
SOURCES = "import libcase; print(*libcase.SOURCE.values(), sep='\\n')"


def tree():
    """The part of a kernel's source that runs selftests, bhsec in it."""
    top = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, top)
    parts = [f"{SELFTESTS}/{name}" for name in os.listdir(f"{LINUX}/{SELFTESTS}")
             if name.startswith("kselftest") or name in ("Makefile", "lib.mk")]
    for part in [*parts, "tools/scripts", "tools/include", "scripts"]:
        os.makedirs(os.path.dirname(f"{top}/{part}"), exist_ok=True)
        os.symlink(os.path.realpath(f"{LINUX}/{part}"), f"{top}/{part}")
    for room, place in IN_TREE.items():
        shutil.copytree(SOURCE[room], f"{top}/{place}")
    shutil.copytree(TESTS, f"{top}/{SELFTESTS}/bhsec")
    return top


def outside_of_a_run():
    """The environment of somebody who only has the tree."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("KSFT_", "BHSEC_"))}


top = tree()


def make(*args):
    done = subprocess.run(
        ["make", "-C", f"{top}/{SELFTESTS}", "TARGETS=bhsec", *args],
        env=outside_of_a_run(), check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    print("\n".join(f"# {line}" for line in done.stdout.splitlines()))
    check_equal(done.returncode, 0, "exit status of make")
    return done.stdout


@case("the tests find the sources of module and tool in the tree")
def _():
    done = subprocess.run(["/usr/bin/python3", "-c", SOURCES],
                          cwd=f"{top}/{SELFTESTS}/bhsec", check=True,
                          env=outside_of_a_run(), stdout=subprocess.PIPE,
                          text=True)
    check_equal([os.path.realpath(path) for path in done.stdout.split()
                 if os.path.isdir(path)],
                [f"{top}/{place}" for place in IN_TREE.values()], "sources")


@case("make -C tools/testing/selftests TARGETS=bhsec")
def _():
    # An emulated guest takes minutes to build and run them: the host does.
    said = make("CC=gcc -fsyntax-only", "TEST_PROGS=")
    for name in UNITS:
        check(re.search(rf"^gcc .* unit/{name} \S*/net/bhsec/{name} ",
                        said, re.M), f"{name} was not compiled")


@case("make -C tools/testing/selftests TARGETS=bhsec run_tests")
def _():
    said = make(f"TEST_PROGS={PROGRAM}", "TEST_GEN_PROGS=", "run_tests")
    check(re.search(rf"^ok 1 selftests: bhsec: {PROGRAM}$", said, re.M),
          f"{PROGRAM} did not pass")


main()
