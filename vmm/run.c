/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a vCPU: what is due, the event to deliver, the guest, its
 * exit.
 */
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/smp.h"
#include "vmm/exit.h"
#include "vmm/inject.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define TIMERS_AT_ONCE 16
#define HINT_SECONDS   10

/* Most first boots that look dead are a kernel that writes to no serial port. */
static void hint(struct vm *vm)
{
	if (vm->hinted || vm->console->written || vm_now(vm) < HINT_SECONDS * vm_clock_hz(vm))
		return;
	vm->hinted = true;
	log_info("[%s] nothing on its serial port for %u s: does its command line say "
		 "console=ttyS0?", vm->name, HINT_SECONDS);
}

/* Serves timers, console and this CPU's mailbox as far as they are due, and
 * says when the next of them is. */
static u64 serve_due(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u64 now = rdtsc(), next = vtimer_next(vm->timers);

	if (next > now && console_next() > now)
		return MIN(next, console_next());
	if (next <= now)
		vtimer_run(vm->timers, now, TIMERS_AT_ONCE);
	if (console_next() <= now) {
		console_poll(now);
		smp_serve();
		hint(vm);
	}
	return MIN(vtimer_next(vm->timers), console_next());
}

/* Waits for the next deadline with the CPU halted. */
static void idle(struct vcpu *vcpu, u64 deadline)
{
	u64 start = rdtsc();

	apic_timer_arm(deadline);
	interrupts_wait();
	vcpu->idle_ticks += rdtsc() - start;
}

/* A halted vCPU that no event can ever wake ends the VM: without ACPI this is
 * all that an operating system can do to switch itself off. */
static bool halted_for_good(struct vcpu *vcpu)
{
	return !(virt->get(vcpu->virt, VREG_RFLAGS) & RFLAGS_IF);
}

/* False while the vCPU stays halted. */
static bool awake(struct vcpu *vcpu, u64 deadline)
{
	if (!vcpu->halted)
		return true;
	if (inject_wakes(vcpu)) {
		vcpu->halted = false;
		return true;
	}
	if (halted_for_good(vcpu))
		vm_end(vcpu->vm, "halted");
	else
		idle(vcpu, deadline);
	return false;
}

enum vcpu_stop vcpu_run(struct vcpu *vcpu)
{
	vcpu->vm->ran = true;
	for (;;) {
		u64 deadline = serve_due(vcpu);
		u32 requests = __atomic_load_n(&vcpu->vm->requests, __ATOMIC_ACQUIRE);
		struct vcpu_exit exit;

		if (requests)
			return requests & VM_REQUEST_END ? VCPU_ENDED : VCPU_RESET;
		if (!awake(vcpu, deadline))
			continue;
		inject_prepare(vcpu);
		virt->run(vcpu->virt, deadline, &exit);
		inject_take_undelivered(vcpu);
		exit_handle(vcpu, &exit);
		if (vcpu->stopped) {
			vcpu->stopped = false;
			return VCPU_DEBUG;
		}
	}
}
