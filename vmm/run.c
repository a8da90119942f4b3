/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a vCPU: what is due, the event to deliver, the guest, its
 * exit.
 */
#include "arch/lib/log.h"
#include "arch/percpu.h"
#include "vmm/exit.h"
#include "vmm/inject.h"
#include "vmm/pv.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define HINT_SECONDS 10
#define NEWS_AT_ONCE 16

/* Most first boots that look dead are a kernel that writes to no serial port. */
static void hint(struct vm *vm)
{
	if (vm->hinted || vm->console->written || vm_now(vm) < HINT_SECONDS * vm_clock_hz(vm))
		return;
	vm->hinted = true;
	log_info("[%s] nothing on its serial port for %u s: does its command line say "
		 "console=ttyS0?", vm->name, HINT_SECONDS);
}

/* False while the vCPU stays halted, or waits to be started. */
static bool awake(struct vcpu *vcpu)
{
	if (vcpu->waits_startup)
		return false;
	if (vcpu->halted && !vcpu->kicked && !inject_wakes(vcpu))
		return false;
	vcpu->kicked &= !vcpu->halted;
	vcpu->halted = false;
	return true;
}

/* Where no vCPU can ever be woken by another one or a device, the VM ends: without ACPI this is
 * all that an operating system can do to switch itself off. */
static void check_dead(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct vcpu *other;

	if (!vcpu->waits_startup && (virt->get(vcpu->virt, VREG_RFLAGS) & RFLAGS_IF))
		return;
	__atomic_store_n(&vcpu->dead, true, __ATOMIC_SEQ_CST);
	/* In this order: who takes its events has risen before. */
	VM_FOR_EACH_VCPU(other, vm)
		if (__atomic_load_n(&other->lapic.events, __ATOMIC_SEQ_CST) ||
		    !__atomic_load_n(&other->dead, __ATOMIC_SEQ_CST))
			return;
	if (!vm->nmi_expected)
		vm_end(vm, "halted");
}

/* On a pCPU that others want, HLT and long loops of PAUSE are to come back. Where nobody does
 * now, the slice ends as soon as somebody does. A HLT that a kick is to end comes back too. */
static void set_idle_exits(struct vcpu *vcpu)
{
	enum vm_halt halt = vcpu->vm->halt;
	bool alone = sched_alone();
	bool pass = !vcpu->kicked && (halt == HALT_PASSES || (halt == HALT_AUTO && alone));
	u8 idle = (pass ? VCPU_PASSES_HLT : 0) | (alone ? VCPU_PASSES_PAUSE : 0);

	if (halt == HALT_PASSES)
		__atomic_store_n(&vcpu->task.lazy, true, __ATOMIC_RELEASE);
	if (idle == vcpu->idle)
		return;
	vcpu->idle = idle;
	virt->idle_exits(vcpu->virt, !pass, !alone);
}

static void go_to(struct vcpu *vcpu, enum vcpu_where where)
{
	(void)__atomic_exchange_n(&vcpu->where, where, __ATOMIC_SEQ_CST);
}

/*
 * Whether the guest is to be entered, until *deadline at the latest; else *why tells what
 * is to be done instead.
 */
