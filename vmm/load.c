/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all loaders share: which module is the kernel and of which kind, the
 * memory map, room for tables and modules, and the processor's start states.
 * A kernel with both a multiboot header and a PVH note counts as multiboot,
 * unless it is a 64-bit ELF file, which multiboot 1 cannot start.
 */
#include "vmm/load.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"

#define CR0_PE	 BIT(0)
#define CR0_ET	 BIT(4)
#define CR0_PG	 BIT(31)
#define CR4_PAE	 BIT(5)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)

#define RFLAGS_FIXED BIT(1)

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

/* Segment types, SDM "Code- and Data-Segment Descriptor Types". */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_LDT  0x2
#define TYPE_TSS  0xb /* busy */

#define TABLES_BASE 0x20000ull

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
	va_list ap;

	if (module)
		used = str_format(err->text, sizeof(err->text), "module %u (%lu bytes): ",
				  module->number, (unsigned long)module->size);
	va_start(ap, fmt);
	str_vformat(err->text + used, sizeof(err->text) - used, fmt, ap);
	va_end(ap);
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
			return loaders[index].loader->load(in, out, err);
	}
	return load_fail(err, NULL, -ENOEXEC, "none of the modules is a kernel");
}

const struct vm_module *load_find(const struct load_input *in, enum module_kind kind)
{
	for (unsigned i = 0; i < in->module_count; i++)
		if (in->modules[i].kind == kind)
			return &in->modules[i];
	return NULL;
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

unsigned load_memory_map(const struct load_input *in, struct load_range map[LOAD_RANGES_MAX])
{
	const struct load_range all[LOAD_RANGES_MAX] = {
		{0, MIN(GUEST_LOW_RAM_END, in->ram_below_4g), 1},
		{GUEST_BIOS_BASE, GUEST_BIOS_SIZE, 2},
		{GUEST_RAM_1M, MAX(in->ram_below_4g, GUEST_RAM_1M) - GUEST_RAM_1M, 1},
		{GUEST_RAM_4G, in->ram_above_4g, 1},
	};
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].size > 0)
			map[count++] = all[i];
	return count;
}

bool load_is_companion(const struct vm_module *module)
{
	return module->kind == MODULE_DATA || module->kind == MODULE_INITRD;
}

unsigned load_companions(const struct load_input *in, u64 *text)
{
	unsigned count = 0;

	*text = 0;
	for (unsigned i = 0; i < in->module_count; i++) {
		if (!load_is_companion(&in->modules[i]))
			continue;
		count++;
		*text += strlen(in->modules[i].cmdline) + 1;
	}
	return count;
}

int load_place_tables(const struct load_input *in, struct load_span *image, u64 size, u64 *at)
{
	u64 end = TABLES_BASE + size;

	*at = TABLES_BASE;
	if (load_in_ram(in, *at, size) && (image->low >= end || image->high <= *at))
		return 0;
	*at = ALIGN_UP(MAX(image->high, GUEST_RAM_1M), PAGE_SIZE);
	if (!load_in_ram(in, *at, size))
		return -ENOMEM;
	image->high = *at + size;
	return 0;
}

int load_place_module(const struct load_input *in, const struct vm_module *module,
		      struct load_span *image, u64 *at, struct load_error *err)
{
	*at = ALIGN_UP(MAX(image->high, GUEST_RAM_1M), PAGE_SIZE);
	if (!load_in_ram(in, *at, module->size) ||
	    guest_copy_from(in->vm, GPA(*at), module->mem, 0, module->size))
		return load_fail(err, module, -ENOMEM,
				 "it does not fit in the VM's %lu MiB of RAM above %lxh",
				 (unsigned long)(in->ram_below_4g >> 20), (unsigned long)*at);
	image->high = *at + module->size;
	return 0;
}

int load_put_text(struct vm *vm, u64 *at, const char *text)
{
	size_t len = strlen(text) + 1;
	int err = guest_write(vm, GPA(*at), text, len);

	*at += len;
	return err;
}

static void set_segments(struct vcpu_sregs *s, const struct vcpu_segment *code,
			 const struct vcpu_segment *data)
{
	for (unsigned i = 0; i < SREG_COUNT; i++)
		s->seg[i] = i == SREG_CS ? *code : *data;
	s->ldtr = (struct vcpu_segment){.type = TYPE_LDT, .unusable = true};
	s->tr = (struct vcpu_segment){.limit = 0x67, .type = TYPE_TSS, .present = true};
}

static void start_state(struct load_result *out, u64 rip, const struct vcpu_segment *code,
			const struct vcpu_segment *data)
{
	memset(out, 0, sizeof(*out));
	out->regs.rip = rip;
	out->regs.rflags = RFLAGS_FIXED;
	set_segments(&out->sregs, code, data);
}

static struct vcpu_segment flat_segment(u16 selector, u8 type, bool l)
{
	return (struct vcpu_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.s = true,
		.present = true,
		.l = l,
		.db = !l,
		.g = true,
	};
}

void load_state_protected32(struct load_result *out, u32 eip)
{
	struct vcpu_segment code = flat_segment(SELECTOR_CODE, TYPE_CODE, false);
	struct vcpu_segment data = flat_segment(SELECTOR_DATA, TYPE_DATA, false);

	start_state(out, eip, &code, &data);
	out->sregs.cr0 = CR0_PE | CR0_ET;
}

void load_state_long64(struct load_result *out, u64 rip, u64 cr3)
{
	struct vcpu_segment code = flat_segment(SELECTOR_CODE, TYPE_CODE, true);
	struct vcpu_segment data = flat_segment(SELECTOR_DATA, TYPE_DATA, false);

	start_state(out, rip, &code, &data);
	out->sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	out->sregs.cr3 = cr3;
	out->sregs.cr4 = CR4_PAE;
	out->sregs.efer = EFER_LME | EFER_LMA;
}

void load_state_real(struct load_result *out, u16 cs, u16 ip)
{
	struct vcpu_segment code = {
		.base = (u64)cs << 4,
		.limit = 0xffff,
		.selector = cs,
		.type = TYPE_CODE,
		.s = true,
		.present = true,
	};
	struct vcpu_segment data = {
		.limit = 0xffff,
		.type = TYPE_DATA,
		.s = true,
		.present = true,
	};

	start_state(out, ip, &code, &data);
	out->sregs.cr0 = CR0_ET;
	out->sregs.idt.limit = 0x3ff;
}
