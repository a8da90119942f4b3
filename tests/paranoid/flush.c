/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is cached of translations, by a record of its own that is made where INVEPT,
 * INVVPID and MOV CR3 are executed: at an entry this CPU has none left of nested
 * tables, of a vCPU's addresses or of a space as they were before a downgrade. An
 * emulator that flushes at each entry shows no such fault. Source: Intel SDM
 * volume 3, "Guidelines for Use of the INVEPT Instruction" and "... INVVPID ...".
 */
#include "tests/paranoid/paranoid.h"

#include "arch/lib/audit.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/vmx.h"
#include "vmm/vm.h"

#define ROOTS 64 /* nested tables that a CPU remembers; generations tell the oldest */
#define VPIDS 1024

struct flushed {
	u64 root, generation;
	bool since; /* the call of run */
};

static struct {
	struct flushed ept[ROOTS];
	u64 seen; /* the EPT's generation as run was called: what came later may wait */
	u64 cr3, space_generation;
} cpus[PCPU_MAX];

/* By VPID: whose it is, and on which CPU alone its translations are good. */
static struct {
	const struct vmx_vcpu *vcpu;
	u32 cpu;
} vpids[VPIDS];

static struct flushed *ept_of(const struct virt_vm *vm)
{
	struct flushed *ept = cpus[this_pcpu()->id].ept, *oldest = ept;
	u64 root = virt_to_phys(vm->ept.root).v;

	for (struct flushed *e = ept; e < ept + ROOTS; e++) {
		if (e->root == root)
			return e;
		if (e->generation < oldest->generation)
			oldest = e;
	}
	*oldest = (struct flushed){.root = root};
	return oldest;
}

static const char *run(const void *what)
{
	const struct vmx_vcpu *v = what;

	cpus[this_pcpu()->id].seen = __atomic_load_n(&v->vm->ept.generation, __ATOMIC_ACQUIRE);
	ept_of(v->vm)->since = false;
	return NULL;
}
DEFINE_AUDIT(run_audit, AUDIT_RUN, run);

static const char *invept(const void *what)
{
	const struct virt_vm *vm = what;
	struct flushed *ept = ept_of(vm);

	ept->generation = __atomic_load_n(&vm->ept.generation, __ATOMIC_ACQUIRE);
	ept->since = true;
	return NULL;
}
DEFINE_AUDIT(invept_audit, AUDIT_INVEPT, invept);

static const char *invvpid(const void *what)
{
	const struct vmx_vcpu *v = what;

	vpids[v->vpid % VPIDS].vcpu = v;
	vpids[v->vpid % VPIDS].cpu = this_pcpu()->id;
	return NULL;
}
DEFINE_AUDIT(invvpid_audit, AUDIT_INVVPID, invvpid);

static const char *mov_cr3(const void *what)
{
	const struct space *space = what;

	cpus[this_pcpu()->id].cr3 = space->cr3;
	cpus[this_pcpu()->id].space_generation =
		__atomic_load_n(&space->pt.generation, __ATOMIC_ACQUIRE);
	return NULL;
}
DEFINE_AUDIT(cr3_audit, AUDIT_MOV_CR3, mov_cr3);

const char *flush_entry(const struct virt_vcpu *vcpu)
{
	const struct vmx_vcpu *v = (const struct vmx_vcpu *)vcpu;
	const struct flushed *ept = ept_of(v->vm);
	const struct space *space = this_pcpu()->space;
	u32 cpu = this_pcpu()->id;

	if (!ept->since && ept->generation != cpus[cpu].seen)
		return paranoid_say("the EPT is of generation %lu, CPU %u has flushed %lu",
				    cpus[cpu].seen, cpu, ept->generation);
	if ((vmread64(EPT_POINTER) & PT_ADDRESS) != virt_to_phys(v->vm->ept.root).v)
		return paranoid_say("the EPT pointer is another VM's");
	if (vmx_uses(VMX_PROC2, PROC2_VPID) &&
	    (!v->vpid || vpids[v->vpid % VPIDS].vcpu != v || vpids[v->vpid % VPIDS].cpu != cpu))
		return paranoid_say("VPID %u has not been flushed on CPU %u", v->vpid, cpu);
	if (cpus[cpu].space_generation != space->pt.generation)
		return paranoid_say("the space is of generation %lu, CPU %u has flushed %lu",
				    space->pt.generation, cpu, cpus[cpu].space_generation);
	if (read_cr3() != space->cr3 || cpus[cpu].cr3 != space->cr3 ||
	    vmread(HOST_CR3) != space->cr3 ||
	    CONTAINER_OF(space, struct vm, space)->virt != v->vm)
		return paranoid_say("the loaded space is not the VM's");
	return NULL;
}
