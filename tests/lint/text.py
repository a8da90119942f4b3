#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Lengths and words: functions of at most 100 lines, files of 800; an SPDX line;
vendor names in the back end only; few #if; no word that puts work off."""

import glob
import re
import subprocess
import sys

PRODUCT = ["boot", "arch", "arch/lib", "vmm", "drivers"]
FUNCTION_MAX, FILE_MAX, COLUMNS = 100, 800, 100
IFS_PER_1000 = 2
BACK_END = re.compile(r"^arch/(vmx|vmcs|ept|svm|npt)")
# Identifiers: a vendor's word at the start of one or between underscores.
VENDOR = re.compile(r"(?:\b|_)(?:vmx|vmxon|vmcs|ept|svm|vmcb|npt|intel|amd)(?:\b|_)", re.IGNORECASE)
# Where hardware's own names cannot be had otherwise: CPUID and MSR names, the back end's table.
VENDOR_ALLOWED = re.compile(r"CPUID\w*VMX|\bCPUID\w*SVM|CR4_VMXE|\bMSR_\w+|IA32_\w+|\bvmx_ops\b|"
                            r'\bsvm_ops\b|#include "arch/|GenuineIntel|AuthenticAMD')
PUT_OFF = re.compile(r"\b(%s)\b" % "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]))


def strip_comments(text):
    """Comments become blanks; their line ends stay."""
    def blank(match):
        part = match.group(0)
        return part if part[0] == '"' else re.sub(r"[^\n]", " ", part)
    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', blank, text, flags=re.DOTALL)


def functions(code):
    """(first line, last line, text of the head) of each brace block at the margin with a ( head."""
    lines, start = code.split("\n"), None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start:
            head = lines[start - 2] if start > 1 else ""
            yield start, number, head
            start = None


def check_c(path, text):
    faults, code = [], strip_comments(text)
    for first, last, head in functions(code):
        if last - first + 1 > FUNCTION_MAX:
            faults.append("%s:%d: a function of %d lines: %s" % (path, first, last - first + 1, head))
    if not BACK_END.match(path):
        for number, line in enumerate(code.split("\n"), 1):
            line = VENDOR_ALLOWED.sub("", re.sub(r'"(?:\\.|[^"\\])*"', '""', line))
            if VENDOR.search(line) and not line.startswith("#include"):
                faults.append("%s:%d: a vendor's name outside the back end: %s" %
                              (path, number, line.strip()))
    return faults


def check_file(path):
    with open(path) as file:
        text = file.read()
    lines = text.split("\n")
    faults = []
    if len(lines) - 1 > FILE_MAX:
        faults.append("%s: %d lines, at most %d" % (path, len(lines) - 1, FILE_MAX))
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(8)) > COLUMNS + 4:
            faults.append("%s:%d: longer than %d columns" % (path, number, COLUMNS))
    if path.endswith((".c", ".h")):
        faults += check_c(path, text)
    return faults


def count_ifs(files):
    """#if lines in 1,000, include guards not counted."""
    lines = ifs = 0
    for path in files:
        text = strip_comments(open(path).read())
        lines += text.count("\n")
        found = len(re.findall(r"^\s*#\s*if", text, re.MULTILINE))
        ifs += found - (1 if path.endswith(".h") and re.search(r"^#ifndef \w+_H\b", text, re.M) else 0)
    return ifs, lines


def tracked():
    run = subprocess.run(["git", "ls-files"], capture_output=True, text=True)
    return run.stdout.split("\n")[:-1] if not run.returncode else []


def check_words():
    """Every source file of the project: its licence line, and nothing put off."""
    faults = []
    for path in tracked():
        if not re.search(r"\.(c|h|asm|inc|py|sh|awk|ld|mk)$|(^|/)Makefile$", path):
            continue
        try:
            text = open(path).read()
        except OSError:
            continue
        if "SPDX-License-Identifier: BSD-2-Clause" not in "\n".join(text.split("\n")[:3]):
            faults.append("%s: no SPDX line" % path)
        for number, line in enumerate(text.split("\n"), 1):
            if PUT_OFF.search(line):
                faults.append("%s:%d: %s" % (path, number, line.strip()))
    return faults


def main():
    files = [path for folder in PRODUCT for kind in ("c", "h", "asm")
             for path in sorted(glob.glob("%s/*.%s" % (folder, kind)))]
    faults = [fault for path in files for fault in check_file(path)] + check_words()
    ifs, lines = count_ifs([path for path in files if not path.endswith(".asm")])
    if ifs * 1000 > IFS_PER_1000 * max(lines, 1):
        faults.append("%d #if in %d lines, at most %d in 1,000" % (ifs, lines, IFS_PER_1000))
    print("\n".join(faults[:60]), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
