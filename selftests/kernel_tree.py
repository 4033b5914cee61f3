#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""These tests as a target of a kernel's own tools/testing/selftests."""

import shutil
import tempfile

from lib import *

SELFTESTS = "tools/testing/selftests"
# One will do; a compiler is slow in an emulated guest.
PROGRAM = "beside_xfrm.py"


def tree():
    """The part of a kernel's source that runs selftests, bhsec in it."""
    top = tempfile.mkdtemp()
    parts = [f"{SELFTESTS}/{name}" for name in os.listdir(f"{LINUX}/{SELFTESTS}")
             if name.startswith("kselftest") or name in ("Makefile", "lib.mk")]
    for part in [*parts, "tools/scripts", "tools/include", "scripts"]:
        os.makedirs(os.path.dirname(f"{top}/{part}"), exist_ok=True)
        os.symlink(os.path.realpath(f"{LINUX}/{part}"), f"{top}/{part}")
    for room, place in IN_TREE.items():
        shutil.copytree(SOURCE[room], f"{top}/{place}")
    shutil.copytree(TESTS, f"{top}/{SELFTESTS}/bhsec")
    return top


@case("make -C tools/testing/selftests TARGETS=bhsec run_tests")
def _():
    top = tree()
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("KSFT_", "BHSEC_"))}
    done = subprocess.run(
        ["make", "-C", f"{top}/{SELFTESTS}", "TARGETS=bhsec",
         f"TEST_PROGS={PROGRAM}", "TEST_GEN_PROGS=", "run_tests"],
        env=env, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)
    shutil.rmtree(top)
    print("\n".join(f"# {line}" for line in done.stdout.splitlines()))
    check_equal(done.returncode, 0, "exit status of make")
    check(re.search(rf"^ok 1 selftests: bhsec: {PROGRAM}$", done.stdout, re.M),
          f"{PROGRAM} did not pass")


main()
