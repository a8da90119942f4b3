# SPDX-License-Identifier: BSD-2-Clause
"""A person at the monitor of a machine with one VM: each command, at the prompt of the real thing."""

import pytest

from conftest import built

REJECT = ["panic:", "there is no command", "usage: "]
PROMPT = "trivet> "

# (what is typed at the prompt, what is seen then, in order)
SESSION = [
    ("help 1", []),
    ("vms", [r"^1 +guest +running +1 +\d+ +64 M +\d+\.\d{3} s +\d+"]),
    ("caps", [r"[+] ept ", "^[+] used, - not used"]),
    ("regions", [r"^ +0 0{16}-0{11}9ffff", r"-0{11}fffff read-only"]),
    ("devices", [r"^8259 .* ports 20-21 a0-a1 4d0-4d1", r"^16550 .* 3f8-3ff"]),
    ("irq", [r"^ +IR0-7 lines [0-9a-f]{2} ", r"^local APIC of vCPU 0, ", r"^  isr "]),
    ("stats", [r"^io +\d+ +\d+ +\d+ +\d+"]),
    ("regs", [r"^rax [0-9a-f]{16}", r"^rip 0{10}1[0-9a-f]{5}", r"^rflags .* ID|^rflags [0-9a-f]{16}",
              r"^cs +0[0-9a-f]{3} ", r"^cr0 .* PE "]),
    ("x/2xw p:0x100000", [r"^0x100000:\t0x[0-9a-f]{8}\t0x[0-9a-f]{8}"]),
    ("x/i p:0", ["^x: there is no disassembler"]),
    ("x p:0xfee00000", ["^cannot access memory at 0xfee00000"]),
    ("pause guest", []),
    ("vms", [r"^1 +guest +paused "]),
    ("pause guest", ["^pause: is not running"]),
    ("resume guest", []),
    ("vms", [r"^1 +guest +running "]),
    ("log debug", []),
    ("dmesg", ["^Trivet ", "^cores: "]),
    ("x/400xb p:0x100000", ["^0x100000:\t0x02", "-- more, q to stop --"]),
]
LIVES = [
    ("reset guest", [r"^\[guest\] reset by the monitor"]),
    ("kill guest", [r"^\[guest\] killed"]),
    ("vms", [r"^1 +guest +ended .* last: killed"]),
    ("regs", [r"^rip "]),
    ("destroy guest", []),
    ("vms", [r"^1 +guest +off +last: killed"]),
    ("regs", ["^regs: that VM is off"]),
    ("start guest", []),
    ("vms", [r"^1 +guest +running "]),
]


def rules(session, end=None):
    typed = ["%s=>%s\\r" % (PROMPT, line) for line, _ in session]
    return typed, [pattern for _, seen in session for pattern in seen]


@pytest.mark.parametrize("pcpus", [1, 2])
def test_each_command(boot, pcpus):
    one, seen_one = rules(SESSION)
    two, seen_two = rules(LIVES)
    boot(emulator="bochs", pmem=256, pcpus=pcpus, timeout=120, stay=True, reject=REJECT,
         modules=[built("guest/demo.elf") + " mem=64M"],
         type=["demo> =>\\x1dm"] + one + ["-- more=>q"] + two +
              [PROMPT + "=>top\\r", r"guest +\d+\.\d %=>q", PROMPT + "=>vm guest\\r",
               "keyboard to guest=>\\r", "demo> =>help\\r", "halt: .*=>\\x1dm",
               PROMPT + "=>poweroff\\r"],
         expect=["^Trivet demo guest"] + seen_one + seen_two +
                [r"^guest +\d+\.\d %", "keyboard to guest", "cpuid: ", PROMPT + "poweroff"])
