/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for a vCPU: which exception, repeated event or interrupt the next
 * entry delivers, and what two faults on top of each other make.
 */
#pragma once

#include "vmm/lapic.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/*
 * Raises an exception; the error code is taken where the vector has one. On
 * top of one whose delivery is not finished it becomes #DF, or ends in a
 * shutdown: SDM volume 3, "Interrupt 8 - Double Fault Exception (#DF)".
 */
void inject_exception(struct vcpu *vcpu, u8 vector, u32 error);
/* A page fault: CR2 too. */
void inject_page_fault(struct vcpu *vcpu, u64 address, u32 error);
/* #GP(0) and #UD. */
static inline void inject_gp(struct vcpu *vcpu)
{
	inject_exception(vcpu, 13, 0);
}
static inline void inject_ud(struct vcpu *vcpu)
{
	inject_exception(vcpu, 6, 0);
}

/* Whether an exception pushes an error code. */
bool inject_has_error(u8 vector);

/* After an exit: remembers the event whose delivery it interrupted. */
void inject_take_undelivered(struct vcpu *vcpu);
/* Before an entry: hands the back end the event that is due, and asks for a
 * window for the next one. */
void inject_prepare(struct vcpu *vcpu);
/* Whether there is nothing at all to deliver, now or as soon as the guest lets it in. */
static inline bool inject_quiet(const struct vcpu *vcpu)
{
	return !(vcpu->exception.type | vcpu->repeat.type | vcpu->interrupt.type |
		 vcpu->nmi_pending | vcpu->extint | vcpu->vm->extint_pending | vcpu->windows) &&
	       (vcpu->virt->apic_delivers || !lapic_requested(&vcpu->lapic));
}
/* Whether an event is pending that ends a halt now. */
bool inject_wakes(struct vcpu *vcpu);
