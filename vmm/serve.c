/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What vmm serves in the middle of a run: instructions that guests wait for most, in their
 * plain forms. Each instruction here is one of every such exit; whatever is rare is left to
 * vmm/exit.c.
 */
#include "vmm/serve.h"

#include "arch/msr.h"
#include "arch/percpu.h"
#include "vmm/inject.h"
#include "vmm/lapic_vector.h"
#include "vmm/msr.h"
#include "vmm/vm.h"

enum { MSR_EOI = 0x800 + (LAPIC_EOI >> 4), MSR_ICR = 0x800 + (LAPIC_ICR >> 4),
       MSR_TIMER_INITIAL = 0x800 + (LAPIC_TIMER_INITIAL >> 4),
       MSR_SELF_IPI = 0x800 + (LAPIC_SELF_IPI >> 4) };

/* Whether a service has brought about something that is to be seen to. */
static inline enum virt_asked done(void)
{
	_Static_assert(VIRT_GO_ON == 0 && VIRT_COME_BACK == 1, "as pcpu_attention says");
	return (enum virt_asked)pcpu_attention();
}

HOT_PATH enum virt_asked serve_io(void *owner, u32 port, u32 in)
{
	struct vcpu *vcpu = owner;
	struct vm *vm = vcpu->vm;
	const struct bus_range *range;
	u8 *al, which;

	/* Masked, so that a wrong guess of the branch reads nothing else either. */
	which = vm->low_ports[port % VM_LOW_PORTS];
	if (port >= VM_LOW_PORTS || !which)
		return VIRT_UNSERVED;
	range = &vm->ports.range[which - 1];
	al = (u8 *)&vcpu->virt->gpr[GPR_RAX];
	spin_lock(&vm->device_lock); /* vm_device_lock, inline */
	if (in)
		*al = range->ops->in(range->dev, port);
	else
		range->ops->out(range->dev, port, *al);
	spin_unlock(&vm->device_lock);
	return done();
}

/* Until when the run may last, for a timer that is `left` ticks away. */
static inline enum virt_asked until(struct vcpu *vcpu, u64 now, u64 left)
{
	vcpu->virt->served.deadline = MIN(vcpu->limit, now + left);
	return VIRT_NEW_DEADLINE;
}

static inline enum virt_asked set_tsc_deadline(struct vcpu *vcpu, u64 value)
{
	u64 now = rdtsc(), tsc = now - vcpu->vm->clock_start + vcpu->tsc_delta, left = value - tsc;

	/* One that has come, is far, or disarms is not plain. */
	if (vcpu->lapic.timer_mode != LAPIC_TIMER_DEADLINE || value <= tsc || left >> 62)
		return VIRT_UNSERVED;
	vcpu->lapic.tsc_deadline = value;
	return until(vcpu, now, left);
}

static inline enum virt_asked set_timer(struct vcpu *vcpu, u64 count)
{
	struct lapic *lapic = &vcpu->lapic;
	u64 now = rdtsc(), left = count << lapic->timer_shift;

	if (!(lapic->base & BASE_X2APIC) || lapic->timer_mode == LAPIC_TIMER_DEADLINE ||
	    count - 1 >= BITS(31, 0))
		return VIRT_UNSERVED;
	vcpu->virt->apic[LAPIC_TIMER_INITIAL / 4] = count;
	lapic->deadline = now - vcpu->vm->clock_start + left;
	return until(vcpu, now, left);
}

/* Where nothing waits for the end of what is in service. */
static inline enum virt_asked end_interrupt(struct vcpu *vcpu, u64 value)
{
	struct lapic *lapic = &vcpu->lapic;
	u8 vector = lapic->isr_highest;

	if (value || vcpu->virt->apic_delivers || !(lapic->base & BASE_X2APIC))
		return VIRT_UNSERVED;
	if (!vector)
		return VIRT_GO_ON;
	if (lapic->threshold || vcpu->pv.eoi_offered || lapic_requested(lapic) ||
	    lapic_test(vcpu, LAPIC_TMR, vector))
		return VIRT_UNSERVED;
	lapic_end(vcpu, vector);
	return VIRT_GO_ON;
}