static bool prepare(struct vcpu *vcpu, u64 now, u64 until, u64 *deadline, enum vcpu_stop *why)
{
	for (unsigned i = 0; i < NEWS_AT_ONCE; i++) {
		const struct lapic *lapic = &vcpu->lapic;
		u64 timer = lapic->deadline | lapic->tsc_deadline ? lapic_timer(vcpu, now) :
								    VTIMER_NEVER;

		vcpu->where = VCPU_ROOT;
		if (__atomic_load_n(&vcpu->news, __ATOMIC_ACQUIRE)) {
			vcpu->dead = false;
			(void)__atomic_exchange_n(&vcpu->news, false, __ATOMIC_SEQ_CST);
			if (__atomic_load_n(&lapic->events, __ATOMIC_ACQUIRE))
				vcpu_take_events(vcpu);
		}
		*why = VCPU_WAIT;
		*deadline = MIN(*deadline, MIN(timer, until));
		if (awake(vcpu)) {
			*why = VCPU_SLICE;
			if (vcpu->kicked && (vcpu->idle & VCPU_PASSES_HLT))
				set_idle_exits(vcpu);
		} else {
			check_dead(vcpu);
			vcpu->task.wake_at = timer;
			if (vcpu->halted && (vcpu->idle & VCPU_PASSES_HLT))
				*why = VCPU_SLICE;
		}
		if (__atomic_load_n(&vcpu->vm->requests, __ATOMIC_ACQUIRE)) {
			*why = VCPU_REQUEST;
			return false;
		}
		if (*why == VCPU_SLICE && (now >= until || sched_should_yield()))
			return false;
		go_to(vcpu, *why == VCPU_WAIT ? VCPU_OUT : VCPU_GUEST);
		if (!__atomic_load_n(&vcpu->news, __ATOMIC_SEQ_CST))
			return *why == VCPU_SLICE;
	}
	/* Others send without end: they may not hold up what else this pCPU has to do. */
	*why = VCPU_SLICE;
	return false;
}

/* What the back end may leave to the guest follows from the VM's CPUID, which may change until a
 * VM runs. */
static void offer_cr4(struct vcpu *vcpu)
{
	u64 cr4 = virt->get(vcpu->virt, VREG_CR4);

	vcpu->virt->cr4_valid = vcpu->vm->cpuid.cr4_valid;
	virt->set(vcpu->virt, VREG_CR4, cr4);
}

/* Where a debugger or whoever holds the VM wants to see more than what is served in a run. */
static bool all_come_back(const struct vcpu *vcpu)
{
	const struct vm *vm = vcpu->vm;

	return vcpu->debug.flags || vm->takes_hypercalls || vm->msr_policy.count ||
	       vm->msr_policy.deny;
}

enum vcpu_stop vcpu_run(struct vcpu *vcpu, u64 until)
{
	struct vcpu_exit exit = {.reason = EXIT_HOST};
	u64 exited = rdtsc();
	enum vcpu_stop why;

	vcpu->vm->ran = true;
	vcpu->dead = false;
	hint(vcpu->vm);
	set_idle_exits(vcpu);
	if (vcpu->virt->cr4_valid != vcpu->vm->cpuid.cr4_valid)
		offer_cr4(vcpu);
	vcpu->virt->served.off = all_come_back(vcpu) ? VIRT_SERVED_OFF : 0;
	for (;;) {
		u64 now = rdtsc(), deadline;

		this_pcpu()->attention = 0;
		deadline = sched_serve(now);
		vcpu->limit = MIN(deadline, until);
		vcpu->exit_ticks[exit.reason] += now - exited;
		if (!prepare(vcpu, now, until, &deadline, &why))
			break;
		inject_prepare(vcpu);
		lapic_prepare(vcpu);
		/* It halts on inside, unless what came just now was injected, until the CPU ends it. */
		if (vcpu->halted) {
			virt->set(vcpu->virt, VREG_HALTED, 1);
			vcpu->halted = false;
		}
		if (vcpu->debug.flags)
			vcpu_debug_enter(vcpu);
		virt->run(vcpu->virt, deadline, &exit);
		exited = rdtsc();
		vcpu->where = VCPU_ROOT;
		/* Who executes an instruction is not halted. */
		if ((vcpu->idle & VCPU_PASSES_HLT) && !exit.insn_len &&
		    virt->get(vcpu->virt, VREG_HALTED)) {
			virt->set(vcpu->virt, VREG_HALTED, 0);
			vcpu->halted = true;
		}
		vcpu->delivery.type = EVENT_NONE;
		if (exit.in_delivery)
			inject_take_undelivered(vcpu);
		if (vcpu->pv.eoi_offered && pv_eoi_done(vcpu))
			lapic_eoi(vcpu);
		exit_handle(vcpu, &exit);
		if (vcpu->leave) {
			why = vcpu->leave;
			vcpu->leave = VCPU_SLICE;
			break;
		}
	}
	go_to(vcpu, VCPU_OUT);
	return why;
}
