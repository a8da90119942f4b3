# SPDX-License-Identifier: BSD-2-Clause
"""Connects a person's terminal to the serial line, and gives it back as it was.

Ctrl-a x leaves, Ctrl-a Ctrl-a sends one Ctrl-a; all else, Ctrl-c and Ctrl-] too, goes to the
machine. Input that is no terminal is passed on until its end.
"""

import os
import select
import sys
import termios
import time
import tty

from rig import console

ESCAPE = 1
LEAVE = b"x"


class Keys:
    """Separates the keys for the machine from the rig's own."""

    def __init__(self):
        self.armed = self.leave = False

    def filter(self, data):
        out = bytearray()
        for byte in data:
            if self.armed:
                self.armed = False
                if bytes([byte]).lower() == LEAVE:
                    self.leave = True
                    break
                if byte != ESCAPE:
                    out.append(ESCAPE)
                out.append(byte)
            elif byte == ESCAPE:
                self.armed = True
            else:
                out.append(byte)
        return bytes(out)


def show(chunk):
    console.write_all(sys.stdout.fileno(), chunk)


def run(session, script):
    """Connects until the machine ends, the person leaves, or time is over (if any is set)."""
    is_tty = os.isatty(0)
    saved = termios.tcgetattr(0) if is_tty else None
    try:
        if is_tty:
            tty.setraw(0)
        return connect(session, script, is_tty)
    finally:
        if is_tty:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            print()


def connect(session, script, is_tty):
    keys, reading, start = Keys(), True, time.time()
    limit = session.config.timeout
    while session.machine.poll() is None and not keys.leave:
        text = session.console.text()
        bad = script.bad(text)
        if bad:
            return 1, bad
        data = script.typed(text)
        if data is not None:
            session.console.type(data)
        if limit and time.time() - start > limit:
            return 124, "time over after %g s" % limit
        ready, _, _ = select.select([0] if reading else [], [], [], 0.1)
        if ready:
            data = os.read(0, 256)
            reading = bool(data)
            data = keys.filter(data) if is_tty else data
            if data:
                session.console.type(data)
    return 0, ""
