/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at every page that the live tables map, once the cores are up and at each
 * start of a VM: rights, places, nothing of another VM, no map of RAM that is not
 * Trivet's own, holes below stacks; and at all that a VM's nested tables show:
 * its own regions, apart from Trivet and from every other VM. selftest=walk breaks
 * each rule in turn and wants it seen.
 */
#include "arch/cpu.h"
#include "arch/lib/audit.h"
#include "arch/lib/lock.h"
#include "arch/memory.h"
#include "arch/mitigate.h"
#include "arch/msr.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/stacks.h"
#include "arch/vmx.h"
#include "drivers/acpi.h"
#include "tests/image/selftest.h"
#include "tests/paranoid/paranoid.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

/* Rights of a leaf, all levels together. The bits are those of an entry. */
#define P BIT(0)
#define W BIT(1)
#define U BIT(2)
#define LARGE BIT(7)
#define G BIT(8)
#define NX BIT(63)
#define RIGHTS (W | U | NX)

#define CHUNK	    MIB(2)
#define CHUNK_MAGIC 0x6b6e756863766972ull /* arch/pages.c */
#define AREA_SIZE   GIB(512)
#define LOW_END	    MIB(1)
#define SCREEN	    0xa0000ull
#define SCREEN_END  0xc0000ull

extern const u8 image_start[], image_rodata[], image_data[], image_end[];

/* ---- the walk */

struct leaf {
	u64 virt, hpa, size, bits; /* bits: the leaf's own, but for RIGHTS */
};

struct walk {
	bool nested;
	const struct vm *vm; /* whose space or tables, or NULL */
	const char *(*check)(struct walk *walk, const struct leaf *leaf);
	u64 pages[8]; /* by enum area */
	u64 chunk;    /* the last one that was found good */
};

static struct spinlock lock; /* guards the texts and the records of VMs */
static char text[200];

static const char *complain(const struct walk *walk, const struct leaf *leaf, const char *what)
{
	str_format(text, sizeof(text), "%s %lx, %lx bytes to %lx, rights %lx: %s",
		   walk->nested ? "nested" : "page", leaf->virt, leaf->size, leaf->hpa,
		   (u64)(leaf->bits & (walk->nested ? 7 : RIGHTS | G)), what);
	return text;
}

static const char *walk_table(struct walk *walk, u64 table, unsigned level, u64 virt, u64 rights)
{
	const u64 *entries = phys_to_virt(HPA(table & PT_ADDRESS));
	u64 present = walk->nested ? 7 : P, size = PAGE_SIZE << 9 * (level - 1);
	const char *wrong = NULL;

	for (u64 i = 0; i < 512 && !wrong; i++) {
		u64 e = entries[i], all = ((rights & e) & (W | U)) | ((rights | e) & NX);
		struct leaf leaf = {virt + i * size, e & PT_ADDRESS & ~(size - 1), size, e};

		if (!(e & present))
			continue;
		if (level == 4 && i >= 256)
			leaf.virt |= BITS(63, 48);
		if (level > 1 && !(e & LARGE)) {
			wrong = walk_table(walk, e, level - 1, leaf.virt, all);
			continue;
		}
		if (!walk->nested)
			leaf.bits = all | (e & G);
		wrong = walk->check(walk, &leaf);
	}
	return wrong;
}

static const char *walk_all(struct walk *walk, u64 root)
{
	return walk_table(walk, root, 4, 0, W | U);
}

/* The entry of the leaf that maps an address in the live tables, or NULL. */
static u64 *live_entry(u64 virt)
{
	u64 table = read_cr3();

	for (unsigned level = 4;; level--) {
		u64 *entry = (u64 *)phys_to_virt(HPA(table & PT_ADDRESS)) +
			     (virt >> (3 + 9 * level) & 511);

		if (!(*entry & P))
			return NULL;
		if (level == 1 || (*entry & LARGE))
			return entry;
		table = *entry;
	}
}

#define PIECES	512u
#define RECORDS 72u

