/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage by the 64-bit entry of the boot protocol ("The Linux/x86 Boot
 * Protocol", chapters "The Real-Mode Kernel Header" and "64-bit Boot
 * Protocol"), without patching the kernel. The start-up tables lie in low RAM,
 * which the memory map gives to the kernel whole: it has left or copied them
 * before it uses that memory.
 *
 *   1000h GDT, 2000h-7FFFh page tables (4 GiB by 2 MiB pages), 8000h zero
 *   page, 9000h command line; the kernel at its preferred address; initrds,
 *   joined, as high as initrd_addr_max and low RAM allow
 */
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"
#include "vmm/load.h"

#define GDT_BASE       0x1000ull
#define PML4_BASE      0x2000ull
#define PDPT_BASE      0x3000ull
#define PD_BASE	       0x4000ull /* four of them */
#define ZERO_PAGE_BASE 0x8000ull
#define CMDLINE_BASE   0x9000ull
#define CMDLINE_MAX    0x10000ull

#define ENTRY_64      0x200u
#define SECTOR_SIZE   512u
#define DEFAULT_SETUP 4u /* sectors, where the header says 0 */

#define BOOT_FLAG	 0xaa55
#define HEADER_MAGIC	 0x53726448 /* "HdrS" */
#define VERSION_XLF	 0x020c	    /* the first with xloadflags */
#define LOADED_HIGH	 BIT(0)
#define XLF_KERNEL_64	 BIT(0)
#define LOADER_UNDEFINED 0xff

#define PTE_PRESENT BIT(0)
#define PTE_WRITE   BIT(1)
#define PTE_LARGE   BIT(7)

/* Offsets in the zero page; those of the setup header are the same in the image. */
enum {
	ZP_EXT_RAMDISK_IMAGE = 0x0c0,
	ZP_EXT_RAMDISK_SIZE = 0x0c4,
	ZP_EXT_CMDLINE = 0x0c8,
	ZP_E820_ENTRIES = 0x1e8,
	HDR_START = 0x1f1,
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP_OFFSET = 0x201,
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_TYPE_OF_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_CODE32_START = 0x214,
	HDR_RAMDISK_IMAGE = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_CMDLINE = 0x228,
	HDR_INITRD_ADDR_MAX = 0x22c,
	HDR_KERNEL_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END_MIN = 0x264, /* behind the last field that is read */
	HDR_END_MAX = 0x290, /* where the zero page's next field begins */
	ZP_E820_TABLE = 0x2d0,
	E820_ENTRY_SIZE = 20,
};

/* The setup header as read, and where everything goes. */
struct plan {
	const struct load_input *in;
	const struct vm_module *kernel;
	u8 header[HDR_END_MAX - HDR_START];
	u32 header_end; /* offset in the zero page */
	u64 payload;	/* offset of the protected-mode code in the image */
	u64 base;	/* where it is loaded */
	u64 end;	/* end of all memory it needs */
	u64 initrd, initrd_size;
};

static u64 field(const struct plan *p, unsigned offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, &p->header[offset - HDR_START], size);
	return value;
}

static void set_field(struct plan *p, unsigned offset, unsigned size, u64 value)
{
	memcpy(&p->header[offset - HDR_START], &value, size);
}

static bool linux_detect(struct vm *vm, const struct vm_module *module)
{
	u16 flag;
	u32 magic;

	return mem_read(vm, module->mem, HDR_BOOT_FLAG, &flag, sizeof(flag)) == 0 &&
	       mem_read(vm, module->mem, HDR_MAGIC, &magic, sizeof(magic)) == 0 &&
	       flag == BOOT_FLAG && magic == HEADER_MAGIC;
}

