#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the host tests and the system tests that `make` has built and sums them up.

The last line reads "N passed, N failed, N skipped"; before it stand the failures and each skip
with its reason. Line coverage is printed by file, and a file of guest-facing logic below the
least coverage, or without a test, counts as a failure.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

LEAST = 90
# Devices, allocators, walker, loaders, parsers: hostile input goes through all of them.
COVERED = ["drivers/v*.c", "drivers/acpi.c", "vmm/load*.c", "vmm/elf.c", "vmm/decode.c", "vmm/bus.c",
           "vmm/gwalk.c", "vmm/emulate.c", "vmm/vtimer.c", "boot/mb2.c", "boot/words.c", "boot/options.c",
           "boot/config.c", "arch/memory.c", "arch/frames.c", "arch/pages.c", "arch/pt.c",
           "arch/lib/extents.c", "drivers/cmos.c", "drivers/fbcon.c"]


class Totals:
    """Passed, failed and skipped, with the words for the latter two."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def read_report(path, prefix=""):
    """The totals of one JUnit file, cmocka's or pytest's."""
    totals = Totals()
    for case in xml.parse(path).getroot().iter("testcase"):
        name = prefix + case.get("name", "?")
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skip = case.find("skipped")
        if bad is not None:
            text = (bad.get("message") or bad.text or "").strip()
            totals.failed.append("%s: %s" % (name, first_line(text)))
        elif skip is not None:
            text = skip.get("message") or skip.text or "no reason given"
            totals.skipped.append("%s: %s" % (name, first_line(text)))
        else:
            totals.passed += 1
    return totals


def first_line(text):
    return text.strip().split("\n")[0][:300]


def run_unit(build, name):
    """One host program: its totals, and what it said when it went wrong."""
    folder = os.path.join(build, "unit", name)
    report = os.path.join(folder, "report.xml")
    for old in [report] + glob.glob(os.path.join(folder, "**/*.gcda"), recursive=True):
        if os.path.exists(old):
            os.remove(old)
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="XML", CMOCKA_XML_FILE=report)
    totals = Totals()
    try:
        run = subprocess.run([os.path.join(folder, name)], env=environment, capture_output=True,
                             text=True, errors="replace", timeout=300)
        status, text = run.returncode, run.stdout + run.stderr
    except OSError:
        status, text = 1, "was not built"
    except subprocess.TimeoutExpired:
        status, text = 1, "time over"
    try:
        totals = read_report(report, name + ".")
    except (OSError, xml.ParseError):
        pass
    if status and not totals.failed:
        error = re.search(r".*(ERROR: \w+Sanitizer|runtime error).*", text)
        totals.failed.append("%s: %s" % (name, first_line(error.group(0) if error else text)))
    if not totals.passed and not totals.failed:
        totals.failed.append("%s: ran no test" % name)
    return totals, text if totals.failed else ""


def run_units(build):
    names = sorted(os.path.basename(path)[:-2] for path in glob.glob("tests/unit/test_*.c"))
    totals = Totals()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, (one, text) in zip(names, pool.map(lambda n: run_unit(build, n), names)):
            print("  %-28s %4d passed %3d failed" % (name, one.passed, len(one.failed)))
            if text:
                print("\n".join("    | " + line for line in text.split("\n")[-25:]))
            totals.add(one)
    return totals


def gcov_lines(build):
    """{product file: {line: times run}} over all programs, by gcov's JSON."""
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    notes = sorted(glob.glob(os.path.join(build, "unit/*/**/*.gcno"), recursive=True))
    for note in notes:
        if not os.path.exists(note[:-5] + ".gcda"):
            continue
        run = subprocess.run(["gcov", "--json-format", "--stdout", note], capture_output=True)
        for text in run.stdout.splitlines():
            for file in json.loads(text)["files"]:
                for line in file["lines"]:
                    lines[os.path.normpath(file["file"])][line["line_number"]] += line["count"]
    return {name: counts for name, counts in lines.items()
            if name.endswith(".c") and not name.startswith(("tests/", "/"))}


def wanted(path):
    return any(fnmatch.fnmatch(path, pattern) for pattern in COVERED)


def coverage(build):
    """Prints the table; each wanted file is one passed or failed test."""
    totals, lines = Totals(), gcov_lines(build)
    print("Line coverage by the host tests:")
    for name in sorted(lines):
        hit = sum(1 for count in lines[name].values() if count)
        share = 100.0 * hit / len(lines[name])
        print("  %-28s %5.1f %% of %4d lines" % (name, share, len(lines[name])))
        if not wanted(name):
            continue
        if share >= LEAST:
            totals.passed += 1
        else:
            totals.failed.append("coverage of %s is %.1f %%, least %d" % (name, share, LEAST))
    for name in sorted({path for pattern in COVERED for path in glob.glob(pattern)} - set(lines)):
        totals.failed.append("no host test covers %s" % name)
    return totals


def run_system(build, nightly, arguments):
    report = os.path.join(build, "system.xml")
    if os.path.exists(report):
        os.remove(report)
    command = ["pytest-3", "tests/system", "-q", "--junitxml", report, "-o",
               "junit_family=xunit2", "-p", "no:cacheprovider", "-rfs"]
    command += ["-m", "nightly", "-v", "--durations=0"] if nightly else ["--durations=5"]
    if subprocess.run(["/usr/bin/python3", "-c", "import xdist"], capture_output=True).returncode == 0:
        command += ["-n", "2", "--dist", "worksteal" if worksteal() else "load"]
    status = subprocess.run(command + arguments, env=dict(os.environ, B=build)).returncode
    try:
        totals = read_report(report)
    except (OSError, xml.ParseError):
        totals = Totals()
    if status and not totals.failed:
        totals.failed.append("system tests: pytest ended with status %d" % status)
    return totals


def worksteal():
    run = subprocess.run(["/usr/bin/python3", "-c", "import xdist.scheduler as s; s.WorkStealingScheduling"],
                         capture_output=True)
    return run.returncode == 0


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    options.add_argument("--only", choices=("unit", "system", "nightly"))
    options.add_argument("pytest", nargs="*", help="passed on to pytest")
    options = options.parse_args()
    totals, start = Totals(), time.time()
    if options.only in (None, "unit"):
        totals.add(run_units(options.build))
        if glob.glob(os.path.join(options.build, "unit/*/**/*.gcda"), recursive=True):
            totals.add(coverage(options.build))
    if options.only != "unit":
        totals.add(run_system(options.build, options.only == "nightly", options.pytest))
    # What an earlier build left may have run in place of what does not build now.
    if options.only is None and os.path.exists(os.path.join(options.build, "unbuilt")):
        totals.failed.append("make all guests units: not all of it builds, see above")
    for text in totals.skipped:
        print("skipped %s" % text)
    for text in totals.failed:
        print("FAILED %s" % text)
    print("in %d s" % (time.time() - start))
    print("%d passed, %d failed, %d skipped" %
          (totals.passed, len(totals.failed), len(totals.skipped)))
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
