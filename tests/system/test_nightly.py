# SPDX-License-Identifier: BSD-2-Clause
"""What takes too long for `make test`: Linux on every number of CPUs, many reboots, other kernels, an
installer, stress, much memory, a million interrupts. `make nightly` runs it; each test's time is told."""

import pytest

from conftest import built
from linux import ENDED, REJECT, SHELL, boot_and_look, modules

pytestmark = pytest.mark.nightly

SHAPES = [(4, 1), (4, 2), (4, 4), (4, 8), (1, 4)]  # cores, vCPUs
MODELS = [("haswell", "no=apicv"), ("haswell", ""), ("arrandale", "")]


@pytest.mark.parametrize("pcpus,vcpus", SHAPES)
@pytest.mark.parametrize("model,hv", MODELS)
def test_cpus(boot, model, hv, pcpus, vcpus):
    boot_and_look(boot, vcpus, model=model, hv=hv, pcpus=pcpus, timeout=900)


def test_twenty_reboots(boot):
    boot_and_look(boot, 4, reboots=20, quiet=True, hv="no=apicv", pcpus=4, timeout=4800)


@pytest.mark.parametrize("kernel", ["vmlinuz-generic", "vmlinuz-rt"])
def test_other_kernels(boot, kernel):
    """They are packed with XZ, which is 5 G instructions."""
    boot_and_look(boot, 2, kernel=kernel, hv="no=apicv", pcpus=2, timeout=1800)


def test_installer(boot):
    """Debian's netboot installer to its first question, in a window of GNU screen."""
    boot(emulator="bochs", hv="no=apicv", pcpus=2, pmem=1536, timeout=2400, reject=REJECT,
         modules=modules("installer-linux", mem="1024M", words="cpus=2", append="console=ttyS0",
                         initrds=["installer-initrd"]), expect=[r"1\*installer", "Select.{1,20}language"])


def test_stress(boot):
    """60 s of the guest's time; each stressor checks what it has computed."""
    command = ("LD_LIBRARY_PATH=/lib64 stress-ng --cpu 2 --matrix 1 --vm 1 --vm-bytes 32M --switch 1 --futex 1 "
               "--timer 1 --fork 1 --verify --timeout 60s; echo status $?; poweroff -f")
    boot(emulator="bochs", hv="no=apicv", pcpus=4, pmem=768, timeout=4800, reject=REJECT + ["stress-ng: fail"],
         modules=modules(words="cpus=4", mem="512M", append="console=ttyS0 quiet",
                         initrds=["initrd.img", "stress.img"]),
         type=["%s=>%s\\n" % (SHELL, command)],
         expect=["dispatching hogs", "successful run completed in 6", r"^status 0\r?$"] + ENDED)


def test_memory_above_4g(boot):
    """A machine with 8 GiB and a guest whose 5 GiB go on above 4 GiB; it fills nearly all of them."""
    command = "mount -t tmpfs -o size=95% tmp /tmp; fallocate -l 4400M /tmp/x; ls -s /tmp/x; poweroff -f"
    boot(emulator="bochs", hv="no=apicv", pcpus=2, pmem=8192, timeout=3600, reject=REJECT + ["No space"],
         modules=modules(words="cpus=2", mem="5G"), type=["%s=>%s\\n" % (SHELL, command)],
         expect=[r"BIOS-e820: \[mem 0x0000000100000000-0x000000017fffffff\] usable",
                 r"^ *4505600 /tmp/x\r?$"] + ENDED)


def test_nested_tables_that_change(boot):
    """100,000 times."""
    boot(emulator="bochs", model="haswell", pcpus=2, pmem=256, timeout=900, image=built("trivet-test.elf"),
         hv="selftest=remap:100000", expect=["^selftest remap: passed"], reject=["panic:", "not so:"])


TIMERS = {
    "deadlines": ("deadline", "count=1000000", "of 1000000;"),
    "periods": ("lapic-timer", "count=1000000 period=5000", "^ok "),
    "clocks for 60 s": ("deadline", "count=1000 seconds=60", "ppm"),
}


@pytest.mark.parametrize("hv", ["no=apicv", ""])
@pytest.mark.parametrize("name", TIMERS)
def test_timer(boot, name, hv):
    """A million interrupts, none lost, doubled or early; three clocks that stay together."""
    program, words, expect = TIMERS[name]
    boot(emulator="bochs", hv=hv, pmem=256, timeout=3600, reject=["^FAIL ", "panic:"],
         modules=["%s mem=64M debug-exit -- %s" % (built("guest/tests/%s.elf" % program), words)],
         expect=[expect, r"^\[guest\] exit code 0"])
