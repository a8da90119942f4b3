/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 1 kernels: 32-bit ELF files, or flat files whose header tells
 * their addresses ("Multiboot Specification 0.6.96", chapters "OS image
 * format", "Machine state" and "Boot information format"). What a kernel asks
 * of the video mode is not granted; the specification leaves that open.
 */
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/elf.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"

#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u
#define SEARCH_LENGTH 8192u
#define LOADER_NAME   "Trivet"

/* Flags of the header that stop a loader which does not know them ... */
#define FLAGS_MUST_KNOW	 BITS(15, 0)
#define FLAGS_KNOWN	 BITS(2, 0) /* page-aligned modules, memory, video */
#define FLAG_ADDRESSES	 BIT(16)
/* ... and of the information: memory, boot device, command line, modules, map, name. */
#define INFO_FLAGS	 0x24fu
#define INFO_BOOT_DEVICE 0x8000ffffu /* the first hard disk, no partition */

struct header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
	u32 offset; /* where it was found; not in the file */
};
#define HEADER_SHORT 12u /* without addresses */
#define HEADER_LONG  32u

struct info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline;
	u32 mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
	u32 drives_length, drives_addr, config_table, boot_loader_name, rest[12];
};

struct module_entry {
	u32 start, end, string, reserved;
};

struct mmap_entry {
	u32 size; /* of what follows */
	u32 base[2], length[2], type;
};

_Static_assert(sizeof(struct info) == 116, "multiboot information, framebuffer included");
_Static_assert(sizeof(struct mmap_entry) == 24, "no padding");

/* Finds the header; false where there is none. */
static bool find_header(struct vm *vm, const struct vm_module *module, struct header *header)
{
	u32 end = MIN(module->size, SEARCH_LENGTH);

	for (u32 at = 0; at + HEADER_SHORT <= end; at += 4) {
		memset(header, 0, sizeof(*header));
		if (mem_read(vm, module->mem, at, header, sizeof(header->magic)))
			return false;
		if (header->magic != HEADER_MAGIC ||
		    mem_read(vm, module->mem, at + 4, &header->flags, HEADER_SHORT - 4) ||
		    header->magic + header->flags + header->checksum != 0)
			continue;
		header->offset = at;
		if (!(header->flags & FLAG_ADDRESSES))
			return true;
		return at + HEADER_LONG <= end &&
		       mem_read(vm, module->mem, at + HEADER_SHORT, &header->header_addr,
				HEADER_LONG - HEADER_SHORT) == 0;
	}
	return false;
}

static bool multiboot_detect(struct vm *vm, const struct vm_module *module)
{
	struct header header;
	bool is64;

	if (!find_header(vm, module, &header))
		return false;
	if (!elf_detect(vm, module, &is64))
		return (header.flags & FLAG_ADDRESSES) != 0;
	return !is64 || !load_pvh.detect(vm, module);
}

/* A file without ELF structure: the header says what goes where. */
static int load_by_addresses(const struct load_input *in, const struct vm_module *kernel,
			     const struct header *h, struct load_span *image,
			     struct load_error *err)
{
	u64 skip = (u64)h->header_addr - h->load_addr, offset = h->offset - skip;
	u64 filesz, memsz;

	if (h->header_addr < h->load_addr || skip > h->offset ||
	    (h->load_end_addr && h->load_end_addr < h->load_addr))
		return load_fail(err, kernel, -ENOEXEC,
				 "the addresses in its multiboot header contradict each other");
	filesz = h->load_end_addr ? h->load_end_addr - h->load_addr : kernel->size - offset;
	memsz = h->bss_end_addr > h->load_addr ? MAX(filesz, h->bss_end_addr - h->load_addr)
					       : filesz;
	if (filesz > kernel->size - offset)
		return load_fail(err, kernel, -ENOEXEC, "it is cut off: its header tells of %lu bytes",
				 (unsigned long)(offset + filesz));
	if (!load_in_ram(in, h->load_addr, memsz) ||
	    guest_copy_from(in->vm, GPA(h->load_addr), kernel->mem, offset, filesz) ||
	    guest_zero(in->vm, GPA(h->load_addr + filesz), memsz - filesz))
		return load_fail(err, kernel, -ENOMEM,
				 "%lu bytes at %xh do not fit in the VM's RAM",
				 (unsigned long)memsz, h->load_addr);
	*image = (struct load_span){h->load_addr, h->load_addr + memsz};
	return 0;
}

/* Loads the kernel in whichever form it has; *entry is where it starts. */
static int load_kernel(const struct load_input *in, const struct vm_module *kernel,
		       struct load_span *image, u64 *entry, struct load_error *err)
{
	struct header header;
	struct elf elf;
	bool is64;
	int rc;

