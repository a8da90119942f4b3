# SPDX-License-Identifier: BSD-2-Clause
"""The figures of bench.py as data: what they were made with, and what has become worse.

bench.json and tests/bench/baseline.json have the same sections. Those of EXACT hold counts that come out
the same in each run of the same program in the same emulator: there no number may grow. All others
are compared for the reader alone.
"""

import hashlib
import json
import os
import re
import struct
import subprocess

EXACT = {"exit": ("compiler", "assembler", "bochs", "guest"), "vmcs": ("compiler", "assembler", "bochs", "guest"),
         "memory": ("compiler", "bochs", "guest", "kernel", "initrd")}
NOISE = 0.002  # of a figure that is not exact: less is not told


def load(path):
    with open(path) as file:
        return json.load(file)


def save(path, figures):
    with open(path, "w") as file:
        file.write(json.dumps(figures, indent=1, sort_keys=True) + "\n")


def flat(values, prefix=""):
    """{"a.b": number} of nested dictionaries, without what is no number."""
    numbers = {}
    for name, value in values.items():
        if isinstance(value, dict):
            numbers.update(flat(value, prefix + name + "."))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[prefix + name] = value
    return numbers


def other_makers(section, old, new):
    """What differs of what a section's figures depend on, in words; empty: they can be compared."""
    was, now = old.get("made_with", {}), new.get("made_with", {})
    return ["%s: %s, now %s" % (key, was.get(key), now.get(key)) for key in EXACT[section]
            if was.get(key) != now.get(key)]


def compare(old, new, drifting=()):
    """(what has grown and must not, other differences, why sections could not be judged), all lines of
    text. Rows of `drifting`, "section.row", are told only. A row that only one side has is no fault: the
    other machine lacks what it needs, or it is new."""
    grown, told, unjudged = [], [], []
    for section in sorted(set(old) & set(new) - {"made_with"}):
        others = other_makers(section, old, new) if section in EXACT else []
        if others:
            unjudged.append("%s: made with other %s" % (section, "; ".join(others)))
        was, now = flat(old[section], section + "."), flat(new[section], section + ".")
        for name in sorted(set(was) & set(now)):
            line = "%s: %s, was %s" % (name, now[name], was[name])
            if section not in EXACT or others or name in drifting:
                if abs(now[name] - was[name]) > NOISE * abs(was[name]):
                    told.append(line)
            elif now[name] > was[name]:
                grown.append(line)
            elif now[name] < was[name]:
                told.append(line)
        told += ["%s: %s, not in the baseline" % (name, now[name]) for name in sorted(set(now) - set(was))]
    return grown, told, unjudged


# ---- what the figures were made with

def loaded_bytes(path):
    """What of an ELF file comes to memory: its segments with their addresses. Debugging information, in
    which paths of the building machine stand, is not in it."""
    with open(path, "rb") as file:
        data = file.read()
    if data[4] == 1:
        offset, size, count = (struct.unpack_from("<I", data, 28)[0], *struct.unpack_from("<HH", data, 42))
        fields, order = "<8I", (1, 2, 4)  # offset, address, bytes in the file
    else:
        offset, size, count = (struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54))
        fields, order = "<II6Q", (2, 3, 5)
    out = b""
    for i in range(count):
        header = struct.unpack_from(fields, data, offset + i * size)
        if header[0] == 1:
            begin, address, length = (header[k] for k in order)
            out += struct.pack("<QQ", address, length) + data[begin:begin + length]
    return out


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def file_sha256(path):
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return sha256(file.read())


def first_line(*command):
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return next((line.strip() for line in run.stdout.split("\n") if line.strip()), None)


def bochs_version():
    """Of the program and, where that can be told, of its package."""
    package = first_line("dpkg-query", "-W", "-f", "${Version}\n", "bochs")
    try:
        run = subprocess.run(["bochs", "--help"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    match = re.search(r"Bochs x86 Emulator ([0-9.]+)", run.stdout + run.stderr)
    return "%s (%s)" % (match[1] if match else "?", package or "no package")


def made_with(build, programs):
    """Compiler and assembler of the image, Bochs, and the sha256 of what ran: the guest programs, kernel
    and initrd (None where there is none)."""
    with open(os.path.join(build, "flags")) as file:
        compiler = file.read().split()[0]
    cache = os.path.join(build, "guest-cache")
    return {
        "compiler": first_line(compiler, "--version"),
        "assembler": re.sub(r" compiled on.*", "", first_line("nasm", "-v") or ""),
        "bochs": bochs_version(),
        "guest": sha256(b"".join(loaded_bytes(os.path.join(build, "guest", name)) for name in programs)),
        "kernel": file_sha256(os.path.join(cache, "vmlinuz")),
        "initrd": file_sha256(os.path.join(cache, "initrd.img")),
    }
