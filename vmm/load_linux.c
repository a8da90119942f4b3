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
#include "arch/lib/string.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"
#include "vmm/job.h"
#include "vmm/load.h"

#define GDT_BASE       0x1000ull
#define PML4_BASE      0x2000ull
#define PDPT_BASE      0x3000ull
#define PD_BASE	       0x4000ull /* four of them */
#define ZERO_PAGE_BASE 0x8000ull
#define CMDLINE_BASE   0x9000ull
#define CMDLINE_MAX    0x10000u

#define E820_ENTRY    20u /* bytes */
#define ENTRY_64      0x200u
#define SECTOR_SIZE   512u
#define DEFAULT_SETUP 4u /* sectors, where the header says 0 */

#define BOOT_FLAG	 0xaa55
#define HEADER_MAGIC	 0x53726448 /* "HdrS" */
#define VERSION_XLF	 0x020c	    /* the first with xloadflags */
#define LOADED_HIGH	 BIT(0)
#define XLF_KERNEL_64	 BIT(0)
#define LOADER_UNDEFINED 0xff

enum { PTE_PRESENT = BIT(0), PTE_WRITE = BIT(1), PTE_LARGE = BIT(7) };

/* In the zero page. */
enum { ZP_RSDP = 0x070, ZP_E820_ENTRIES = 0x1e8, ZP_HEADER = 0x1f1, ZP_E820_TABLE = 0x2d0 };

/* The setup header, at the same place in the image and in the zero page. */
struct setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize;
	u16 ram_size, vid_mode, root_dev, boot_flag;
	u8 jump, jump_offset;
	u32 magic;
	u16 version;
	u32 realmode_swtch;
	u16 start_sys_seg, kernel_version;
	u8 type_of_loader, loadflags;
	u16 setup_move_size;
	u32 code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	u16 heap_end_ptr, ext_loader;
	u32 cmd_line_ptr, initrd_addr_max, kernel_alignment;
	u8 relocatable_kernel, min_alignment;
	u16 xloadflags;
	u32 cmdline_size, hardware_subarch;
	u64 hardware_subarch_data;
	u32 payload_offset, payload_length;
	u64 setup_data, pref_address;
	u32 init_size;
	u8 rest[0x2c]; /* up to the zero page's next field */
} __attribute__((packed));

#define JUMP_BASE offsetof(struct setup_header, magic) /* jump_offset counts from here */
#define LENGTH_MIN offsetof(struct setup_header, rest)

_Static_assert(ZP_HEADER + offsetof(struct setup_header, init_size) == 0x260, "no field left out");
_Static_assert(ZP_HEADER + sizeof(struct setup_header) == 0x290, "up to the next field");

/* What is being loaded, and where everything goes. */
struct plan {
	const struct load *load;
	struct setup_header h;
	u64 payload; /* offset of the protected-mode code in the image */
	u64 base;    /* where it is loaded */
	u64 end;     /* end of all memory it needs */
	u64 initrd, initrd_size;
};

static bool read_header(struct vm *vm, const struct vm_module *module, struct setup_header *h)
{
	/* Every image is longer: its code follows a boot sector and a sector of setup. */
	return mem_read(vm, module->mem, ZP_HEADER, h, sizeof(*h)) == 0 &&
	       h->boot_flag == BOOT_FLAG && h->magic == HEADER_MAGIC;
}

static bool linux_detect(struct vm *vm, const struct vm_module *module)
{
	struct setup_header h;

	return read_header(vm, module, &h);
}

/* Checks that this kernel has a 64-bit entry, and cuts the header where it ends. */
static int check_header(struct plan *p)
{
	struct setup_header *h = &p->h;
	size_t length = JUMP_BASE + h->jump_offset;

	if (h->version < VERSION_XLF || length < LENGTH_MIN || !(h->xloadflags & XLF_KERNEL_64))
		return load_bad(p->load, "this bzImage (boot protocol %u.%02u) has no 64-bit entry",
				h->version >> 8, h->version & 0xff);
	if (!(h->loadflags & LOADED_HIGH))
		return load_bad(p->load, "it is a zImage, loaded below 1 MiB");
	if (length < sizeof(*h))
		memset((u8 *)h + length, 0, sizeof(*h) - length);
	return 0;
}

/* Where the kernel goes: the preferred address, to which it would move itself anyway. */
static int place_kernel(struct plan *p)
{
	u64 alignment = p->h.kernel_alignment, code = p->h.syssize * 16ul;
	u64 file = p->load->kernel->size, size;

	p->payload = ((p->h.setup_sects ? p->h.setup_sects : DEFAULT_SETUP) + 1) * SECTOR_SIZE;
	if (p->payload + ENTRY_64 >= file || code > file - p->payload)
		return load_bad(p->load, "it is cut off: its header tells of %lu bytes",
				p->payload + code);
	p->base = p->h.pref_address;
	if (p->base < GUEST_RAM_1M) {
		if (!p->h.relocatable_kernel || alignment == 0 || (alignment & (alignment - 1)))
			return load_bad(p->load, "it must be loaded at %lxh, below 1 MiB", p->base);
		p->base = ALIGN_UP(GUEST_RAM_1M, alignment);
	}
	size = MAX(p->h.init_size, file - p->payload);
	if (!load_in_ram(p->load->in, p->base, size))
		return load_no_room(p->load,
				    "it needs %lu KiB of RAM from %lxh on, and RAM ends at %lxh",
				    (size + 1023) >> 10, p->base, p->load->in->ram_below_4g);
	p->end = p->base + size;
	return 0;
}

