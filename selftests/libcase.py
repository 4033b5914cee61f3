# SPDX-License-Identifier: GPL-2.0
"""Cases of a test and their results; the module, and what has to go when a
test ends."""

import atexit
import collections
import contextlib
import ctypes
import fcntl
import hashlib
import ipaddress
import itertools
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

# Behind all else, or a test could pass for a module of its name.
sys.path.append(sys.path.pop(0))
TESTS = os.path.dirname(os.path.realpath(__file__))
KSFT_DIR = os.environ.get("KSFT_DIR") or f"{TESTS}/../kselftest"
LINUX = f"{KSFT_DIR}/../../../.."
sys.path.insert(0, KSFT_DIR)
import ksft

# bhsec's own sources: beside the tests, or where a kernel's tree has them.
IN_TREE = {"kmod": "drivers/net/bhsec", "userspace": "tools/net/bhsec"}
SOURCE = {room: f"{TESTS}/../{room}" if os.path.isdir(f"{TESTS}/../{room}")
          else f"{TESTS}/../../../../{place}" for room, place in IN_TREE.items()}

CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MNT_DETACH = 2
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8913, 0x8914, 0x8922, 1
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
PACKET_OUTGOING = 4
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
UDP_SEGMENT = 103
IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU = 10, 14, 23, 24
PMTUDISC_DONT, PMTUDISC_DO = 0, 2
IP_RECVERR, IPV6_RECVERR = 11, 25
ESP_PORT = 4500
SINK_PORT = 47100
# What show has in seconds, which go on between two answers.
TIMES = "age", "last-received", "last-sent"
# Generous: an emulated guest shares its CPUs with whatever the host does. One whose
# time is instructions alone has none to do while the host reads a file for it: a
# module that nft wanted once took two minutes of three real seconds.
PATIENCE = (1200 if os.environ.get("BHSEC_MEASURE") else
            120 if os.environ.get("BHSEC_KERNEL") == "debug" else 30)

# Bytes of key and salt, the kernel's name; what authenticates, if that is
# another, and bytes of its key; bytes of explicit IV and ICV, and of a block.
Suite = collections.namedtuple("Suite", "key name mac mac_key iv icv block",
                               defaults=(None, 0, 8, 16, 4))
AEADS = {
    "aes-gcm-128": Suite(20, "rfc4106(gcm(aes))"),
    "aes-gcm-256": Suite(36, "rfc4106(gcm(aes))"),
    "chacha20-poly1305": Suite(36, "rfc7539esp(chacha20,poly1305)"),
    "aes-ccm-128": Suite(19, "rfc4309(ccm(aes))"),
    "aes-ccm-256": Suite(35, "rfc4309(ccm(aes))"),
}
# RFC 4868: of a hash half is sent.
SUITES = AEADS | {
    f"aes-cbc-{8 * key}-sha{8 * size}": Suite(
        key, "cbc(aes)", f"hmac(sha{8 * size})", size, 16, size // 2, 16)
    for size in (32, 48, 64) for key in (16, 32)
} | {
    "aes-gmac-128": Suite(20, "rfc4543(gcm(aes))"),
    "aes-gmac-256": Suite(36, "rfc4543(gcm(aes))"),
    "null-sha256": Suite(0, "ecb(cipher_null)", "hmac(sha256)", 32, 0),
}
CIPHERS = {name: suite.key + suite.mac_key for name, suite in SUITES.items()}

DROPS = """no_sa auth replay malformed selector padding fragment encap dummy
expired exhausted no_key no_peer no_endpoint no_route too_big loop down backlog
nomem crypto""".split()

TROUBLE = re.compile(r"WARNING: |BUG|Oops|Call Trace:|refcount_t: |"
                     r"unregister_netdevice: waiting|general protection fault")

libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    """Of a libc call that says -1 for an error."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# Cases

class Failure(Exception):
    pass


class Skip(Exception):
    """This kernel cannot show what the case promises; the reason."""


def check(condition, message="not so"):
    if not condition:
        raise Failure(message)


def brief(value, most=600):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)})"


def check_equal(seen, wanted, what="value"):
    check(seen == wanted, f"{what}: {brief(seen)} instead of {brief(wanted)}")


def check_packets(seen, wanted, what="packets on the device"):
    """All of them, once each, in any order: two CPUs may have had them."""
    check_equal(len(seen), len(wanted), f"number of {what}")
    for pair in zip(sorted(seen), sorted(wanted)):
        check_equal(*pair, what)


def wait_for(condition, seconds=PATIENCE, what="condition"):
    """Returns what the condition becomes; fails if it stays false, with what
    was waited for: words, or a function that finds them then."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"waited {seconds} s for: "
              f"{what() if callable(what) else what}")
        time.sleep(0.005)


