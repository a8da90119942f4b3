# SPDX-License-Identifier: BSD-2-Clause
"""Faults of Trivet's own (tests/image/panic.c): each stops with one line that names the place, the
registers behind it, on every console, and nothing happens on any core from then on. `make test` takes
a row's first model, `make nightly` the others and what is in NIGHTLY."""

import re
import time

import pytest

from conftest import built
from rig import screen, session

IN_RAM = r"#PF in 0xffffffff8[0-9a-f]+ from \w+\+F, address 0xffffffff8[0-9a-f]+, error code 0x11"
CHECK = ", mcg status 0x[0-9a-f]+, bank [0-9]+ status 0x[0-9a-f]+, error code 0x0"
ALARM = r"NMI in (send_nmi|apic_send|fault_nmi|fault_nmis)\+F, error code 0x0"

# what is done on one core: the line that says so
FAULTS = {
    "": r"#PF in fault_window\+F, address 0x400000000000, error code 0x2",
    "text": r"#PF in fault_text\+F, address 0xffffffff8[0-9a-f]+, error code 0x3",
    "rodata": r"#PF in fault_rodata\+F, address 0xffffffff8[0-9a-f]+, error code 0x3",
    "data": IN_RAM,
    "jump": IN_RAM,
    "null": r"#PF in 0x0 from call\+F, address 0x0, error code 0x10",
    "page0": r"#PF in fault_page0\+F, address 0x8, error code 0x0",
    "overflow": r"stack overflow in fault_overflow_deeper\+F, address 0x[0-9a-f]+, error code 0x0",
    "job": r"stack overflow in fault_overflow_deeper\+F, address 0x[0-9a-f]+, error code 0x0",
    "smash": r"the stack was smashed, in fault_smash\+F",
    "smap": r"#PF in fault_smap\+F, address 0x400000000000, error code 0x1",
    "smep": r"#PF in 0x400000000000 from call\+F, address 0x400000000000, error code 0x11",
    "ud": r"#UD in fault_ud\+F, undefined behaviour, error code 0x0",
    "bp": r"#BP in fault_bp\+F, error code 0x0",
    "db": r"#DB in fault_db\+F, error code 0x0",
    "gp": r"#GP in fault_gp\+F, error code 0x0",
    "nmi": ALARM,
    "mc": r"#MC in fault_mc\+F" + CHECK,
    "log": r"#UD in fault_ud\+F, undefined behaviour, error code 0x0",
    "again": r"#UD in fault_ud\+F, undefined behaviour, error code 0x0",
    "behind": r"#MC in fault_mc\+F" + CHECK,
    "screen": r"#DB in new_line\+F, error code 0x0",
}
CET = r"#CP in fault_cp\+F, no ENDBR64 for an indirect branch, error code 0x3"
# where the CPU's features decide
BY_MODEL = {
    "cp": ["tigerlake"],
    "text": ["tigerlake", "haswell", "skylake_x", "icelake"],
    "data": ["haswell", "skylake_x", "icelake", "tigerlake"],
    "overflow": ["icelake", "haswell", "skylake_x", "tigerlake"],
    "smash": ["haswell", "skylake_x", "icelake", "tigerlake"],
    "smap": ["skylake_x", "broadwell", "icelake", "tigerlake"],
    "smep": ["tigerlake", "haswell", "skylake_x", "icelake"],
}

# what is done on the boot core, with others in a guest, in root mode, at a lock, and idle
CRASHES = {
    "overflow": (["haswell"], FAULTS["overflow"]),
    "nmi": (["skylake_x"], ALARM),
    "nmis": (["haswell"], ALARM),
    "nmi-mc": (["haswell"], ALARM),
    "nmi-nmi": (["haswell"], ALARM),
    "mc-nmi": (["icelake"], FAULTS["mc"]),
    "log": (["haswell"], FAULTS["log"]),
    "exit-mc": (["tigerlake", "haswell", "skylake_x", "icelake"], r"#MC in vmx_entry_exit\+F" + CHECK),
    "exit-nmi": (["haswell", "tigerlake"], r"NMI in vmx_entry_exit\+F, error code 0x0"),
    "exit-ud": (["haswell"], r"#UD in vmx_entry_exit\+F, undefined behaviour, error code 0x0"),
    "guest-nmi": (["icelake", "haswell", "skylake_x", "tigerlake"], r"NMI in decode_\w+\+F, error code 0x0"),
    "idle-nmi": (["haswell"], r"NMI in smp_idle\+F, error code 0x0"),
    "both": (["haswell", "tigerlake"], r"#UD in fault_ud\+F, undefined behaviour, error code 0x0"),
}
for function in ["vmx_run", "vmx_exit_decode", "inject_prepare", "inject_take_undelivered"]:
    CRASHES["at:" + function] = (["haswell"], r"#MC in %s\+F" % function + CHECK)
