#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Draws what exits cost as a machine grows: plot.py BENCH.JSON OUT.SVG, from the section "scale".

Each panel has one thing that grows, from left to right by powers of two; a line is one operation. The same
figures give the same file.
"""

import json
import sys

TITLES = {"vms": "VMs, all but one asleep", "vcpus": "vCPUs of a VM, all but one asleep",
          "regions": "regions of memory", "devices": "devices, by ranges", "memory": "MiB of a VM"}


def lines(section):
    """{row: [(count, value)]} of one panel, the counts in order."""
    rows = {}
    for count, column in sorted(section.items(), key=lambda item: int(item[0])):
        for row, value in column.items():
            rows.setdefault(row, []).append((int(count), value))
    return rows


def draw(scale, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "trivet", "svg.fonttype": "none", "font.size": 8})
    from matplotlib import pyplot
    wanted = [what for what in TITLES if what in scale]
    figure, panels = pyplot.subplots(1, len(wanted), figsize=(2.8 * len(wanted), 3), squeeze=False)
    for panel, what in zip(panels[0], wanted):
        section = scale[what]
        for row, points in lines(section).items():
            panel.plot(*zip(*points), marker="o", markersize=3, label=row)
        panel.set_xscale("log", base=2)
        counts = sorted({int(count) for count in section})
        panel.set_xticks(counts, [str(count) for count in counts])
        panel.set_ylim(bottom=0)
        panel.set_title(TITLES[what])
        panel.set_ylabel("instructions")
        panel.grid(True, alpha=0.3)
        panel.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.split("\n")[0], file=sys.stderr)
        return 1
    with open(arguments[0]) as file:
        figures = json.load(file)
    if not figures.get("scale"):
        print("plot: no section \"scale\" in %s; run make bench" % arguments[0], file=sys.stderr)
        return 1
    try:
        draw(figures["scale"], arguments[1])
    except ImportError:
        print("plot: matplotlib is missing; tests/rig/setup.sh plot", file=sys.stderr)
        return 1
    print("plot: %s" % arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
