/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Choosing the event of the next entry. The order is that of the manual,
 * "Priority Among Concurrent Events": what was already on its way comes first.
 */
#include "vmm/inject.h"

#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define VECTORS_WITH_ERROR                                                                        \
	(BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) |     \
	 BIT(VECTOR_PF) | BIT(VECTOR_AC) | BIT(VECTOR_CP))
/* Traps, an abort and what has a frame of its own; all others are faults. */
#define VECTORS_NO_FAULT                                                                          \
	(BIT(VECTOR_DB) | BIT(VECTOR_NMI) | BIT(VECTOR_BP) | BIT(VECTOR_OF) | BIT(VECTOR_DF) |    \
	 BIT(VECTOR_MC))
#define VECTORS_CONTRIBUTORY                                                                      \
	(BIT(VECTOR_DE) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) |     \
	 BIT(VECTOR_CP))

static bool contributory(u8 vector)
{
	return vector < 32 && (VECTORS_CONTRIBUTORY & BIT(vector));
}

/* Whether `second` during the delivery of `first` makes a double fault. */
static bool makes_double_fault(const struct vcpu_event *first, u8 second)
{
	if (first->type != EVENT_EXCEPTION)
		return false;
	if (first->vector == VECTOR_PF)
		return second == VECTOR_PF || contributory(second);
	return contributory(first->vector) && contributory(second);
}

void inject_exception(struct vcpu *vcpu, u8 vector, u32 error)
{
	struct vcpu_event first = vcpu->exception.type ? vcpu->exception : vcpu->repeat;

	if (first.type == EVENT_EXCEPTION && first.vector == VECTOR_DF &&
	    (vector == VECTOR_PF || contributory(vector))) {
		vm_request_reset(vcpu->vm, "triple fault");
		return;
	}
	if (makes_double_fault(&first, vector)) {
		vector = VECTOR_DF;
		error = 0;
	}
	vcpu->exception = (struct vcpu_event){.type = EVENT_EXCEPTION, .vector = vector, .error = error,
					      .has_error = inject_has_error(vector)};
	/* It comes again by itself: its instruction is executed anew. */
	vcpu->repeat.type = EVENT_NONE;
}

bool inject_has_error(u8 vector)
{
	return vector < 32 && (VECTORS_WITH_ERROR & BIT(vector));
}

void inject_page_fault(struct vcpu *vcpu, u64 address, u32 error)
{
	inject_exception(vcpu, VECTOR_PF, error);
	virt->set(vcpu->virt, VREG_CR2, address);
}

void inject_take_undelivered(struct vcpu *vcpu)
{
	if (!virt->undelivered(vcpu->virt, &vcpu->delivery)) {
		vcpu->delivery.type = EVENT_NONE;
	} else if (vcpu->delivery.type == EVENT_INTERRUPT) {
		vcpu->interrupt = vcpu->delivery;
	} else if (vcpu->delivery.type == EVENT_NMI) {
		/* It has not come in: it is pending again, and blocks no other. */
		virt->set(vcpu->virt, VREG_SHADOW,
			  virt->get(vcpu->virt, VREG_SHADOW) & ~(u64)SHADOW_NMI);
		vcpu->nmi_pending = MIN(vcpu->nmi_pending + 1, VCPU_NMIS_MAX);
	} else {
		vcpu->repeat = vcpu->delivery;
	}
}

int vcpu_nmi(struct vcpu *vcpu)
{
	bool in_service = virt->shadow(vcpu->virt) & SHADOW_NMI;

	if (!virt_supports("virtual-nmi"))
		return -ENODEV;
	if (vcpu->nmi_pending + in_service < VCPU_NMIS_MAX)
		vcpu->nmi_pending++;
	return 0;
}

static bool extint_pending(const struct vcpu *vcpu)
{
	return vcpu->extint || (vcpu->vm->extint_pending && lapic_takes_extint(vcpu));
}

