/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF reader for guest images. The number of program headers, the bytes all
 * segments take and the length of notes are bounded, so that a hostile file
 * costs no more than an honest one.
 */
#include "vmm/elf.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/gmem.h"

#define ELF_MAGIC    0x464c457f /* 7Fh "ELF" */
#define PHNUM_MAX    128u
#define NOTES_MAX    0x10000u /* bytes of one note segment */
#define NOTE_HEADER  12u
#define OWNER_MAX    16u

enum { CLASS_32 = 1, CLASS_64 = 2, DATA_LSB = 1 };
enum { MACHINE_386 = 3, MACHINE_X86_64 = 62 };
enum { PT_LOAD = 1, PT_NOTE = 4 };

/* Where fields stand in the file header and in a program header: 32 and 64 bits. */
struct place {
	u8 offset, size;
};

enum header_field { EH_MACHINE, EH_ENTRY, EH_PHOFF, EH_PHENTSIZE, EH_PHNUM, EH_FIELDS };

static const struct place header_places[2][EH_FIELDS] = {
	{{18, 2}, {24, 4}, {28, 4}, {42, 2}, {44, 2}},
	{{18, 2}, {24, 8}, {32, 8}, {54, 2}, {56, 2}},
};
static const u8 header_sizes[2] = {52, 64};

enum segment_field {
	PH_TYPE, PH_OFFSET, PH_VADDR, PH_PADDR, PH_FILESZ, PH_MEMSZ, PH_ALIGN, PH_FIELDS
};

static const struct place segment_places[2][PH_FIELDS] = {
	{{0, 4}, {4, 4}, {8, 4}, {12, 4}, {16, 4}, {20, 4}, {28, 4}},
	{{0, 4}, {8, 8}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}},
};
static const u8 segment_sizes[2] = {32, 56};

struct segment {
	u64 field[PH_FIELDS];
};

static void take_fields(const u8 *from, const struct place *places, unsigned count, u64 *to)
{
	for (unsigned i = 0; i < count; i++) {
		to[i] = 0;
		memcpy(&to[i], from + places[i].offset, places[i].size);
	}
}

bool elf_detect(struct vm *vm, const struct vm_module *module, bool *is64)
{
	struct {
		u32 magic;
		u8 class, data;
	} ident;

	if (mem_read(vm, module->mem, 0, &ident, 6) || ident.magic != ELF_MAGIC)
		return false;
	*is64 = ident.class == CLASS_64;
	return true;
}

int elf_open(struct elf *elf, struct vm *vm, const struct vm_module *module,
	     struct load_error *err)
{
	u64 field[EH_FIELDS];
	u8 header[64];
	u32 magic;

	*elf = (struct elf){.module = module, .vm = vm};
	if (mem_read(vm, module->mem, 0, header, header_sizes[0]))
		return load_fail(err, module, -ENOEXEC, "it is too short for an ELF file");
	memcpy(&magic, header, sizeof(magic));
	if (magic != ELF_MAGIC)
		return load_fail(err, module, -ENOEXEC, "it is not an ELF file");
	elf->is64 = header[4] == CLASS_64;
	if ((!elf->is64 && header[4] != CLASS_32) || header[5] != DATA_LSB)
		return load_fail(err, module, -ENOEXEC, "its ELF class or byte order is not x86's");
	if (elf->is64 && mem_read(vm, module->mem, header_sizes[0], header + header_sizes[0],
				  header_sizes[1] - header_sizes[0]))
		return load_fail(err, module, -ENOEXEC, "it is cut off within its ELF header");
	take_fields(header, header_places[elf->is64], EH_FIELDS, field);
	if (field[EH_MACHINE] != MACHINE_386 && field[EH_MACHINE] != MACHINE_X86_64)
		return load_fail(err, module, -ENOEXEC, "it is an ELF file for machine %u, not x86",
				 (unsigned)field[EH_MACHINE]);
	elf->entry = field[EH_ENTRY];
	elf->phoff = field[EH_PHOFF];
	elf->phentsize = field[EH_PHENTSIZE];
	elf->phnum = field[EH_PHNUM];
	if (elf->phnum == 0 || elf->phnum > PHNUM_MAX ||
	    elf->phentsize < segment_sizes[elf->is64])
		return load_fail(err, module, -ENOEXEC,
				 "its program headers are wrong: %u of %u bytes each", elf->phnum,
				 elf->phentsize);
	return 0;
}

static int read_segment(const struct elf *elf, unsigned index, struct segment *segment)
{
	u64 skip = (u64)index * elf->phentsize;
	u8 raw[56];

	if (elf->phoff > ~0ull - skip || mem_read(elf->vm, elf->module->mem, elf->phoff + skip,
						  raw, segment_sizes[elf->is64]))
		return -ENOEXEC;
	take_fields(raw, segment_places[elf->is64], PH_FIELDS, segment->field);
	return 0;
}

