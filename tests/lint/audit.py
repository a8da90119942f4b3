#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Looks at the linked image: what the walls around Trivet count on and no compiler warns of.

audit.py BUILD looks at BUILD/trivet.elf by the symbols of BUILD/trivet.debug.elf, with objdump's
disassembly. audit.py --selftest builds small images with as and ld, each with one fault, and
wants the right check to refuse each. Code in front of switch_high (boot/entry.asm) is 32-bit, runs
once and before any guest, and is left out of the disassembly, as is the page for starting cores,
which lies in .rodata.
"""

import collections
import os
import re
import struct
import subprocess
import sys
import tempfile

SIZE_MOST = 262144
EXECUTE, WRITE, READ = 1, 2, 4  # of segments
SHF_WRITE, SHF_ALLOC, SHF_EXEC = 1, 2, 4
SHT_RELA, SHT_DYNAMIC, SHT_NOBITS, SHT_REL = 4, 6, 8, 9
PT_LOAD, PT_GNU_STACK = 1, 0x6474E551
# What the image consists of, and how its pages will be mapped
SECTIONS = {".text": SHF_EXEC, ".rodata": 0, ".ksyms": 0, ".data": SHF_WRITE, ".bss": SHF_WRITE}
ENDBR64 = bytes.fromhex("f30f1efa")
STUBS, STUB_SIZE = 256, 16
BOOT_CODE_MOST = 4096
GUARD = "%gs:0x8"
GUARDED_LEAST, GUARDED = 20, ("log_line",)
THUNK = "__x86_indirect_thunk_"
THUNK_SHAPE = ["call", "pause", "lfence", "jmp", "mov", "ret"]
# Functions whose address is taken, but not branched to: where exits go on
NO_TARGETS = {"vmx_entry_exit", "trap_stubs"}
MEMORY_IMPLIED = re.compile(r"(push|pop|call|ret|leave|enter|[a-z]?(movs|stos|lods|cmps|scas)|ins|outs)")

Section = collections.namedtuple("Section", "name type flags address offset size")
Segment = collections.namedtuple("Segment", "type flags address size")
Insn = collections.namedtuple("Insn", "address function name operands")

# Instructions that stand in these functions only.
RARE = [
    ("indirect branches", lambda i: i.operands.startswith("*") and re.match("l?(call|jmp)", i.name), ()),
    ("far transfers", lambda i: re.match(r"(ljmp|lcall|lret|iret|sysret|sysexit|int)", i.name),
     ("desc_load", "trap_common", "power_reset", "decode_other")),
    ("FPU and vector state", lambda i: re.search(r"%([xyz]?mm\d|st\b|k[0-7])", i.operands) or re.match(
        r"(f|xsave|xrstor|ldmxcsr|stmxcsr|emms|v(?!m[a-z]|err|erw))", i.name),
     ("fpu_save", "fpu_restore", "fpu_measure", "vmx_vcpu_create")),
    ("open SMAP", lambda i: i.name == "stac", ("window_copy", "window_fill", "window_cmpxchg", "window_load")),
    ("open interrupts", lambda i: i.name == "sti", ("smp_idle", "sched_run", "input_open")),
    ("VM entries", lambda i: re.match(r"vm(launch|resume)", i.name), ("vmx_entry", "vmx_entry_exit")),
    ("caches thrown away", lambda i: i.name == "invd", ()),
]


class Image:
    """An ELF file: sections, segments, symbols, and the instructions of .text."""

    def __init__(self, path):
        self.path = path
        self.bytes = open(path, "rb").read()
        phoff, shoff = struct.unpack_from("<QQ", self.bytes, 32)
        phentsize, phnum, shentsize, shnum, shstrndx = struct.unpack_from("<5H", self.bytes, 54)
        self.segments = []
        for i in range(phnum):
            kind, flags, _, address, _, _, size = struct.unpack_from("<IIQQQQQ", self.bytes, phoff + i * phentsize)
            self.segments.append(Segment(kind, flags, address, size))
        rows = [struct.unpack_from("<IIQQQQII", self.bytes, shoff + i * shentsize) for i in range(shnum)]
        names = rows[shstrndx][4]
        self.sections = [Section(self.text(names + r[0]), *r[1:6]) for r in rows]
        self.symbols = {}
        for row in rows:
            if row[1] == 2:  # SHT_SYMTAB
                self.read_symbols(row, rows[row[6]][4])

    def text(self, offset):
        return self.bytes[offset:self.bytes.index(b"\0", offset)].decode()

    def read_symbols(self, row, strings):
        for at in range(row[4], row[4] + row[5], 24):
            name, info, _, index, value, _ = struct.unpack_from("<IBBHQQ", self.bytes, at)
            if index and info & 15 not in (3, 4):  # not a section's or file's
                self.symbols[self.text(strings + name)] = value

    def section(self, name):
        return next((s for s in self.sections if s.name == name), Section(name, 0, 0, 0, 0, 0))

    def contents(self, name):
        section = self.section(name)
        return b"" if section.type == SHT_NOBITS else self.bytes[section.offset:section.offset + section.size]

    def at(self, address, size):
        """Bytes of .text."""
        section = self.section(".text")
        return self.bytes[section.offset + address - section.address:][:size]

    def functions(self):
        """Starts of functions: symbols of .text that are no labels within one."""
        text = self.section(".text")
        return {value: name for name, value in self.symbols.items()
                if text.address <= value < text.address + text.size and not re.match(r"\.|.*\.[a-z_]+$", name)
                and value >= self.symbols.get("switch_high", 0)}

    def instructions(self):
        run = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text",
                              "--start-address=%#x" % self.symbols.get("switch_high", 0), self.path],
                             capture_output=True, text=True, check=True)
        function, found = "", []
        for line in run.stdout.splitlines():
            label = re.match(r"[0-9a-f]+ <(.*)>:", line)
            if label:
                function = label.group(1).split(".")[0] or function
            match = re.match(r" *([0-9a-f]+):\t(?:(?:rep[a-z]*|lock|bnd|notrack|data16|cs|ds) )*(\S+) *(.*)", line)
            if match:
                found.append(Insn(int(match.group(1), 16), function, match.group(2), match.group(3)))
        return found


def check_segments(image, code):
    for segment in image.segments:
        if segment.flags & WRITE and segment.flags & EXECUTE:
            yield "a segment at %#x can be written and executed" % segment.address
        if segment.type not in (PT_LOAD, PT_GNU_STACK):
            yield "a segment of type %#x" % segment.type
        if segment.type == PT_LOAD and segment.address % 4096:
            yield "a segment begins within a page, at %#x" % segment.address


def check_sections(image, code):
    for section in image.sections:
        if not section.flags & SHF_ALLOC:
            continue
        if section.name not in SECTIONS:
            yield "section %s is none of the image's" % section.name
        elif section.flags & (SHF_WRITE | SHF_EXEC) != SECTIONS[section.name]:
            yield "section %s has flags %#x" % (section.name, section.flags)


def check_relocations(image, code):
    for section in image.sections:
        if section.type in (SHT_REL, SHT_RELA, SHT_DYNAMIC) and section.size:
            yield "section %s is left to the loader" % section.name


def check_size(image, code):
    size = len(image.bytes)
    debug = sum(s.size for s in image.sections if s.type != SHT_NOBITS and not s.flags & SHF_ALLOC)
    if size - debug > SIZE_MOST:
        yield "%d bytes are loaded, more than %d" % (size - debug, SIZE_MOST)


def check_rare(image, code):
    if not 0 <= image.symbols.get("switch_high", 0) - image.section(".text").address < BOOT_CODE_MOST:
        yield "boot code that is not looked at: more than %d bytes" % BOOT_CODE_MOST
    for what, match, allowed in RARE:
        for insn in code:
            if match(insn) and insn.function not in allowed:
                yield "%s: `%s %s` in %s" % (what, insn.name, insn.operands, insn.function)


def check_thunks(image, code):
    """Each thunk is a retpoline, and a place to patch where it is a plain jump then."""
    thunks = collections.defaultdict(list)
    for insn in code:
        if insn.function.startswith(THUNK) and len(thunks[insn.function]) < len(THUNK_SHAPE):
            thunks[insn.function].append(insn)
    if not thunks:
        yield "there is none"
    for name, insns in thunks.items():
        if [i.name for i in insns] != THUNK_SHAPE or insns[4].operands != "%%%s,(%%rsp)" % name[len(THUNK):]:
            yield "%s is no retpoline" % name
    first, last = (image.symbols.get(n, 0) for n in ("__start_patches", "__stop_patches"))
    rodata = image.section(".rodata")
    patched = set()
    for at in range(first, last, 12):
        site, kind, size, *data = struct.unpack_from("<iBB6B", image.contents(".rodata"), at - rodata.address)
        name = image.functions().get(at + site, "")
        if kind == 0 and name.startswith(THUNK):
            patched.add(name)
            register = name[len(THUNK):]
            number = int(register[1:]) if register[1:].isdigit() else \
                ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"].index(register)
            jump = ([0x41] if number > 7 else []) + [0xFF, 0xE0 + number % 8]
            if data[:len(jump)] != jump or size < len(jump):
                yield "%s would not become its jump" % name
    yield from ("%s cannot be patched" % name for name in thunks if name not in patched)


def memory(insn):
    branch = re.match(r"j|loop", insn.name)
    return insn.name != "lea" and not branch and (
        "(" in insn.operands or re.search(r"(^|,)(%[c-g]s:)?0x", insn.operands) or
        bool(MEMORY_IMPLIED.match(insn.name)))


def check_verw(image, code):
    """Between VERW and an entry nothing loads, and nobody jumps in."""
    entries = [n for n, i in enumerate(code) if re.match(r"vm(launch|resume)", i.name)]
    if not entries:
        yield "there is no VM entry"
    for n in entries:
        before = next((k for k in range(n - 1, -1, -1) if memory(code[k])), 0)
        if code[before].name != "verw":
            yield "`%s %s` is the last access before %s" % (code[before].name, code[before].operands, code[n].name)
        for insn in code:
            target = re.match(r"([0-9a-f]+) <", insn.operands)
            if target and re.match(r"j|call|loop", insn.name) and \
                    code[before + 1].address < int(target.group(1), 16) <= code[n].address and \
                    not code[before].address <= insn.address <= code[n].address:
                yield "`%s` in %s jumps in behind VERW" % (insn.name, insn.function)


def check_endbr(image, code):
    """At each entry of the IDT, and at each function whose address something holds."""
    stubs = image.symbols.get("trap_stubs")
    if stubs is None:
        yield "there are no trap_stubs"
    else:
        for i in range(STUBS):
            if image.at(stubs + i * STUB_SIZE, 4) != ENDBR64:
                yield "none at the stub of vector %d" % i
    functions = image.functions()
    taken = set()
    for name in (".rodata", ".data"):
        words = image.contents(name)
        taken.update(value for (value,) in struct.iter_unpack("<Q", words[:len(words) & ~7]))
    for insn in code:
        value = re.match(r"\$0x([0-9a-f]+),", insn.operands) or re.search(r"# ([0-9a-f]+) <", insn.operands)
        if value:
            taken.add(int(value.group(1), 16))
    for value in taken:
        name = functions.get(value)
        if name and name not in NO_TARGETS and image.at(value, 4) != ENDBR64:
            yield "none at %s, whose address is taken" % name


def check_guard(image, code):
    """Functions that take the guard word call __stack_chk_fail, and there are many."""
    takes, calls = set(), set()
    for insn in code:
        if GUARD in insn.operands:
            takes.add(insn.function)
        if "<__stack_chk_fail>" in insn.operands:
            calls.add(insn.function)
    if len(takes & calls) < GUARDED_LEAST:
        yield "only %d functions look at their guard word" % len(takes & calls)
    yield from ("%s does not" % name for name in GUARDED if name not in takes & calls)


CHECKS = {
    "segments": check_segments, "sections": check_sections, "relocations": check_relocations,
    "size": check_size, "rare instructions": check_rare, "retpolines": check_thunks,
    "VERW": check_verw, "ENDBR64": check_endbr, "stack guard": check_guard,
}


def audit(path):
    """Complaints by check."""
    image = Image(path)
    code = image.instructions()
    return {name: list(check(image, code)) for name, check in CHECKS.items()}


def audit_build(build):
    shipped, debug = (Image(os.path.join(build, name)) for name in ("trivet.elf", "trivet.debug.elf"))
    faults = ["%s: %s" % (name, fault) for name, found in audit(debug.path).items() for fault in found]
    for name in SECTIONS:
        if shipped.contents(name) != debug.contents(name):
            faults.append("section %s is not what was looked at" % name)
    faults += ["shipped: " + fault for check in (check_segments, check_sections, check_relocations, check_size)
               for fault in check(shipped, [])]
    if len(shipped.bytes) > SIZE_MOST:
        faults.append("size: %d bytes" % len(shipped.bytes))
    return faults


# --- the self-test: an image without fault, and what spoils it

GOOD = r"""
	.text
