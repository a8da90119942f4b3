/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF files (32 and 64 bits, x86) as guest images: program headers, segments
 * into guest RAM at their physical addresses, notes. Nothing in the file is
 * believed before it has been checked. System V ABI, "Object Files".
 */
#pragma once

#include "vmm/load.h"

/* A file whose header has been read and found sound. */
struct elf {
	const struct vm_module *module;
	struct vm *vm;
	bool is64;
	u64 entry; /* virtual, as the header has it */
	u64 phoff;
	u32 phentsize, phnum;
};

/* Of a little-endian ELF file the class, 32 or 64; of any other file 0. */
unsigned elf_bits(struct vm *vm, const struct vm_module *module);

/* Reads the file header. Returns 0 or -ENOEXEC with the reason. */
int elf_open(struct elf *elf, struct vm *vm, const struct vm_module *module,
	     struct load_error *err);

/*
 * Copies all PT_LOAD segments of load->kernel, the file, to their physical
 * addresses, zeroes the rest of each, and sets load->image and load->entry,
 * the header's, made physical where a segment holds it at another virtual
 * address. Returns 0, -ENOEXEC or
 * -ENOMEM with the reason.
 */
int elf_load(struct elf *elf, struct load *load);

/*
 * Looks in the PT_NOTE segments for a note of this owner and type with a 4- or
 * 8-byte value. False where there is none that can be read.
 */
bool elf_find_note(const struct elf *elf, const char *owner, u32 type, u64 *value);
