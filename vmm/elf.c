/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF reader for guest images. The number of program headers, the bytes all
 * segments take and the length of notes are bounded, so that a hostile file
 * costs no more than an honest one.
 */
#include "vmm/elf.h"

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

enum { EH_MACHINE, EH_ENTRY, EH_PHOFF, EH_PHENTSIZE, EH_PHNUM };
enum { PH_TYPE, PH_OFFSET, PH_VADDR, PH_PADDR, PH_FILESZ, PH_MEMSZ, PH_ALIGN };
#define FIELDS_MAX 7
#define BYTES_MAX  64

/* Where the fields stand that are read, in the order of the enums above. */
struct layout {
	u8 bytes; /* of the whole structure */
	struct {
		u8 offset, size;
	} field[FIELDS_MAX];
};

/* By class: 32 bits, 64 bits. */
static const struct layout header_layout[2] = {
	{52, {{18, 2}, {24, 4}, {28, 4}, {42, 2}, {44, 2}}},
	{64, {{18, 2}, {24, 8}, {32, 8}, {54, 2}, {56, 2}}},
};
static const struct layout segment_layout[2] = {
	{32, {{0, 4}, {4, 4}, {8, 4}, {12, 4}, {16, 4}, {20, 4}, {28, 4}}},
	{56, {{0, 4}, {8, 8}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}}},
};

unsigned elf_bits(struct vm *vm, const struct vm_module *module)
{
	struct {
		u32 magic;
		u8 class, data;
	} ident;

	if (mem_read(vm, module->mem, 0, &ident, 6) || ident.magic != ELF_MAGIC ||
	    ident.data != DATA_LSB)
		return 0;
	return ident.class == CLASS_64 ? 64 : ident.class == CLASS_32 ? 32 : 0;
}

static bool read_fields(const struct elf *elf, u64 offset, const struct layout *layout,
			u64 field[FIELDS_MAX])
{
	u8 raw[BYTES_MAX];

	if (mem_read(elf->vm, elf->module->mem, offset, raw, layout->bytes))
		return false;
	for (unsigned i = 0; i < FIELDS_MAX; i++) {
		field[i] = 0;
		memcpy(&field[i], raw + layout->field[i].offset, layout->field[i].size);
	}
	return true;
}

int elf_open(struct elf *elf, struct vm *vm, const struct vm_module *module,
	     struct load_error *err)
{
	unsigned bits = elf_bits(vm, module);
	u64 field[FIELDS_MAX];

	*elf = (struct elf){.module = module, .vm = vm, .is64 = bits == 64};
	if (bits == 0)
		return load_fail(err, module, -ENOEXEC,
				 "it is not an ELF file with the ELF class and byte order of x86");
	if (!read_fields(elf, 0, &header_layout[elf->is64], field))
		return load_fail(err, module, -ENOEXEC, "it is cut off within its ELF header");
	if (field[EH_MACHINE] != MACHINE_386 && field[EH_MACHINE] != MACHINE_X86_64)
		return load_fail(err, module, -ENOEXEC, "it is an ELF file for machine %lu",
				 field[EH_MACHINE]);
	elf->entry = field[EH_ENTRY];
	elf->phoff = field[EH_PHOFF];
	elf->phentsize = field[EH_PHENTSIZE];
	elf->phnum = field[EH_PHNUM];
	if (elf->phnum == 0 || elf->phnum > PHNUM_MAX ||
	    elf->phentsize < segment_layout[elf->is64].bytes)
		return load_fail(err, module, -ENOEXEC,
				 "its program headers are wrong: %u of %u bytes each", elf->phnum,
				 elf->phentsize);
	return 0;
}

static bool read_segment(const struct elf *elf, unsigned index, u64 field[FIELDS_MAX])
{
	u64 skip = (u64)index * elf->phentsize;

	return elf->phoff <= ~0ull - skip &&
	       read_fields(elf, elf->phoff + skip, &segment_layout[elf->is64], field);
}

