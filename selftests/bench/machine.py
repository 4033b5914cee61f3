# SPDX-License-Identifier: GPL-2.0
"""Where things are, and what has to be built before a guest is booted."""

import functools
import os
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
VM = os.path.realpath(f"{HERE}/../vm")


def shell(script):
    """What lib.sh knows."""
    return subprocess.run(["bash", "-c", f'. "{VM}/lib.sh"; {script}'],
                          check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


@functools.lru_cache
def build(kernel):
    """The directory of what a guest needs besides what is measured."""
    return subprocess.run([f"{HERE}/build", kernel], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def release(kernel):
    """As uname -r says it."""
    return shell(f'cat "$cache/kernel/{kernel}/release"')
