# SPDX-License-Identifier: GPL-2.0
"""What the operator's network sees: captures of it, and what somebody there
can send."""

import base64
import os
import socket
import struct

from programs import RUN, check, inside, output, run, wait_for
from tunnels import cipher, key_file, spi

ETH_P_ALL = 3
LOCAL_EXPERIMENT = b"\x88\xb5"          # an Ethernet type that nothing uses
MARK = b"bhsec demo mark "
TSHARK_CIPHER = "AES-GCM with 16 octet ICV [RFC4106]"
ETHERNET, IPV4, UDP = 14, 20, 8         # bytes of headers before ESP
UDP_CHECKSUM = ETHERNET + IPV4 + 6
ESP = ETHERNET + IPV4 + UDP
SEQUENCE = ESP + 4

# All but ESP, IKE, ARP, IPv6's neighbour discovery and its multicast reports.
CLEAR = ("not (arp or esp or udp port 4500 or udp port 500 or "
         "(icmp6 and ip6[40] >= 133 and ip6[40] <= 136) or "
         "(ip6[6] == 0 and ip6[48] == 143))")


def records(path):
    """The packets of a capture file that is still being written."""
    with open(path, "rb") as capture:
        data = capture.read()
    at = 24
    while at + 16 <= len(data):
        length, = struct.unpack_from("=I", data, at + 8)
        if at + 16 + length <= len(data):
            yield data[at + 16:at + 16 + length]
        at += 16 + length


class Capture:
    """tcpdump on one cable of the operator's network, or on "any"."""

    def __init__(self, programs, name, cable, *expression):
        self.path, self.programs, self.marks = f"{RUN}/{name}.pcap", programs, 0
        self.program = programs.start("net", name, [
            "tcpdump", "-Z", "root", "--immediate-mode", "-U", "-n",
            "-s", "1600", "-B", "16384", "-i", cable, "-w", self.path,
            *expression])
        with inside("net"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind(("bs1" if cable == "any" else cable, 0))
        self.settle()

    def settle(self):
        """Returns when all that has passed is in the file: a frame of ours,
        sent now, is. So a capture that died never passes for a quiet wire."""
        self.marks += 1
        mark = MARK + b"%d" % self.marks

        def written():
            self.socket.send(bytes(12) + LOCAL_EXPERIMENT + mark)
            return os.path.exists(self.path) and any(
                record.endswith(mark) for record in records(self.path))

        wait_for(written, f"tcpdump writes {self.path}")

    def packets(self):
        self.settle()
        return [record for record in records(self.path) if MARK not in record]

    def stop(self):
        """A capture that lost packets could have lost the telling ones."""
        self.settle()
        self.programs.stop(self.program)
        self.socket.close()
        check("\n0 packets dropped by kernel" in output(self.program),
              f"tcpdump kept up: {output(self.program)}")


def decrypt(capture, source, targets):
    """tshark's view of the ESP between one site and others, given the keys:
    of each packet its SPI, protocols, outer addresses and summary."""
    options = ["-o", "esp.enable_encryption_decode:TRUE"]
    for pair in [(source, target) for target in targets] + \
                [(target, source) for target in targets]:
        check(cipher(*pair) == "aes-gcm-256", "tshark opens AES-GCM alone")
        with open(f"{RUN}/{key_file(*pair)}") as key:
            secret = base64.b64decode(key.read()).hex()
        options += ["-o", f'uat:esp_sa:"IPv4","*","*","{spi(*pair)}",'
                          f'"{TSHARK_CIPHER}","0x{secret}","NULL",""']
    fields = ["esp.spi", "frame.protocols", "ip.src", "ip.dst", "_ws.col.Info"]
    lines = run("net", "tshark", "-n", "-r", capture.path, *options,
                "-Y", "esp", "-T", "fields", "-E", "separator=|",
                *(word for field in fields for word in ("-e", field)))
    return [dict(zip(fields, line.split("|", len(fields) - 1)))
            for line in lines.splitlines()]


class Attacker:
    """Sits on a cable and sends what it saw there once more."""

    def __init__(self, cable):
        with inside("net"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                        socket.htons(ETH_P_ALL))
        self.socket.bind((cable, ETH_P_ALL))
        self.socket.settimeout(10)

    def overhear(self, spi_wanted):
        while True:
            frame = bytearray(self.socket.recv(2048))
            if frame[ESP:ESP + 4] == int(spi_wanted, 16).to_bytes(4, "big"):
                # The sender had left the checksum to its device, and IPv4
                # allows to send none: ESP has to find the forgery.
                frame[UDP_CHECKSUM:UDP_CHECKSUM + 2] = bytes(2)
                return frame

    def send(self, frame):
        self.socket.send(frame)

    @staticmethod
    def tampered(frame):
        """One bit of the sequence number, so that it counts as a new one."""
        other = bytearray(frame)
        other[SEQUENCE + 1] ^= 1
        return other