	*entry = 0;
	if (!find_header(in->vm, kernel, &header))
		return load_fail(err, kernel, -ENOEXEC,
				 "it has no multiboot header in its first 8 KiB");
	if (header.flags & FLAGS_MUST_KNOW & ~FLAGS_KNOWN)
		return load_fail(err, kernel, -ENOEXEC,
				 "its multiboot header asks for unknown features, flags %xh",
				 header.flags);
	if (header.flags & FLAG_ADDRESSES) {
		*entry = header.entry_addr;
		rc = load_by_addresses(in, kernel, &header, image, err);
	} else {
		if (elf_detect(in->vm, kernel, &is64) && is64)
			return load_fail(err, kernel, -ENOEXEC,
					 "it is a 64-bit ELF file; multiboot starts 32-bit ones");
		rc = elf_open(&elf, in->vm, kernel, err);
		if (!rc)
			rc = elf_load(&elf, in, image, err);
		*entry = elf.entry;
	}
	if (!rc && (*entry < image->low || *entry >= image->high))
		rc = load_fail(err, kernel, -ENOEXEC, "its entry %lxh lies outside of it",
			       (unsigned long)*entry);
	return rc;
}

static int write_mmap(const struct load_input *in, u64 at)
{
	struct load_range map[LOAD_RANGES_MAX];
	unsigned count = load_memory_map(in, map);
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++) {
		struct mmap_entry entry = {.size = sizeof(entry) - sizeof(entry.size),
					   .type = map[i].type};

		memcpy(entry.base, &map[i].base, sizeof(entry.base));
		memcpy(entry.length, &map[i].size, sizeof(entry.length));
		err = guest_write(in->vm, GPA(at + i * sizeof(entry)), &entry, sizeof(entry));
	}
	return err;
}

/* The guest's name is the first word of its command line, as a file name would be. */
static int write_strings(const struct load_input *in, const struct vm_module *kernel, u64 *text)
{
	int err = load_put_text(in->vm, text, LOADER_NAME);

	if (!err)
		err = load_put_text(in->vm, text, in->name);
	if (err || kernel->cmdline[0] == '\0')
		return err;
	err = guest_write(in->vm, GPA(*text - 1), " ", 1);
	return err ? err : load_put_text(in->vm, text, kernel->cmdline);
}

static int write_modules(const struct load_input *in, struct load_span *image, u64 list, u64 text,
			 struct load_error *err)
{
	for (unsigned i = 0; i < in->module_count; i++) {
		const struct vm_module *module = &in->modules[i];
		struct module_entry entry = {.string = text};
		u64 at;
		int rc;

		if (!load_is_companion(module))
			continue;
		rc = load_place_module(in, module, image, &at, err);
		if (rc)
			return rc;
		entry.start = at;
		entry.end = at + module->size;
		if (guest_write(in->vm, GPA(list), &entry, sizeof(entry)) ||
		    load_put_text(in->vm, &text, module->cmdline))
			return load_fail(err, module, -ENOMEM, "its entry cannot be written");
		list += sizeof(entry);
	}
	return 0;
}

static int multiboot_load(const struct load_input *in, struct load_result *out,
			  struct load_error *err)
{
	const struct vm_module *kernel = load_find(in, MODULE_MULTIBOOT);
	struct info info = {.flags = INFO_FLAGS, .boot_device = INFO_BOOT_DEVICE};
	struct load_range map[LOAD_RANGES_MAX];
	struct load_span image;
	u64 base, text, entry;
	int rc = load_kernel(in, kernel, &image, &entry, err);

	if (rc)
		return rc;
	info.mods_count = load_companions(in, &text);
	info.mmap_length = load_memory_map(in, map) * sizeof(struct mmap_entry);
	/* name, a blank, command line, NUL */
	text += sizeof(LOADER_NAME) + strlen(in->name) + 1 + strlen(kernel->cmdline) + 1;
	if (load_place_tables(in, &image,
			      sizeof(info) + info.mmap_length +
				      info.mods_count * sizeof(struct module_entry) + text,
			      &base))
		return load_fail(err, kernel, -ENOMEM, "no room in RAM for its boot information");
	info.mem_lower = GUEST_LOW_RAM_END >> 10;
	info.mem_upper = (in->ram_below_4g - GUEST_RAM_1M) >> 10;
	info.mmap_addr = base + sizeof(info);
	info.mods_addr = info.mmap_addr + info.mmap_length;
	text = info.boot_loader_name = info.mods_addr + info.mods_count * sizeof(struct module_entry);
	info.cmdline = text + sizeof(LOADER_NAME);
	if (guest_write(in->vm, GPA(base), &info, sizeof(info)) || write_mmap(in, info.mmap_addr) ||
	    write_strings(in, kernel, &text))
		return load_fail(err, kernel, -ENOMEM, "its boot information cannot be written");
	rc = write_modules(in, &image, info.mods_addr, text, err);
	if (rc)
		return rc;
	load_state_protected32(out, entry);
	out->regs.gpr[GPR_RAX] = LOADER_MAGIC;
	out->regs.gpr[GPR_RBX] = base;
	return 0;
}

const struct loader load_multiboot = {
	.kind = MODULE_MULTIBOOT,
	.name = "multiboot",
	.detect = multiboot_detect,
	.load = multiboot_load,
};
