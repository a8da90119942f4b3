/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all loaders share: which module is the kernel and of which kind, the
 * memory map, room for tables and modules, and the processor's start states.
 * A kernel with both a multiboot header and a PVH note counts as multiboot,
 * unless it is a 64-bit ELF file, which multiboot 1 cannot start.
 */
#include "vmm/load.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

/* Segment types, SDM "Code- and Data-Segment Descriptor Types". */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_LDT  0x2
#define TYPE_TSS  0xb /* busy */

#define INFO_BASE 0x20000ull

/* In the order of detection, with what a module beside each kernel may be. */
static const struct {
	const struct loader *loader;
	enum module_kind companion; /* of a module of no stated kind */
	u32 allowed;		    /* BIT(kind) of companions */
} loaders[] = {
	{&load_linux, MODULE_INITRD, BIT(MODULE_INITRD)},
	{&load_multiboot, MODULE_DATA, BIT(MODULE_DATA) | BIT(MODULE_INITRD)},
	{&load_pvh, MODULE_DATA, BIT(MODULE_DATA) | BIT(MODULE_INITRD)},
	{&load_flat, MODULE_AUTO, 0},
};

/* Index in loaders of a kind, or -1 for a kind that is no kernel. */
static int find_loader(enum module_kind kind)
{
	for (unsigned i = 0; i < ARRAY_SIZE(loaders); i++)
		if (loaders[i].loader->kind == kind)
			return i;
	return -1;
}

static int detect(struct vm *vm, const struct vm_module *module)
{
	for (unsigned i = 0; i < ARRAY_SIZE(loaders); i++)
		if (loaders[i].loader->detect && loaders[i].loader->detect(vm, module))
			return i;
	return -1;
}

/* The module that is stated to be the kernel, else the first of no stated kind. */
static struct vm_module *find_kernel(struct vm_module *modules, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (find_loader(modules[i].kind) >= 0)
			return &modules[i];
	for (unsigned i = 0; i < count; i++)
		if (modules[i].kind == MODULE_AUTO)
			return &modules[i];
	return NULL;
}

int load_fail(struct load_error *err, const struct vm_module *module, int code, const char *fmt,
	      ...)
{
	int used = 0;

	if (module)
		used = str_format(err->text, sizeof(err->text), "module %u (%lu bytes): ",
				  module->number, module->size);
	STR_FORMAT_REST(err->text + used, sizeof(err->text) - used, fmt);
	return code;
}

int load_identify(struct vm *vm, struct vm_module *modules, unsigned count,
		  struct load_error *err)
{
	struct vm_module *kernel = find_kernel(modules, count);
	int index;

	if (!kernel)
		return load_fail(err, NULL, -ENOEXEC, "none of the modules is a kernel");
	index = kernel->kind == MODULE_AUTO ? detect(vm, kernel) : find_loader(kernel->kind);
	if (index < 0)
		return load_fail(err, kernel, -ENOEXEC,
				 "it is no Linux bzImage and no multiboot or PVH ELF file; "
				 "state another kind with kind=");
	kernel->kind = loaders[index].loader->kind;
	for (struct vm_module *m = modules; m < modules + count; m++) {
		if (m == kernel)
			continue;
		if (find_loader(m->kind) >= 0)
			return load_fail(err, m, -ENOEXEC,
					 "module %u is the VM's kernel already: a second "
					 "one needs a vm= of its own",
					 kernel->number);
		if (m->kind == MODULE_AUTO)
			m->kind = loaders[index].companion;
		if (!(loaders[index].allowed & BIT(m->kind)))
			return load_fail(err, m, -ENOEXEC,
					 "a module like this has no use beside a kernel of kind=%s",
					 loaders[index].loader->name);
	}
	return 0;
}

int load_guest(const struct load_input *in, struct load_result *out, struct load_error *err)
{
	err->text[0] = '\0';
	for (unsigned i = 0; i < in->module_count; i++) {
		int index = find_loader(in->modules[i].kind);

		if (index >= 0)
			return loaders[index].loader->load(&(struct load){
				.in = in, .kernel = &in->modules[i], .out = out, .err = err});
	}
	return load_fail(err, NULL, -ENOEXEC, "none of the modules is a kernel");
}

