/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest=flush: each time a flush is left out, and its record says that it was made, the
 * paranoid build refuses the entry, which ends that VM only.
 */
#include "arch/percpu.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"

#define CODE  0x1000ull
#define SIZE  MIB(2)
#define TICKS 10000000ull

static const u8 code[] = {0x0f, 0x01, 0xc1, 0xeb, 0xfb}; /* VMCALL; again */

static struct vmx_vcpu *vmx_of(struct guest *g)
{
	return to_vmx(g->vcpu->virt);
}

static void none(struct guest *g)
{
	(void)g;
}

static void invept(struct guest *g)
{
	struct vmx_vcpu *v = vmx_of(g);

	v->generation = v->vm->ept.generation;
	v->vm->flushed[this_pcpu()->id] = v->generation;
}

static void ept_unmaps(struct guest *g)
{
	vm_set_memory_region(g->vm, 1, 0, GPA(0), 0, NULL, 0);
	invept(g);
}

static void ept_protects(struct guest *g)
{
	static u64 bitmap[SIZE / PAGE_SIZE / 64];

	vm_set_memory_region(g->vm, 0, REGION_LOG_DIRTY, GPA(0), SIZE, g->mem, 0);
	vm_get_dirty_log(g->vm, 0, bitmap, sizeof(bitmap));
	invept(g);
}

/* One of two downgrades is flushed. */
static void ept_again(struct guest *g)
{
	ept_flush(vmx_of(g));
	ept_unmaps(g);
}

static void invvpid(struct guest *g)
{
	vmx_of(g)->vpid++;
}

static void mov_cr3(struct guest *g)
{
	pt_unmap(&g->vm->space.pt, WINDOW_BASE + MIB(4), PAGE_SIZE);
	this_pcpu()->space_generation = g->vm->space.pt.generation;
}

static void other_space(struct guest *g)
{
	(void)g;
	space_leave();
}

static void other_cr3(struct guest *g)
{
	u64 cr3 = read_cr3();

	space_leave();
	write_cr3(cr3);
}

static const struct {
	const char *name;
	bool first; /* before the vCPU has run at all */
	void (*leave_out)(struct guest *g);
	const char *complaint;
} cases[] = {
	{"nothing", false, none, NULL},
	{"nothing at first", true, none, NULL},
	{"INVEPT for an unmap", false, ept_unmaps, "the EPT is of generation"},
	{"INVEPT for write protection", false, ept_protects, "the EPT is of generation"},
	{"INVEPT once of twice", false, ept_again, "the EPT is of generation"},
	{"INVEPT for tables where others were", true, invept, "the EPT is of generation"},
	{"INVVPID", false, invvpid, "has not been flushed on CPU 0"},
	{"MOV CR3", false, mov_cr3, "the space is of generation"},
	{"the VM's space", false, other_space, "not the VM's"},
	{"the record of its space", false, other_cr3, "not the VM's"},
};

static unsigned one_case(unsigned i)
{
	struct guest g;
	unsigned failed = 0;

	if (!guest_make(&g, SIZE + PAGE_SIZE))
		return 1;
	CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), SIZE, g.mem, 0), 0);
	CHECK_EQUAL(vm_set_memory_region(g.vm, 1, 0, GPA(MIB(4)), PAGE_SIZE, g.mem, SIZE), 0);
	guest_write(g.vm, GPA(CODE), code, sizeof(code));
	guest_start(&g, CODE, 0);
	if (!cases[i].first)
		CHECK_EQUAL(guest_run(&g, TICKS), EXIT_HYPERCALL);
	cases[i].leave_out(&g);
	CHECK_EQUAL(guest_run(&g, TICKS), cases[i].complaint ? EXIT_UNKNOWN : EXIT_HYPERCALL);
	if (cases[i].complaint)
		CHECK(selftest_holds(g.vm->end_reason, cases[i].complaint));
	if (failed)
		log_error("left out: %s: %s", cases[i].name, g.vm->end_reason);
	if (cases[i].leave_out == ept_protects)
		vm_set_memory_region(g.vm, 0, 0, GPA(0), SIZE, g.mem, 0);
	space_enter(&g.vm->space);
	guest_end(&g);
	return failed;
}

static unsigned run_flush(const char *argument)
{
	unsigned failed = 0;

	(void)argument;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		failed += one_case(i);
	return failed;
}

DEFINE_SELFTEST(flush_test, .name = "flush", .run = run_flush);
