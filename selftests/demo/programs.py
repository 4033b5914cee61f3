# SPDX-License-Identifier: GPL-2.0
"""Namespaces, programs in them, conditions to wait for."""

import contextlib
import ctypes
import os
import re
import subprocess
import time

RUN = "/run/bhsec-demo"         # keys, configurations, logs
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A claim of the demo that did not hold."""


def check(holds, claim):
    if not holds:
        raise Failed(claim)


def wait_for(condition, claim, seconds=120, poll=0.1):
    """Returns what the condition returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        check(time.monotonic() < end, f"{claim}: not within {seconds} s")
        time.sleep(poll)
    return result


def setns(namespace):
    if libc.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(netns):
    """Sockets opened and programs started within belong to the namespace."""
    with open("/proc/self/ns/net") as home, \
            open(f"/run/netns/{netns}") as there:
        setns(there)
        try:
            yield
        finally:
            setns(home)


def run(netns, *command, stdin=None):
    """A program's output; its refusal is what the demo fails with."""
    with inside(netns):
        done = subprocess.run(command, cwd=RUN, input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
    said = (done.stderr + done.stdout).strip()
    check(done.returncode == 0, f"{netns}: {' '.join(command)}: {said}")
    return done.stdout


class Programs:
    """What runs in the background, each with its output in a file."""

    def __init__(self):
        self.running = []

    def start(self, netns, name, command, env=None):
        with inside(netns), open(f"{RUN}/{name}.log", "w") as log:
            program = subprocess.Popen(
                command, cwd=RUN, env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        program.name = name
        self.running.append(program)
        return program

    def finish(self, program, seconds):
        """A program that ends by itself."""
        try:
            program.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{program.name} ends in {seconds} s") from late
        self.running.remove(program)

    def stop(self, *programs):
        """Some end at once, some think about it: those are killed."""
        for program in programs:
            self.running.remove(program)
            program.terminate()
        end = time.monotonic() + 2
        for program in programs:
            try:
                program.wait(max(0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def stop_all(self):
        self.stop(*self.running)


def output(program):
    with open(f"{RUN}/{program.name}.log", errors="replace") as log:
        return log.read()


def listens(program, table, port, state):
    """Whether a program's namespace has a socket on the port."""
    with open(f"/proc/{program.pid}/net/{table}") as sockets:
        return any(re.search(rf":{port:04X} +\S+ {state}", line)
                   for line in sockets)
