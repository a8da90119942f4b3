# SPDX-License-Identifier: BSD-2-Clause
"""Programs of guest/tests on the bare machine and as guests of it: what passes there passes here,
check by check. What the emulator itself does wrong is skipped bare; the program's header tells."""

import re

import pytest

from conftest import SLOW, built

PASSED = r"^\d+ passed, 0 failed"

# name: program, its words, CPUs, model, Trivet's options
ROWS = {
    "pic": ("pic", "", 1, "arrandale", ""),
    "ioapic, arrandale": ("ioapic", "", 1, "arrandale", ""),
    "ioapic, 4 CPUs": ("ioapic", "cpus=4", 4, "haswell", ""),
    "ioapic, x2APIC, 2 CPUs": ("ioapic", "cpus=2 x2apic", 2, "tigerlake", ""),
    "ioapic, no APICv": ("ioapic", "cpus=2 x2apic", 2, "haswell", "no=apicv"),
    "ioapic, no TPR shadow": ("ioapic", "cpus=2", 2, "haswell", "no=apicv,tpr-shadow"),
    "ioapic-storm": ("ioapic-storm", "x2apic", 1, "haswell", ""),
    "ioapic-storm, no APICv": ("ioapic-storm", "", 1, "haswell", "no=apicv"),
    "smp": ("smp", "cpus=4", 4, "haswell", ""),
    "lapic-regs": ("lapic-regs", "cpus=2", 2, "arrandale", ""),
    "lapic-regs, x2APIC": ("lapic-regs", "cpus=2 x2apic", 2, "haswell", ""),
    "lapic-ipi": ("lapic-ipi", "cpus=4", 4, "haswell", ""),
    "lapic-ipi, x2APIC": ("lapic-ipi", "cpus=4 x2apic", 4, "tigerlake", ""),
    "apic-base": ("apic-base", "", 1, "haswell", ""),
    "lapic-timer": ("lapic-timer", "", 1, "haswell", ""),
    "served": ("served", "", 1, "tigerlake", ""),
    "served, no APICv": ("served", "", 1, "haswell", "no=apicv"),
    "served, no timer": ("served", "", 1, "haswell", "no=apicv,preemption-timer"),
}


def verdicts(text):
    """Pairs of name and verdict, in order."""
    return [(name, verdict)
            for verdict, name in re.findall(r"^(ok|skip|FAIL) ([^:\r\n]+)", text, re.MULTILINE)]


@pytest.mark.parametrize("row", ROWS)
def test_same_as_bare(boot, row):
    name, words, cpus, model, options = ROWS[row]
    image = built("guest/tests/%s.elf" % name)
    there = boot(emulator="bochs", model=model, pcpus=str(cpus), pmem=256, timeout=60, bare=True,
                 image=image, hv=words, reject=["^FAIL "], expect=[PASSED])
    here = boot(emulator="bochs", model=model, pcpus=str(cpus), pmem=256, timeout=60, hv=options,
                reject=["^FAIL ", "panic:"], expect=[PASSED, r"exit code 0\b"],
                modules=["%s mem=64M cpus=%d debug-exit -- %s" % (image, cpus, words + SLOW)])
    bare, guest = verdicts(there.text), dict(verdicts(here.text))
    assert bare
    for check, verdict in bare:
        assert verdict == "skip" or guest.get(check) == "ok", check
