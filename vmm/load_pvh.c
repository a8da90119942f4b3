/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels with a PVH entry: the note XEN_ELFNOTE_PHYS32_ENTRY gives the
 * physical address where the kernel starts in 32-bit mode with EBX at a struct
 * hvm_start_info, version 1 (Xen, "x86/HVM direct boot ABI" and
 * start_info.h). There are no ACPI tables yet, so its RSDP address is 0.
 */
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/elf.h"
#include "vmm/gmem.h"

#define NOTE_OWNER	  "Xen"
#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC	  0x336ec578

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};

struct modlist_entry {
	u64 paddr, size, cmdline, reserved;
};

struct memmap_entry {
	u64 addr, size;
	u32 type, reserved;
};

_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info version 1");
_Static_assert(sizeof(struct modlist_entry) == 32, "hvm_modlist_entry");
_Static_assert(sizeof(struct memmap_entry) == 24, "hvm_memmap_table_entry");

static bool pvh_detect(struct vm *vm, const struct vm_module *module)
{
	struct load_error err;
	struct elf elf;
	u64 entry;

	return elf_open(&elf, vm, module, &err) == 0 &&
	       elf_find_note(&elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, &entry);
}

static int write_memmap(const struct load_input *in, u64 at)
{
	struct load_range map[LOAD_RANGES_MAX];
	unsigned count = load_memory_map(in, map);
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++) {
		struct memmap_entry entry = {map[i].base, map[i].size, map[i].type, 0};

		err = guest_write(in->vm, GPA(at + i * sizeof(entry)), &entry, sizeof(entry));
	}
	return err;
}

/* Copies the modules and writes their list and command lines. */
static int write_modules(const struct load_input *in, struct load_span *image, u64 list, u64 text,
			 struct load_error *err)
{
	for (unsigned i = 0; i < in->module_count; i++) {
		const struct vm_module *module = &in->modules[i];
		struct modlist_entry entry = {.size = module->size, .cmdline = text};
		int rc;

		if (!load_is_companion(module))
			continue;
		rc = load_place_module(in, module, image, &entry.paddr, err);
		if (rc)
			return rc;
		if (guest_write(in->vm, GPA(list), &entry, sizeof(entry)) ||
		    load_put_text(in->vm, &text, module->cmdline))
			return load_fail(err, module, -ENOMEM, "its entry cannot be written");
		list += sizeof(entry);
	}
	return 0;
}

static int pvh_load(const struct load_input *in, struct load_result *out, struct load_error *err)
{
	const struct vm_module *kernel = load_find(in, MODULE_PVH);
	struct start_info info = {.magic = START_MAGIC, .version = 1};
	struct load_range map[LOAD_RANGES_MAX];
	struct load_span image;
	struct elf elf;
	u64 text, base, entry;
	int rc = elf_open(&elf, in->vm, kernel, err);

	if (rc)
		return rc;
	if (!elf_find_note(&elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, &entry))
		return load_fail(err, kernel, -ENOEXEC, "it has no PVH note");
	rc = elf_load(&elf, in, &image, err);
	if (rc)
		return rc;
	if (entry < image.low || entry >= image.high)
		return load_fail(err, kernel, -ENOEXEC, "its PVH entry %lxh lies outside of it",
				 (unsigned long)entry);

	info.nr_modules = load_companions(in, &text);
	info.memmap_entries = load_memory_map(in, map);
	text += strlen(kernel->cmdline) + 1;
	if (load_place_tables(in, &image,
			      sizeof(info) + info.memmap_entries * sizeof(struct memmap_entry) +
				      info.nr_modules * sizeof(struct modlist_entry) + text,
			      &base))
		return load_fail(err, kernel, -ENOMEM, "no room in RAM for its start information");
	info.memmap = base + sizeof(info);
	info.modlist = info.memmap + info.memmap_entries * sizeof(struct memmap_entry);
	info.cmdline = info.modlist + info.nr_modules * sizeof(struct modlist_entry);
	text = info.cmdline;
	if (guest_write(in->vm, GPA(base), &info, sizeof(info)) || write_memmap(in, info.memmap) ||
	    load_put_text(in->vm, &text, kernel->cmdline))
		return load_fail(err, kernel, -ENOMEM, "its start information cannot be written");
	rc = write_modules(in, &image, info.modlist, text, err);
	if (rc)
		return rc;
	load_state_protected32(out, entry);
	out->regs.gpr[GPR_RBX] = base;
	return 0;
}

const struct loader load_pvh = {
	.kind = MODULE_PVH,
	.name = "pvh",
	.detect = pvh_detect,
	.load = pvh_load,
};