/* Reads the header once and checks that this kernel has a 64-bit entry. */
static int read_header(struct plan *p, struct load_error *err)
{
	const struct vm_module *kernel = p->kernel;
	u8 jump;
	u64 version;

	if (!linux_detect(p->in->vm, kernel) ||
	    mem_read(p->in->vm, kernel->mem, HDR_JUMP_OFFSET, &jump, sizeof(jump)))
		return load_fail(err, kernel, -ENOEXEC, "it is not a Linux bzImage");
	p->header_end = MIN(HDR_MAGIC + (u32)jump, (u32)HDR_END_MAX);
	if (mem_read(p->in->vm, kernel->mem, HDR_START, p->header, p->header_end - HDR_START))
		return load_fail(err, kernel, -ENOEXEC, "it is cut off within its setup header");
	version = field(p, HDR_VERSION, 2);
	if (version < VERSION_XLF || p->header_end < HDR_END_MIN ||
	    !(field(p, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return load_fail(err, kernel, -ENOEXEC,
				 "this bzImage (boot protocol %lu.%02lu) has no 64-bit entry",
				 (unsigned long)(version >> 8), (unsigned long)(version & 0xff));
	if (!(field(p, HDR_LOADFLAGS, 1) & LOADED_HIGH))
		return load_fail(err, kernel, -ENOEXEC, "it is a zImage, loaded below 1 MiB");
	return 0;
}

/* Where the kernel goes: the preferred address, to which it would move itself anyway. */
static int place_kernel(struct plan *p, struct load_error *err)
{
	u64 sectors = field(p, HDR_SETUP_SECTS, 1);
	u64 alignment = field(p, HDR_KERNEL_ALIGNMENT, 4);
	u64 size;

	p->payload = ((sectors ? sectors : DEFAULT_SETUP) + 1) * SECTOR_SIZE;
	if (p->payload + ENTRY_64 >= p->kernel->size ||
	    field(p, HDR_SYSSIZE, 4) * 16 > p->kernel->size - p->payload)
		return load_fail(err, p->kernel, -ENOEXEC,
				 "it is cut off: its header tells of %lu bytes",
				 (unsigned long)(p->payload + field(p, HDR_SYSSIZE, 4) * 16));
	p->base = field(p, HDR_PREF_ADDRESS, 8);
	if (p->base < GUEST_RAM_1M) {
		if (!field(p, HDR_RELOCATABLE, 1) || alignment == 0 ||
		    (alignment & (alignment - 1)))
			return load_fail(err, p->kernel, -ENOEXEC,
					 "it must be loaded at %lxh, below 1 MiB",
					 (unsigned long)p->base);
		p->base = ALIGN_UP(GUEST_RAM_1M, alignment);
	}
	size = MAX(field(p, HDR_INIT_SIZE, 4), p->kernel->size - p->payload);
	if (!load_in_ram(p->in, p->base, size))
		return load_fail(err, p->kernel, -ENOMEM,
				 "it needs %lu KiB of RAM from %lxh on, and RAM ends at %lxh",
				 (unsigned long)((size + 1023) >> 10), (unsigned long)p->base,
				 (unsigned long)p->in->ram_below_4g);
	p->end = p->base + size;
	return 0;
}

static int place_initrd(struct plan *p, struct load_error *err)
{
	u64 top = MIN(field(p, HDR_INITRD_ADDR_MAX, 4) + 1, p->in->ram_below_4g);
	u64 room = top > p->end ? top - p->end : 0;

	for (unsigned i = 0; i < p->in->module_count; i++) {
		const struct vm_module *module = &p->in->modules[i];

		if (module->kind != MODULE_INITRD)
			continue;
		/* room is below 4 GiB, so nothing here wraps */
		if (module->size > room || ALIGN_UP(p->initrd_size, 4) > room - module->size)
			return load_fail(err, module, -ENOMEM,
					 "the initrd does not fit between the kernel's end %lxh "
					 "and %lxh",
					 (unsigned long)p->end, (unsigned long)top);
		p->initrd_size = ALIGN_UP(p->initrd_size, 4) + module->size;
	}
	if (p->initrd_size == 0)
		return 0;
	p->initrd = ALIGN_DOWN(top - p->initrd_size, PAGE_SIZE);
	if (p->initrd < p->end)
		return load_fail(err, p->kernel, -ENOMEM,
				 "its initrd of %lu bytes does not fit above it in RAM",
				 (unsigned long)p->initrd_size);
	return 0;
}

static int copy_images(const struct plan *p)
{
	struct vm *vm = p->in->vm;
	u64 at = p->initrd;
	int err = guest_copy_from(vm, GPA(p->base), p->kernel->mem, p->payload,
				  p->kernel->size - p->payload);

	for (unsigned i = 0; i < p->in->module_count && !err; i++) {
		const struct vm_module *module = &p->in->modules[i];

		if (module->kind != MODULE_INITRD)
			continue;
		at = ALIGN_UP(at, 4);
		err = guest_copy_from(vm, GPA(at), module->mem, 0, module->size);
		at += module->size;
	}
	return err;
}

static int write_e820(struct vm *vm, const struct load_input *in)
{
	struct load_range map[LOAD_RANGES_MAX];
	u8 entries = load_memory_map(in, map);
	int err = guest_write(vm, GPA(ZERO_PAGE_BASE + ZP_E820_ENTRIES), &entries, 1);

	for (unsigned i = 0; i < entries && !err; i++) {
		u8 entry[E820_ENTRY_SIZE];

		memcpy(entry, &map[i].base, 8);
		memcpy(entry + 8, &map[i].size, 8);
		memcpy(entry + 16, &map[i].type, 4);
		err = guest_write(vm, GPA(ZERO_PAGE_BASE + ZP_E820_TABLE + i * sizeof(entry)),
				  entry, sizeof(entry));
	}
	return err;
}

/* The zero page: nothing but the header with the loader's fields, and the memory map. */
static int write_zero_page(struct plan *p)
{
	struct vm *vm = p->in->vm;
	const u32 high[3] = {p->initrd >> 32, p->initrd_size >> 32, CMDLINE_BASE >> 32};
	int err;

	_Static_assert(ZP_EXT_RAMDISK_SIZE == ZP_EXT_RAMDISK_IMAGE + 4 &&
		       ZP_EXT_CMDLINE == ZP_EXT_RAMDISK_IMAGE + 8, "three fields in a row");
	set_field(p, HDR_TYPE_OF_LOADER, 1, LOADER_UNDEFINED);
	set_field(p, HDR_CODE32_START, 4, p->base);
	set_field(p, HDR_RAMDISK_IMAGE, 4, p->initrd);
	set_field(p, HDR_RAMDISK_SIZE, 4, p->initrd_size);
	set_field(p, HDR_CMDLINE, 4, CMDLINE_BASE);
	err = guest_write(vm, GPA(ZERO_PAGE_BASE + HDR_START), p->header,
			  p->header_end - HDR_START);
	if (!err)
		err = guest_write(vm, GPA(ZERO_PAGE_BASE + ZP_EXT_RAMDISK_IMAGE), high,
				  sizeof(high));
	if (!err)
		err = write_e820(vm, p->in);
	if (!err)
		err = guest_write(vm, GPA(CMDLINE_BASE), p->kernel->cmdline,
				  strlen(p->kernel->cmdline) + 1);
	return err;
}

/* 4 GiB mapped to themselves, and the flat segments that the protocol names. */
static int write_cpu_tables(struct vm *vm)
{
	static const u64 gdt[] = {0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull};
	const u64 pml4e = PDPT_BASE | PTE_WRITE | PTE_PRESENT;
	u64 entries[64];
	int err = guest_write(vm, GPA(GDT_BASE), gdt, sizeof(gdt));

	if (!err)
		err = guest_write(vm, GPA(PML4_BASE), &pml4e, sizeof(pml4e));
	for (u64 i = 0; i < 4; i++)
		entries[i] = (PD_BASE + i * PAGE_SIZE) | PTE_WRITE | PTE_PRESENT;
	if (!err)
		err = guest_write(vm, GPA(PDPT_BASE), entries, 4 * sizeof(u64));
	for (u64 i = 0; i < 4 * 512 && !err; i += ARRAY_SIZE(entries)) {
		for (u64 k = 0; k < ARRAY_SIZE(entries); k++)
			entries[k] = MIB(2) * (i + k) | PTE_LARGE | PTE_WRITE | PTE_PRESENT;
		err = guest_write(vm, GPA(PD_BASE + i * sizeof(u64)), entries, sizeof(entries));
	}
	return err;
}

static int linux_load(const struct load_input *in, struct load_result *out,
		      struct load_error *err)
{
	struct plan p = {.in = in, .kernel = load_find(in, MODULE_LINUX)};
	u64 cmdline = strlen(p.kernel->cmdline), cmdline_max;
	int rc = read_header(&p, err);

	if (!rc)
		rc = place_kernel(&p, err);
	if (!rc)
		rc = place_initrd(&p, err);
	if (rc)
		return rc;
	cmdline_max = MIN(field(&p, HDR_CMDLINE_SIZE, 4), CMDLINE_MAX - 1);
	if (cmdline > cmdline_max)
		return load_fail(err, p.kernel, -ENOEXEC,
				 "its command line has %lu bytes; this kernel takes %lu at most",
				 (unsigned long)cmdline, (unsigned long)cmdline_max);
	if (copy_images(&p) || write_zero_page(&p) || write_cpu_tables(in->vm))
		return load_fail(err, p.kernel, -ENOMEM, "it does not fit in the VM's RAM");
	load_state_long64(out, p.base + ENTRY_64, PML4_BASE);
	out->sregs.gdt = (struct vcpu_dtable){GDT_BASE, 4 * sizeof(u64) - 1};
	out->regs.gpr[GPR_RSI] = ZERO_PAGE_BASE;
	return 0;
}

const struct loader load_linux = {
	.kind = MODULE_LINUX,
	.name = "linux",
	.detect = linux_detect,
	.load = linux_load,
};
