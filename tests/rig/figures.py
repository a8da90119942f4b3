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

TOOLS = ("compiler", "assembler", "linker", "bochs")  # of all figures
EXACT = {"exit": ("guest",), "vmcs": ("guest",), "memory": ("kernel", "initrd")}  # and what ran
OURS = ("guest",)  # made from this tree: with the same tools it differs only where the tree has changed
NOISE = 0.002  # of a figure that is not exact: less is not told


def load(path):
    with open(path) as file:
        return json.load(file)


def save(path, figures):
    with open(path, "w") as file:
        file.write(json.dumps(figures, indent=1, sort_keys=True) + "\n")


def merged(path, new):
    """The figures of a file with the sections of `new`; without the file's where they were made with others."""
    old = load(path) if os.path.isfile(path) else {}
    return dict(old, **new) if old.get("made_with") == new["made_with"] else new


def flat(values, prefix=""):
    """{"a.b": number} of nested dictionaries, without what is no number."""
    numbers = {}
    for name, value in values.items():
        if isinstance(value, dict):
            numbers.update(flat(value, prefix + name + "."))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[prefix + name] = value
    return numbers


def differing(old, new, makers):
    """Those of `makers` that two sets of figures do not share."""
    was, now = old.get("made_with", {}), new.get("made_with", {})
    return [key for key in makers if was.get(key) != now.get(key)]


def stale(old, new):
    """What of this tree has changed since `old` was measured by the same tools."""
    return [] if differing(old, new, TOOLS) else differing(old, new, OURS)


def compare(old, new, within=None):
    """(faults, other differences, why sections could not be judged), all lines of text. A fault is what has
    grown and must not, a row of an exact section that only one side has, and a baseline of other guest
    programs. `within`, {"section.row": instructions}, says by how much a row may differ."""
    faults, told, unjudged = [], [], []
    changed = stale(old, new)
    if changed:
        faults.append("stale baseline: run make bench UPDATE=1 (changed: %s)" % ", ".join(changed))
    for section in sorted(set(old) & set(new) - {"made_with"}):
        others = differing(old, new, TOOLS + EXACT[section]) if section in EXACT else []
        if set(others) - set(changed):
            unjudged.append("%s: made with other %s" % (section, "; ".join(
                "%s: %s, now %s" % (key, old["made_with"].get(key), new["made_with"].get(key)) for key in others)))
        exact = section in EXACT and not others
        was, now = flat(old[section], section + "."), flat(new[section], section + ".")
        for name in sorted(set(was) & set(now)):
            line = "%s: %s, was %s" % (name, now[name], was[name])
            more = now[name] - was[name]
            if exact and more > (within or {}).get(name, 0):
                faults.append(line)
            elif more if exact else abs(more) > NOISE * abs(was[name]):
                told.append(line)
        lines = faults if exact else told
        lines += ["%s: was %s, is not measured now" % (name, was[name]) for name in sorted(set(was) - set(now))]
        lines += ["%s: %s, not in the baseline" % (name, now[name]) for name in sorted(set(now) - set(was))]
    return faults, told, unjudged


def renewed(old, new):
    """The baseline `old` with the sections of `new`. ValueError where other ones stay that other tools made."""
    stay = set(old) - set(new)
    others = differing(old, new, TOOLS)
    if stay and others:
        raise ValueError("%s stay in the baseline, made with other %s: measure all of it" %
                         (", ".join(sorted(stay)), ", ".join(others)))
    ran = {key for section in new for key in EXACT.get(section, ())}
    makers = dict(old.get("made_with", {}), **{key: value for key, value in new["made_with"].items()
                                               if not stay or key in TOOLS or key in ran})
    return dict(old, **dict(new, made_with=makers))


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
    """Compiler, assembler and linker of the image, Bochs, and the sha256 of what ran: the guest programs, kernel
    and initrd (None where there is none)."""
    with open(os.path.join(build, "flags")) as file:
        words = file.read().split()
    cache = os.path.join(build, "guest-cache")
    return {
        "compiler": first_line(words[0], "--version"),
        "assembler": re.sub(r" compiled on.*", "", first_line("nasm", "-v") or ""),
        "linker": first_line(words[-1], "--version"),
        "bochs": bochs_version(),
        "guest": sha256(b"".join(loaded_bytes(os.path.join(build, "guest", name)) for name in programs)),
        "kernel": file_sha256(os.path.join(cache, "vmlinuz")),
        "initrd": file_sha256(os.path.join(cache, "initrd.img")),
    }