/* The frames that a VM's nested tables show, in pieces. */
static struct record {
	const struct vm *vm; /* NULL: free */
	unsigned count;
	struct {
		u64 from, to;
	} piece[PIECES];
} records[RECORDS], current;

static bool overlaps(const struct record *record, u64 from, u64 to)
{
	for (unsigned i = 0; i < record->count; i++)
		if (from < record->piece[i].to && record->piece[i].from < to)
			return true;
	return false;
}

/* ---- Trivet's own part */

enum area { TEXT, RODATA, DATA, DIRECT, DEVICES, STACKS, WINDOW, MODULES, AREAS };

static struct {
	u64 from, to, rights;
} areas[AREAS] = {
	[TEXT] = {.rights = 0},
	[RODATA] = {.rights = NX},
	[DATA] = {.rights = W | NX},
	[DIRECT] = {DIRECT_BASE, DIRECT_BASE + AREA_SIZE, W | NX},
	[DEVICES] = {DEVICE_BASE, DEVICE_BASE + AREA_SIZE, W | NX},
	[STACKS] = {STACKS_BASE, STACKS_BASE + AREA_SIZE, W | NX},
	[WINDOW] = {WINDOW_BASE, WINDOW_BASE + WINDOW_SIZE, U | W | NX},
	[MODULES] = {MODULE_WINDOW_BASE, MODULE_WINDOW_BASE + WINDOW_SIZE, U | NX},
};

static void set_image_areas(void)
{
	areas[TEXT].from = (u64)image_start;
	areas[TEXT].to = areas[RODATA].from = (u64)image_rodata;
	areas[RODATA].to = areas[DATA].from = (u64)image_data;
	areas[DATA].to = (u64)image_end;
}

static enum area area_of(const struct leaf *leaf)
{
	enum area area = 0;

	while (area < AREAS && (leaf->virt < areas[area].from ||
				leaf->virt + leaf->size > areas[area].to))
		area++;
	return area;
}

/* A chunk of the page allocator says so at its start. */
static bool in_chunk(struct walk *walk, u64 hpa)
{
	const u64 *chunk = phys_to_virt(HPA(ALIGN_DOWN(hpa, CHUNK)));

	if ((u64)chunk == walk->chunk)
		return true;
	walk->chunk = live_entry((u64)chunk) && *chunk == CHUNK_MAGIC ? (u64)chunk : 0;
	return walk->chunk;
}

/* The page below each stack of a CPU's is a hole, and known as such. */
static const char *check_guards(void)
{
	for (unsigned i = 0; i < pcpu_count; i++) {
		u64 ist = offsetof(struct pcpu_stacks, ist);
		const struct pcpu_stacks *stacks = (void *)(pcpus[i]->stack_top - ist);
		const u8 *guards[1 + ARRAY_SIZE(stacks->ist)] = {stacks->guard};

		for (unsigned k = 0; k < ARRAY_SIZE(stacks->ist); k++)
			guards[k + 1] = stacks->ist[k].guard;
		for (unsigned k = 0; k < ARRAY_SIZE(guards); k++)
			if (live_entry((u64)guards[k]) || !stacks_is_guard((u64)guards[k]) ||
			    !live_entry((u64)guards[k] + PAGE_SIZE) ||
			    stacks_is_guard((u64)guards[k] + PAGE_SIZE))
				return "a CPU's guard page is mapped, or not one";
	}
	return NULL;
}

static bool region_shows(const struct vm *vm, u64 gpa, u64 size, u64 hpa,
			 const struct region **found)
{
	const struct region *r = region_find(&vm->regions, GPA(gpa));
	hpa_t is;

	*found = r;
	return r && mem_piece(r->mem, r->offset + gpa - r->gpa, size, &is) == size && is.v == hpa &&
	       gpa + size <= r->gpa + r->size;
}

static bool module_shows(const struct vm *vm, const struct leaf *leaf)
{
	for (unsigned i = 0; i < vm->module_count; i++) {
		const struct vm_module *m = &vm->modules[i];

		if (leaf->hpa >= m->start.v &&
		    leaf->hpa + leaf->size <= m->start.v + ALIGN_UP(m->size, PAGE_SIZE))
			return leaf->virt == MODULE_WINDOW_BASE + leaf->hpa;
	}
	return false;
}