static int load_segment(const struct elf *elf, const struct load_input *in, unsigned index,
			const struct segment *segment, struct load_error *err)
{
	const u64 *field = segment->field;
	u64 filesz = field[PH_FILESZ], memsz = field[PH_MEMSZ], paddr = field[PH_PADDR];
	u64 size = elf->module->size;

	if (filesz > memsz)
		return load_fail(err, elf->module, -ENOEXEC,
				 "segment %u has more bytes in the file than in memory", index);
	if (field[PH_OFFSET] > size || filesz > size - field[PH_OFFSET])
		return load_fail(err, elf->module, -ENOEXEC,
				 "it is cut off: segment %u lies beyond its end", index);
	if (!load_in_ram(in, paddr, memsz))
		return load_fail(err, elf->module, -ENOMEM,
				 "segment %u, %lu bytes at %lxh, does not fit in the VM's RAM",
				 index, (unsigned long)memsz, (unsigned long)paddr);
	if (guest_copy_from(elf->vm, GPA(paddr), elf->module->mem, field[PH_OFFSET], filesz) ||
	    guest_zero(elf->vm, GPA(paddr + filesz), memsz - filesz))
		return load_fail(err, elf->module, -ENOMEM, "segment %u cannot be written", index);
	return 0;
}

int elf_load(struct elf *elf, const struct load_input *in, struct load_span *image,
	     struct load_error *err)
{
	u64 entry = elf->entry, total = 0;

	*image = (struct load_span){~0ull, 0};
	for (unsigned i = 0; i < elf->phnum; i++) {
		struct segment segment;
		u64 memsz, paddr, vaddr;
		int rc;

		if (read_segment(elf, i, &segment))
			return load_fail(err, elf->module, -ENOEXEC,
					 "it is cut off within its program headers");
		memsz = segment.field[PH_MEMSZ];
		if (segment.field[PH_TYPE] != PT_LOAD || memsz == 0)
			continue;
		/* Segments that lie over each other again and again only cost time. */
		if (memsz > in->ram_below_4g - total)
			return load_fail(err, elf->module, -ENOMEM,
					 "its segments are larger than the VM's RAM");
		total += memsz;
		rc = load_segment(elf, in, i, &segment, err);
		if (rc)
			return rc;
		paddr = segment.field[PH_PADDR];
		vaddr = segment.field[PH_VADDR];
		image->low = MIN(image->low, paddr);
		image->high = MAX(image->high, paddr + memsz);
		if (entry >= vaddr && entry - vaddr < memsz)
			elf->entry = entry - vaddr + paddr;
	}
	if (image->high == 0)
		return load_fail(err, elf->module, -ENOEXEC, "it has no segment to load");
	return 0;
}

/* Looks through the notes of one segment; an entry that does not fit ends it. */
static bool search_notes(const struct elf *elf, const struct segment *segment, const char *owner,
			 u32 type, u64 *value)
{
	u64 base = segment->field[PH_OFFSET];
	u64 left = MIN(segment->field[PH_FILESZ], NOTES_MAX);
	unsigned align = segment->field[PH_ALIGN] == 8 ? 8 : 4;
	size_t owner_size = strlen(owner) + 1;
	char name[OWNER_MAX];
	u32 header[3]; /* name size, value size, type */

	if (base > ~0ull - left)
		return false;
	while (left >= NOTE_HEADER) {
		u64 value_at, next;

		if (mem_read(elf->vm, elf->module->mem, base, header, sizeof(header)))
			return false;
		value_at = ALIGN_UP(NOTE_HEADER + (u64)header[0], align);
		next = ALIGN_UP(value_at + header[1], align);
		if (header[2] == type && header[0] == owner_size && owner_size <= OWNER_MAX &&
		    (header[1] == 4 || header[1] == 8) && value_at + header[1] <= left &&
		    mem_read(elf->vm, elf->module->mem, base + NOTE_HEADER, name,
			     owner_size) == 0 &&
		    memcmp(name, owner, owner_size) == 0) {
			*value = 0;
			return mem_read(elf->vm, elf->module->mem, base + value_at, value,
					header[1]) == 0;
		}
		if (next >= left)
			return false;
		base += next;
		left -= next;
	}
	return false;
}

bool elf_find_note(const struct elf *elf, const char *owner, u32 type, u64 *value)
{
	for (unsigned i = 0; i < elf->phnum; i++) {
		struct segment segment;

		if (read_segment(elf, i, &segment))
			return false;
		if (segment.field[PH_TYPE] == PT_NOTE &&
		    search_notes(elf, &segment, owner, type, value))
			return true;
	}
	return false;
}
