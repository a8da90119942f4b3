/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop of a vCPU: what is due, the event to deliver, the guest, its
 * exit.
 */
#include "arch/lib/log.h"
#include "vmm/exit.h"
#include "vmm/inject.h"
#include "vmm/vm.h"

#define HINT_SECONDS 10

/* Most first boots that look dead are a kernel that writes to no serial port. */
static void hint(struct vm *vm)
{
	if (vm->hinted || vm->console->written || vm_now(vm) < HINT_SECONDS * vm_clock_hz(vm))
		return;
	vm->hinted = true;
	log_info("[%s] nothing on its serial port for %u s: does its command line say "
		 "console=ttyS0?", vm->name, HINT_SECONDS);
}

/* False while the vCPU stays halted. */
static bool awake(struct vcpu *vcpu)
{
	if (!vcpu->halted)
		return true;
	if (inject_wakes(vcpu)) {
		vcpu->halted = false;
		return true;
	}
	/* Where no event can ever wake it, the VM ends: without ACPI this is all that an
	 * operating system can do to switch itself off. */
	if (!(virt->get(vcpu->virt, VREG_RFLAGS) & RFLAGS_IF))
		vm_end(vcpu->vm, "halted");
	return false;
}

enum vcpu_stop vcpu_run(struct vcpu *vcpu, u64 until)
{
	struct vcpu_exit exit = {.reason = EXIT_HOST};
	u64 exited = rdtsc();

	vcpu->vm->ran = true;
	hint(vcpu->vm);
	for (;;) {
		u64 now = rdtsc(), deadline = sched_serve(now);

		vcpu->exit_ticks[exit.reason] += now - exited;
		if (!awake(vcpu) && !vcpu->vm->requests)
			return VCPU_WAIT;
		if (__atomic_load_n(&vcpu->vm->requests, __ATOMIC_ACQUIRE))
			return VCPU_REQUEST;
		if (now >= until || sched_should_yield())
			return VCPU_SLICE;
		inject_prepare(vcpu);
		vcpu_debug_enter(vcpu);
		virt->run(vcpu->virt, MIN(deadline, until), &exit);
		exited = rdtsc();
		inject_take_undelivered(vcpu);
		exit_handle(vcpu, &exit);
		if (vcpu->leave) {
			enum vcpu_stop why = vcpu->leave;

			vcpu->leave = VCPU_SLICE;
			return why;
		}
	}
}