/* Whether it leads where it should, NULL, or what it does. */
static const char *leads_wrong(struct walk *walk, enum area area, const struct leaf *leaf)
{
	const struct region *region;

	switch (area) {
	case TEXT:
	case RODATA:
	case DATA:
		return leaf->hpa == virt_to_phys((void *)leaf->virt).v ? NULL : "not the image's";
	case DIRECT:
		return leaf->virt != DIRECT_BASE + leaf->hpa || !in_chunk(walk, leaf->hpa) ?
		       "no chunk of pages" : NULL;
	case DEVICES:
		return leaf->hpa < LOW_END && (leaf->hpa < SCREEN ||
		       leaf->hpa + leaf->size > SCREEN_END) ? "low memory" : NULL;
	case STACKS:
		return in_chunk(walk, leaf->hpa) ? NULL : "no chunk of pages";
	case WINDOW:
		return walk->vm && region_shows(walk->vm, leaf->virt - WINDOW_BASE, leaf->size,
						leaf->hpa, &region) ? NULL : "no region of the VM's";
	case MODULES:
		return walk->vm && module_shows(walk->vm, leaf) ? NULL : "no module of the VM's";
	default:
		return "nothing belongs here";
	}
}

static const char *check_page(struct walk *walk, const struct leaf *leaf)
{
	enum area area = area_of(leaf);
	const char *wrong = leads_wrong(walk, area, leaf);

	if ((leaf->bits & W) && !(leaf->bits & NX))
		wrong = "writable and executable";
	else if (leaf->bits & G)
		wrong = "global";
	else if (area < AREAS && (leaf->bits & RIGHTS) != areas[area].rights &&
		 !(area == WINDOW && (leaf->bits & RIGHTS) == (U | NX)))
		wrong = "wrong rights";
	else if (area == STACKS && stacks_is_guard(leaf->virt))
		wrong = "a stack's guard page";
	else if (area < WINDOW && overlaps(&current, leaf->hpa, leaf->hpa + leaf->size))
		wrong = "shown to the VM, too";
	if (area < AREAS)
		walk->pages[area] += leaf->size / PAGE_SIZE;
	return wrong ? complain(walk, leaf, wrong) : NULL;
}

static u64 region_pages(const struct vm *vm)
{
	u64 pages = 0;

	for (unsigned i = 0; i < vm->regions.count; i++)
		pages += vm->regions.region[i].size / PAGE_SIZE;
	return pages;
}

static u64 module_pages(const struct vm *vm)
{
	u64 pages = 0;

	for (unsigned i = 0; i < vm->module_count; i++)
		pages += ALIGN_UP(vm->modules[i].size, PAGE_SIZE) / PAGE_SIZE;
	return pages;
}

/* Walks the loaded space, that of the VM, or the base space for NULL; lock held. */
static const char *check_space(const struct vm *vm, u64 pages[AREAS])
{
	struct walk walk = {.vm = vm, .check = check_page};
	const char *wrong;
	u64 image, stacks = 1 + ARRAY_SIZE(boot_stacks.ist);

	set_image_areas();
	wrong = walk_all(&walk, read_cr3()) ?: check_guards();
	memcpy(pages, walk.pages, sizeof(walk.pages));
	if (wrong)
		return wrong;
	image = walk.pages[TEXT] + walk.pages[RODATA] + walk.pages[DATA];
	if (!walk.pages[TEXT] || !walk.pages[RODATA] || !walk.pages[DIRECT] ||
	    image + stacks != (u64)(image_end - image_start) / PAGE_SIZE)
		return "the walk has not found all of Trivet";
	if (vm && (walk.pages[WINDOW] != region_pages(vm) || walk.pages[MODULES] != module_pages(vm)))
		return "the windows do not show all of the VM";
	return NULL;
}

/* ---- nested tables */

