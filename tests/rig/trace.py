#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Shows where the instructions of an exit go: a warm round of a row of guest/tests/exit-cost.c.

    tests/rig/trace.py cpuid_0                     # by function, in the order of their first instruction
    tests/rig/trace.py --lines out_21              # by source line, inlined functions told apart
    tests/rig/trace.py --listing vmcall            # every instruction
    tests/rig/trace.py --hv mitigations=auto --model haswell all   # the sums of all rows

In Bochs. The guest marks rounds by XCHG BX, BX, at which Bochs' debugger stops; between two stops it
prints each instruction. What runs above the middle of the address space is Trivet, the rest is the guest.
"""

import argparse
import collections
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rig import session  # noqa: E402
from rig.iso import RigError  # noqa: E402

ROWS_MOST = 60
MARKS = 3  # rounds of a row that guest/lib/measure.h has marked
HIGH = 1 << 63
LINE = re.compile(r"^\(0\)\.\[(\d+)\] \[0x[0-9a-f]+\] [0-9a-f]{4}:([0-9a-f]+) \(.*?\): (.*?) *; [0-9a-f]+$")

# Rows of other programs than exit-cost: the program, and what its VM needs.
GUESTS = {"vcpu_switch": ("switch-cost", "mem=64M cpus=2")}

# What costs more than one instruction does, by a pattern of its disassembly. The last column says whether
# the SDM ("Serializing Instructions") or its nature makes the CPU wait for all before it.
KINDS = [
    ("VMREAD", r"vmread", False),
    ("VMWRITE", r"vmwrite", False),
    ("RDMSR", r"rdmsr", False),
    ("WRMSR", r"wrmsr", True),
    ("read CR", r"mov \w+, cr\d", False),
    ("write CR", r"mov cr\d|clts|lmsw", True),
    ("write DR", r"mov dr\d", True),
    ("serialising", r"cpuid|inv(ept|vpid|lpg|pcid|d\b)|wbinvd|l[gi]dt|l[lt]dt|ltr|iret|serialize|rsm", True),
    ("XSETBV", r"xsetbv", True),
    ("VERW", r"verw", False),
    ("LFENCE", r"[lm]fence", False),
    ("locked", r"lock |xchg .*\[", False),
    ("RDTSC", r"rdtsc", False),
    ("IN/OUT", r"(rep )?(in|out)(s\w)? ", False),
    ("indirect branch", r"(call|jmp) (r|qword)", False),
    ("XSAVE/XRSTOR", r"f?xsave|f?xrstor|fx", False),
]


class Instruction:
    """One line of the trace."""

    def __init__(self, tick, address, text):
        self.tick, self.address, self.text = tick, address, text
        self.trivet = address >= HIGH


def parse(text):
    """The marked rounds of a debugger's output, each a list of instructions."""
    rounds, current = [], None
    for line in text.split("\n"):
        if "Tracing enabled" in line:
            current = []
        elif "Tracing disabled" in line and current is not None:
            rounds.append(current)
            current = None
        elif current is not None:
            match = LINE.match(line)
            if match:
                current.append(Instruction(int(match[1]), int(match[2], 16), match[3]))
    return rounds


def exits(instructions):
    """The stretches of a round that Trivet ran, each from one exit to the next entry."""
    parts, inside = [], False
    for one in instructions:
        if one.trivet:
            if not inside:
                parts.append([])
            parts[-1].append(one)
        inside = one.trivet
    return parts


def kinds(instructions):
    """{kind: count} of the dear instructions, without those that are not there."""
    counts = collections.OrderedDict()
    for name, pattern, _ in KINDS:
        found = sum(1 for one in instructions if re.match(pattern, one.text))
        if found:
            counts[name] = found
    return counts


def serialising(counts):
    return sum(counts.get(name, 0) for name, _, serialises in KINDS if serialises)


class Symbols:
    """The functions of an ELF file by address."""

    def __init__(self, elf):
        self.elf = elf
        text = subprocess.run(["nm", "-n", elf], capture_output=True, text=True, check=True).stdout
        self.table = [(int(a, 16), n) for a, t, n in re.findall(r"^([0-9a-f]+) (\w) (\S+)$", text, re.M)
                      if t in "tTwW"]
        self.addresses = [address for address, _ in self.table]

    def name(self, address):
        """The function, labels within one (`vmx_entry.clear`) taken as part of it."""
        low, high = 0, len(self.addresses)
        while low < high:
            middle = (low + high) // 2
            if self.addresses[middle] <= address:
                low = middle + 1
            else:
                high = middle
        return self.table[low - 1][1].split(".")[0] if low else "?"

    def lines(self, addresses):
        """{address: "function file:line"}, of the innermost inlined function."""
        wanted = sorted(addresses)
        run = subprocess.run(["addr2line", "-f", "-e", self.elf], capture_output=True, text=True, check=True,
                             input="\n".join("%x" % address for address in wanted))
        out = run.stdout.split("\n")
        # NASM names a file's folder twice
        place = [re.sub(r"^.*\b(\w+)/\1/", r"\1/", os.path.normpath(line.split(" ")[0])) for line in out[1::2]]
        return {address: "%-28s %s" % (out[2 * i], place[i]) for i, address in enumerate(wanted)}