@contextlib.contextmanager
def meanwhile(*steps):
    """Each is done again and again, in a thread of its own."""
    over = threading.Event()

    def repeat(step):
        while not over.is_set():
            step()

    threads = [threading.Thread(target=repeat, args=[step]) for step in steps]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


_cases = []
on_failure = []     # what says more of a case that failed


def tell_end_of(path):
    """What stands last in a file, of each case that fails."""
    def tell():
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as log:
                for line in log.readlines()[-20:]:
                    ksft.print_msg(line.rstrip())
    on_failure.append(tell)


def case(description):
    """Decorator: the function is a case of this test program."""
    def add(function):
        _cases.append((description, function))
        return function
    return add


def add_case(description, function, *args, **kwargs):
    """The same for one of a table."""
    _cases.append((description, lambda: function(*args, **kwargs)))


def run_case(description, function):
    try:
        function()
        ksft.test_result_pass(description)
    except Skip as reason:
        ksft.test_result_skip(f"{description}: {reason}")
    except Exception as error:
        for line in traceback.format_exc().splitlines():
            ksft.print_msg(line)
        if isinstance(error, subprocess.CalledProcessError):
            ksft.print_msg(f"stderr: {error.stderr}")
        for tell in on_failure:
            tell()
        ksft.test_result_fail(description)
    sys.stdout.flush()


def main():
    _run_cases(1)
    finish()


def main_on_host():
    """Of a test that no guest runs, which loads no module."""
    _run_cases(0)
    ksft.finished()


def _run_cases(more):
    ksft.print_header()
    ksft.set_plan(len(_cases) + more)
    for description, function in _cases:
        run_case(description, function)


# The module, and what has to go when a test ends

_kmsg = None
open_namespaces = []
open_processes = []
open_servers = []


def load_module():
    """Once; from then on the kernel's log is watched."""
    global _kmsg
    if _kmsg is None:
        _kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(_kmsg, 0, os.SEEK_END)
        subprocess.run(["modprobe", "bhsec"], check=True)
        if template := os.environ.get("BHSEC_CRYPTO"):
            import libcrypto
            libcrypto.force(template)


def kernel_log():
    """Lines since the last call."""
    lines = []
    while True:
        try:
            record = os.read(_kmsg, 8192).decode(errors="replace")
        except BlockingIOError:
            return lines
        except BrokenPipeError:
            continue    # overwritten meanwhile: the next record follows
        lines.append(record.partition(";")[2].partition("\n")[0])


def clean_up():
    for server in open_servers:
        server.stop()
    open_servers.clear()
    for process in open_processes:
        if process.poll() is None:
            process.kill()
        process.wait()
    open_processes.clear()
    for ns in list(open_namespaces):
        ns.close()


atexit.register(clean_up)


def unload():
    clean_up()
    load_module()
    subprocess.run(["rmmod", "bhsec"], check=True, timeout=2 * PATIENCE,
                   capture_output=True, text=True)
    trouble = [line for line in kernel_log() if TROUBLE.search(line)]
    check(not trouble, "\n".join(trouble))


def finish():
    """The last case of every program, and its end."""
    run_case("the module unloads and the kernel's log is clean", unload)
    ksft.finished()