static int load_segment(const struct load *load, unsigned index, const u64 field[FIELDS_MAX])
{
	u64 offset = field[PH_OFFSET], filesz = field[PH_FILESZ];
	u64 paddr = field[PH_PADDR], memsz = field[PH_MEMSZ], size = load->kernel->size;

	if (filesz > memsz)
		return load_bad(load, "segment %u has more bytes in the file than in memory", index);
	if (offset > size || filesz > size - offset)
		return load_bad(load, "it is cut off: segment %u lies beyond its end", index);
	if (!load_put_segment(load, offset, filesz, paddr, memsz))
		return load_no_room(load, "segment %u, %lu bytes at %lxh, does not fit in the VM's RAM",
				    index, memsz, paddr);
	return 0;
}

int elf_load(struct elf *elf, struct load *load)
{
	u64 left = load->in->ram_below_4g, field[FIELDS_MAX];
	struct load_span *image = &load->image;

	*image = (struct load_span){~0ull, 0};
	load->entry = elf->entry;
	for (unsigned i = 0; i < elf->phnum; i++) {
		int rc;

		if (!read_segment(elf, i, field))
			return load_bad(load, "it is cut off within its program headers");
		if (field[PH_TYPE] != PT_LOAD || field[PH_MEMSZ] == 0)
			continue;
		/* Segments that lie over each other again and again only cost time. */
		if (field[PH_MEMSZ] > left)
			return load_no_room(load, "its segments are larger than the VM's RAM");
		left -= field[PH_MEMSZ];
		rc = load_segment(load, i, field);
		if (rc)
			return rc;
		image->low = MIN(image->low, field[PH_PADDR]);
		image->high = MAX(image->high, field[PH_PADDR] + field[PH_MEMSZ]);
		if (elf->entry >= field[PH_VADDR] && elf->entry - field[PH_VADDR] < field[PH_MEMSZ])
			load->entry = elf->entry - field[PH_VADDR] + field[PH_PADDR];
	}
	return image->high ? 0 : load_bad(load, "it has no segment to load");
}

/* Looks through the notes of one segment; an entry that does not fit ends it. */
static bool search_notes(const struct elf *elf, const u64 segment[FIELDS_MAX], const char *owner,
			 u32 type, u64 *value)
{
	u64 base = segment[PH_OFFSET], left = MIN(segment[PH_FILESZ], NOTES_MAX), value_at, next;
	unsigned align = segment[PH_ALIGN] == 8 ? 8 : 4;
	struct mem_object *mem = elf->module->mem;
	size_t owner_size = strlen(owner) + 1;
	char name[OWNER_MAX];
	u32 header[3]; /* name size, value size, type */

	for (; left >= NOTE_HEADER && base <= ~0ull - left; base += next, left -= next) {
		if (mem_read(elf->vm, mem, base, header, sizeof(header)))
			return false;
		value_at = ALIGN_UP(NOTE_HEADER + (u64)header[0], align);
		next = ALIGN_UP(value_at + header[1], align);
		if (header[2] == type && header[0] == owner_size && owner_size <= OWNER_MAX &&
		    (header[1] == 4 || header[1] == 8) && value_at + header[1] <= left &&
		    mem_read(elf->vm, mem, base + NOTE_HEADER, name, owner_size) == 0 &&
		    memcmp(name, owner, owner_size) == 0) {
			*value = 0;
			return mem_read(elf->vm, mem, base + value_at, value, header[1]) == 0;
		}
		if (next >= left)
			return false;
	}
	return false;
}

bool elf_find_note(const struct elf *elf, const char *owner, u32 type, u64 *value)
{
	u64 field[FIELDS_MAX];

	for (unsigned i = 0; i < elf->phnum && read_segment(elf, i, field); i++)
		if (field[PH_TYPE] == PT_NOTE && search_notes(elf, field, owner, type, value))
			return true;
	return false;
}