static bool within(u64 base, u64 size, u64 low, u64 high)
{
	return base >= low && base <= high && size <= high - base;
}

bool load_in_ram(const struct load_input *in, u64 base, u64 size)
{
	return within(base, size, 0, MIN(GUEST_LOW_RAM_END, in->ram_below_4g)) ||
	       within(base, size, GUEST_RAM_1M, in->ram_below_4g);
}

bool load_put_segment(const struct load *load, u64 offset, u64 filesz, u64 at, u64 memsz)
{
	struct vm *vm = load->in->vm;

	return load_in_ram(load->in, at, memsz) &&
	       !guest_copy_from(vm, GPA(at), load->kernel->mem, offset, filesz) &&
	       !guest_zero(vm, GPA(at + filesz), memsz - filesz);
}

unsigned load_memory_map(const struct load_input *in, struct load_range map[LOAD_RANGES_MAX])
{
	const struct load_range all[LOAD_RANGES_MAX] = {
		{20, 0, MIN(GUEST_LOW_RAM_END, in->ram_below_4g), 1, 0},
		{20, GUEST_BIOS_BASE, GUEST_BIOS_SIZE, 2, 0},
		{20, GUEST_RAM_1M, MAX(in->ram_below_4g, GUEST_RAM_1M) - GUEST_RAM_1M, 1, 0},
		{20, GUEST_ECAM_BASE, GUEST_ECAM_SIZE, 2, 0},
		{20, GUEST_RAM_4G, in->ram_above_4g, 1, 0},
	};
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].size > 0)
			map[count++] = all[i];
	return count;
}

int load_put_map(const struct load_input *in, u64 at, unsigned skip, unsigned size)
{
	struct load_range map[LOAD_RANGES_MAX];
	unsigned count = load_memory_map(in, map);

	for (unsigned i = 0; i < count; i++, at += size)
		if (guest_write(in->vm, GPA(at), (u8 *)&map[i] + skip, size))
			return -EFAULT;
	return count;
}

/* Room on the next page above the image and from 1 MiB on; the image's span grows. */
static bool place_above(struct load *load, u64 size, u64 *at)
{
	*at = ALIGN_UP(MAX(load->image.high, GUEST_RAM_1M), PAGE_SIZE);
	if (!load_in_ram(load->in, *at, size))
		return false;
	load->image.high = *at + size;
	return true;
}

static bool place_info(struct load *load, u64 size, u64 *at)
{
	const struct load_span *image = &load->image;

	*at = INFO_BASE;
	if (load_in_ram(load->in, *at, size) && (image->low >= *at + size || image->high <= *at))
		return true;
	return place_above(load, size, at);
}

/* Writes a string with its last byte, a blank or NUL, at *at, which moves behind it. */
static int put_text(struct vm *vm, u64 *at, const char *text, char last)
{
	u64 len = strlen(text), to = *at;

	*at += len + 1;
	return guest_write(vm, GPA(to), text, len) || guest_write(vm, GPA(to + len), &last, 1);
}

/* Kernels that take modules take those of these kinds. */
static bool is_listed(const struct vm_module *module)
{
	return module->kind == MODULE_DATA || module->kind == MODULE_INITRD;
}

static int put_module(struct load *load, const struct load_info *info,
		      const struct vm_module *module, u64 entry_at, u64 *text)
{
	const struct load_input *in = load->in;
	u64 entry[4] = {0}, at;

	if (!place_above(load, module->size, &at) ||
	    guest_copy_from(in->vm, GPA(at), module->mem, 0, module->size))
		return load_fail(load->err, module, -ENOMEM,
				 "it does not fit in the VM's %lu MiB of RAM above %lxh",
				 in->ram_below_4g >> 20, at);
	info->put_module(entry, at, module->size, *text);
	if (guest_write(in->vm, GPA(entry_at), entry, info->entry_size) ||
	    put_text(in->vm, text, module->cmdline, '\0'))
		return load_fail(load->err, module, -ENOMEM, "its entry cannot be written");
	return 0;
}

