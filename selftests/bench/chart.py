# SPDX-License-Identifier: GPL-2.0
"""One picture of the results of one kernel: a panel for each workload, a bar
for each tunnel, and a line where the floor is."""

import json
import os
from xml.sax.saxutils import escape

from results import RESULTS, path

KERNEL = "7.2"
ROWS = ("macsec", "xfrm", "xfrm-offload", "xfrm-udp", "ovpn", "wireguard",
        "bhsec", "bhsec-esp")
OURS, OTHERS, LINE = "#c0392b", "#8aa0b4", "#222222"
COLUMNS, WIDTH, NAME, BAR, GAP = 3, 300, 84, 11, 3
TITLE, MARGIN = 24, 14
HEIGHT = TITLE + len(ROWS) * (BAR + GAP) + MARGIN


def text(x, y, words, size=10, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
            f'text-anchor="{anchor}" font-weight="{weight}">'
            f'{escape(words)}</text>')


def rectangle(x, y, width, height, color):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" fill="{color}"/>')


def panel(x, y, workload, rows):
    def of(mode):
        return rows.get(mode, {}).get(workload, {}).get("instructions")

    room = WIDTH - NAME - 3 * MARGIN - 30
    scale = room / max(filter(None, map(of, ROWS)))
    yield text(x, y + 14, workload, 12, weight="bold")
    top = y + TITLE
    for mode in ROWS:
        yield text(x + NAME - 4, top + BAR - 2, mode, 9, "end")
        if value := of(mode):
            yield rectangle(x + NAME, top, value * scale, BAR,
                            OURS if mode.startswith("bhsec") else OTHERS)
            yield text(x + NAME + value * scale + 3, top + BAR - 2,
                       f"{value:,}", 9)
        top += BAR + GAP
    if floor := of("floor"):
        left = x + NAME + floor * scale
        yield (f'<line x1="{left:.1f}" x2="{left:.1f}" y1="{y + TITLE - 3}" '
               f'y2="{top}" stroke="{LINE}" stroke-dasharray="3 2"/>')


def picture(results):
    rows = results["rows"]
    workloads = list(rows["floor"])
    lines = -(-len(workloads) // COLUMNS)
    width, height = COLUMNS * WIDTH + MARGIN, 58 + lines * HEIGHT
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
           f'height="{height}" font-family="sans-serif" fill="{LINE}">')
    yield rectangle(0, 0, width, height, "#ffffff")
    yield text(MARGIN, 20, "Guest instructions per inner packet, both ends "
               f"together, Linux {results['kernel']}", 13, weight="bold")
    yield text(MARGIN, 38, "Less is faster. Dashed: no tunnel, plus the "
               "cipher alone. AES-128-GCM but for WireGuard.")
    for n, workload in enumerate(workloads):
        yield from panel(MARGIN + n % COLUMNS * WIDTH,
                         50 + n // COLUMNS * HEIGHT, workload, rows)
    yield "</svg>"


def draw():
    if not os.path.exists(path(KERNEL)):
        return
    with open(path(KERNEL), encoding="utf-8") as file:
        results = json.load(file)
    with open(f"{RESULTS}/{KERNEL}.svg", "w", encoding="utf-8") as file:
        file.write("\n".join(picture(results)) + "\n")