/* The vector that Trivet has to inject, or -1. */
static int vector_pending(struct vcpu *vcpu)
{
	return vcpu->virt->apic_delivers || !lapic_requested(&vcpu->lapic) ? -1 : lapic_pending(vcpu);
}

/* An interrupt that Trivet has to inject, that vector or another one. */
static bool interrupt_pending(struct vcpu *vcpu, int vector)
{
	return vcpu->interrupt.type || extint_pending(vcpu) || vector >= 0;
}

static bool interrupts_enabled(struct vcpu *vcpu)
{
	return virt->get(vcpu->virt, VREG_RFLAGS) & RFLAGS_IF;
}

bool inject_wakes(struct vcpu *vcpu)
{
	return vcpu->exception.type || vcpu->repeat.type ||
	       (vcpu->nmi_pending && !(virt->shadow(vcpu->virt) & SHADOW_NMI)) ||
	       (interrupts_enabled(vcpu) && interrupt_pending(vcpu, lapic_pending(vcpu)));
}

/* Whatever is injected ends a halt. */
static void give(struct vcpu *vcpu, const struct vcpu_event *event)
{
	vcpu->halted = false;
	virt->inject(vcpu->virt, event);
}

static void deliver_extint(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct vcpu_event event = {.type = EVENT_INTERRUPT};

	vcpu->extint = false;
	vm_device_lock(vm);
	event.vector = vm->extint.ack(vm->extint.dev);
	vm_device_unlock(vm);
	give(vcpu, &event);
}

static void deliver_vector(struct vcpu *vcpu, int vector)
{
	struct vcpu_event event = {.type = EVENT_INTERRUPT, .vector = vector};

	lapic_ack(vcpu, event.vector);
	give(vcpu, &event);
}

static void deliver(struct vcpu *vcpu, struct vcpu_event *event)
{
	give(vcpu, event);
	event->type = EVENT_NONE;
}

static void deliver_nmi(struct vcpu *vcpu)
{
	static const struct vcpu_event nmi = {.type = EVENT_NMI, .vector = VECTOR_NMI};

	give(vcpu, &nmi);
	vcpu->nmi_pending--;
}

static void deliver_exception(struct vcpu *vcpu)
{
	/* The flags that a fault saves have RF set: "Instruction-Breakpoint Exception". */
	if (!(VECTORS_NO_FAULT & BIT(vcpu->exception.vector)))
		virt->set(vcpu->virt, VREG_RFLAGS, virt->get(vcpu->virt, VREG_RFLAGS) | RFLAGS_RF);
	deliver(vcpu, &vcpu->exception);
}

static void set_window(struct vcpu *vcpu, enum virt_window window, bool on)
{
	u8 bit = BIT(window);

	if (!(vcpu->windows & bit) == !on)
		return;
	vcpu->windows ^= bit;
	virt->window(vcpu->virt, window, on);
}

void inject_prepare(struct vcpu *vcpu)
{
	int vector;

	/* Mostly there is nothing to be done at all. */
	if (inject_quiet(vcpu))
		return;
	vector = vector_pending(vcpu);
	if (vcpu->exception.type)
		deliver_exception(vcpu);
	else if (vcpu->repeat.type)
		deliver(vcpu, &vcpu->repeat);
	else if (vcpu->nmi_pending && !virt->shadow(vcpu->virt))
		deliver_nmi(vcpu);
	else if (interrupt_pending(vcpu, vector) && interrupts_enabled(vcpu) &&
		 !(virt->shadow(vcpu->virt) & ~(unsigned)SHADOW_NMI)) {
		if (vcpu->interrupt.type)
			deliver(vcpu, &vcpu->interrupt);
		else if (extint_pending(vcpu))
			deliver_extint(vcpu);
		else
			deliver_vector(vcpu, vector);
	}
	/* One event an entry: the guest exits again as soon as it can take the next. */
	set_window(vcpu, WINDOW_NMI, vcpu->nmi_pending);
	set_window(vcpu, WINDOW_INTERRUPT, interrupt_pending(vcpu, vector_pending(vcpu)));
}
