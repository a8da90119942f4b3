# SPDX-License-Identifier: BSD-2-Clause
"""What one VM may not learn or change of another or of Trivet: SECURITY.md's figures S14 and S15."""

import re

import pytest

from conftest import built

REJECT = ["panic:", "FAIL "]
ENDED = "^all VMs have ended"
MODELS = ["haswell", "skylake_x", "icelake", "tigerlake"]
# Exits that a round of hostile.c costs at least.
EXITS_A_ROUND = 3


def program(name, vm, append, words="mem=4M debug-exit"):
    return "%s vm=%s %s -- %s" % (built("guest/tests/%s.elf" % name), vm, words, append)


def exits(text):
    """By VM, as Trivet has counted them; only those that have ended are told."""
    counts = {}
    for vm, count in re.findall(r"\[(\w+)\] exits \S+ (\d+),", text):
        counts[vm] = counts.get(vm, 0) + int(count)
    return counts


# ---- S14: two that fill all state of the CPU with their patterns, and one that looks on

def hostile(boot, model, pcpus, wanted, **fields):
    """Three VMs that end by themselves; `wanted` exits in all of them together."""
    rounds = wanted // (3 * EXITS_A_ROUND)
    modules = [program("hostile", "a", "seed=1 rounds=%d" % rounds),
               program("hostile", "b", "seed=2 x2apic rounds=%d" % rounds),
               program("hostile", "c", "seed=0 rounds=%d" % rounds)]
    text = boot(emulator="bochs", model=model, pcpus=pcpus, pmem=256, modules=modules, hv="log=debug",
                reject=REJECT, expect=[ENDED], **fields).text
    for vm in "abc":
        assert "[%s] exit code 0" % vm in text
    counts = exits(text)
    assert sum(counts.values()) >= wanted, counts
    # Each has slept, and so gave the CPU to the others, every few rounds.
    sleeps = [int(n) for n in re.findall(r"hostile: %d rounds, (\d+) sleeps" % rounds, text)]
    assert len(sleeps) == 3 and min(sleeps) >= rounds // 8
    return text


@pytest.mark.parametrize("model,pcpus", list(zip(MODELS, [1, 2, 1, 2])))
def test_no_state_is_shared(boot, model, pcpus):
    """100,000 exits over the four."""
    hostile(boot, model, pcpus, 25000, timeout=90)


@pytest.mark.nightly
@pytest.mark.parametrize("pcpus", [1, 2])
@pytest.mark.parametrize("model", MODELS)
def test_no_state_is_shared_for_long(boot, model, pcpus):
    """1,000,000 exits over the eight."""
    hostile(boot, model, pcpus, 125000, timeout=900)
