#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots Trivet with guests from GRUB in Bochs or QEMU and plays a script on its console.

    tests/boot.py --expect 'login:' -- "vmlinuz vm=web -- console=ttyS0" "initrd.img vm=web"

Every positional argument is one module2 line: a file and its words. Exit status: 0 all expected
seen, 1 not (or a fault), 124 time over. Without --expect the terminal is connected.
"""

import argparse
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from rig import bochs, session, terminal  # noqa: E402
from rig.iso import RigError, write_image  # noqa: E402

DEFAULT_TIMEOUT = 300


def parse(arguments):
    """Options as words or name=value; what follows -- are the modules."""
    new = argparse.ArgumentParser(description=__doc__.split("\n")[0],
                                  epilog="Bochs models: " + " ".join(bochs.MODELS))
    add = new.add_argument
    add("--emulator", choices=("auto", "bochs", "qemu"), default="auto")
    add("--model", default="", help="CPU model, a short name of Bochs' or the emulator's own")
    add("--firmware", choices=("bios", "uefi"), default="bios")
    add("--pcpus", default="1", help="physical cores, in Bochs also processors:cores:threads")
    add("--pmem", type=int, default=512, help="physical memory in MiB")
    add("--timeout", type=float, default=None, help="seconds (%d; none when interactive)" %
        DEFAULT_TIMEOUT)
    add("--hv", default="", help="Trivet's options")
    add("--log", default="", help="a copy of the console's bytes")
    add("--expect", action="append", default=[], metavar="REGEX")
    add("--reject", action="append", default=[], metavar="REGEX")
    add("--type", action="append", default=[], metavar="REGEX=>TEXT")
    add("--keep", default="", metavar="DIR", help="keep image, configuration and logs here")
    add("--image", default=session.Config.image, help="the multiboot2 image (build/trivet.elf)")
    add("--iso", default="", help="boot this image instead of packing one")
    add("--video", action="store_true", help="a framebuffer instead of text mode under BIOS")
    add("--lax-msrs", action="store_true", help="Bochs: unknown MSRs read 0 (for native Linux)")
    add("--bare", action="store_true", help="the image is a guest program, run without Trivet; "
        "--hv are its words")
    add("--stay", action="store_true", help="do not end the machine with its last VM")
    add("--write-iso", default="", metavar="FILE", help="pack a hybrid image and stop")
    add("modules", nargs="*", metavar="FILE WORDS...")
    return new.parse_args(arguments)


def make_config(options):
    values = vars(options).copy()
    del values["write_iso"]
    config = session.Config(**values)
    if config.timeout is None:
        config.timeout = DEFAULT_TIMEOUT if config.expect else 0
    return config


def report(result):
    if not result.ok:
        print("---- last 40 lines of the console", file=sys.stderr)
        print(result.tail(), file=sys.stderr)
        print("---- FAILED: %s" % result.reason, file=sys.stderr)
    return result.status


def interactive(config):
    """A person's session; a fault in the emulator's log fails it all the same."""
    emulator = session.choose(config.emulator)
    print("Running in %s; leave with Ctrl-a x." % {"qemu": "QEMU", "bochs": "Bochs"}[emulator],
          flush=True)
    script = session.Script([], config.reject, config.type)
    with session.Session(config, terminal.show) as machine:
        status, reason = terminal.run(machine, script)
        result = machine.judge(script, status, reason, 0)
    if not result.ok:
        print("---- FAILED: %s" % result.reason, file=sys.stderr)
    return result.status


def main(arguments):
    options = parse(arguments)
    config = make_config(options)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda *_: sys.exit(1))
    try:
        if options.write_iso:
            write_image(os.path.abspath(options.write_iso), config.image, config.hv,
                        config.modules, None, True)
            return 0
        if not config.expect:
            return interactive(config)
        return report(session.run(config))
    except RigError as error:
        print("boot.py: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
