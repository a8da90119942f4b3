#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A folder may use only what stands below it: boot > drivers > vmm > arch > arch/lib, by include
and by linked symbol. guest/ may include vmm/abi.h and itself only; nothing uses tests/."""

import collections
import glob
import os
import re
import subprocess
import sys

RANK = {"arch/lib": 0, "arch": 1, "vmm": 2, "drivers": 3, "boot": 4}
GENERATED = {"version.h", "dsdt.inc"}
# Declared by arch/lib or called by compiled code; the program that holds it all provides them.
PROVIDED = re.compile("panic$|__stack_chk_fail$|__x86_indirect_thunk_")


def folder_of(path):
    return "arch/lib" if path.startswith("arch/lib/") else path.split("/")[0]


def include_faults():
    faults = []
    for folder in list(RANK) + ["guest", "guest/*"]:
        for path in sorted(glob.glob(folder + "/*.[ch]") + glob.glob(folder + "/*.asm") +
                           glob.glob(folder + "/*.inc")):
            for number, line in enumerate(open(path), 1):
                match = re.match(r'\s*[#%]\s*include\s+["<]([^">]+)[">]', line)
                if match:
                    faults += include_fault(path, number, match.group(1))
    return faults


def include_fault(path, number, target):
    where = "%s:%d: " % (path, number)
    if target in GENERATED or target in ("stdarg.h", "stddef.h", "stdint.h", "stdbool.h"):
        return []
    if "/" not in target:
        return [where + "%s is not included by its path from the root" % target]
    if not os.path.exists(target):
        return [where + "no such file: " + target]
    if path.startswith("guest/"):
        good = target == "vmm/abi.h" or target.startswith("guest/")
        return [] if good else [where + "a guest may not use " + target]
    rank = RANK.get(folder_of(target))
    if rank is None or rank > RANK[folder_of(path)]:
        return [where + "%s is above %s" % (target, folder_of(path))]
    if path.endswith(".c") and own_header_late(path, target):
        return [where + "own header first"]
    return []


def own_header_late(path, target):
    own = path[:-2] + ".h"
    if target != own:
        return False
    for line in open(path):
        match = re.match(r'#include "([^"]+)"', line)
        if match:
            return match.group(1) != own
    return False


def symbols(path, *options):
    run = subprocess.run(["nm", *options, path], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in run.stdout.splitlines() if line.strip()]


def link_faults(build):
    """Undefined symbols of each object against the folder of the object that defines them."""
    objects = [path for folder in RANK for path in sorted(glob.glob("%s/%s/*.o" % (build, folder)))]
    objects = [path for path in objects if os.path.exists(source_of(build, path))]
    if not objects:
        return ["no objects in %s: build first" % build]
    homes = collections.defaultdict(set)
    for path in objects:
        for name in symbols(path, "-g", "--defined-only"):
            homes[name].add(folder_of(os.path.relpath(path, build)))
    faults = []
    for path in objects:
        rank = RANK[folder_of(os.path.relpath(path, build))]
        for name in filter(lambda name: not PROVIDED.match(name), symbols(path, "-u")):
            if homes[name] and min(RANK[home] for home in homes[name]) > rank:
                faults.append("%s uses %s of %s" % (path, name, "/".join(homes[name])))
    return faults


def source_of(build, path):
    name = os.path.relpath(path, build)[:-2]
    return name if name.endswith(".asm") else name + ".c"


def main(kind, build="build"):
    faults = include_faults() if kind == "include" else link_faults(build)
    print("\n".join(faults[:40]), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
