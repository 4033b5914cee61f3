# SPDX-License-Identifier: GPL-2.0
"""Results: the table that is printed, the JSON that is kept."""

import json
import os

from machine import HERE
from tunnels import MODES
from workloads import WORKLOADS

RESULTS = f"{HERE}/results"
HEAD = """\
Guest instructions per inner packet, both ends together, one CPU. Inner MTU
1400, AES-128-GCM where there is a choice (macsec, xfrm, ovpn, bhsec), IPv4.
Underlay: MTU 1500, {underlay}. Set for all rows, because veth's
default differs from a NIC's: generic-receive-offload on. "-list" has rx-gro-list
on besides, no other row any other receive setting. "!": packets were lost or
sent again."""
SMP = ("tcp4: packets a second, in multiples of xfrm's on one CPU of the same "
       "run")
UNDERLAYS = {"plain": "no segmentation offload",
             "nic": "UDP segmentation offload, no other"}


def cell(result):
    if result is None:
        return "-"
    if "error" in result:
        return "failed"
    lost = result.get("retransmissions") or result.get("lost")
    return f"{result['per_packet']:,.0f}{'!' if lost else ''}"


def table(release, underlay, workloads, rows):
    """rows: {mode: {workload: result}}"""
    wide = max(map(len, MODES)) + 1
    yield HEAD.format(underlay=UNDERLAYS[underlay])
    yield ""
    yield f"{release}"
    yield " " * wide + "".join(f"{name:>12}" for name in workloads)
    for mode, row in rows.items():
        yield f"{mode:{wide}}" + "".join(
            f"{cell(row.get(name)):>12}" for name in workloads)


def name_of(kernel, underlay):
    return kernel if underlay == "plain" else f"{kernel}-{underlay}"


def path(name):
    return f"{RESULTS}/{name}.json"


def keep(name, values):
    os.makedirs(RESULTS, exist_ok=True)
    with open(path(name), "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.write("\n")


def keep_rows(kernel, release, underlay, rows):
    keep(name_of(kernel, underlay), {
        "kernel": release, "underlay": UNDERLAYS[underlay],
        "unit": "guest instructions per inner packet",
        "rows": {mode: {name: kept(result) for name, result in row.items()}
                 for mode, row in rows.items()}})


def kept(result):
    """Of one result, what does not change with the work's amount."""
    if "error" in result:
        return result
    out = {"instructions": round(result["per_packet"]),
           "lost": result.get("lost", 0) + result["retransmissions"]}
    if result["segments"]:
        out["acks"] = round(result["acks"] / result["segments"], 3)
    return out


def is_whole(kernel, workloads, rows):
    return (set(workloads) == set(WORKLOADS) and set(rows) == {
        mode for mode in MODES if MODES[mode].is_on(kernel)} and all(
            set(row) == set(WORKLOADS) for row in rows.values()))
