# SPDX-License-Identifier: BSD-2-Clause
"""One run of one machine: packs the image, starts the emulator, plays the script, judges.

Used by boot.py for people and by the system tests; several may run side by side, since each has
a folder of its own.
"""

import dataclasses
import math
import os
import re
import shutil
import tempfile
import time

from rig import bochs, console, iso, qemu
from rig.iso import RigError

PASSED, FAILED, TIME_OVER = 0, 1, 124
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@dataclasses.dataclass
class Config:
    """What boot.py's options say; the defaults are its defaults."""
    modules: list = dataclasses.field(default_factory=list)
    emulator: str = "auto"
    model: str = ""
    firmware: str = "bios"
    pcpus: object = 1  # cores; Bochs also "processors:cores:threads"
    pmem: int = 512
    timeout: float = 300
    hv: str = ""
    log: str = ""
    expect: list = dataclasses.field(default_factory=list)
    reject: list = dataclasses.field(default_factory=list)
    type: list = dataclasses.field(default_factory=list)
    keep: str = ""
    image: str = os.path.join(ROOT, "build/trivet.elf")
    iso: str = ""
    video: bool = False
    lax_msrs: bool = False
    stay: bool = False
    bare: bool = False  # the image is a guest program, for multiboot1; hv are its words
    refusals: bool = False  # refused VM entries are the test: Bochs does not log them
    debugger: list = dataclasses.field(default_factory=list)  # Bochs: its commands; XCHG BX, BX stops
    program: str = ""
    serial: tuple = ()  # QEMU only: the arguments that connect chardev "serial", if not as COM1


@dataclasses.dataclass
class Result:
    status: int
    reason: str
    text: str
    seconds: float

    @property
    def ok(self):
        return self.status == PASSED

    def tail(self, lines=40):
        return "\n".join(self.text.replace("\r", "").split("\n")[-lines:])


class Script:
    """Expect patterns in order, reject patterns anywhere, each type rule once and in order."""

    def __init__(self, expect, reject, rules):
        self.expect = [compile_pattern(p) for p in expect]
        self.reject = [compile_pattern(p) for p in reject]
        self.rules = [split_rule(rule) for rule in rules]
        self.expect_at = self.rule_at = 0
        self.scripted = bool(expect)

    def bad(self, text):
        for pattern in self.reject:
            match = pattern.search(text)
            if match:
                return "rejected: %r appeared (%r)" % (pattern.pattern, match.group(0)[:200])
        return None

    def typed(self, text):
        """The bytes to type now, or None."""
        if self.rules:
            match = self.rules[0][0].search(text, self.rule_at)
            if match:
                self.rule_at = match.end()
                return self.rules.pop(0)[1]
        return None

    def advance(self, text):
        """True once all expected patterns have been seen."""
        while self.expect:
            match = self.expect[0].search(text, self.expect_at)
            if not match:
                return False
            self.expect_at = match.end()
            self.expect.pop(0)
        return self.scripted

    def missing(self):
        return "not seen: %r" % self.expect[0].pattern if self.expect else ""


def compile_pattern(pattern):
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise RigError("bad pattern %r: %s" % (pattern, error))


def split_rule(rule):
    pattern, arrow, text = rule.partition("=>")
    if not arrow:
        raise RigError("--type wants REGEX=>TEXT, not %r" % rule)
    return compile_pattern(pattern), console.unescape(text)


class Session:
    """A machine that has been started; use as a context manager."""

    def __init__(self, config, echo=None):
        self.config = dataclasses.replace(config)
        self.echo = echo
        self.folder = None
        self.machine = self.console = None

    def __enter__(self):
        config = self.config
        check(config)
        if config.keep:
            os.makedirs(config.keep, exist_ok=True)
            self.folder = os.path.abspath(config.keep)
        else:
            self.folder = tempfile.mkdtemp(prefix="trivet-")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        config = self.config
        image = os.path.abspath(config.iso) if config.iso else os.path.join(self.folder, "boot.iso")
        if not config.iso:
            iso.write_image(image, config.image, hypervisor_words(config), config.modules,
                            config.firmware, config.video or config.firmware == "uefi", self.folder,
                            "multiboot" if config.bare else "multiboot2")
        kind = {"bochs": bochs.Bochs, "qemu": qemu.Qemu}[choose(config.emulator)]
        self.machine = kind(config, image, self.folder)
        log = config.log or os.path.join(self.folder, "console.txt")
        self.console = console.Console(self.machine.fd, self.echo, log)

    def __exit__(self, *_):
        if self.machine:
            self.machine.stop()
        if self.console:
            self.console.close()
            self.console = None
        if self.folder and not self.config.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def play(self):
        """Plays the script until all is seen, a pattern is rejected, the machine or time ends."""
        config, line = self.config, self.console
        script = Script(config.expect, config.reject, config.type)
        start = time.time()
        status, reason = None, ""
        while status is None:
            ended = self.machine.poll() is not None
            if ended:
                time.sleep(0.1)
            text = line.text()
            status, reason = self.step(script, text, ended, time.time() - start)
            if status is None:
                line.wait_change(len(text), 0.2)
        return self.judge(script, status, reason, time.time() - start)

    def step(self, script, text, ended, seconds):
        bad = script.bad(text)
        if bad:
            return FAILED, bad
        data = script.typed(text)
        if data is not None:
            self.console.type(data)
            return None, ""
        if script.advance(text):
            return PASSED, ""
        if ended:
            if script.scripted:
                return FAILED, "the machine has ended; " + script.missing()
            return PASSED, ""
        if seconds > self.config.timeout:
            return TIME_OVER, "time over after %g s; %s" % (self.config.timeout, script.missing())
        return None, ""

    def judge(self, script, status, reason, seconds):
        self.machine.stop()
        line, self.console = self.console, None
        line.close()
        text = line.text()
        faults = self.machine.faults()
        self.machine = None
        bad = script.bad(text)
        if faults:
            status, reason = FAILED, "; ".join(faults + ([reason] if reason else []))
        elif status == PASSED and bad:
            status, reason = FAILED, bad
        return Result(status, reason, text, seconds)


def run(config, echo=None):
    """Boots and plays one configuration from start to end."""
    with Session(config, echo) as session:
        return session.play()


def choose(emulator):
    if emulator != "auto":
        return emulator
    return "qemu" if qemu.nested_vmx() and shutil.which("qemu-system-x86_64") else "bochs"


def hypervisor_words(config):
    """The rig names its emulators' exit port, so that a machine ends with its last VM."""
    if config.bare:
        return "bare exit-port=0x8900 " + config.hv
    if config.stay or re.search(r"(^|\s)exit=", config.hv):
        return config.hv
    return (config.hv + " exit=port:8900").strip()


def check(config):
    if not 1 <= math.prod(map(int, str(config.pcpus).split(":"))) <= 64:
        raise RigError("--pcpus must be 1 to 64")
    if not 4 <= config.pmem <= 8192:
        raise RigError("--pmem must be 4 to 8192 MiB")
    if config.iso and not os.path.isfile(config.iso):
        raise RigError("no such file: %s" % config.iso)
