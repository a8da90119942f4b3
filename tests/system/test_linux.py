# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernels under Trivet: boot to a shell, answer, reboot, end. Each row is a machine."""

import pytest

from conftest import fetched
from rig import session

SHELL = "guest# "
REJECT = [r"^panic|PANIC", r"Kernel panic", r"BUG:", r"\[guest\] killed"]

ROWS = [
    # model, firmware
    ("arrandale", "bios"),
    ("sandy_bridge", "bios"),
    ("haswell", "bios"),
    ("cnl", "bios"),
    ("tigerlake", "bios"),
    ("haswell", "uefi"),
]


def modules(kernel="vmlinuz", append="console=ttyS0", mem="256M"):
    return ["%s mem=%s -- %s" % (fetched(kernel), mem, append), fetched("initrd.img")]


@pytest.mark.parametrize("model,firmware", ROWS)
def test_shell_reboot_poweroff(boot, model, firmware):
    """The default command line plus console=ttyS0; a command answers, reboot comes back."""
    boot(emulator="bochs", model=model, firmware=firmware, modules=modules(), timeout=400,
         expect=["Linux version", "init-reached", SHELL, r"^42\r?$", "init-reached", SHELL,
                 "all VMs have ended"],
         type=["guest# =>echo $((6*7))\\n", r"^42\r?\n(.|\n)*?guest# =>reboot -f\n",
               r"init-reached(.|\n)*?guest# =>poweroff -f\n"],
         reject=REJECT)


def test_generic_kernel(boot):
    """Debian's other kernel, packed with XZ."""
    boot(emulator="bochs", modules=modules("vmlinuz-generic"), timeout=300, reject=REJECT,
         expect=["Linux version", "init-reached", SHELL, r"^42\r?$", "all VMs have ended"],
         type=["guest# =>echo $((6*7))\\n", r"^42\r?\n(.|\n)*?guest# =>poweroff -f\n"])


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
