# SPDX-License-Identifier: BSD-2-Clause
"""Tests that run inside the test image (tests/image): each is a row, by name, argument and the CPU
models on which it runs."""

import re

import pytest

from conftest import PARANOID, built

# name[:argument]: models, seconds[, physical cores]
STATE_MODELS = ["arrandale", "haswell", "tigerlake"]  # without XSAVE; with AVX; with AVX-512
ROWS = {
    "state": (STATE_MODELS, 120),
    "state-refusals": (STATE_MODELS, 60),
    "state-nmi": (STATE_MODELS, 60),
    "hypercall": (STATE_MODELS, 60),
    # Bochs 2.7 offers the monitor trap on tigerlake, but never exits for it
    "state-debug": (["arrandale", "haswell"], 60),
    "state-debug no=monitor-trap": (["tigerlake"], 60),
    "state-policy": (STATE_MODELS, 60),
    "state-policy no=msr-bitmap": (["haswell"], 60),
    # VM entries that the CPU refuses, explained; and what it refuses, as the checker predicts
    "entry-break": (STATE_MODELS, 60),
    "entry-fuzz:1:17000": (STATE_MODELS, 100),
    "scale": (["sandy_bridge"], 30),
    # the dirty log by what the CPU offers, and by what is left of it
    "dirty:pml": (["tigerlake", "skylake_x"], 60),
    "dirty:flags": (["haswell"], 60),
    "dirty:protect": (["sandy_bridge"], 60),
    "dirty:flags no=pml": (["tigerlake"], 60),
    "dirty:flags no=2m-pages": (["haswell"], 60),
    "dirty:protect no=ept-ad": (["haswell", "tigerlake"], 60),
    # the local APIC, as far as the CPU serves it
    "apic": (["arrandale", "haswell", "tigerlake"], 60),
    "apic no=tpr-shadow": (["arrandale", "haswell"], 60),
    "apic no=apicv": (["haswell"], 60),
    "apic no=apic-access": (["haswell"], 60),
    "apic no=apic-registers": (["haswell"], 60),
    "apic no=virtual-interrupts": (["haswell"], 60),
    "apic no=x2apic-virtualization": (["haswell"], 60),
    "apic no=msr-bitmap,vpid,pause-loop-exit": (["haswell"], 60),
    # a machine check in a guest
    "machine-check": (["haswell", "tigerlake"], 60),
    # each allocation fails in turn
    "alloc": (["haswell", "skylake_x"], 150),
    # regions as a guest sees them
    "memory": (["arrandale", "haswell", "tigerlake"], 60),
    # the live tables, and that the walk sees each rule broken
    "walk": (["arrandale", "haswell", "icelake"], 60, 2),
    "walk no=2m-pages": (["tigerlake"], 60, 4),
    "walk mitigations=off": (["haswell"], 60),
    # what lies on a job's stack, as other cores see it
    "stacks": (["haswell"], 60, 4),
    # nested tables that change under it, on two pCPUs
    "remap": (["haswell"], 60, 2),
    "multihit": (["haswell", "icelake"], 60, 2),
    "multihit no=2m-pages": (["haswell"], 60, 2),
    "multihit mitigations=off": (["haswell"], 60, 2),
}


@pytest.mark.parametrize("name,model", [(name, model) for name, row in ROWS.items() for model in row[0]])
def test_image(boot, name, model):
    boot(emulator="bochs", model=model, pmem=256, timeout=ROWS[name][1], image=built("trivet-test.elf"),
         pcpus=(ROWS[name] + (1,))[2], hv="selftest=" + name, refusals=name.startswith("entry-"),
         expect=["^selftest %s: passed" % re.split("[: ]", name)[0]], reject=["panic:", "not so:"])


# What the paranoid build complains of, and in which words.
FAULTS = {
    "lock-order": "lock order: .* the other way round",
    "lock-order-of-three": "lock order: .* the other way round",
    "lock-kind": "lock order: .* of its kind held",
    "lock-twice": "taken by the CPU that has it",
    "lock-not-held": "given back by a CPU that does not have it",
    "lock-at-entry": "is held at a VM entry",
    "lock-at-slice-end": "is held at the end of a slice",
    "free-page": "the free page of .* was written to: 1,",
    "host-state": "MSR 176h is 1234 and not 0 behind an exit",
    "host-state-at-entry": "MSR 174h is 8 and not 0 at an entry",
    "switched-msr": "MSR c0000081h of vCPU .* is 1, was put as 0",
    "switched-fpu": "the sum of FPU and vector registers of vCPU .* was put as",
    "long-slice": r"\d+ instructions at once, slice of ",
}


@pytest.mark.skipif(not PARANOID, reason="only the paranoid build complains")
@pytest.mark.parametrize("name", FAULTS)
def test_complaint(boot, name):
    boot(emulator="bochs", pmem=256, timeout=60, image=built("trivet-test.elf"), hv="selftest=paranoid:" + name,
         expect=["^error: panic: audit: .*" + FAULTS[name]], reject=["raised no complaint"])


@pytest.mark.skipif(not PARANOID, reason="only the paranoid build refuses an entry")
@pytest.mark.parametrize("model", ["arrandale", "haswell"])
def test_flush_left_out(boot, model):
    boot(emulator="bochs", model=model, pmem=256, timeout=60, image=built("trivet-test.elf"), hv="selftest=flush",
         expect=["^selftest flush: passed"], reject=["panic:", "not so:"])


@pytest.mark.skipif(not PARANOID, reason="only the paranoid build traps")
def test_undefined_behaviour(boot):
    boot(emulator="bochs", pmem=256, timeout=60, image=built("trivet-test.elf"), hv="selftest=paranoid:undefined",
         expect=[r"^error: panic: #UD in \w+\+0x[0-9a-f]+, undefined behaviour"], reject=["raised no complaint"])


# What each model is to get at switches and entries, by what it reports of itself and Intel's
# guidance: haswell and skylake_x have microcode from before, icelake has eIBRS and lacks MD_CLEAR,
# tigerlake has it. With force everything is done that CPUID need not offer.
ENHANCED = "retpolines,IBRS,RSB-entry,IBPB"
MITIGATIONS = {
    "auto": {"haswell": "retpolines,RSB", "skylake_x": "retpolines,RSB", "icelake": ENHANCED,
             "tigerlake": ENHANCED + ",VERW"},
    "off": dict.fromkeys(["haswell", "skylake_x", "icelake", "tigerlake"], ""),
    "force": dict.fromkeys(["haswell", "skylake_x", "icelake", "tigerlake"],
                           "retpolines,IBRS,RSB,IBPB,VERW,L1D-flush"),
}


@pytest.mark.parametrize("mode,model", [(mode, model) for mode, row in MITIGATIONS.items() for model in row])
def test_mitigations(boot, mode, model):
    boot(emulator="bochs", model=model, pcpus=2, pmem=256, timeout=100, image=built("trivet-test.elf"),
         hv="mitigations=%s selftest=mitigate:%s" % (mode, MITIGATIONS[mode][model]),
         expect=["^selftest mitigate: passed"], reject=["panic:", "not so:"])