image_start: .long 0
switch_high: ret
desc_load: lretq
	.balign 16
trap_stubs:
	.rept 256
	.balign 16
	endbr64
	push $0
	jmp trap_common
	.endr
	.balign 16
trap_common: iretq
__x86_indirect_thunk_r11:
	call 2f
1:	pause
	lfence
	jmp 1b
2:	mov %r11, (%rsp)
	ret
fpu_save: fxsave64 (%rsi)
	ret
window_copy: stac
	ret
smp_idle: sti
	ret
vmx_entry:
	mov (%rdi), %rdi
vmx_entry.clear: verw selector(%rip)
	jnc 1f
	vmresume
	jmp vmx_entry.failed
1:	vmlaunch
vmx_entry.failed: ret
vmx_entry_exit: ret
handler: endbr64
	mov $vmx_entry_exit, %rax
	mov $handler, %rax
	call __x86_indirect_thunk_r11
	ret
__stack_chk_fail: ud2
	.macro guarded name
\name:	mov %gs:8, %rax
	sub %gs:8, %rax
	jne 1f
	ret
1:	call __stack_chk_fail
	.endm
	guarded log_line
	.irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19
	guarded named_\n
	.endr
	.section .rodata, "a"
	.quad handler
selector: .word 16, 0
__start_patches:
	.long __x86_indirect_thunk_r11 - .
	.byte 0, 5, 0x41, 0xff, 0xe3, 0xcc, 0xcc, 0
