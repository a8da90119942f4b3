# SPDX-License-Identifier: BSD-2-Clause
"""What tests that boot Linux share: its modules, what its log must not say, a look at its CPUs."""

import re

from conftest import fetched

SHELL = "guest# "
NEXT_SHELL = r"init-reached(.|\n)*?" + SHELL
ENDED = [r"^\[guest\] powered off", "^all VMs have ended"]
# The kernel's complaint about a processor's speculation is none about the machine.
REJECT = [r"^panic:|PANIC", "Kernel panic", r"\[guest\] killed", r"\bBUG\b.*:", "Call Trace", "(?<!RETBleed: )WARNING:",
          r"ACPI:? .*(Error|Warning|BIOS)", r"Firmware (Bug|Warn)", "(?i)unstable", "soft lockup|rcu.* stall",
          "nobody cared", "Unknown kernel"]
LOOK = ("echo look $(nproc) $(grep LOC: /proc/interrupts) "
        "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)")
LOOKED = r"^look (\d+) LOC: ([\d ]+) Local timer interrupts (\S+)\r?$"
FEW = 20  # local timer interrupts that each CPU surely has had when the shell is there


def modules(kernel="vmlinuz", append="console=ttyS0", mem="256M", words="", initrds=("initrd.img",)):
    return ["%s mem=%s %s -- %s" % (fetched(kernel), mem, words, append)] + [fetched(name) for name in initrds]


def check_looks(text, vcpus, boots):
    """Each boot has shown all its CPUs, each with its ticks, and a clock that it trusts."""
    looks = re.findall(LOOKED, text, re.MULTILINE)
    assert len(looks) == boots, looks
    for count, ticks, clock in looks:
        assert int(count) == vcpus and clock in ("kvm-clock", "tsc"), looks
        assert len(ticks.split()) == vcpus and min(map(int, ticks.split())) >= FEW, looks


def boot_and_look(boot, vcpus, reboots=0, quiet=False, words="", **fields):
    """Boots to the shell, looks, reboots as often as wanted, ends by ACPI."""
    append = fields.pop("append", "") + (" quiet" if quiet else "")
    fields.setdefault("modules", modules(fields.pop("kernel", "vmlinuz"), words="cpus=%d %s" % (vcpus, words),
                                         append="console=ttyS0 " + append))
    fields.setdefault("timeout", 600)
    type = ["%s=>%s; %s\\n" % (NEXT_SHELL, LOOK, "reboot -f" if n < reboots else "poweroff -f")
            for n in range(reboots + 1)]
    # Of many resets Trivet itself tells ever fewer.
    expect = ["init-reached", LOOKED, "reboot: Restarting system"] * reboots + ["init-reached", LOOKED] + ENDED
    result = boot(emulator="bochs", type=type, expect=expect, reject=REJECT, **fields)
    check_looks(result.text, vcpus, reboots + 1)
    return result
