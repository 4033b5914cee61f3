# SPDX-License-Identifier: GPL-2.0
"""Measures workloads in a guest that has been booted with --measure."""

import contextlib
import json
import subprocess

from namespaces import Network
from tunnels import CIPHERS, MODES
from workloads import ALONE

PARAMETERS = "/sys/module/bench/parameters"


def load_modules(directory):
    """The bench's own, and what udev would load: this CPU's ciphers."""
    with open("/sys/devices/system/cpu/modalias", encoding="ascii") as alias:
        subprocess.run(["modprobe", "--quiet", alias.read().strip()],
                       stderr=subprocess.DEVNULL, check=False)
    # The clock runs away while the host reads a file for a guest that sleeps:
    # who waits for a module with a timeout would not get it.
    subprocess.run(["modprobe", "-a", "gcm", "chacha20poly1305", "seqiv"],
                   check=True)
    subprocess.run(["insmod", f"{directory}/bench.ko"], check=True)


def aead(size):
    """Instructions to seal and to open a packet, in this kernel."""
    _, key_bytes, template = CIPHERS["aes128"]
    for name, value in (("template", template), ("key_bytes", key_bytes),
                        ("size", size)):
        with open(f"{PARAMETERS}/{name}", "w", encoding="ascii") as file:
            file.write(str(value))
    for name in "seal", "open":
        with open(f"{PARAMETERS}/{name}", encoding="ascii") as file:
            yield int(file.read())


def floor(workload):
    """Instructions per packet that no tunnel can do without."""
    seals, opens, sizes = workload.aead_calls()
    cost = {size: list(aead(size)) for size in set(sizes)}
    return sum(seals * cost[size][0] + opens * cost[size][1]
               for size in sizes) / len(sizes)


class Bench:
    """One tunnel, in namespaces of its own."""

    def __init__(self, directory, mode, underlay="plain"):
        self.program, self.mode = f"{directory}/traffic", mode
        self.network = Network(underlay)
        MODES[mode].set_up(self.network.a, self.network.b)

    def traffic(self, workload, check):
        source, target, address = self.network.ends(workload.ends)
        return json.loads(subprocess.run(
            [self.program, *workload.command(source.name, target.name, address,
                                             check)],
            check=True, stdout=subprocess.PIPE).stdout)

    @contextlib.contextmanager
    def sent(self, workload):
        """What does not leave a sender that is alone is lost, and nobody else
        would miss it."""
        report = {}
        before = self.network.a.statistic("ul", "tx_packets")
        with self.network.dropping():
            yield report
        sent = self.network.a.statistic("ul", "tx_packets") - before
        report["lost"] = max(0, workload.packets + workload.warm - sent)

    def measure(self, workload):
        self.traffic(workload, True)
        with (self.sent(workload) if workload.ends == ALONE
              else contextlib.nullcontext({})) as lost:
            result = self.traffic(workload, False)
        result["per_packet"] = workload.per_packet(result)
        if self.mode == "floor":
            result["per_packet"] += floor(workload)
        return {**result, **lost}

    def close(self):
        self.network.close()
