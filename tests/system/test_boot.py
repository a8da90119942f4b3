# SPDX-License-Identifier: BSD-2-Clause
"""From GRUB to the banner: firmwares, cores, load addresses, screens, what a machine may lack,
and Trivet's own ends and faults."""

import os
import re
import struct
import time

import pytest

from conftest import ROOT, built
from rig import iso, screen, session

BANNER = r"\bTrivet [0-9a-z.]+"
FONT = os.path.join(ROOT, "drivers/fbcon.psf")
CORES = "^cores: %d started of %d, %d in virtualization operation"
STOP = "^error: preflight: this machine cannot run guests"
REJECT = ["panic:", "^error: (?!no suitable video)"]


# ---- cores in Bochs: firmware, model, how many

@pytest.mark.parametrize("firmware,model,pcpus", [
    ("bios", "sandy_bridge", 1), ("bios", "haswell", 2), ("bios", "arrandale", 4),
    ("bios", "tigerlake", 8), ("uefi", "haswell", 1)])
def test_all_cores_in_vmx_operation(boot, firmware, model, pcpus):
    boot(emulator="bochs", firmware=firmware, model=model, pcpus=pcpus, timeout=120,
         expect=[BANNER, r"^pci: bus masters stopped in segment 0: \d+\r", CORES % (pcpus, pcpus, pcpus),
                 "no VM to run"], reject=REJECT)


# ---- preflight: one line for what is missing, then a clean stop

LACKING = {
    "no EPT": (dict(emulator="bochs", model="penryn"), "(?i:EPT)"),
    "no unrestricted guest": (dict(emulator="bochs", model="lynnfield"), "unrestricted.guest"),
    "no VMX": (dict(emulator="qemu"), "no VMX"),
    "no local APIC": (dict(emulator="qemu", model="qemu64,-apic"), "no local APIC"),
    "too little memory": (dict(emulator="bochs", pmem=6), "too little memory"),
}
WITH_KVM = session.choose("auto") == "qemu"


@pytest.mark.parametrize("name", LACKING)
def test_preflight(boot, name):
    fields, what = LACKING[name]
    if fields["emulator"] == "qemu" and WITH_KVM:
        pytest.skip("QEMU has VMX on this machine")
    boot(timeout=60, expect=[BANNER, "^error: preflight: .*" + what, STOP], reject=["panic:"], **fields)


def test_not_loaded_by_multiboot2(boot, tmp_path):
    """An image that wants another magic in EAX than GRUB gives it takes GRUB for a stranger."""
    data = open(built("trivet.elf"), "rb").read()
    compare = b"\x3d" + struct.pack("<I", 0x36d76289)
    assert data.count(compare) == 1
    (tmp_path / "trivet.elf").write_bytes(data.replace(compare, b"\x3d\0\0\0\0"))
    boot(emulator="bochs", image=str(tmp_path / "trivet.elf"), timeout=60,
         expect=["^Trivet: not loaded by multiboot2; use GRUB"])


# ---- what a firmware may leave behind, set by GRUB's wrmsr on the boot CPU

FIRMWARE = {
    # Under UEFI, since Bochs' own BIOS locks the MSR with VMX on; there are no ACPI tables then.
    "VMX locked off": ("uefi", "0x3a 0x1", 1, [
        "no MADT, one core is used", "^error: preflight: .*IA32_FEATURE_CONTROL is 1h", STOP,
        "^safe to switch off"]),
    "x2APIC mode": ("bios", "0x1b 0xfee00d00", 4, ["^apic: x2APIC", CORES % (4, 4, 4), "no VM to run"]),
}


@pytest.mark.parametrize("name", FIRMWARE)
def test_firmware_state(boot, monkeypatch, name):
    firmware, msr, pcpus, expect = FIRMWARE[name]
    plain = iso.grub_cfg
    monkeypatch.setattr(iso, "grub_cfg",
                        lambda *args, **more: "insmod wrmsr\nwrmsr %s\n%s" %
                        (msr, plain(*args, **more)))
    boot(emulator="bochs", firmware=firmware, pcpus=pcpus, timeout=120, expect=[BANNER] + expect,
         hv="exit=poweroff", reject=["panic:"])


