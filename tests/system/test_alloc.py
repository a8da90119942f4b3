# SPDX-License-Identifier: BSD-2-Clause
"""Each allocation of the boot fails in turn, from the first page to the start of the first VM: Trivet says
in words what it lacks, and stops or goes on without. The test image counts them, so that a new one is in
it by itself; `make test` takes some, spread over all, `make nightly` each."""

import re

import pytest

from conftest import built

SAMPLE = 4  # in each of two tests
LACKS = r"^(error|warning): .*(no memory|too little memory|no room|cannot be read|no tables)"
RAN = r"^\[one\] exit code"
ENDS = ["cannot run guests, for what is said above", "no memory for the CPUs' run queues",
        r"^error: \[one\] [^\0]*all VMs have ended", RAN]


def fail(boot, n, model):
    """Boots with the nth allocation failing, 0: none; how many there were, and the console's text."""
    done = r"^selftest: the boot made (\d+) allocations, %d failed" % (n > 0)
    text = boot(emulator="bochs", model=model, pcpus=4, pmem=256, timeout=120, image=built("trivet-test.elf"),
                hv="selftest=alloc-boot:%d" % n, expect=[done], reject=["panic:", "not so:"],
                modules=["%s vm=one mem=4M cpus=2 debug-exit" % built("guest/tests/exitcode.elf")]).text.replace("\r", "")
    return int(re.search(done, text, re.M).group(1)), text


def check(boot, model, numbers):
    """Fails those that `numbers` gives for the count of all."""
    count, text = fail(boot, 0, model)
    assert count > 80 and re.search(RAN, text, re.M) and not re.search(LACKS, text, re.M), text
    for n in numbers(count):
        _, text = fail(boot, n, model)
        assert re.search(LACKS, text, re.M), "allocation %d: nothing said\n%s" % (n, text)
        assert any(re.search(end, text, re.M) for end in ENDS), "allocation %d\n%s" % (n, text)


@pytest.mark.parametrize("half", [0, 1])
def test_boot(boot, half):
    check(boot, "haswell", lambda count: [1 + (2 * i + half) * (count - 1) // (2 * SAMPLE) for i in range(SAMPLE)])


@pytest.mark.nightly
@pytest.mark.parametrize("model", ["haswell", "skylake_x"])
def test_each_of_boot(boot, model):
    check(boot, model, lambda count: range(1, count + 1))


@pytest.mark.nightly
@pytest.mark.parametrize("model", ["arrandale", "haswell", "tigerlake"])
def test_on_four_cores(boot, model):
    boot(emulator="bochs", model=model, pcpus=4, pmem=256, timeout=900, image=built("trivet-test.elf"),
         hv="selftest=alloc", expect=["^selftest alloc: passed"], reject=["panic:", "not so:"])


@pytest.mark.nightly
@pytest.mark.parametrize("model", ["skylake_x", "tigerlake"])
def test_nothing_remains(boot, model):
    boot(emulator="bochs", model=model, pmem=256, timeout=2400, image=built("trivet-test.elf"),
         hv="selftest=remains:1000", expect=["^selftest remains: passed"], reject=["panic:", "not so:"])
