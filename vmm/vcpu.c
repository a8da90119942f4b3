/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's life, and single registers.
 */
#include "vmm/vcpu.h"

#include "arch/percpu.h"
#include "vmm/inject.h"
#include "vmm/msr.h"
#include "vmm/vm.h"

_Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "a vCPU is one page");

/* The guest's TSC is the VM's clock. */
static void set_tsc(struct vcpu *vcpu)
{
	const struct vm *vm = vcpu->vm;

	virt->set(vcpu->virt, VREG_TSC_OFFSET,
		  vcpu->tsc_delta + (vm->clock_runs ? 0 - vm->clock_start : vm->clock_at - rdtsc()));
}

static enum task_next slice(struct task *task, u64 until)
{
	struct vcpu *vcpu = CONTAINER_OF(task, struct vcpu, task);
	enum vcpu_stop why;

	space_enter(&vcpu->vm->space);
	vm_move_timers(vcpu->vm);
	pv_load(vcpu);
	why = vcpu_run(vcpu, until);
	pv_put(vcpu, why == VCPU_SLICE);
	if (why == VCPU_REQUEST)
		vcpu->vm->on_request(vcpu->vm); /* again and again, until it is heard */
	return why == VCPU_WAIT || why == VCPU_DEBUG ? TASK_WAIT : TASK_READY;
}

static void load(struct task *task)
{
	vcpu_load(CONTAINER_OF(task, struct vcpu, task));
}

static void unload(struct task *task)
{
	vcpu_put(CONTAINER_OF(task, struct vcpu, task));
}

int vcpu_create(struct vm *vm, unsigned id, struct vcpu **out)
{
	struct vcpu *vcpu;

	if (id >= VM_VCPUS_MAX)
		return -EINVAL;
	vcpu = vm->vcpus[id];
	if (vcpu && !vcpu->parked)
		return -EEXIST;
	if (vcpu) {
		vcpu->parked = false;
		sched_release(&vcpu->task);
		*out = vcpu;
		return 0;
	}
	vcpu = pages_alloc(1);
	if (!vcpu)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->id = id;
	if (virt->vcpu_create(vm->virt, &vcpu->virt)) {
		pages_free(vcpu, 1);
		return -ENOMEM;
	}
	vcpu->task = (struct task){
		.name = vm->name, .slice = slice, .load = load, .unload = unload,
		.allowed = vm->allowed_cpus ? vm->allowed_cpus : sched_cpus,
		.weight = vm->weight ? vm->weight : SCHED_WEIGHT_DEFAULT,
		.group = vm,
		.holds = 1,
	};
	sched_add(&vcpu->task);
	*out = vm->vcpus[id] = vcpu;
	return 0;
}

void vcpu_park(struct vcpu *vcpu)
{
	sched_hold(&vcpu->task);
	vcpu->parked = true;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	sched_remove(&vcpu->task);
	vcpu->vm->vcpus[vcpu->id] = NULL;
	virt->vcpu_destroy(vcpu->virt);
	pages_free(vcpu, 1);
}

void vcpu_load(struct vcpu *vcpu)
{
	if (!vcpu->task.loaded)
		sched_unload();
	space_enter(&vcpu->vm->space);
	virt->vcpu_load(vcpu->virt);
	set_tsc(vcpu);
}

void vcpu_put(struct vcpu *vcpu)
{
	virt->vcpu_put(vcpu->virt);
	if (this_pcpu()->space == &vcpu->vm->space)
		space_leave();
}

void vcpu_wake(struct vcpu *vcpu)
{
	struct task *task = &vcpu->task;

	/* In its own slice it looks again before it waits. */
	if (!task->running || task->cpu != this_pcpu()->id)
		sched_wake(task);
}

void vcpu_set_tsc_delta(struct vcpu *vcpu, u64 delta)
{
	vcpu->tsc_delta = delta;
	set_tsc(vcpu);
	pv_tell_clock(vcpu);
}

void vcpu_reset(struct vcpu *vcpu)
{
	virt->vcpu_reset(vcpu->virt);
	vcpu->tsc_delta = 0;
	set_tsc(vcpu);
	vcpu->halted = false;
	vcpu->nmi_pending = 0;
	vcpu->exception.type = vcpu->repeat.type = vcpu->interrupt.type = EVENT_NONE;
	vcpu_debug_reset(vcpu);
	msr_reset(vcpu);
	pv_reset(vcpu);
}

void vcpu_write_regs(struct vcpu *vcpu, const struct vcpu_regs *regs)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		vcpu_set_gpr(vcpu, i, regs->gpr[i]);
	virt->set(vcpu->virt, VREG_RIP, regs->rip);
	virt->set(vcpu->virt, VREG_RFLAGS, regs->rflags | RFLAGS_ONE);
}

unsigned vcpu_cpl(struct vcpu *vcpu)
{
	struct vcpu_segment ss;

	virt->get_segment(vcpu->virt, SREG_SS, &ss);
	return ss.dpl;
}

u64 vcpu_gpr(struct vcpu *vcpu, unsigned gpr)
{
	return gpr == GPR_RSP ? virt->get(vcpu->virt, VREG_RSP) : vcpu->virt->gpr[gpr];
}

void vcpu_set_gpr(struct vcpu *vcpu, unsigned gpr, u64 value)
{
	if (gpr == GPR_RSP)
		virt->set(vcpu->virt, VREG_RSP, value);
	else
		vcpu->virt->gpr[gpr] = value;
}

void vcpu_skip(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	if (!virt->skip(vcpu->virt, exit->insn_len))
		inject_gp(vcpu);
	vcpu_debug_stepped(vcpu);
}