__stop_patches:
	.data
	.quad handler
"""
SCRIPT = """
PHDRS { text PT_LOAD FLAGS(5); rodata PT_LOAD FLAGS(4); data PT_LOAD FLAGS(6); }
SECTIONS {
	. = 0xffffffff80000000;
	.text : { *(.text) } :text
	. = ALIGN(4096);
	.rodata : { *(.rodata) } :rodata
	. = ALIGN(4096);
	.data : { *(.data) } :data
	.bss : { *(.bss) } :data
	/DISCARD/ : { *(.note*) }
}
"""
# check, what is replaced, by what
FAULTS = [
    ("segments", "FLAGS(6)", "FLAGS(7)"),
    ("segments", ". = ALIGN(4096);\n\t.data", ". = ALIGN(4096) + 64;\n\t.data"),
    ("segments", "data PT_LOAD", "data PT_TLS"),
    ("sections", "*(.data)", "*(.data .odd)", "\t.data\n", '\t.section .odd, "awx"\n\tnop\n\t.data\n'),
    ("sections", '.section .rodata, "a"', '.section .rodata, "aw"'),
    ("sections", "\t.data\n", '\t.section .extra, "a"\n\t.long 1\n\t.data\n'),
    ("relocations", "--no-warn", "--emit-relocs --no-warn"),
    ("size", "selector:", "selector: .fill 262144\n"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tjmp *%rax"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tcall *8(%rax)"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tnotrack jmp *%rax"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tljmp *(%rax)"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tiretq"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tmovups %xmm0, (%rax)"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tvzeroupper"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tfninit"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tfld1"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\txrstor (%rax)"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tkmovw %k1, %eax"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tstac"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tsti"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tinvd"),
    ("rare instructions", "handler: endbr64", "handler: endbr64\n\tvmresume"),
    ("rare instructions", "switch_high:", ".fill 8192, 1, 0x90\nswitch_high:"),
    ("retpolines", "__x86_indirect_thunk_", "plain_"),
    ("retpolines", "\tlfence\n", ""),
    ("retpolines", "mov %r11, (%rsp)", "mov %r10, (%rsp)"),
    ("retpolines", "0x41, 0xff, 0xe3", "0xff, 0xe3, 0xcc"),
    ("retpolines", ".byte 0, 5", ".byte 1, 5"),
    ("VERW", "verw selector(%rip)", "nop"),
    ("VERW", "\tjnc 1f", "\tmov (%rsi), %rsi\n\tjnc 1f"),
    ("VERW", "\tjnc 1f", "\tpush %rax\n\tjnc 1f"),
    ("VERW", "1:\tvmlaunch", "1:\tmov selector, %eax\n\tvmlaunch"),
    ("VERW", "\tmov (%rdi), %rdi\n", "\tmov (%rdi), %rdi\n\tje vmx_entry.within\n",
     "1:\tvmlaunch", "vmx_entry.within:\n1:\tvmlaunch"),
    ("VERW", "vmresume", "nop", "vmlaunch", "nop"),
    ("ENDBR64", "\tendbr64\n\tpush", "\tnopl (%rax)\n\tpush"),
    ("ENDBR64", ".rept 256", ".rept 255"),
    ("ENDBR64", "trap_stubs:", "stubs:"),
    ("ENDBR64", "handler: endbr64", "handler: nop"),
    ("ENDBR64", "handler: endbr64", "handler: nop", ".quad handler", ".quad 0"),
    ("ENDBR64", "\t.data\n", "\t.data\n\t.quad window_copy\n"),
    ("stack guard", "guarded log_line", "guarded other"),
    ("stack guard", ",17,18,19", ""),
    ("stack guard", "\tguarded log_line", "log_line: mov %gs:8, %rax\n\tret\n\tguarded other"),
]


def build(folder, changes):
    """Links the good image with texts replaced; its path."""
    texts = {"a.s": GOOD, "a.ld": SCRIPT, "options": "--no-warn-rwx-segments"}
    for old, new in zip(changes[::2], changes[1::2]):
        if not any(old in text for text in texts.values()):
            raise ValueError("nothing to replace: %r" % old)
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name in ("a.s", "a.ld"):
        open(os.path.join(folder, name), "w").write(texts[name])
    for command in (["as", "--64", "-o", "a.o", "a.s"],
                    ["ld", "-static", "-z", "max-page-size=64", "-T", "a.ld", "-e", "image_start",
                     *texts["options"].split(), "-o", "a.elf", "a.o"]):
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if run.returncode:
            raise ValueError(run.stderr)
    return os.path.join(folder, "a.elf")


def selftest():
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for name, found in audit(build(folder, [])).items():
            faults += ["the good image: %s: %s" % (name, fault) for fault in found]
        for name, *changes in FAULTS:
            if not audit(build(folder, changes))[name]:
                faults.append("%s: not seen: %r for %r" % (name, changes[-1], changes[-2]))
    print("%d faults tried, each must be refused" % len(FAULTS))
    return faults + ["%s: no fault for it is tried" % name for name in CHECKS
                     if name not in [fault[0] for fault in FAULTS]]


def main(argument="build"):
    faults = selftest() if argument == "--selftest" else audit_build(argument)
    print("\n".join(faults[:40]), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
