# SPDX-License-Identifier: BSD-2-Clause
"""The far end of a machine's serial line: collects bytes, matches patterns, types text.

The line is a file descriptor, a pty's master side (Bochs) or one end of a socket pair (QEMU).
A thread drains it all the time, since an emulator drops what its end cannot take.
"""

import os
import pty
import re
import select
import socket
import termios
import threading
import time
import tty

# What a person's paste looks like to a polled 16550 with its 16-byte FIFO; the build that checks itself,
# which walks all tables now and then, takes longer to come and look.
TYPE_CHUNK = 8
TYPE_PAUSE = 0.2 if os.environ.get("PARANOID") else 0.02


class Console:
    """Text is kept as latin-1, so that each byte is one character."""

    def __init__(self, fd, echo=None, log=None):
        self.fd = fd
        self.echo = echo
        self.log = open(log, "wb") if log else None
        self.data = bytearray()
        self.changed = threading.Condition()
        self.closed = False
        self.stop_pipe = os.pipe()
        self.reader = threading.Thread(target=self._drain, daemon=True)
        self.reader.start()

    def _drain(self):
        while True:
            ready, _, _ = select.select([self.fd, self.stop_pipe[0]], [], [])
            if self.fd not in ready:
                break
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:
                chunk = b""
            if not chunk:
                break
            self._take(chunk)
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _take(self, chunk):
        if self.log:
            self.log.write(chunk)
            self.log.flush()
        if self.echo:
            self.echo(chunk)
        with self.changed:
            self.data += chunk
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return self.data.decode("latin-1")

    def wait_change(self, length, timeout):
        """Waits until more than `length` bytes are there, or the line closes."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.data) > length or self.closed, timeout)

    def type(self, data, pause=TYPE_PAUSE):
        for at in range(0, len(data), TYPE_CHUNK):
            write_all(self.fd, data[at:at + TYPE_CHUNK])
            time.sleep(pause)

    def close(self):
        """Reads what is still in the line, then stops the reader."""
        deadline = time.time() + 2
        while time.time() < deadline:
            before = len(self.data)
            time.sleep(0.05)
            if len(self.data) == before:
                break
        os.write(self.stop_pipe[1], b"x")
        self.reader.join(2)
        for fd in self.stop_pipe:
            os.close(fd)
        os.close(self.fd)
        if self.log:
            self.log.close()


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def open_pty():
    """A pty in raw mode: (master, slave, the slave's name). The slave stays open here, so that
    the line lives before the emulator opens it and after it has ended."""
    master, slave = pty.openpty()
    make_raw(slave)
    return master, slave, os.ttyname(slave)


def make_raw(fd):
    """Bochs leaves ISIG on, which would eat ^C, ^Z and ^\\: every byte must pass."""
    tty.setraw(fd, termios.TCSANOW)
    mode = termios.tcgetattr(fd)
    mode[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.INPCK |
                 termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL |
                 termios.IXON | termios.IXOFF | termios.IXANY)
    mode[1] &= ~termios.OPOST
    mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(fd, termios.TCSANOW, mode)


def open_pair():
    """(this end, the emulator's end) of a socket pair, as plain file descriptors."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def unescape(text):
    """The bytes of a text with escapes such as \\n and \\x1d."""
    def one(match):
        return match.group(0).encode("latin-1").decode("unicode_escape")
    plain = re.sub(r"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[abfnrtv\\'\"])", one, text)
    return plain.encode("utf-8") if any(ord(c) > 255 for c in plain) else plain.encode("latin-1")