static bool note(u64 from, u64 size)
{
	if (current.count && current.piece[current.count - 1].to == from) {
		current.piece[current.count - 1].to += size;
		return true;
	}
	if (current.count == PIECES)
		return false;
	current.piece[current.count].from = from;
	current.piece[current.count++].to = from + size;
	return true;
}

static const char *check_nested(struct walk *walk, const struct leaf *leaf)
{
	const struct virt_vm *v = walk->vm->virt;
	const struct region *region;
	const char *wrong = NULL;

	/* The frame of the APICs' page is Trivet's; no access ever reaches it. */
	if (leaf->virt == VIRT_APIC_PAGE && v->apic_frame &&
	    leaf->hpa == virt_to_phys(v->apic_frame).v)
		return leaf->size == PAGE_SIZE && !(leaf->bits & EPT_EXEC) ?
		       NULL : complain(walk, leaf, "the APIC's page");
	if (!region_shows(walk->vm, leaf->virt, leaf->size, leaf->hpa, &region))
		wrong = "no region of the VM's";
	else if ((region->flags & REGION_READ_ONLY) && (leaf->bits & EPT_WRITE))
		wrong = "writable, in a region that is not";
	else if ((leaf->bits & EPT_EXEC) && leaf->size > PAGE_SIZE && mitigate_needs(MITIGATE_MULTIHIT))
		wrong = "large and executable";
	else if (!note(leaf->hpa, leaf->size))
		wrong = "too many pieces for the test";
	walk->pages[0] += leaf->size / PAGE_SIZE;
	return wrong ? complain(walk, leaf, wrong) : NULL;
}

static const char *check_others(const struct vm *vm)
{
	for (unsigned i = 0; i < RECORDS; i++)
		for (unsigned k = 0; records[i].vm && records[i].vm != vm && k < current.count; k++)
			if (overlaps(&records[i], current.piece[k].from, current.piece[k].to)) {
				str_format(text, sizeof(text), "frames at %lx are another VM's",
					   current.piece[k].from);
				return text;
			}
	return NULL;
}

/* What the machine's own tables name. */
static const char *check_machine(void)
{
	u64 apic = rdmsr(MSR_APIC_BASE) & BITS(51, 12);
	bool bad = overlaps(&current, apic, apic + 1) || overlaps(&current, 0, LOW_END) ||
		   (acpi.dsdt.v && overlaps(&current, acpi.dsdt.v, acpi.dsdt.v + 1));

	for (unsigned i = 0; i < acpi.ioapic_count; i++)
		bad |= overlaps(&current, acpi.ioapics[i].v, acpi.ioapics[i].v + 1);
	return bad ? "the VM is shown low memory, a table of the firmware's or a device" : NULL;
}

static struct record *record_of(const struct vm *vm)
{
	for (unsigned i = 0; i < RECORDS; i++)
		if (records[i].vm == vm)
			return &records[i];
	return NULL;
}

static const char *check_frames(const struct vm *vm)
{
	struct walk nested = {.nested = true, .vm = vm, .check = check_nested};
	const char *wrong = walk_all(&nested, vm->virt->ept_pointer);

	if (!wrong && nested.pages[0] != region_pages(vm))
		wrong = "the nested tables do not show all of the VM";
	return wrong ?: check_machine() ?: check_others(vm);
}

static void keep_record(const struct vm *vm)
{
	struct record *record = record_of(vm) ?: record_of(NULL);

	if (!record)
		return;
	record->count = current.count;
	memcpy(record->piece, current.piece, current.count * sizeof(current.piece[0]));
	record->vm = vm;
}

/* ---- when */

/* The paranoid build counts the instructions of Trivet's own work. */
static void leave_out(u64 began)
{
#ifdef PARANOID
	cap_leave_out(began);
#else
	(void)began;
#endif
}

static const char *check_vm(const void *what)
{
	const struct vm *vm = what;
	u64 pages[AREAS], began = rdtsc();
	const char *wrong;

	spin_lock(&lock);
	current.count = 0;
	wrong = check_frames(vm) ?: check_space(vm, pages);
	if (!wrong)
		keep_record(vm);
	spin_unlock(&lock);
	leave_out(began);
	return wrong;
}

