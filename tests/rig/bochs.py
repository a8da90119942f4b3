# SPDX-License-Identifier: BSD-2-Clause
"""Starts Bochs without a window and judges its log.

Bochs emulates VMX with EPT. It runs strict (an unknown MSR raises #GP), opens no network port
(its serial line is a pty), and counts time in instructions, so that runs repeat.
"""

import ctypes
import os
import re
import signal
import subprocess
import time

from rig import console
from rig.iso import RigError

MODELS = {
    "penryn": "core2_penryn_t9600",
    "lynnfield": "corei5_lynnfield_750",
    "arrandale": "corei5_arrandale_m520",
    "sandy_bridge": "corei7_sandy_bridge_2600k",
    "ivy_bridge": "corei7_ivy_bridge_3770k",
    "haswell": "corei7_haswell_4770",
    "broadwell": "broadwell_ult",
    "skylake_x": "corei7_skylake_x",
    "cnl": "corei3_cnl",
    "icelake": "corei7_icelake_u",
    "tigerlake": "tigerlake",
    "ryzen": "ryzen",
}
DEFAULT_MODEL = "haswell"
HOST_MOST = 2048  # MiB that Bochs takes from the host; what is beyond stands in a file of its own

BOCHSRC = """config_interface: textconfig
display_library: term
cpu: model={model}, count={pcpus}, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs={lax}{msrs}
memory: guest={pmem}, host={host}
romimage: file={rom}
vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin
vga: extension=vbe, update_freq=1
pci: enabled=1, chipset=i440fx
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, mode=term, dev={tty}
log: {log}
panic: action=fatal
error: action={error}
info: action=ignore
debug: action=ignore
clock: sync=none, time0=1700000000
port_e9_hack: enabled=1
mouse: enabled=0
speaker: enabled=0
"""
ROM = {
    "bios": "/usr/share/bochs/BIOS-bochs-latest, options=fastboot",
    "uefi": "/usr/share/ovmf/OVMF.fd",
}

# OVMF reads IA32_PLATFORM_ID, which these CPU models lack, and would end in #GP: so this one MSR
# is defined (address, type 2, reset value, reserved bits, ignored bits) and all others stay strict.
UEFI_MSRS = "0x017 2  00000000 00000000  00000000 00000000  FFFFFFFF FFFFFFFF\n"

# A panic line that is the ordered end of a machine is none.
ENDINGS = re.compile(r"Shutdown port: shutdown requested|ACPI control: soft power off")
TROUBLE = re.compile(r"VMENTER FAIL|VMFAIL|>>PANIC<<|^\d+p\[|\bpanic\b", re.IGNORECASE)


class Bochs:
    """One running machine. `fd` is the far end of its serial line."""

    name = "bochs"

    def __init__(self, config, iso, folder):
        self.log = os.path.join(folder, "bochs.log")
        self.fd, self.slave, tty_name = console.open_pty()
        rc = os.path.join(folder, "bochsrc")
        commands = os.path.join(folder, "commands")
        msrs = ""
        if config.firmware == "uefi":
            write(os.path.join(folder, "msrs.def"), UEFI_MSRS)
            msrs = ', msrs="%s"' % os.path.join(folder, "msrs.def")
        text = bochsrc(config, iso, tty_name, self.log, msrs)
        if config.debugger:
            text += "magic_break: enabled=1\ndebugger_log: %s\n" % os.path.join(folder, "debugger.txt")
        write(rc, text)
        write(commands, "\n".join(config.debugger or ["c", "quit"]) + "\n")
        program = config.program or "bochs"
        environment = dict(os.environ, TERM="vt100")
        self.output = os.path.join(folder, "bochs.out")
        try:
            with open(self.output, "wb") as output:
                self.process = subprocess.Popen(
                    [program, "-q", "-f", rc, "-rc", commands], stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=output, env=environment, cwd=folder,
                    start_new_session=True, preexec_fn=die_with_parent)
        except OSError as error:
            raise RigError("cannot start %s: %s (run tests/rig/setup.sh)" % (program, error))
        self.raw_until = time.time() + 5

    def poll(self):
        """The exit status, or None while it runs."""
        if time.time() < self.raw_until:
            console.make_raw(self.slave)
        return self.process.poll()

    def stop(self):
        end(self.process)
        os.close(self.slave)

    def faults(self):
        """What the log says against the run, whatever the guest has printed."""
        return scan_log(self.log)


def bochsrc(config, iso, tty_name, log, msrs=""):
    model = config.model or DEFAULT_MODEL
    return BOCHSRC.format(model=MODELS.get(model, model), pcpus=config.pcpus, pmem=config.pmem,
                          rom=ROM[config.firmware], iso=iso, tty=tty_name, log=log,
                          host=min(config.pmem, HOST_MOST), msrs=msrs, lax=1 if config.lax_msrs else 0,
                          error="ignore" if config.refusals else "report")


def scan_log(path):
    """A list of reasons why the run has failed, empty for a clean log. With infos off a clean log may be
    an empty file, but Bochs always creates it."""
    try:
        with open(path, errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ["the Bochs log is missing"]
    bad = [line.strip() for line in lines if TROUBLE.search(line) and not ENDINGS.search(line)]
    return ["Bochs log: %s" % line for line in bad[:5]]


def die_with_parent():
    """In the child: a rig that is killed leaves no emulator behind (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def end(process):
    """Ends an emulator that the rig has started."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