/* Whether a vector that it sends to itself, or its timer, is delivered at once. */
static inline bool takes(struct vcpu *vcpu, u8 vector)
{
	return vector >= LAPIC_VECTOR_MIN && lapic_listens(vcpu) && inject_quiet(vcpu) &&
	       (vcpu->virt->served.rflags & RFLAGS_IF) && !vcpu->msrs.pv_eoi &&
	       !(vcpu->virt->apic_delivers && vcpu->lapic.tmr_changed) &&
	       !lapic_test(vcpu, LAPIC_TMR, vector) &&
	       vector >> 4 > lapic_ppr(vcpu) >> 4;
}

static inline enum virt_asked interrupt(struct vcpu *vcpu, u8 vector)
{
	lapic_begin(vcpu, vector);
	vcpu->virt->served.vector = vector;
	return VIRT_INTERRUPT;
}

static inline enum virt_asked send(struct vcpu *vcpu, u32 low, u32 dest)
{
	u32 *apic = vcpu->virt->apic;
	bool self = (low & ICR_SHORTHAND) == FIELD_PREP(ICR_SHORTHAND, IPI_SELF);

	if (!(vcpu->lapic.base & BASE_X2APIC) ||
	    (low & ~(BITS(7, 0) | ICR_ASSERT | (self ? ICR_SHORTHAND : 0))))
		return VIRT_UNSERVED;
	self |= dest == vcpu->id;
	if (self ? vcpu->virt->apic_delivers || !takes(vcpu, low) : !lapic_send_early(vcpu, low, dest))
		return VIRT_UNSERVED;
	apic[LAPIC_ICR / 4] = low;
	apic[LAPIC_ICR_HIGH / 4] = dest;
	return self ? interrupt(vcpu, low) : done();
}

HOT_PATH enum virt_asked serve_wrmsr(void *owner, u32 index, u64 value)
{
	struct vcpu *vcpu = owner;

	if (index == MSR_TSC_DEADLINE)
		return set_tsc_deadline(vcpu, value);
	if (index == MSR_EOI)
		return end_interrupt(vcpu, value);
	if (index == MSR_ICR)
		return send(vcpu, value, value >> 32);
	if (index == MSR_TIMER_INITIAL)
		return set_timer(vcpu, value);
	if (index == MSR_SELF_IPI && (vcpu->lapic.base & BASE_X2APIC) && value < 256 &&
	    !vcpu->virt->apic_delivers && takes(vcpu, value))
		return interrupt(vcpu, value);
	if (index == MSR_PAT && (value == vcpu->msrs.pat || msr_write(vcpu, index, value)))
		return VIRT_GO_ON;
	return VIRT_UNSERVED;
}

/* The end of a one-shot timer, or of a TSC deadline, that nothing holds up. */
HOT_PATH enum virt_asked serve_timer(void *owner)
{
	struct vcpu *vcpu = owner;
	struct lapic *lapic = &vcpu->lapic;
	u32 lvt = vcpu->virt->apic[LAPIC_LVT_TIMER / 4];
	u64 now = rdtsc(), clock = now - vcpu->vm->clock_start;
	bool ended = lapic->timer_mode == LAPIC_TIMER_DEADLINE ?
			     lapic->tsc_deadline && clock + vcpu->tsc_delta >= lapic->tsc_deadline :
			     lapic->timer_mode == LAPIC_TIMER_ONE_SHOT && lapic->deadline &&
				     clock >= lapic->deadline;

	if (!ended || now >= vcpu->limit || pcpu_attention() || (lvt & LVT_MASKED) ||
	    !takes(vcpu, lvt))
		return VIRT_UNSERVED;
	lapic->deadline = lapic->tsc_deadline = 0;
	vcpu->virt->served.deadline = vcpu->limit;
	if (!vcpu->virt->apic_delivers)
		return interrupt(vcpu, lvt);
	*lapic_word(vcpu, LAPIC_IRR, lvt) |= BIT((u8)lvt % 32);
	virt->set(vcpu->virt, VREG_HALTED, 0);
	virt->irr_push(vcpu->virt, lapic_highest(vcpu, LAPIC_IRR, ALL_WORDS));
	return VIRT_NEW_DEADLINE;
}
