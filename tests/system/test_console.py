# SPDX-License-Identifier: BSD-2-Clause
"""The physical console: each port that console= can name, and what is said of one that is not
there."""

import struct
import time

import pytest

from conftest import built
from rig import screen, session

WITH_KVM = session.choose("auto") == "qemu"
BANNER = r"\bTrivet [0-9a-z.]+"
STOP = "^error: preflight: this machine cannot run guests"


def isa(port, irq=3):
    return "-device", "isa-serial,iobase=%#x,irq=%d,chardev=serial" % (port, irq)


PCI = "-device", "pci-serial,chardev=serial"
PORTS = {
    "com2": isa(0x2f8),
    "com2,9600": isa(0x2f8),
    "com3": isa(0x3e8),
    "com4,57600": isa(0x2e8),
    "e8f0": isa(0xe8f0),
    "pci": PCI,
    "pci,115200": PCI,
    "com1 console=pci": PCI,  # the last one counts
}


@pytest.mark.skipif(WITH_KVM, reason="QEMU has VMX on this machine")
@pytest.mark.parametrize("words", PORTS)
def test_console_at(boot, words):
    """The log from its first line on, though some ports are found only later."""
    boot(emulator="qemu", serial=PORTS[words], hv="console=" + words, timeout=60,
         expect=[BANNER, "^cpu: ", STOP], reject=["panic:", "^warning: console"])


def test_pci_port_under_uefi(boot):
    if WITH_KVM:
        pytest.skip("QEMU has VMX on this machine")
    boot(emulator="qemu", firmware="uefi", serial=PCI, hv="console=pci", timeout=60,
         expect=[BANNER, "^cpu: ", STOP], reject=["panic:", "^warning: console"])


@pytest.mark.skipif(WITH_KVM, reason="QEMU has VMX on this machine")
@pytest.mark.parametrize("baud", ["", ",38400"])
def test_port_of_the_spcr_table(boot, tmp_path, baud):
    """Interface 16550, an 8-bit register at an I/O port, 9600 baud."""
    body = struct.pack("<B3xBBBBQBBIB", 0, 1, 8, 0, 1, 0x2e8, 1, 3, 3, 3).ljust(80 - 36, b"\0")
    (tmp_path / "spcr").write_bytes(body)
    table = "-acpitable", "sig=SPCR,rev=2,data=%s" % (tmp_path / "spcr")
    boot(emulator="qemu", serial=isa(0x2e8) + table, hv="console=spcr" + baud, timeout=60,
         expect=[BANNER, "^acpi: tables: .*SPCR", STOP], reject=["panic:", "^warning: console"])


ABSENT = {
    "com3": "no UART at port 3e8h",
    "abc0": "no UART at port abc0h",
    "pci": "no 16550 on the PCI",
    "spcr": "no 16550 that the ACPI table SPCR names",
}


@pytest.mark.parametrize("word", ABSENT)
def test_port_that_is_not_there(word):
    """Seen on the screen, for which the warning is meant."""
    if WITH_KVM:
        pytest.skip("QEMU has VMX on this machine")
    config = session.Config(emulator="qemu", stay=True, hv="console=%s console=fb" % word,
                            image=built("trivet.elf"))
    shown, deadline = "", time.time() + 60
    with session.Session(config) as run:
        while "safe to switch off" not in shown and time.time() < deadline:
            time.sleep(0.5)
            shown = "\n".join(screen.vga_text_of(run.machine.memory(0xb8000, 4000)))
    assert "warning: console: " + ABSENT[word] in shown