/* Room for all initrds behind one another, each 4-byte aligned. */
static int place_initrd(struct plan *p)
{
	const struct load_input *in = p->load->in;
	u64 top = MIN(p->h.initrd_addr_max + 1ul, in->ram_below_4g);
	u64 bottom = ALIGN_UP(p->end, PAGE_SIZE), room = top > bottom ? top - bottom : 0;

	for (unsigned i = 0; i < in->module_count; i++) {
		const struct vm_module *module = &in->modules[i];
		u64 before = ALIGN_UP(p->initrd_size, 4);

		if (module->kind != MODULE_INITRD)
			continue;
		/* room is below 4 GiB, so nothing here wraps */
		if (module->size > room || before > room - module->size)
			return load_fail(p->load->err, module, -ENOMEM,
					 "the initrd does not fit between the kernel's end %lxh "
					 "and %lxh", p->end, top);
		p->initrd_size = before + module->size;
	}
	if (p->initrd_size > 0)
		p->initrd = ALIGN_DOWN(top - p->initrd_size, PAGE_SIZE);
	return 0;
}

static bool copy_images(const struct plan *p)
{
	const struct load_input *in = p->load->in;
	const struct vm_module *kernel = p->load->kernel;
	u64 at = p->initrd;

	if (guest_copy_from(in->vm, GPA(p->base), kernel->mem, p->payload,
			    kernel->size - p->payload))
		return false;
	for (unsigned i = 0; i < in->module_count; i++) {
		const struct vm_module *module = &in->modules[i];

		if (module->kind != MODULE_INITRD)
			continue;
		if (guest_copy_from(in->vm, GPA(at), module->mem, 0, module->size))
			return false;
		at = ALIGN_UP(at + module->size, 4);
	}
	return true;
}

/* The zero page: nothing but the header with the loader's fields, memory map and RSDP. */
static bool write_zero_page(struct plan *p)
{
	const char *cmdline = p->load->kernel->cmdline;
	struct vm *vm = p->load->in->vm;
	int count = load_put_map(p->load->in, ZERO_PAGE_BASE + ZP_E820_TABLE,
				 offsetof(struct load_range, base), E820_ENTRY);
	u8 entries = count;

	p->h.type_of_loader = LOADER_UNDEFINED;
	p->h.code32_start = p->base;
	p->h.ramdisk_image = p->initrd;
	p->h.ramdisk_size = p->initrd_size;
	p->h.cmd_line_ptr = CMDLINE_BASE;
	return count >= 0 &&
	       !guest_write(vm, GPA(ZERO_PAGE_BASE + ZP_E820_ENTRIES), &entries, 1) &&
	       !guest_write(vm, GPA(ZERO_PAGE_BASE + ZP_RSDP), &p->load->in->rsdp, sizeof(u64)) &&
	       !guest_write(vm, GPA(ZERO_PAGE_BASE + ZP_HEADER), &p->h, sizeof(p->h)) &&
	       !guest_write(vm, GPA(CMDLINE_BASE), cmdline, strlen(cmdline) + 1);
}

/* Entries of a page table for first, first + step, and so on. */
static bool write_entries(struct vm *vm, u64 at, u64 first, u64 step, unsigned count)
{
	u64 entries[64];

	for (u64 i = 0; i < count; i += ARRAY_SIZE(entries), job_yield()) {
		for (u64 k = 0; k < ARRAY_SIZE(entries); k++)
			entries[k] = (first + (i + k) * step) | PTE_WRITE | PTE_PRESENT;
		if (guest_write(vm, GPA(at + i * sizeof(u64)), entries,
				MIN(count - i, ARRAY_SIZE(entries)) * sizeof(u64)))
			return false;
	}
	return true;
}

/* 4 GiB mapped to themselves, and the flat segments that the protocol names. */
static bool write_cpu_tables(struct vm *vm)
{
	static const u64 gdt[] = {0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull};

	return !guest_write(vm, GPA(GDT_BASE), gdt, sizeof(gdt)) &&
	       write_entries(vm, PML4_BASE, PDPT_BASE, 0, 1) &&
	       write_entries(vm, PDPT_BASE, PD_BASE, PAGE_SIZE, 4) &&
	       write_entries(vm, PD_BASE, PTE_LARGE, MIB(2), 4 * 512);
}

static int linux_load(struct load *load)
{
	struct plan p = {.load = load};
	u64 cmdline = strlen(load->kernel->cmdline), cmdline_max;
	struct vm *vm = load->in->vm;
	int rc;

	if (!read_header(vm, load->kernel, &p.h))
		return load_bad(load, "it is not a Linux bzImage");
	rc = check_header(&p) ?: place_kernel(&p) ?: place_initrd(&p);
	if (rc)
		return rc;
	cmdline_max = MIN(p.h.cmdline_size, CMDLINE_MAX - 1);
	if (cmdline > cmdline_max)
		return load_bad(load, "its command line has %lu bytes; this kernel takes %lu at most",
				cmdline, cmdline_max);
	if (!copy_images(&p) || !write_zero_page(&p) || !write_cpu_tables(vm))
		return load_no_room(load, "it does not fit in the VM's RAM");
	load_state_long64(load->out, p.base + ENTRY_64, PML4_BASE);
	load->out->sregs.gdt = (struct vcpu_dtable){GDT_BASE, 4 * sizeof(u64) - 1};
	load->out->regs.gpr[GPR_RSI] = ZERO_PAGE_BASE;
	return 0;
}

const struct loader load_linux = {
	.kind = MODULE_LINUX, .name = "linux", .detect = linux_detect, .load = linux_load,
};