DEFINE_AUDIT(walk_vm, .point = AUDIT_VM_START, .check = check_vm);

static const char *forget_vm(const void *what)
{
	u64 began = rdtsc();
	struct record *record;

	spin_lock(&lock);
	record = record_of(what);
	if (record)
		record->vm = NULL;
	spin_unlock(&lock);
	leave_out(began);
	return NULL;
}

DEFINE_AUDIT(walk_vm_end, .point = AUDIT_VM_END, .check = forget_vm);

struct cpu_state {
	u64 cr3;
	const char *wrong;
};

/* Rights in the tables count only with these. */
static void check_cpu(void *arg)
{
	struct cpu_state *state = arg;
	u64 cr4 = read_cr4(), wanted;
	u32 ebx = 0, ecx = 0;

	if (cpuid(0, 0).eax >= 7) {
		ebx = cpuid(7, 0).ebx;
		ecx = cpuid(7, 0).ecx;
	}
	wanted = (ebx & BIT(7) ? BIT(20) : 0) | (ebx & BIT(20) ? BIT(21) : 0) |
		 (ecx & BIT(2) ? BIT(11) : 0); /* SMEP, SMAP, UMIP */
	if (!(read_cr0() & BIT(16)) || !(rdmsr(MSR_EFER) & BIT(11)))
		state->wrong = "CR0.WP or EFER.NXE is off";
	else if ((cr4 & wanted) != wanted || (cr4 & (BIT(7) | BIT(22)))) /* PGE, PKE */
		state->wrong = "CR4 is not as it should be";
	else if (read_cr3() != state->cr3)
		state->wrong = "a core has another space loaded";
}

static const char *check_booted(const void *what)
{
	struct cpu_state state = {.cr3 = read_cr3()};
	const char *wrong;
	u64 pages[AREAS];

	(void)what;
	spin_lock(&lock);
	current.count = 0;
	wrong = check_space(NULL, pages);
	spin_unlock(&lock);
	for (unsigned i = 0; i < pcpu_count; i++)
		smp_call(i, check_cpu, &state);
	if (!wrong)
		log_debug("walk: pages of text %lu, rodata %lu, data %lu, direct %lu, devices %lu, stacks %lu",
			  pages[TEXT], pages[RODATA], pages[DATA], pages[DIRECT], pages[DEVICES],
			  pages[STACKS]);
	return wrong ?: state.wrong;
}

DEFINE_AUDIT(walk_booted, .point = AUDIT_BOOTED, .check = check_booted);

/* ---- selftest=walk: every rule is broken once */

#define SPARE 0xffffb00000000000ull

static unsigned wants(const char *name, enum audit_point point, const void *what, const char *words)
{
	const char *wrong = audit_run(point, what);

	if (words ? wrong && selftest_holds(wrong, words) : !wrong)
		return 0;
	log_error("%s: the walk says: %s", name, wrong ?: "nothing");
	return 1;
}

/* A page of the image, or of a chunk, gets other bits. */
static unsigned with_bits(const char *name, const void *page, u64 flip, const char *words)
{
	u64 *entry = live_entry((u64)page);
	unsigned failed;

	*entry ^= flip;
	failed = wants(name, AUDIT_BOOTED, NULL, words);
	*entry ^= flip;
	return failed + wants(name, AUDIT_BOOTED, NULL, NULL);
}

static const struct pt_format host_format = {
	.present = P, .table = P | W | U, .large = LARGE, .max_leaf = 2};

static struct pt live_tables(void)
{
	return (struct pt){.format = &host_format, .keep_from = 512,
			   .root = phys_to_virt(HPA(read_cr3() & PT_ADDRESS))};
}

/* A page too many. */
static unsigned with_page(const char *name, const void *vm, u64 virt, u64 hpa, u64 bits,
			  const char *words)
{
	enum audit_point point = vm ? AUDIT_VM_START : AUDIT_BOOTED;
	struct pt tables = live_tables();
	u64 size = virt - DIRECT_BASE < AREA_SIZE ? CHUNK : PAGE_SIZE;
	unsigned failed = 0;

	CHECK_EQUAL(pt_map(&tables, virt, HPA(hpa), size, bits), 0);
	failed += wants(name, point, vm, words);
	CHECK_EQUAL(pt_unmap(&tables, virt, size), 0);
	return failed + wants(name, point, vm, NULL);
}

