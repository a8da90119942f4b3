/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's life, and single registers.
 */
#include "vmm/vcpu.h"

#include "arch/percpu.h"
#include "arch/smp.h"
#include "vmm/abi.h"
#include "vmm/inject.h"
#include "vmm/msr.h"
#include "vmm/serve.h"
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
	if (vcpu->id == 0)
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
	struct vcpu *vcpu, *before = id && id < VM_VCPUS_MAX ? vm->vcpus[id - 1] : NULL;

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
	vcpu->virt->served.epoch = 1;
	vcpu->virt->served.owner = vcpu;
	vcpu->virt->served.io = serve_io;
	vcpu->virt->served.wrmsr = serve_wrmsr;
	vcpu->virt->served.timer = serve_timer;
	vcpu->virt->served.hypercalls = PV_HYPERCALLS;
	vcpu->virt->served.unknown = (u64)ABI_HYPERCALL_ENOSYS;
	vcpu->task = (struct task){
		.name = vm->name, .slice = slice, .load = load, .unload = unload,
		.allowed = vm->allowed_cpus ? vm->allowed_cpus : sched_cpus,
		.weight = vm->weight ? vm->weight : SCHED_WEIGHT_DEFAULT,
		.group = vm, .cpu = before ? before->task.cpu + 1 : 0, /* apart from it */
		.holds = 1,
	};
	sched_add(&vcpu->task);
	vm->vcpu_count = MAX(vm->vcpu_count, id + 1);
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
	u32 cpu;

	/* Either it sees the news before it enters the guest or waits, or `where` is seen here. */
	(void)__atomic_exchange_n(&vcpu->news, true, __ATOMIC_SEQ_CST);
	switch (__atomic_load_n(&vcpu->where, __ATOMIC_SEQ_CST)) {
	case VCPU_OUT:
		sched_wake(&vcpu->task);
		break;
	case VCPU_GUEST:
		/* Not read before: it may have moved here since, and entered before the news. */
		cpu = __atomic_load_n(&vcpu->task.cpu, __ATOMIC_ACQUIRE);
		if (cpu != this_pcpu()->id)
			smp_kick(cpu);
		else
			this_pcpu()->attention = 1;
		break;
	}
}

/* What reset and INIT have in common. */
static void clear_events(struct vcpu *vcpu)
{
	vcpu->halted = vcpu->kicked = vcpu->extint = false;
	vcpu->nmi_pending = vcpu->windows = 0;
	vcpu->idle = VCPU_PASSES_PAUSE;
	vcpu->exception.type = vcpu->repeat.type = vcpu->interrupt.type = EVENT_NONE;
	vcpu_debug_reset(vcpu);
	pv_reset(vcpu);
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
	clear_events(vcpu);
	msr_reset(vcpu);
	lapic_reset(vcpu, false);
	vcpu->waits_startup = !lapic_boots(vcpu);
}

/* "INIT" under "Multiple-Processor (MP) Initialization": the boot CPU starts at the reset vector. */
static void take_init(struct vcpu *vcpu)
{
	virt->vcpu_init(vcpu->virt);
	clear_events(vcpu);
	lapic_reset(vcpu, true);
	vcpu->waits_startup = !lapic_boots(vcpu);
}

static void take_startup(struct vcpu *vcpu)
{
	u8 page = __atomic_load_n(&vcpu->lapic.startup, __ATOMIC_ACQUIRE);
	struct vcpu_segment cs;

	if (!vcpu->waits_startup)
		return;
	virt->get_segment(vcpu->virt, SREG_CS, &cs);
	cs.selector = (u16)page << 8;
	cs.base = (u64)page << 12;
	virt->set_segment(vcpu->virt, SREG_CS, &cs);
	virt->set(vcpu->virt, VREG_RIP, 0);
	vcpu->waits_startup = false;
}

void vcpu_take_events(struct vcpu *vcpu)
{
	u32 events = __atomic_exchange_n(&vcpu->lapic.events, 0, __ATOMIC_SEQ_CST);

	if (events & LAPIC_EVENT_INIT)
		take_init(vcpu);
	if (events & LAPIC_EVENT_STARTUP)
		take_startup(vcpu);
	if (events & LAPIC_EVENT_NMI)
		vcpu_nmi(vcpu);
	vcpu->extint |= events & LAPIC_EVENT_EXTINT;
	vcpu->kicked |= events & LAPIC_EVENT_KICK;
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
