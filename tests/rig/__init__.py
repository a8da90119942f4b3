# SPDX-License-Identifier: BSD-2-Clause
"""The rig: boots Trivet from a GRUB image in Bochs or QEMU and plays a script on its serial line.

iso.py packs the boot image, bochs.py and qemu.py start an emulator on it, console.py holds the
serial line, session.py plays expect, reject and type on one run, terminal.py connects a person.
"""