static unsigned breaks_trivet(void)
{
	u64 ram = GIB(2), data = P | W | NX; /* `ram` is never touched */
	unsigned failed = wants("at first", AUDIT_BOOTED, NULL, NULL);
	void *stack = stacks_take();

	failed += with_bits("text W", image_start, W, "writable and exec");
	failed += with_bits("text U", image_start, U, "rights");
	failed += with_bits("text G", image_start, G, "global");
	failed += with_bits("rodata X", image_rodata, NX, "rights");
	failed += with_bits("rodata W", image_rodata, W, "rights");
	failed += with_bits("data X", records, NX, "writable and exec");
	failed += with_bits("data U", records, U, "rights");
	failed += with_bits("data to elsewhere", records, PAGE_SIZE, "not the image");
	failed += with_bits("text gone", image_start, P, "not found all");
	failed += with_bits("stack X", (u8 *)stack - 8, NX, "writable and exec");
	failed += with_page("page 0 at 0", NULL, 0, 0, data, "nothing belongs");
	failed += with_page("page 0 as a device", NULL, DEVICE_BASE + GIB(9), 0, data, "low mem");
	failed += with_page("EBDA", NULL, DEVICE_BASE + GIB(9), 0x9f000, data, "low memory");
	failed += with_page("BIOS", NULL, DEVICE_BASE + GIB(9), 0xf0000, data, "low memory");
	failed += with_page("RAM", NULL, DIRECT_BASE + ram, ram, data, "no chunk");
	failed += with_page("RAM at a stack", NULL, STACKS_BASE + GIB(1), ram, data, "no chunk");
	failed += with_page("a window", NULL, WINDOW_BASE, ram, data | U, "no region");
	failed += with_page("a module", NULL, MODULE_WINDOW_BASE + ram, ram, P | U | NX, "no module");
	failed += with_page("behind the image", NULL, (u64)image_end, ram, data, "nothing belongs");
	failed += with_page("anywhere", NULL, SPARE, ram, data, "nothing belongs");
	failed += with_page("guard", NULL, (u64)boot_stacks.guard,
			    virt_to_phys(boot_stacks.guard).v, data, "guard page");
	failed += with_page("IST guard", NULL, (u64)boot_stacks.ist[2].guard,
			    virt_to_phys(boot_stacks.ist[2].guard).v, data, "guard page");
	failed += with_page("hole", NULL, (u64)stack - STACKS_SIZE - PAGE_SIZE,
			    virt_to_phys(phys_to_virt(HPA(*live_entry((u64)stack - 8) & PT_ADDRESS))).v,
			    data, "guard page");
	stacks_give(stack);
	return failed;
}

static struct vm *make_vm(u64 size, struct mem_object **mem)
{
	struct vm *vm;

	if (vm_create("walk", &vm) || mem_create(size, mem) ||
	    vm_set_memory_region(vm, 0, REGION_READ_ONLY, GPA(MIB(8)), PAGE_SIZE, *mem, 0) ||
	    vm_set_memory_region(vm, 1, 0, GPA(0), size, *mem, 0))
		panic("no memory for a VM");
	vm->ram = *mem;
	return vm;
}

static unsigned with_nested(const char *name, const struct vm *vm, u64 gpa, u64 flip,
			    const char *words)
{
	unsigned level, failed;
	u64 *entry = pt_leaf(&vm->virt->ept, gpa, &level);

	*entry ^= flip;
	failed = wants(name, AUDIT_VM_START, vm, words);
	*entry ^= flip;
	return failed + wants(name, AUDIT_VM_START, vm, NULL);
}

