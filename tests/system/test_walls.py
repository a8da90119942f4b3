# SPDX-License-Identifier: BSD-2-Clause
"""What one VM may not learn or change of another or of Trivet: SECURITY.md's figures S14 and S15."""

import re

import pytest

from conftest import PARANOID, built

REJECT = ["panic:", "FAIL "]
ENDED = "^all VMs have ended"
MONITOR = [r"1 vCPU=>\x1dm"]  # takes the keyboard, so that no VM's lines are cut by another's
MODELS = ["haswell", "skylake_x", "icelake", "tigerlake"]
SPEC_CTRL = ["icelake", "tigerlake"]  # whose CPUID offers guests IA32_SPEC_CTRL
LONGEST_EXIT = 50000  # instructions of Trivet's
# Exits that a round of hostile.c costs at least.
EXITS_A_ROUND = 2.5


def program(name, vm, append, words="mem=4M debug-exit"):
    return "%s vm=%s %s -- %s" % (built("guest/tests/%s.elf" % name), vm, words, append)


def exits(text):
    """By VM, as Trivet has counted them; only those that have ended are told."""
    counts = {}
    for vm, count in re.findall(r"\[(\w+)\] exits \S+ (\d+),", text):
        counts[vm] = counts.get(vm, 0) + int(count)
    return counts


def paranoid(text, pcpus, wanted=0):
    """In the paranoid build: the host's state was looked at behind so many exits, and Trivet was never
    longer at work at once (S25), jobs included."""
    line = re.search(r"^paranoid: (\d+) exits checked, longest (\d+) (instructions|ticks) (.*)", text,
                     re.MULTILINE)
    assert line or not PARANOID
    if line:
        assert int(line.group(1)) >= wanted, line.group(0)
        if pcpus == 1:  # with more they cannot be counted
            assert line.group(3) == "instructions" and int(line.group(2)) < LONGEST_EXIT, line.group(0)


# ---- S14: two that fill all state of the CPU with their patterns, and one that looks on

def hostile(boot, model, pcpus, wanted, **fields):
    """Three VMs that end by themselves; `wanted` exits in all of them together."""
    rounds = int(wanted / (3 * EXITS_A_ROUND))
    modules = [program("hostile", "a", "seed=1 rounds=%d" % rounds),
               program("hostile", "b", "seed=2 x2apic rounds=%d" % rounds),
               program("hostile", "c", "seed=0 rounds=%d" % rounds)]
    hv = "log=debug" + (" mitigations=force" if pcpus > 1 else "")
    text = boot(emulator="bochs", model=model, pcpus=pcpus, pmem=256, modules=modules, hv=hv,
                reject=REJECT, expect=[ENDED], type=MONITOR, **fields).text
    for vm in "abc":
        assert "[%s] exit code 0" % vm in text
    counts = exits(text)
    assert sum(counts.values()) >= wanted, counts
    assert ("not here: spec ctrl" in text) == (model not in SPEC_CTRL)
    # Each has slept, and so gave the CPU to the others, every few rounds.
    sleeps = [int(n) for n in re.findall(r"hostile: %d rounds, (\d+) sleeps" % rounds, text)]
    assert len(sleeps) == 3 and min(sleeps) >= rounds // 8
    paranoid(text, pcpus, wanted)


@pytest.mark.parametrize("model,pcpus", list(zip(MODELS, [1, 2, 1, 2])))
def test_no_state_is_shared(boot, model, pcpus):
    """100,000 exits on each of the four."""
    hostile(boot, model, pcpus, 100000, timeout=240)


@pytest.mark.nightly
@pytest.mark.parametrize("pcpus", [1, 2])
@pytest.mark.parametrize("model", MODELS)
def test_no_state_is_shared_for_long(boot, model, pcpus):
    """1,000,000 exits on each of the eight."""
    hostile(boot, model, pcpus, 1000000, timeout=2400)


# ---- S15: one that reads all there is, beside one whose pattern fills the same core

def leak(boot, model, append, **fields):
    modules = [program("hostile", "full", "seed=3 rounds=60 fill"),
               program("hostile", "beside", "seed=4 rounds=0 fill", "mem=4M weight=20"),
               program("leak", "leak", "cpus=2 " + append, "mem=8M cpus=2 pci-testdev debug-exit")]
    text = boot(emulator="bochs", model=model, pmem=256, modules=modules, reject=REJECT,
                type=[r"^\[leak\] exit code 0\b=>\x1dmkill beside\r"],
                expect=[r"^\[leak\] exit code 0\b", r"^\[beside\] killed", ENDED], **fields).text
    paranoid(text, 1)
    assert "[full] exit code 0" in text
    # It has read on to the end, and as much as there is.
    counts = {part: int(count) for part, count in
              re.findall(r"^(?:\[leak\] )?([\w-]+): (\d+) values", text, re.MULTILINE)}
    for part, least in LOOKED_AT.items():
        assert counts.get(part, 0) >= least, (part, counts)
    return counts


# Values that each part looks at, at least; ports by `ports=` beside them.
LOOKED_AT = {"first-state": 500, "memory": 1000000, "cpuid": 50000, "msr": 16896, "ports": 4080 * 6,
             "indexed": 600, "pci-ports": 49000, "pci-memory": 10000, "mmio": 90000, "hypercalls": 1024,
             "told": 4000}


def test_nothing_leaks(boot):
    leak(boot, "haswell", "ports=61", timeout=180)


@pytest.mark.nightly
@pytest.mark.parametrize("model", MODELS + ["arrandale"])
def test_nothing_leaks_by_any_port(boot, model):
    counts = leak(boot, model, "ports=1", timeout=1200)
    assert counts["ports"] >= 65500 * 6


def test_a_vm_leaves_nothing_behind(boot):
    """The second finds no room for its memory until the first has ended and is gone."""
    modules = [program("hostile", "gone", "seed=5 rounds=9 fill", "mem=160M debug-exit"),
               program("leak", "leak", "ports=65536", "mem=160M debug-exit")]
    boot(emulator="bochs", model="haswell", pmem=256, modules=modules, reject=["panic:"], timeout=180, stay=True,
         type=[r"1 vCPU=>\x1dm", r"\[gone\] exit code 0=>destroy gone\r", "trivet> =>start leak\r"],
         expect=[r"\[leak\] no room for 160 MiB", r"\[gone\] ok memory", r"\[leak\] first-state",
                 r"\[leak\] memory: 0 words above 1 MiB are not 0", r"\[leak\] exit code 0\b"])
