# SPDX-License-Identifier: BSD-2-Clause
"""The programs of guest/tests as guests: each checks one rule of the machine and ends by the
debug-exit port with 0. A program is a row by being there; SPECIAL holds those that end otherwise,
ROWS what needs words, modules or a script of its own."""

import glob
import os
import re

import pytest

from conftest import PARANOID, ROOT, SLOW, built
from rig import iso
from test_rig import SPECIAL as SPECIAL_WORDS
from test_rig import grub_quoted

MODELS = ["arrandale", "tigerlake"]  # what offers least and most
PASSED = r"^\[guest\] exit code 0\b"
ENDED = "^all VMs have ended"
REJECT = ["^FAIL ", "panic:"]

# How a program ends that does not end by exit code 0.
SPECIAL = {
    "halt": r"^\[guest\] halted",
    "inject-mmio": PASSED + r"|^\[guest\] event \d+ cannot be delivered",
}
# What a program's VM needs beside debug-exit.
WORDS = {"pci": "pci-testdev"}
# Rows of their own below.
APART = {"crash", "spin", "exitcode", "words", "smp", "lapic-regs", "lapic-timer", "lapic-ipi",
         "apic-base", "ping-pong", "deadline", "leak", "switch-cost"}

PROGRAMS = sorted({os.path.basename(path)[:-2] for path in glob.glob(ROOT + "/guest/tests/*.c")} - APART)


def program(name, words="", append=""):
    name = name if "." in name else name + ".elf"
    return "%s mem=64M %s -- %s" % (built("guest/tests/" + name), words, append)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(boot, name, model):
    boot(emulator="bochs", model=model, pmem=256, timeout=60, reject=REJECT,
         modules=[program(name, "debug-exit " + WORDS.get(name, ""), SLOW)],
         expect=[SPECIAL.get(name, PASSED), ENDED])


ROWS = {
    # name: words, append, expected
    "exit code, 1 byte": ("exitcode", "debug-exit", "width=1 code=200", [r"\] exit code 200\b"]),
    "exit code, 2 bytes": ("exitcode", "debug-exit", "width=2 code=4660", [r"\] exit code 4660\b"]),
    "exit code, 4 bytes": ("exitcode", "debug-exit", "code=305419896", [r"\] exit code 305419896\b"]),
    "no debug-exit": ("exitcode", "", "code=7", ["^no debug-exit port", "^ok nobody", r"\] halted"]),
    "a name": ("exitcode", "debug-exit vm=web", "code=7", [r"^\[web\] exit code 7\b"]),
    "flat image": ("ivt.bin", "kind=flat debug-exit", "", ["^ok int-by-ivt", PASSED]),
    "4 vCPUs, one clock": ("kvmclock", "cpus=4 debug-exit", "cpus=4", ["^ok one-clock", PASSED]),
}


@pytest.mark.parametrize("name", ROWS)
def test_row(boot, name):
    file, words, append, expect = ROWS[name]
    boot(emulator="bochs", pmem=256, timeout=60, reject=REJECT,
         modules=[program(file, words, append)], expect=expect + [ENDED])


def figures(words):
    """Bounds that hold for the usual build alone."""
    return "" if PARANOID else " " + words


# Programs of the local APIC beside those of test_bare: model, cores, vCPUs, the program's words,
# Trivet's options. The figures are the most instructions that a round trip may cost and a
# deadline be late by; the aims are 1500 spinning and 3000 halted without APICv, and 2000.
APIC_ROWS = [
    ("smp", "arrandale", 1, 4, "", ""),
    ("smp", "haswell", 4, 8, "x2apic", ""),
    ("lapic-regs", "haswell", 1, 2, "x2apic", "no=apicv"),
    ("lapic-regs", "haswell", 2, 2, "", "no=apicv"),
    ("lapic-timer", "arrandale", 1, 1, "", ""),
    ("lapic-timer", "haswell", 1, 1, "x2apic count=20000", ""),
    ("lapic-timer", "haswell", 1, 1, "", "no=apicv"),
    ("lapic-ipi", "arrandale", 2, 4, "", ""),
    ("lapic-ipi", "haswell", 4, 4, "", "no=apicv"),
    ("lapic-ipi", "haswell", 1, 4, "x2apic", "no=apicv"),
    ("apic-base", "arrandale", 1, 1, "", ""),
    ("apic-base", "haswell", 1, 1, "", "no=apicv"),
    ("ping-pong", "arrandale", 2, 2, "rounds=200", ""),
    ("ping-pong", "haswell", 2, 2, "x2apic" + figures("spin=2600 halt=2600"), ""),
    ("ping-pong", "haswell", 2, 2, "x2apic" + figures("spin=5200 halt=5200"), "no=apicv"),
    ("switch-cost", "arrandale", 1, 2, "rounds=200", ""),
    ("deadline", "arrandale", 1, 1, "", ""),
    ("deadline", "haswell", 1, 1, "x2apic" + figures("late=2000 worst=4000"), ""),
    ("deadline", "haswell", 1, 1, figures("late=2000 worst=4000"), "no=apicv"),
]


@pytest.mark.parametrize("name,model,pcpus,vcpus,append,hv", APIC_ROWS, ids=["-".join(
    [row[0], row[1], "%dof%d" % (row[3], row[2])] + row[4].split()[:1] + row[5].split())
    for row in APIC_ROWS])
def test_apic(boot, name, model, pcpus, vcpus, append, hv):
    boot(emulator="bochs", model=model, pcpus=pcpus, pmem=256, timeout=60, hv=hv,
         reject=REJECT + ["^skip all"], expect=[PASSED, ENDED],
         modules=[program(name, "debug-exit cpus=%d" % vcpus, append + SLOW + " cpus=%d" % vcpus)])


def test_every_word_reaches_the_guest(boot):
    """Each of GRUB's special characters, as GRUB hands it over, and a further module's words."""
    words = " ".join(iso.shlex.quote(word) for word in SPECIAL_WORDS)
    text = boot(emulator="bochs", pmem=256, timeout=60, reject=REJECT, expect=[PASSED],
                modules=[program("words", "debug-exit name=me", words),
                         "/etc/hostname -- y %s" % words]).text
    wanted = " ".join(grub_quoted(word) for word in SPECIAL_WORDS)
    assert "words [me %s]" % wanted in text
    assert re.search(r"^module 1, \d+ bytes \[y %s\]" % re.escape(wanted), text, re.MULTILINE)


def test_a_guest_that_never_exits_starts(boot):
    boot(emulator="bochs", pmem=256, timeout=60, reject=REJECT, modules=[program("spin")],
         expect=["^spinning"])


def test_demo_answers(boot):
    boot(emulator="bochs", pmem=256, timeout=60, modules=[built("guest/demo.elf")], reject=REJECT,
         expect=["^Trivet demo guest", "demo> ", "^  cpuid: ", "demo> "],
         type=["demo> =>help\\n"])


def test_a_single_vm_gets_all_cores_and_memory(boot):
    """Neither mem= nor cpus=: a vCPU for each core, and more than any mem= of the other rows."""
    boot(emulator="bochs", pmem=256, pcpus=2, timeout=60, reject=REJECT,
         modules=["%s debug-exit -- cpus=2" % built("guest/tests/smp.elf")],
         expect=[r"^\[guest\] 2[0-9]{2} MiB, 2 vCPUs", PASSED, ENDED])
