# SPDX-License-Identifier: BSD-2-Clause
"""The programs of guest/tests as guests: each checks one rule of the machine and ends by the
debug-exit port with 0. A program is a row by being there; SPECIAL holds those that end otherwise,
ROWS what needs words, modules or a script of its own."""

import glob
import os
import re

import pytest

from conftest import ROOT, built
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
APART = {"crash", "spin", "exitcode", "words"}

PROGRAMS = sorted({os.path.basename(path)[:-2] for path in glob.glob(ROOT + "/guest/tests/*.c")} - APART)


def program(name, words="", append=""):
    name = name if "." in name else name + ".elf"
    return "%s mem=64M %s -- %s" % (built("guest/tests/" + name), words, append)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(boot, name, model):
    boot(emulator="bochs", model=model, pmem=256, timeout=60, reject=REJECT,
         modules=[program(name, "debug-exit " + WORDS.get(name, ""))],
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