@pytest.mark.parametrize("emulator,firmware", [("bochs", "bios"), ("qemu", "bios"), ("qemu", "uefi")])
def test_acpi_switches_off(boot, emulator, firmware):
    """No pattern to wait for: the run passes when the machine has ended by itself."""
    text = boot(emulator=emulator, firmware=firmware, hv="exit=poweroff", timeout=60,
                reject=["panic:", "safe to switch off"]).text
    assert re.search("^acpi: .*, power-off", text, re.MULTILINE)


@pytest.mark.skipif(WITH_KVM, reason="QEMU has VMX on this machine")
@pytest.mark.parametrize("firmware,acpi", [("bios", "RSDP 1"), ("uefi", "RSDP 2")])
def test_without_vmx_all_but_vmx_works(boot, firmware, acpi):
    """Memory map, ACPI of that firmware, 4 cores started and counted."""
    text = boot(emulator="qemu", firmware=firmware, pcpus=4, timeout=60, reject=["panic:"],
                expect=[BANNER, r"^memory: \d+ MiB", "^acpi: " + acpi, CORES % (4, 4, 0), STOP]).text
    assert firmware == "bios" or re.search("^acpi: tables:.* MCFG", text, re.MULTILINE)


# ---- devices that the firmware left running

DEVICES = ("-serial", "chardev:serial", "-device", "e1000", "-device", "nec-usb-xhci",
           "-device", "ahci,id=disks", "-device", "pcie-root-port,id=root,chassis=1",
           "-device", "e1000e,bus=root")
# Trivet's options: classes that are stopped, classes that are not
MASTERS = {
    "": (["020000", "010601", "0c0330"], ["030000"]),
    "console=com1": (["020000", "010601", "0c0330", "030000"], []),  # nobody uses the screen
    "pci=leave": ([], ["020000", "010601", "0c0330", "030000"]),
}


@pytest.mark.parametrize("words", MASTERS)
def test_no_device_masters_the_bus(boot, words):
    """OVMF leaves its drivers' devices on; one of them stands behind a bridge. Whether a device
    stands still is read back, and told where it does not."""
    stopped, left = MASTERS[words]
    text = boot(emulator="qemu", firmware="uefi", hv="log=debug " + words, serial=DEVICES, timeout=60,
                expect=[STOP if not WITH_KVM else "no VM to run"], reject=["panic:", "cannot be stopped"]).text
    classes = re.findall("^debug: pci: .*, class ([0-9a-f]{6}): bus master stopped", text, re.MULTILINE)
    assert set(stopped) <= set(classes) and not set(left) & set(classes)
    assert not [code for code in classes if code.startswith("06")]
    if stopped:
        assert re.search("^debug: pci: 0000:01:00.0, class 020000: bus master stopped", text, re.MULTILINE)
        assert "\npci: bus masters stopped in segment 0: %d\r" % len(classes) in text
    else:
        assert re.search("^warning: pci: devices may go on writing", text, re.MULTILINE)


# ---- the screen shows what the serial line shows

def log_lines(text):
    return [line.rstrip() for line in text.replace("\r", "").split("\n") if line.strip()]


SCREENS = {"framebuffer, UEFI": ("uefi", False), "framebuffer, BIOS": ("bios", True),
           "VGA text": ("bios", False)}


@pytest.mark.skipif(WITH_KVM, reason="reads the screen of a machine that stops")
@pytest.mark.parametrize("name", SCREENS)
def test_screen_shows_the_log(name):
    firmware, video = SCREENS[name]
    config = session.Config(emulator="qemu", firmware=firmware, video=video, pcpus=2,
                            stay=True, image=built("trivet.elf"), timeout=60)
    with session.Session(config) as run:
        while "safe to switch off" not in run.console.text() and run.machine.poll() is None:
            before = len(run.console.data)
            run.console.wait_change(before, 20)
            assert len(run.console.data) > before, run.console.text()
        serial = log_lines(run.console.text()[re.search(BANNER, run.console.text()).start():])
        if name == "VGA text":
            shown, columns = screen.vga_text_of(run.machine.memory(0xb8000, 4000)), 80
        else:
            dump = run.machine.screendump()
            shown, columns = screen.text_of(dump, FONT), dump[0] // 8
    for line in serial[-8:]:
        for at in range(0, len(line), columns):
            assert line[at:at + columns].rstrip() in shown, "\n".join(shown)


