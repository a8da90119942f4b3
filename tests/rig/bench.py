#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts instructions in Bochs: of exits, and of a Linux boot, native and under Trivet.

Bochs' TSC counts one tick an instruction, on sandy_bridge without noise. Both runs take the same
bzImage, initrd and command line, from the kernel's 64-bit entry to a mark that its first process
prints: guest/native prints the TSC at the entry, a VM's TSC starts at 0 there.
"""

import argparse
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rig import session  # noqa: E402
from rig.iso import RigError  # noqa: E402

# What leaves the guest costs it so much: models, and Trivet's options to compare.
EXIT_MODELS = ["haswell", "tigerlake"]
EXIT_OPTIONS = ["mitigations=off", "mitigations=auto", "mitigations=force"]

APPEND = "console=ttyS0 quiet nokaslr acpi=off pci=off nolapic noapic rdinit=/bin/mark"
MOST = 1.05


def measure(build, image, end, **fields):
    """One boot: (instructions from entry to mark, idle share, the run's text)."""
    cache = os.path.join(build, "guest-cache")
    config = session.Config(
        emulator="bochs", model="sandy_bridge", timeout=300, image=os.path.join(build, image),
        modules=["%s/vmlinuz mem=256M -- %s" % (cache, APPEND), cache + "/initrd.img"],
        expect=["mark [0-9a-f]{16}", r"uptime [0-9.]+ [0-9.]+\r?\n", end], **fields)
    result = session.run(config)
    if not result.ok:
        raise RigError("%s: %s\n%s" % (image, result.reason, result.tail()))
    entry = re.search(r"entry tsc=([0-9a-f]+)", result.text)
    mark = int(re.search("mark ([0-9a-f]{16})", result.text).group(1), 16)
    up, idle = re.search(r"uptime ([0-9.]+) ([0-9.]+)", result.text).groups()
    share = float(idle) / max(float(up), 0.01)
    return mark - (int(entry.group(1), 16) if entry else 0), share, result.text


def exit_costs(build, model, hv):
    """{name: instructions} of guest/tests/exit-cost.c, each the median of 1,000."""
    config = session.Config(
        emulator="bochs", model=model, timeout=100, pmem=256, hv=hv, image=os.path.join(build, "trivet.elf"),
        modules=[os.path.join(build, "guest/tests/exit-cost.elf") + " mem=64M debug-exit -- x2apic"],
        expect=["exit code 0"])
    result = session.run(config)
    if not result.ok:
        raise RigError("exit-cost: %s\n%s" % (result.reason, result.tail()))
    return dict(re.findall(r"^\r*cost (\S+) median (\d+)", result.text, re.MULTILINE))


def print_exits(build):
    for model in EXIT_MODELS:
        columns = [exit_costs(build, model, hv) for hv in EXIT_OPTIONS]
        print("%-26s" % ("exits on " + model) + " ".join("%17s" % hv for hv in EXIT_OPTIONS))
        for name in columns[0]:
            print("  %-24s" % name + " ".join("%17s" % column[name] for column in columns), flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    options.add_argument("--exits", action="store_true", help="only what leaves the guest")
    options = options.parse_args()
    build = options.build
    try:
        print_exits(build)
        if options.exits:
            return 0
        native, native_idle, _ = measure(build, "guest/native.elf", "", lax_msrs=True)
        print("native  %14d instructions, idle %4.1f %%" % (native, 100 * native_idle), flush=True)
        ours, idle, text = measure(build, "trivet.elf", "all VMs have ended", hv="log=debug")
    except RigError as error:
        print("bench: %s" % error, file=sys.stderr)
        return 1
    print("Trivet  %14d instructions, idle %4.1f %%" % (ours, 100 * idle))
    print("ratio   %14.3f (at most %.2f)" % (ours / native, MOST))
    exits = [line for line in text.replace("\r", "").split("\n") if re.search(r"\] exits |\] lived ", line)]
    print("\n".join(exits) or "(no count of exits in the log)")
    return 0 if ours <= MOST * native else 1


if __name__ == "__main__":
    sys.exit(main())
