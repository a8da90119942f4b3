# SPDX-License-Identifier: BSD-2-Clause
"""Packs GRUB, the Trivet image and the guest's modules into a bootable ISO image.

Every word that GRUB is to pass on stands in single quotes, because GRUB's own parser gives a
meaning to { } ; | & $ and more. Dates and identifiers in the image are fixed, so that two runs
of one configuration execute the same instructions.
"""

import os
import shlex
import shutil
import subprocess
import tempfile

GRUB_LIB = "/usr/lib/grub"
PLATFORM = {"bios": "i386-pc", "uefi": "x86_64-efi"}
FIXED_DATE = "2023111422132000"


class RigError(Exception):
    """A fault of the rig's own set-up, told in one line."""


def quote(word):
    """One word of grub.cfg: in single quotes, an embedded one as '\\''."""
    return "'" + word.replace("'", "'\\''") + "'"


def split_words(text):
    """The words of a module or option text, as a shell splits them."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise RigError("cannot split into words: %s: %s" % (error, text))


def grub_cfg(options, modules, video=False, image="/boot/trivet.elf", loader="multiboot2"):
    """The text of grub.cfg: options is a list of words, modules one of (path, words)."""
    module = loader.replace("multiboot", "module")
    lines = ["set timeout=0", "set timeout_style=hidden"]
    lines += ["insmod all_video"] if video else []
    lines += ["", "menuentry 'Trivet' {"]
    lines.append("\t" + " ".join([loader, image] + [quote(w) for w in options]))
    if not video:
        lines.append("\tset gfxpayload=text")  # after multiboot2, which sets it to "auto"
    for path, words in modules:
        lines.append("\t" + " ".join([module, path] + [quote(w) for w in words]))
    lines += ["}", ""]
    return "\n".join(lines)


def write_image(out, image, options, modules, firmware=None, video=False, workdir=None,
                loader="multiboot2"):
    """Writes the ISO file `out`. modules: texts "FILE WORDS...". firmware None makes a hybrid
    for BIOS and UEFI, CD and USB stick; "bios" or "uefi" a smaller one for that firmware."""
    # A folder of its own, wherever `out` lies: what stands beside it is the caller's.
    with tempfile.TemporaryDirectory(prefix="trivet-", dir=workdir) as tree:
        fill_tree(tree, image, options, modules, video, loader)
        mkrescue(out, tree, firmware)


def fill_tree(tree, image, options, modules, video, loader):
    os.makedirs(os.path.join(tree, "boot/grub"))
    place(image, os.path.join(tree, "boot/trivet.elf"))
    lines = []
    for number, text in enumerate(modules):
        words = split_words(text)
        if not words:
            raise RigError("an empty module: give FILE WORDS...")
        name = "/boot/module%d" % number
        place(words[0], tree + name)
        lines.append((name, words[1:]))
    config = os.path.join(tree, "boot/grub/grub.cfg")
    with open(config, "w") as file:
        file.write(grub_cfg(split_words(options), lines, video, loader=loader))
    check_syntax(config)
    for folder, _, names in os.walk(tree):
        for name in names:
            os.utime(os.path.join(folder, name), (1700000000, 1700000000))


def place(source, target):
    if not os.path.isfile(source):
        raise RigError("no such file: %s" % source)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise RigError("cannot copy %s: %s" % (source, error))


def check_syntax(config):
    if shutil.which("grub-script-check"):
        run = subprocess.run(["grub-script-check", config], capture_output=True, text=True)
        if run.returncode:
            raise RigError("grub.cfg does not parse: %s" % run.stderr.strip())


def mkrescue(out, tree, firmware):
    tool = shutil.which("grub-mkrescue") or shutil.which("grub2-mkrescue")
    if not tool:
        raise RigError("grub-mkrescue is missing (run tests/rig/setup.sh)")
    command = [tool]
    if firmware:
        command += ["-d", os.path.join(GRUB_LIB, PLATFORM[firmware])]
    command += ["--fonts=", "--locales=", "--themes=", "-o", out, tree, "--",
                "-volume_date", "uuid", FIXED_DATE, "-volume_date", "all_file_dates", FIXED_DATE]
    environment = dict(os.environ, SOURCE_DATE_EPOCH="1700000000")
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode or not os.path.isfile(out):
        raise RigError("grub-mkrescue failed: %s" % run.stderr.strip()[-400:])