int load_put_info(struct load *load, struct load_info *info)
{
	const struct load_input *in = load->in;
	const struct vm_module *end = in->modules + in->module_count;
	const char *first = info->first_word, *cmdline = load->kernel->cmdline;
	u64 text = (first ? strlen(first) + 1 : 0) + strlen(cmdline) + 1, tables, entry;
	int rc = 0;

	if (load->entry < load->image.low || load->entry >= load->image.high)
		return load_bad(load, "its entry %lxh lies outside of it", load->entry);
	for (const struct vm_module *m = in->modules; m < end; m++)
		if (is_listed(m)) {
			info->module_count++;
			text += strlen(m->cmdline) + 1;
		}
	tables = info->header_size + LOAD_RANGES_MAX * LOAD_MAP_ENTRY +
		 (u64)info->module_count * info->entry_size;
	if (!place_info(load, tables + text, &info->base))
		return load_no_room(load, "no room in RAM for its boot information");
	info->map = info->base + info->header_size;
	info->modules = entry = info->map + LOAD_RANGES_MAX * LOAD_MAP_ENTRY;
	info->cmdline = text = info->base + tables;
	info->map_count = load_put_map(in, info->map, info->map_skip, LOAD_MAP_ENTRY);
	if (info->map_count < 0 ||
	    (first && put_text(in->vm, &text, first, cmdline[0] ? ' ' : '\0')) ||
	    put_text(in->vm, &text, cmdline, '\0'))
		return load_no_room(load, "its boot information cannot be written");
	for (const struct vm_module *m = in->modules; m < end && !rc; m++)
		if (is_listed(m)) {
			rc = put_module(load, info, m, entry, &text);
			entry += info->entry_size;
		}
	return rc;
}

int load_put_header(const struct load *load, const struct load_info *info, const void *header)
{
	if (guest_write(load->in->vm, GPA(info->base), header, info->header_size))
		return load_no_room(load, "its boot information cannot be written");
	load_state_protected32(load->out, load->entry);
	load->out->regs.gpr[GPR_RBX] = info->base;
	return 0;
}

/* All segments as `data`, CS as code of the same size. */
static void start_state(struct load_result *out, u64 rip, u64 cr0, const struct vcpu_segment *data)
{
	struct vcpu_sregs *s = &out->sregs;

	memset(out, 0, sizeof(*out));
	out->regs.rip = rip;
	out->regs.rflags = RFLAGS_ONE;
	s->cr0 = cr0;
	for (unsigned i = 0; i < SREG_COUNT; i++)
		s->seg[i] = *data;
	s->seg[SREG_CS].type = TYPE_CODE;
	s->ldtr = (struct vcpu_segment){.type = TYPE_LDT, .unusable = true};
	s->tr = (struct vcpu_segment){.limit = 0x67, .type = TYPE_TSS, .present = true};
}

void load_state_protected32(struct load_result *out, u32 eip)
{
	static const struct vcpu_segment flat = {.limit = ~0u, .selector = SELECTOR_DATA,
						 .type = TYPE_DATA, .s = true, .present = true,
						 .db = true, .g = true};

	start_state(out, eip, CR0_PE | CR0_ET, &flat);
	out->sregs.seg[SREG_CS].selector = SELECTOR_CODE;
}

void load_state_long64(struct load_result *out, u64 rip, u64 cr3)
{
	load_state_protected32(out, 0);
	out->regs.rip = rip;
	out->sregs.seg[SREG_CS].l = true;
	out->sregs.seg[SREG_CS].db = false;
	out->sregs.cr0 |= CR0_PG;
	out->sregs.cr3 = cr3;
	out->sregs.cr4 = CR4_PAE;
	out->sregs.efer = EFER_LME | EFER_LMA;
}

void load_state_real(struct load_result *out, u16 cs, u16 ip)
{
	static const struct vcpu_segment real = {.limit = 0xffff, .type = TYPE_DATA, .s = true,
						 .present = true};

	start_state(out, ip, CR0_ET, &real);
	out->sregs.seg[SREG_CS].selector = cs;
	out->sregs.seg[SREG_CS].base = (u64)cs << 4;
	out->sregs.idt.limit = 0x3ff;
}