# Each is a row above with another order of the same two alarms, or at another place.
NIGHTLY = ["nmis", "nmi-mc", "nmi-nmi", "exit-ud", "at:vmx_exit_decode", "at:inject_take_undelivered"]
# A second fault behind the line ends the text.
SHORT = ["behind", "nmi-mc", "exit-mc", "exit-nmi", "exit-ud"]
QUIET = 1  # seconds in which a core that still ran would say so a hundred times


def rows(models):
    """Names with their models, the rarer ones marked."""
    return [pytest.param(name, model, marks=pytest.mark.nightly if i or name in NIGHTLY else ())
            for name, of_it in models.items() for i, model in enumerate(of_it)]


def run_fault(words, look=None, until="error: panic: ", **fields):
    """The console's text, a panic's line and all until it is quiet; look: called with the machine then."""
    config = session.Config(stay=True, image=built("trivet-test.elf"), hv=words, **fields)
    with session.Session(config) as run:
        deadline = time.time() + 60
        while until not in run.console.text() and time.time() < deadline:
            run.console.wait_change(len(run.console.data), 1)
        said = -1
        while len(run.console.data) != said and time.time() < deadline:
            said = len(run.console.data)
            run.console.wait_change(said, QUIET)
        if look:
            look(run.machine)
        result = run.judge(session.Script([], [], []), session.PASSED, "", 0)
        assert result.ok, result.reason
        return result.text.replace("\r", "")


def check_lines(text, what, short):
    start = text.find("error: panic: ")
    assert start > 0 and text[start - 1] == "\n", text
    first, *lines = text[start:].rstrip("\n").split("\n")
    assert re.fullmatch("error: panic: " + what.replace("+F", "+0x[0-9a-f]+"), first), text[start:]
    assert not [line for line in lines if not line.startswith("error:   ")], text[start:]
    assert "does not answer" not in text
    names = ["cr0"] if "smashed" in what else ["rax", "rsi", "r8 ", "r12", "rip"] + ([] if short else ["cr0"])
    for line, name in zip(lines, names):
        assert line.startswith("error:   %s " % name), text[start:]
    if len(names) == 6:
        assert re.match(r"error:   called from \w+\+0x", lines[-1]), text[start:]
    return first


@pytest.mark.parametrize("name", FAULTS)
def test_fault_on_every_console(name):
    shown = []

    def look(machine):
        shown.extend(screen.vga_text_of(machine.memory(0xb8000, 4000)))

    line = check_lines(run_fault("selftest=fault:" + name, look, emulator="qemu"), FAULTS[name], name in SHORT)
    for at in range(0, len(line), 80):
        assert line[at:at + 80].rstrip() in shown, "\n".join(shown)


def test_fault_after_fault():
    """Where each attempt to tell faults, and the end too, it halts."""
    text = run_fault("selftest=fault:for-ever", until="the flush\r\n", emulator="qemu")
    assert text.count("selftest: the flush") == 1 and text.endswith("selftest: the flush\n"), text


@pytest.mark.parametrize("name,model", rows(BY_MODEL))
def test_fault(name, model):
    text = run_fault("selftest=fault:" + name, emulator="bochs", model=model, pmem=64)
    check_lines(text, FAULTS.get(name, CET), name in SHORT)


@pytest.mark.parametrize("name,model", rows({name: row[0] for name, row in CRASHES.items()}))
def test_all_cores_stop(name, model):
    text = run_fault("selftest=crash:" + name, emulator="bochs", model=model, pcpus=6, pmem=64)
    assert {"beat 1", "beat 2", "beat 3"} <= set(re.findall("beat .", text)), text
    check_lines(text, CRASHES[name][1], name in SHORT)
