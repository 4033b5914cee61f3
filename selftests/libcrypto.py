# SPDX-License-Identifier: GPL-2.0
"""Ciphers that answer later: instances of cryptd and pcrypt in the place of
the kernel's own."""

import contextlib
import errno
import os
import socket
import struct
import subprocess

from libcase import PATIENCE, check, clean_up, wait_for

NETLINK_CRYPTO = 21
CRYPTO_MSG_NEWALG, CRYPTO_MSG_DELALG = 0x10, 0x11
CRYPTOCFGA_PRIORITY_VAL = 1
TYPE_AEAD, TYPE_MASK = 3, 15
NAME = "rfc4106(gcm(aes))"
PRIORITY = 9999
# cryptd wraps nothing that may be asynchronous by itself.
SYNCHRONOUS = "rfc4106(gcm_base(ctr(aes-generic),ghash-generic))"


def load(*modules):
    return subprocess.run(["modprobe", *modules], check=False,
                          capture_output=True).returncode == 0


def crypto_request(kind, driver, priority=None):
    """One request of the crypto user API; returns its errno."""
    body = struct.pack("=64s64s64sIIII", b"", driver.encode(), b"",
                       TYPE_AEAD, TYPE_MASK, 0, 0)
    if priority is not None:
        body += struct.pack("=HHI", 8, CRYPTOCFGA_PRIORITY_VAL, priority)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_CRYPTO) as sock:
        sock.settimeout(PATIENCE)
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body)
        return -struct.unpack_from("=i", sock.recv(4096), 16)[0]


def algorithms():
    """/proc/crypto as dicts."""
    with open("/proc/crypto", encoding="ascii") as text:
        blocks = text.read().split("\n\n")
    return [dict(map(str.strip, line.split(":", 1)) for line in block.splitlines())
            for block in blocks if block.strip()]


def users(driver):
    return max((int(alg["refcnt"]) for alg in algorithms()
                if alg["driver"] == driver), default=0)


def best_driver():
    """What the kernel would take: allocated once, so that it is listed."""
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as sock:
        sock.bind(("aead", NAME))
    return max((alg for alg in algorithms()
                if alg["name"] == NAME and alg.get("internal") != "yes"),
               key=lambda alg: int(alg["priority"]))["driver"]


@contextlib.contextmanager
def self_tests_off():
    """6.1's cryptd changes a request's tfm on its way, which the kernel's own
    test of it refuses; a user that does not look there need not care."""
    switch = "/sys/module/cryptomgr/parameters/notests"
    with open(switch, "w", encoding="ascii") as file:
        file.write("1")
    try:
        yield
    finally:
        with open(switch, "w", encoding="ascii") as file:
            file.write("0")


def instance(template):
    """The driver that a template makes of the kernel's own."""
    driver = SYNCHRONOUS if template == "cryptd" else best_driver()
    return f"{template}({driver})"


def force(template):
    """From now on new SAs get a wrapped driver; so they may have already."""
    check(prepare() and load(template), f"no {template} here")
    if any(alg["priority"] == str(PRIORITY) for alg in algorithms()):
        return
    with self_tests_off():
        error = crypto_request(CRYPTO_MSG_NEWALG, instance(template), PRIORITY)
    check(not error, f"{template}: {os.strerror(error)}")


def prepare():
    """What the instances are made from, and by."""
    return load("-a", "crypto_user", "algif_aead", "gcm", "seqiv", "esp4",
                "esp6", "aesni_intel")


class Forced:
    """`with Forced("cryptd"):` every new SA gets a wrapped driver."""

    def __init__(self, template):
        self.driver = instance(template)

    def __enter__(self):
        with self_tests_off():
            error = crypto_request(CRYPTO_MSG_NEWALG, self.driver, PRIORITY)
        check(not error, f"{self.driver}: {os.strerror(error)}")
        return self

    def __exit__(self, *_):
        clean_up()
        # The last transforms go with their namespaces, a little later.
        wait_for(lambda: not crypto_request(CRYPTO_MSG_DELALG, self.driver),
                 what=f"{self.driver} to be unused")
