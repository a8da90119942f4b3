# SPDX-License-Identifier: BSD-2-Clause
"""ACPI as Linux sees it: no complaint, tables that are those which were built, and an orderly end
when the monitor presses the power button."""

import base64
import os
import re
import subprocess

from conftest import built, fetched

DUMP = ("cd /sys/firmware/acpi/tables; for t in FACP APIC MCFG FACS DSDT; do echo begin $t; "
        "base64 $t; done; cd /; echo all''-told; dmesg | grep -c ACPI; echo dmesg-en''d\\n")
REJECT = [r"^panic|PANIC", r"Kernel panic", r"BUG:", r"ACPI:? .*(Error|Warning|BIOS)",
          r"Call Trace", r"WARNING:"]


def test_tables_and_power_button(boot, tmp_path):
    text = boot(emulator="bochs", timeout=300, reject=REJECT, hv="no=apicv",
                modules=["%s mem=256M -- console=ttyS0" % fetched("vmlinuz"), fetched("initrd.img")],
                type=["guest# =>" + DUMP, "dmesg-end(.|\n)*?guest# =>\\x1dm",
                      "trivet> =>poweroff nobody\\r", "no such VM(.|\n)*?trivet> =>poweroff guest\\r"],
                expect=["ACPI: Using IOAPIC for interrupt routing", "all-told", "dmesg-end",
                        "poweroff: there is no such VM", r"^\[guest\] power-button",
                        "ACPI: PM: Preparing to enter system sleep state S5",
                        r"^\[guest\] powered off", "all VMs have ended"]).text
    tables = dict(re.findall(r"^begin (\w{4})\r?\n((?:[A-Za-z0-9+/=]+\r?\n)+?)(?=begin|all-told)", text,
                             re.M))
    assert sorted(tables) == ["APIC", "DSDT", "FACP", "FACS", "MCFG"]
    for name, body in tables.items():
        path = tmp_path / name
        path.write_bytes(base64.b64decode(body))
        said = subprocess.run(["iasl", "-d", str(path)], capture_output=True, text=True, check=True)
        said = said.stdout + said.stderr + path.with_suffix(".dsl").read_text()
        assert not re.search("[Ee]rror|[Ww]arning:|[Ii]nvalid|[Uu]nknown", said), said
    with open(built(os.path.join("gen", "dsdt.aml")), "rb") as file:
        assert (tmp_path / "DSDT").read_bytes() == file.read()
