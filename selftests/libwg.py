#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""wg(8), as much of it as userspace/doc/from-wireguard.md has, where there is none:
genkey, pubkey and set."""

import base64
import os
import socket
import struct
import sys

sys.path.insert(0, f"{os.path.dirname(os.path.realpath(__file__))}/bench")
import genl

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


def read_key(path):
    with open(path, encoding="ascii") as file:
        return base64.b64decode(file.read())


def print_key(key):
    print(base64.b64encode(key).decode())


def prefix(text):
    address, _, length = text.partition("/")
    return {1: genl.u16(socket.AF_INET), 2: socket.inet_aton(address),
            3: genl.u8(int(length))}


def endpoint(text):
    address, _, port = text.rpartition(":")
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(int(port)),
                       socket.inet_aton(address))


# Numbers of linux/wireguard.h: of the device, and of a peer.
DEVICE = {"listen-port": (6, lambda word: genl.u16(int(word))),
          "private-key": (3, read_key)}
PEER = {"peer": (1, base64.b64decode), "endpoint": (4, endpoint),
        "persistent-keepalive": (5, lambda word: genl.u16(int(word))),
        "allowed-ips": (9, lambda word: dict(enumerate(map(prefix,
                                                           word.split(",")))))}


def set_device(ifname, *words):
    device, peer = {1: genl.u32(socket.if_nametoindex(ifname))}, {}
    for word, value in zip(words[::2], words[1::2]):
        number, convert = (DEVICE | PEER)[word]
        (device if word in DEVICE else peer)[number] = convert(value)
    genl.Family("wireguard").do(1, device | {8: {0: peer}})


match sys.argv[1:]:
    case ["genkey"]:
        print_key(os.urandom(32))
    case ["pubkey"]:
        key = x25519.X25519PrivateKey.from_private_bytes(
            base64.b64decode(sys.stdin.read()))
        print_key(key.public_key().public_bytes(*RAW))
    case ["set", *words]:
        set_device(*words)
    case words:
        sys.exit(f"wg {words}: not here")