/* A region that shows what is not the VM's to see. */
static unsigned with_region(const char *name, struct vm *vm, u64 hpa, const char *words)
{
	struct mem_object *range;
	unsigned failed = 0;

	CHECK_EQUAL(mem_create_physical(HPA(ALIGN_DOWN(hpa, PAGE_SIZE)), PAGE_SIZE, false, &range), 0);
	CHECK_EQUAL(vm_set_memory_region(vm, 9, 0, GPA(GIB(1)), PAGE_SIZE, range, 0), 0);
	failed += wants(name, AUDIT_VM_START, vm, words);
	CHECK_EQUAL(vm_set_memory_region(vm, 9, 0, GPA(0), 0, NULL, 0), 0);
	mem_put(range);
	return failed + wants(name, AUDIT_VM_START, vm, NULL);
}

static unsigned breaks_vm(void)
{
	struct mem_object *mem, *other_mem;
	struct vm *vm = make_vm(MIB(4), &mem), *other = make_vm(MIB(2), &other_mem);
	u64 large = virt_supports("2m-pages") && mitigate_needs(MITIGATE_MULTIHIT) ? EPT_EXEC : 0;
	u64 theirs = other_mem->extent[0].hpa.v, data = P | W | NX;
	unsigned failed = 0;

	space_enter(&other->space);
	failed += wants("other", AUDIT_VM_START, other, NULL);
	space_enter(&vm->space);
	failed += wants("VM", AUDIT_VM_START, vm, NULL);
	failed += with_page("window", vm, WINDOW_BASE + GIB(1), theirs, data | U, "no region");
	failed += with_page("module", vm, MODULE_WINDOW_BASE + theirs, theirs, P | U | NX,
			    "no module");
	failed += with_page("module W", vm, MODULE_WINDOW_BASE + theirs, theirs, data | U, "rights");
	failed += with_page("low half", vm, 0, theirs, data, "nothing belongs");
	failed += with_nested("ROM W", vm, MIB(8), EPT_WRITE, "in a region that is not");
	failed += with_nested("elsewhere", vm, MIB(2), MIB(64), "no region");
	failed += with_nested("gone", vm, MIB(2), EPT_READ | EPT_WRITE | (large ? 0 : EPT_EXEC),
			      "not show all");
	if (large)
		failed += with_nested("large X", vm, MIB(2), large, "large and exec");
	failed += with_region("another VM's", vm, theirs, "another VM");
	failed += with_region("image", vm, virt_to_phys(image_start).v, "shown to the VM");
	failed += with_region("pages", vm, virt_to_phys(vm).v, "shown to the VM");
	failed += with_region("low", vm, 0x9f000, "low memory");
	failed += with_region("APIC", vm, rdmsr(MSR_APIC_BASE), "the VM");
	space_leave();
	audit_run(AUDIT_VM_END, vm);
	audit_run(AUDIT_VM_END, other);
	vm_destroy(vm);
	vm_destroy(other);
	return failed;
}

/* Nothing of the page where the other cores began is left, nor of their tables. */
static unsigned trampoline_is_gone(void)
{
	u64 *page = phys_map(memory_trampoline(), PAGE_SIZE, PHYS_WRITE_BACK);
	unsigned failed = 0;

	for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
		failed += page[i] != 0;
	phys_unmap(page, PAGE_SIZE);
	CHECK_EQUAL(failed, 0);
	return failed;
}

/* Random, but for the byte that ends a text. */
static unsigned guard_words_differ(void)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < pcpu_count; i++) {
		CHECK(pcpus[i]->stack_guard > 0xffffffffull);
		CHECK_EQUAL(pcpus[i]->stack_guard & 0xff, 0);
		for (unsigned k = 0; k < i; k++)
			CHECK(pcpus[i]->stack_guard != pcpus[k]->stack_guard);
	}
	return failed;
}

static unsigned run_walk(const char *argument)
{
	unsigned failed = 0;

	(void)argument;
	failed += breaks_trivet();
	log_info("selftest: Trivet's part: %u failed", failed);
	failed += breaks_vm();
	return failed + trampoline_is_gone() + guard_words_differ();
}

DEFINE_SELFTEST(walk_test, .name = "walk", .run = run_walk);
