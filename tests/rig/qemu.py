# SPDX-License-Identifier: BSD-2-Clause
"""Starts QEMU, with KVM where nested VMX exists and with TCG elsewhere.

The command line is the same but for the accelerator (and the CPU that it offers). TCG has no
VMX, so Trivet boots up to its preflight message there: the one bed with UEFI and ACPI together.
"""

import json
import os
import re
import socket
import subprocess
import time

from rig import console
from rig.bochs import die_with_parent, end
from rig.iso import RigError

OVMF = "/usr/share/ovmf/OVMF.fd"


def nested_vmx(cpuinfo="/proc/cpuinfo", device="/dev/kvm"):
    """True where KVM can give a guest VMX: the CPU flag and a usable device, both."""
    try:
        with open(cpuinfo) as file:
            flags = re.search(r"^flags\s*:.*\bvmx\b", file.read(), re.MULTILINE)
    except OSError:
        return False
    if not flags or not os.access(device, os.R_OK | os.W_OK):
        return False
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError:
        return False
    return True


class Qemu:
    """One running machine. `fd` is the far end of its serial line."""

    name = "qemu"

    def __init__(self, config, iso, folder):
        self.folder = folder
        self.qmp_path = os.path.join(folder, "qmp")
        self.fd, theirs = console.open_pair()
        program = config.program or "qemu-system-x86_64"
        try:
            self.process = subprocess.Popen(
                [program] + arguments(config, iso, self.qmp_path, nested_vmx()), stdin=theirs,
                stdout=theirs, stderr=open(os.path.join(folder, "qemu.err"), "wb"),
                start_new_session=True, preexec_fn=die_with_parent)
        except OSError as error:
            raise RigError("cannot start %s: %s (run tests/rig/setup.sh)" % (program, error))
        finally:
            os.close(theirs)
        self.qmp = None

    def poll(self):
        return self.process.poll()

    def stop(self):
        if self.qmp:
            self.qmp.close()
        end(self.process)

    def faults(self):
        """QEMU keeps no log of refused VM entries; it says why it could not start."""
        with open(os.path.join(self.folder, "qemu.err"), errors="replace") as file:
            text = file.read().strip()
        status = self.process.poll()
        # The exit port makes 2 * value + 1 of a byte written; 1 alone is QEMU's own failure.
        if status in (None, 0) or status < 0 or (status & 1 and status != 1):
            return []
        return ["qemu: %s" % (text or "ended with status %d" % status)]

    def command(self, name, **options):
        """One QMP command; returns its answer."""
        if not self.qmp:
            self.qmp = connect(self.qmp_path)
            self.stream = self.qmp.makefile("rw")
            self.stream.readline()
            self.command("qmp_capabilities")
        self.stream.write(json.dumps({"execute": name, "arguments": options}) + "\n")
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line:
                raise RigError("QEMU's monitor has closed")
            answer = json.loads(line)
            if "error" in answer:
                raise RigError("QEMU: %s" % answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]

    def screendump(self, path=None):
        """Writes the screen as PPM and returns (width, height, RGB bytes)."""
        path = path or os.path.join(self.folder, "screen.ppm")
        self.command("screendump", filename=path)
        return read_ppm(path)

    def memory(self, address, size):
        """Bytes of physical memory."""
        path = os.path.join(self.folder, "memory.bin")
        self.command("pmemsave", val=address, size=size, filename=path)
        with open(path, "rb") as file:
            return file.read()


def arguments(config, iso, qmp, kvm):
    cpu = config.model or ("host" if kvm else "max")
    lines = [
        "-machine", "%s,accel=%s" % ("q35" if config.firmware == "uefi" else "pc",
                                     "kvm" if kvm else "tcg"),
        "-cpu", cpu, "-smp", str(config.pcpus), "-m", str(config.pmem),
        "-cdrom", iso, "-boot", "d", "-display", "none", "-vga", "std", "-nic", "none",
        "-no-reboot", "-nodefaults",
        "-chardev", "stdio,id=serial,signal=off", *(config.serial or ("-serial", "chardev:serial")),
        "-qmp", "unix:%s,server=on,wait=off" % qmp,
        "-device", "isa-debug-exit,iobase=0x8900,iosize=4",
    ]
    if config.firmware == "uefi":
        lines += ["-bios", OVMF]
    return lines


def connect(path):
    deadline = time.time() + 10
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
            return link
        except OSError:
            link.close()
            if time.time() > deadline:
                raise RigError("QEMU's monitor does not answer")
            time.sleep(0.1)


def read_ppm(path):
    with open(path, "rb") as file:
        data = file.read()
    match = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    if not match:
        raise RigError("not a PPM file: %s" % path)
    return int(match.group(1)), int(match.group(2)), data[match.end():]
