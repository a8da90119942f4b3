# SPDX-License-Identifier: BSD-2-Clause
"""Debian's cloud kernel under Trivet: boot to a shell, all CPUs there, reboot, end by ACPI. Each row
is a kind of machine; test_nightly.py has the others."""

import pytest

from conftest import fetched
from linux import REJECT, SHELL, boot_and_look, modules
from rig import session

ROWS = [
    # model, firmware, cores, vCPUs, Trivet's words, Linux's words, reboots
    ("haswell", "bios", 4, 4, "no=apicv", "", 2),
    ("haswell", "bios", 1, 4, "no=apicv", "", 0),  # on a shared core
    ("arrandale", "bios", 2, 2, "", "", 0),  # no x2APIC, no TSC-deadline, no XSAVE
    ("cnl", "bios", 2, 2, "", "nox2apic lapic=notscdeadline", 0),
    ("sandy_bridge", "bios", 1, 1, "", "", 0),
    ("tigerlake", "bios", 1, 1, "", "", 0),  # APICv
    ("haswell", "uefi", 1, 1, "", "", 0),
]


@pytest.mark.parametrize("model,firmware,pcpus,vcpus,hv,append,reboots", ROWS)
def test_shell(boot, model, firmware, pcpus, vcpus, hv, append, reboots):
    """The default command line plus console=ttyS0."""
    boot_and_look(boot, vcpus, reboots, model=model, firmware=firmware, pcpus=pcpus, hv=hv, append=append)


def test_pci(boot):
    """Both functions; INTA# of slot 1 at the I/O APIC's pin 17; BARs as they were placed, and as the
    kernel places them by itself, a prefetchable one above 4 GiB; no complaint."""
    devices = "/sys/bus/pci/devices"
    function = devices + "/0000:00:01.0"
    commands = ["echo 1 >%s/enable" % function, "cat %s/irq" % function, "echo 1 >%s/remove" % function,
                "echo 1 >/sys/bus/pci/rescan", "ls " + devices, "dmesg | grep -i pci", "poweroff -f"]
    kernel, initrd = modules(append="console=ttyS0 quiet")
    boot(emulator="bochs", modules=[kernel.replace(" -- ", " pci-testdev -- "), initrd], timeout=200,
         expect=[SHELL, r"^17\r?$", r"^0000:00:00.0 +0000:00:01.0\r?$",
                 r"1\.0: BAR 0 \[mem 0xc0000000-0xc0000fff\]",
                 r"1\.0: BAR 2 \[mem 0x100000000-0x10000ffff 64bit pref\]: assigned",
                 r"all VMs have ended"],
         type=["guest# =>%s\n" % "; ".join(commands)],
         reject=REJECT + [r"pci.*(conflict|can't|failed|no space|disabled|invalid)"])


def test_two_runs_are_identical(boot):
    """No input, so no outside time: the whole serial log repeats to the byte."""
    append = "console=ttyS0 quiet rdinit=/bin/poweroff -- -f"
    runs = [boot(emulator="bochs", model="sandy_bridge", modules=modules(append=append),
                 expect=["Power down", "powered off", "all VMs have ended"], reject=REJECT).text
            for _ in range(2)]
    assert runs[0] == runs[1]


def test_silent_guest_gets_a_hint(boot):
    """Linux without console=ttyS0 writes nothing to its serial port."""
    boot(emulator="bochs", modules=modules(append="quiet"), timeout=120, expect=[r"console=ttyS0\?"])


def test_truncated_kernel_is_named(boot, tmp_path):
    with open(fetched("vmlinuz"), "rb") as file:
        (tmp_path / "short").write_bytes(file.read()[:1000000])
    boot(emulator="bochs", modules=["%s -- x" % (tmp_path / "short"), fetched("initrd.img")],
         timeout=60, expect=["module 1.*", "no VM to run|all VMs have ended"], reject=["panic:"])


@pytest.mark.skipif(session.choose("auto") != "qemu", reason="no nested VMX on this machine")
def test_shell_in_kvm(boot):
    boot(emulator="qemu", modules=modules(), timeout=120, reject=REJECT,
         expect=["init-reached", SHELL, r"^42\r?$", "all VMs have ended"],
         type=["guest# =>echo $((6*7))\\n", "^42\r?\n(.|\n)*?guest# =>poweroff -f\\n"])