def record(build, row, model="sandy_bridge", hv="mitigations=off", image="trivet.elf"):
    """{row: a warm round's instructions} and the run's text. `row` may be `all` of exit-cost's. Of the
    rounds that are marked it is the shortest, as nothing else came in between."""
    guest, vm = GUESTS.get(row, ("exit-cost", "mem=64M"))
    steps = MARKS * (ROWS_MOST if row == "all" else 1)
    with session.Session(session.Config(
            emulator="bochs", model=model, timeout=100, pmem=256, hv=hv, image=os.path.join(build, image),
            debugger=["c", "trace on", "c", "trace off"] * steps + ["c", "quit"], expect=["exit code \\d+"],
            modules=["%s %s debug-exit -- trace=%s" %
                     (os.path.join(build, "guest/tests/%s.elf" % guest), vm, row)])) as machine:
        path = os.path.join(machine.folder, "debugger.txt")
        result = machine.play()
        with open(path, errors="replace") as file:
            rounds = parse(file.read())
    names = re.findall(r"^\r*cost (\S+) ", result.text, re.MULTILINE)
    names = [name for name in names if not name.endswith("_late")]
    if not result.ok or not names or len(rounds) != MARKS * len(names):
        raise RigError("%s: %s, %d rows, %d traces\n%s" %
                       (row, result.reason or "no such row", len(names), len(rounds), result.tail(10)))
    shortest = [min(rounds[MARKS * i:MARKS * (i + 1)], key=len) for i in range(len(names))]
    return dict(zip(names, shortest)), result.text


def tally(instructions, key):
    """[(key, count)] in order of first execution."""
    counts = collections.OrderedDict()
    for one in instructions:
        counts[key(one)] = counts.get(key(one), 0) + 1
    return list(counts.items())


def show(instructions, symbols, by):
    for number, part in enumerate(exits(instructions), 1):
        counts = kinds(part)
        print("exit %d: %d instructions of Trivet, %d of them serialise" %
              (number, len(part), serialising(counts)))
        print("  " + (", ".join("%s %d" % item for item in counts.items()) or "nothing dear"))
        if by == "listing":
            for one in part:
                print("  %8d  %-28s %x  %s" % (one.tick - part[0].tick, symbols.name(one.address), one.address,
                                               one.text))
            continue
        if by == "lines":
            places = symbols.lines({one.address for one in part})
            rows = tally(part, lambda one: places[one.address])
        else:
            rows = tally(part, lambda one: symbols.name(one.address))
        for name, count in rows:
            print("  %6d  %s" % (count, name))


def show_all(rounds):
    print("%-20s %6s %7s %7s %7s %7s %7s %7s %7s" % ("row", "exits", "Trivet", "VMREAD", "VMWRITE", "RDMSR",
                                                    "WRMSR", "CR", "serial."))
    for name, instructions in rounds.items():
        ours = [one for one in instructions if one.trivet]
        counts = kinds(ours)
        print("%-20s %6d %7d %7d %7d %7d %7d %7d %7d" % (
            name, len(exits(instructions)), len(ours), counts.get("VMREAD", 0), counts.get("VMWRITE", 0),
            counts.get("RDMSR", 0), counts.get("WRMSR", 0), counts.get("write CR", 0), serialising(counts)))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("row", help="a row's name, or `all`")
    options.add_argument("--build", default="build")
    options.add_argument("--model", default="sandy_bridge")
    options.add_argument("--hv", default="mitigations=off", help="Trivet's options")
    options.add_argument("--lines", action="store_true", help="by source line")
    options.add_argument("--listing", action="store_true", help="every instruction")
    options = options.parse_args()
    try:
        rounds, text = record(options.build, options.row, options.model, options.hv)
    except RigError as error:
        print("trace: %s" % error, file=sys.stderr)
        return 1
    if options.row == "all":
        show_all(rounds)
        return 0
    symbols = Symbols(os.path.join(options.build, "trivet.debug.elf"))
    for name, instructions in rounds.items():
        cost = re.search(r"^\r*cost %s (.*)$" % name, text, re.M)[1].strip()
        print("%s on %s with %s: %s" % (name, options.model, options.hv, cost))
        show(instructions, symbols, "listing" if options.listing else "lines" if options.lines else "functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
