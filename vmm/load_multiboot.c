/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 1 kernels: 32-bit ELF files, or flat files whose header tells
 * their addresses ("Multiboot Specification 0.6.96", chapters "OS image
 * format", "Machine state" and "Boot information format"). What a kernel asks
 * of the video mode is not granted; the specification leaves that open.
 */
#include "arch/lib/string.h"
#include "vmm/elf.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"
#include "vmm/job.h"

#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u
#define SEARCH_LENGTH 8192u

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
#define HEADER_SHORT offsetof(struct header, header_addr)
#define HEADER_LONG  offsetof(struct header, offset)

struct info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline;
	u32 mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
	u32 drives_length, drives_addr, config_table, boot_loader_name, rest[12];
	char loader_name[12]; /* behind what the specification knows */
};

#define MODULE_ENTRY (4 * sizeof(u32))

_Static_assert(offsetof(struct info, loader_name) == 116,
	       "multiboot information, framebuffer included");

/* Finds the header; false where there is none. */
static bool find_header(struct vm *vm, const struct vm_module *module, struct header *header)
{
	u64 end = MIN(module->size, SEARCH_LENGTH);

	for (u64 at = 0; at + HEADER_SHORT <= end; at += 4) {
		if (at % KIB(1) == 0)
			job_yield();
		memset(header, 0, sizeof(*header));
		header->offset = at;
		if (mem_read(vm, module->mem, at, header, MIN(end - at, HEADER_LONG)))
			return false;
		if (header->magic == HEADER_MAGIC &&
		    header->magic + header->flags + header->checksum == 0)
			return !(header->flags & FLAG_ADDRESSES) || end - at >= HEADER_LONG;
	}
	return false;
}

static bool multiboot_detect(struct vm *vm, const struct vm_module *module)
{
	unsigned bits = elf_bits(vm, module);
	struct header header;

	return find_header(vm, module, &header) &&
	       (bits == 32 || (bits == 64 && !load_pvh.detect(vm, module)) ||
		(bits == 0 && (header.flags & FLAG_ADDRESSES)));
}

/* A file without ELF structure: the header says what goes where. */
static int load_by_addresses(struct load *load, const struct header *h)
{
	u64 skip = (u64)h->header_addr - h->load_addr, offset = h->offset - skip;
	u64 filesz = load->kernel->size - offset, memsz;

	if (h->header_addr < h->load_addr || skip > h->offset ||
	    (h->load_end_addr && h->load_end_addr < h->load_addr))
		return load_bad(load, "the addresses in its multiboot header contradict each other");
	if (h->load_end_addr)
		filesz = h->load_end_addr - h->load_addr;
	if (filesz > load->kernel->size - offset)
		return load_bad(load, "it is cut off: its header tells of %lu bytes",
				offset + filesz);
	memsz = MAX(filesz, MAX(h->bss_end_addr, h->load_addr) - h->load_addr);
	if (!load_put_segment(load, offset, filesz, h->load_addr, memsz))
		return load_no_room(load, "%lu bytes at %xh do not fit in the VM's RAM", memsz,
				    h->load_addr);
	load->image = (struct load_span){h->load_addr, h->load_addr + memsz};
	load->entry = h->entry_addr;
	return 0;
}

/* Loads the kernel in whichever form it has. */
static int load_kernel(struct load *load)
{
	struct vm *vm = load->in->vm;
	struct header header;
	struct elf elf;

	if (!find_header(vm, load->kernel, &header))
		return load_bad(load, "it has no multiboot header in its first 8 KiB");
	if (header.flags & FLAGS_MUST_KNOW & ~FLAGS_KNOWN)
		return load_bad(load, "its multiboot header asks for unknown features, flags %xh",
				header.flags);
	if (header.flags & FLAG_ADDRESSES)
		return load_by_addresses(load, &header);
	if (elf_bits(vm, load->kernel) == 64)
		return load_bad(load, "it is a 64-bit ELF file; multiboot starts 32-bit ones");
	return elf_open(&elf, vm, load->kernel, load->err) ?: elf_load(&elf, load);
}

/* Four words: start, end, command line, reserved. */
static void put_module(u64 entry[4], u64 at, u64 size, u64 cmdline)
{
	entry[0] = at | (at + size) << 32;
	entry[1] = cmdline;
}

static int multiboot_load(struct load *load)
{
	/* The guest's name is the first word of the command line, as a file name would be. */
	struct load_info info = {.header_size = sizeof(struct info), .entry_size = MODULE_ENTRY,
				 .put_module = put_module, .first_word = load->in->name};
	struct info header;
	int rc = load_kernel(load) ?: load_put_info(load, &info);

	if (rc)
		return rc;
	header = (struct info){
		.flags = INFO_FLAGS, .boot_device = INFO_BOOT_DEVICE, .cmdline = info.cmdline,
		.mem_lower = GUEST_LOW_RAM_END >> 10,
		.mem_upper = (load->in->ram_below_4g - GUEST_RAM_1M) >> 10,
		.mods_count = info.module_count, .mods_addr = info.modules,
		.mmap_length = info.map_count * LOAD_MAP_ENTRY, .mmap_addr = info.map,
		.boot_loader_name = info.base + offsetof(struct info, loader_name),
		.loader_name = "Trivet",
	};
	rc = load_put_header(load, &info, &header);
	load->out->regs.gpr[GPR_RAX] = LOADER_MAGIC;
	return rc;
}

const struct loader load_multiboot = {
	.kind = MODULE_MULTIBOOT, .name = "multiboot",
	.detect = multiboot_detect, .load = multiboot_load,
};