@pytest.mark.parametrize("name", SCREENS)
def test_panic_is_seen_without_a_serial_port(name):
    firmware, video = SCREENS[name]
    config = session.Config(emulator="qemu", firmware=firmware, video=video, stay=True,
                            hv="console=fb selftest=panic", image=built("trivet-test.elf"))
    with session.Session(config) as run:
        shown, deadline = "", time.time() + 60
        while "panic: asked for by selftest=panic, in " not in shown and time.time() < deadline:
            time.sleep(0.5)
            if name == "VGA text":
                shown = "\n".join(screen.vga_text_of(run.machine.memory(0xb8000, 4000)))
            else:
                shown = "\n".join(screen.text_of(run.machine.screendump(), FONT))
        assert "panic: asked for by selftest=panic, in " in shown, shown
        assert "Trivet" in shown and "panic" not in run.console.text()


# ---- what is mapped

@pytest.mark.skipif(WITH_KVM, reason="looks at a machine that stops")
def test_nothing_is_writable_and_executable():
    """By QEMU's list of all pages: X stands for no execution, W for writable."""
    config = session.Config(emulator="qemu", stay=True, image=built("trivet.elf"), timeout=60)
    with session.Session(config) as run:
        while "safe to switch off" not in run.console.text():
            before = len(run.console.data)
            run.console.wait_change(before, 20)
            assert len(run.console.data) > before, run.console.text()
        pages = run.machine.command("human-monitor-command", **{"command-line": "info tlb"}).split("\n")
    flags = [line.split()[-1] for line in pages if re.match("ffffffff8", line)]
    kinds = {(flag[0] == "X", flag[-1] == "W") for flag in flags}
    assert kinds == {(False, False), (True, False), (True, True)}
    assert not [line for line in pages if re.search(r" [^X]\S*W\s*$", line)]


# ---- where the image lies

def moved_image(path, address):
    """A copy whose relocatable tag asks for an address from `address` on."""
    data = bytearray(open(built("trivet.elf"), "rb").read())
    at = data.index(struct.pack("<I", 0xe85250d6)) + 16
    while True:
        kind, _, size = struct.unpack_from("<HHI", data, at)
        assert kind, "no relocatable tag"
        if kind == 10:
            struct.pack_into("<I", data, at + 8, address)
            break
        at += (size + 7) & ~7
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("address", [0x1400000, 0x8000000])
def test_loads_above_16_mib(boot, tmp_path, address):
    boot(emulator="bochs", image=moved_image(tmp_path / "trivet.elf", address),
         expect=[BANNER, CORES % (1, 1, 1), "no VM to run"], reject=REJECT)


# ---- faults of Trivet's own, and bad options

def test_fault_prints_a_symbolised_line(boot):
    """The rig takes a panic of the emulator for a failure, Trivet's own is expected here."""
    boot(emulator="bochs", image=built("trivet-test.elf"), hv="selftest=fault",
         expect=["^selftest: a copy from where nothing is mapped gives -14\\b",
                 r"panic: .* in \w+\+0x[0-9a-f]+", r"rax [0-9a-f]{16}", r"rip [0-9a-f]{16}"])


def test_panic_names_its_place(boot):
    boot(emulator="bochs", image=built("trivet-test.elf"), hv="selftest=panic", expect=[r"panic: .*, in \w+\+0x"])


BAD_WORDS = {
    "option": ("colour=red", [], r"colour=red"),
    "selftest": ("selftest=panic", [], r"selftest: this image has no test 'panic'"),
    "module word": ("", ["{demo} colour=red"], r"colour=red"),
    "before --": ("", ["{demo} root=/dev/vda"], r"root=.*--"),
    "cpus": ("", ["{demo} cpus=33"], r"cpus=33.* from 1 to 32"),
    "disk": ("", ["{demo}", "/etc/passwd kind=disk"], r"kind=disk"),
    "memory": ("", ["{demo} mem=900G"], r"mem"),
    "not an image": ("", ["/etc/passwd mem=64M"], r"module 1"),
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_bad_configuration_is_a_message(boot, name):
    hv, modules, expect = BAD_WORDS[name]
    modules = [text.replace("{demo}", built("guest/demo.elf")) for text in modules]
    boot(emulator="bochs", hv=hv, modules=modules, expect=[expect], reject=["panic:"])
