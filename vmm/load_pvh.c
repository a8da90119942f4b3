/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels with a PVH entry: the note XEN_ELFNOTE_PHYS32_ENTRY gives the
 * physical address where the kernel starts in 32-bit mode with EBX at a struct
 * hvm_start_info, version 1 (Xen, "x86/HVM direct boot ABI" and
 * start_info.h).
 */
#include "vmm/elf.h"

#define NOTE_OWNER	  "Xen"
#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC	  0x336ec578

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};

#define MODLIST_ENTRY (4 * sizeof(u64))

_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info version 1");

static bool pvh_detect(struct vm *vm, const struct vm_module *module)
{
	struct load_error err;
	struct elf elf;
	u64 entry;

	return elf_open(&elf, vm, module, &err) == 0 &&
	       elf_find_note(&elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, &entry);
}

/* struct hvm_modlist_entry: address, size, command line, reserved. */
static void put_module(u64 entry[4], u64 at, u64 size, u64 cmdline)
{
	entry[0] = at;
	entry[1] = size;
	entry[2] = cmdline;
}

static int pvh_load(struct load *load)
{
	struct load_info info = {.header_size = sizeof(struct start_info),
				 .entry_size = MODLIST_ENTRY, .put_module = put_module,
				 .map_skip = offsetof(struct load_range, base)};
	struct start_info start;
	struct elf elf;
	u64 entry = 0;
	int rc = elf_open(&elf, load->in->vm, load->kernel, load->err);

	if (!rc && !elf_find_note(&elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, &entry))
		rc = load_bad(load, "it has no PVH note");
	rc = rc ?: elf_load(&elf, load);
	load->entry = entry;
	rc = rc ?: load_put_info(load, &info);
	if (rc)
		return rc;
	start = (struct start_info){
		.magic = START_MAGIC, .version = 1, .cmdline = info.cmdline,
		.nr_modules = info.module_count, .modlist = info.modules,
		.rsdp = load->in->rsdp, .memmap = info.map, .memmap_entries = info.map_count,
	};
	return load_put_header(load, &info, &start);
}

const struct loader load_pvh = {
	.kind = MODULE_PVH, .name = "pvh", .detect = pvh_detect, .load = pvh_load,
};
