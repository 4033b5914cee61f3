# SPDX-License-Identifier: GPL-2.0
"""What is measured: each workload's traffic, and between whom.

Sizes are those of inner IPv4 packets. Work is a number of packets; where a
stream carries them, packets of the inner MTU.
"""

MTU = 1400                  # of every tunnel
MSS = MTU - 20 - 20 - 12    # TCP's headers with time stamps
SEGMENTS = 44               # of 1400 bytes: below the 61,000 of most devices

GATEWAYS, HOSTS, ALONE = "gateways", "hosts", "alone"


class Workload:
    def __init__(self, name, ends, kind, packets, warm, **options):
        self.name, self.ends, self.kind = name, ends, kind
        self.packets, self.warm, self.options = packets, warm, options

    def command(self, source, target, address, check):
        """Traffic's, whose pass that checks every byte is a short one, and
        needs a receiver in any case."""
        packets, warm = (960, 0) if check else (self.packets, self.warm)
        kind = "udp" if check and self.kind == "tx" else self.kind
        parts = self.options.get("streams", self.options.get("burst", 1))
        unit = MSS if kind == "tcp" else 1
        if "streams" in self.options:
            packets, warm = packets // parts, warm // parts
        else:
            packets, warm = (-(-n // parts) * parts for n in (packets, warm))
        options = {**self.options, "count": packets * unit, "warm": warm * unit,
                   "check": int(check)}
        return [kind, source, target, address,
                *(f"{name}={value}" for name, value in options.items())]

    def per_packet(self, result):
        """Instructions per packet."""
        if self.kind == "ping":
            return result["median"]
        unit = result["mss"] if self.kind == "tcp" else 1
        return result["ticks"] * unit / result["count"]

    def aead_calls(self):
        """How often each packet is sealed and opened at least, and the
        packets' sizes."""
        sizes = [int(size) for size in
                 str(self.options.get("size", MTU)).split(",")]
        seals = 2 if self.kind == "ping" else 1
        return seals, 0 if self.kind == "tx" else seals, sizes


def loop(name, ends, size, **options):
    """A closed loop of 32 datagrams."""
    return Workload(name, ends, "udp", 6400, 1600, size=size, burst=32, **options)


IMIX = "40,576,40,40,576,40,40,576,40,1400,40,576"

WORKLOADS = {w.name: w for w in (
    Workload("tcp1", GATEWAYS, "tcp", 16000, 8000),
    Workload("tcp4", GATEWAYS, "tcp", 16000, 8000, streams=4),
    Workload("fwd", HOSTS, "tcp", 16000, 8000),
    loop("udp64", GATEWAYS, 64),
    loop("udp512", GATEWAYS, 512),
    loop("udp1400", GATEWAYS, 1400),
    loop("fwdudp64", HOSTS, 64),
    loop("fwdimix", HOSTS, IMIX),
    loop("fwdburst64", HOSTS, 64, gso=1),
    loop("fwdburst128", HOSTS, 128, gso=1),
    Workload("tx64", ALONE, "tx", 6400, 1600, size=64),
    Workload("txgso", ALONE, "tx", SEGMENTS * 200, SEGMENTS * 50, size=MTU,
             burst=SEGMENTS, gso=1),
    Workload("ping", GATEWAYS, "ping", 2000, 500, size=64),
)}
