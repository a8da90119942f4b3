# SPDX-License-Identifier: BSD-2-Clause
"""The physical console: each port that console= can name, and what is said of one that is not
there."""

import re
import struct
import time

import pytest

from conftest import built, usual_build
from rig import console, screen, session

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
    "com3": "no 16550 at port 3e8h",
    "abc0": "no 16550 at port abc0h",
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


def wait_for(run, pattern, timeout=90):
    deadline = time.time() + timeout
    while not re.search(pattern, run.console.text(), re.DOTALL):
        assert run.machine.poll() is None and time.time() < deadline, run.console.text()
        run.console.wait_change(len(run.console.data), 0.5)


# ---- input at the line's full speed

def fnv1a(data):
    value = 0x811c9dc5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value


def type_at_full_speed(how, firmware="bios"):
    """20,000 bytes without a pause: Bochs delivers one each 87 us of its own time, and loses what a
    full FIFO of 16 cannot take. All byte values but newline and the console's own key."""
    data = bytes(b for b in ((i * 7 + i // 251) % 256 for i in range(20200)) if b not in (10, 0x1d))
    config = session.Config(emulator="bochs", firmware=firmware, image=built("trivet.elf"),
                            hv="log=debug", modules=[built("guest/demo.elf") + " mem=16M"])
    with session.Session(config) as run:
        for wait, typed in (("demo> ", b"take\n"), ("taking", data + b"\n"), (" taken, .*demo> ", b"exit\n")):
            wait_for(run, wait)
            console.write_all(run.console.fd, typed)
        text = run.console.text()
    assert "%d bytes taken, hash %08x" % (len(data), fnv1a(data)) in text, text
    assert "warning: console" not in text, text
    assert "the serial port is " + how in text


@usual_build
def test_full_speed_input():
    type_at_full_speed("heard by interrupt")


def test_full_speed_input_without_interrupts():
    """Under UEFI Bochs has no ACPI tables, and so no I/O APIC."""
    type_at_full_speed("polled", "uefi")


# ---- the PS/2 keyboard, as far as QEMU without VMX goes

KEYS = ["a shift-a", "caps_lock b shift-b caps_lock", "ctrl-c ctrl-bracket_right", "up home delete",
        "backspace tab esc 1 shift-1 slash", "ret"]
HEARD = (b"aA" b"Bb" b"\x03\x1d" b"\x1b[A\x1b[H\x1b[3~" b"\x7f\t\x1b1!/" b"\r").hex(" ")


@pytest.mark.skipif(WITH_KVM, reason="QEMU has VMX on this machine")
def test_keyboard():
    """A real controller's translation of what its keyboard sends, polled."""
    config = session.Config(emulator="qemu", hv="selftest=keys", image=built("trivet-test.elf"))
    with session.Session(config) as run:
        wait_for(run, "selftest: type")
        for names in " ".join(KEYS).split():
            keys = [{"type": "qcode", "data": key} for key in names.split("-")]
            run.machine.command("send-key", keys=keys, **{"hold-time": 20})
            time.sleep(0.08)
        wait_for(run, "selftest: heard " + HEARD)
