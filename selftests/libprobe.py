# SPDX-License-Identifier: GPL-2.0
"""Probes at functions of the kernel: what is called how often, and what is
made slow."""

import contextlib
import os
import re
import subprocess

from libcase import Skip

TRACING = "/sys/kernel/tracing"


def need_probes():
    if not os.path.exists(f"{TRACING}/kprobe_events"):
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING],
                       capture_output=True, check=False)
    if not os.path.exists(f"{TRACING}/kprobe_events"):
        raise Skip("this kernel has no probes")


def write(path, text):
    # Not emptied first: that would take others' probes.
    file = os.open(f"{TRACING}/{path}", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def empty(path):
    with open(f"{TRACING}/{path}", "w", encoding="ascii"):
        pass


@contextlib.contextmanager
def probes(places, trigger=None):
    """One at each place, by a name of its own, for as long as this lasts."""
    need_probes()
    with contextlib.ExitStack() as stack:
        for name, place in places.items():
            kind = "r" if place.endswith("%return") else "p"
            write("kprobe_events",
                  f"{kind}:bhsec_test/{name} {place.removesuffix('%return')}")
            stack.callback(write, "kprobe_events", f"-:bhsec_test/{name}")
        for name in places:
            if trigger:
                write(f"events/bhsec_test/{name}/trigger", trigger)
                stack.callback(write, f"events/bhsec_test/{name}/trigger",
                               f"!{trigger}")
            write(f"events/bhsec_test/{name}/enable", "1")
            stack.callback(write, f"events/bhsec_test/{name}/enable", "0")
        yield


def hits(names):
    """How often each probe was met."""
    with open(f"{TRACING}/kprobe_profile", encoding="ascii") as lines:
        found = {line.split()[0]: int(line.split()[1]) for line in lines}
    return {name: found[name] for name in names}


def symbol(pattern):
    """The kernel's name of a function that has not the same on all."""
    with open("/proc/kallsyms", encoding="ascii") as lines:
        return next(name for name in (line.split()[2] for line in lines)
                    if re.fullmatch(pattern, name))
