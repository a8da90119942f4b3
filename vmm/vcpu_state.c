/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a vCPU as KVM's get and set calls group it. A set checks first,
 * or applies, asks the back end for the rule that is broken, and puts the old
 * state back.
 */
#include "vmm/vcpu.h"

#include "arch/lib/string.h"
#include "vmm/cr.h"
#include "vmm/gwalk.h"
#include "vmm/inject.h"
#include "vmm/msr.h"
#include "vmm/vm.h"

#define FXSAVE_MXCSR  24
#define XSAVE_HEADER  512
#define PENDING_DEBUG (BITS(3, 0) | BIT(12) | BIT(14))
#define ERROR_CODE    BITS(14, 0)
#define INSN_MAX      15

static int refuse(const char **why, const char *rule)
{
	*why = rule;
	return -EINVAL;
}

/* The shadows and pending debug traps, with the rule that the whole state breaks then, or NULL. */
static const char *set_pending(struct vcpu *vcpu, u64 shadow, u64 debug)
{
	virt->set(vcpu->virt, VREG_SHADOW, shadow);
	virt->set(vcpu->virt, VREG_PENDING_DEBUG, debug);
	return virt->check ? virt->check(vcpu->virt) : NULL;
}

void vcpu_get_regs(struct vcpu *vcpu, struct vcpu_regs *regs)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		regs->gpr[i] = vcpu_gpr(vcpu, i);
	regs->rip = virt->get(vcpu->virt, VREG_RIP);
	regs->rflags = virt->get(vcpu->virt, VREG_RFLAGS);
}

void vcpu_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *s)
{
	for (unsigned i = 0; i < SREG_COUNT; i++)
		virt->get_segment(vcpu->virt, i, &s->seg[i]);
	virt->get_segment(vcpu->virt, VSEG_TR, &s->tr);
	virt->get_segment(vcpu->virt, VSEG_LDTR, &s->ldtr);
	virt->get_table(vcpu->virt, VTABLE_GDT, &s->gdt);
	virt->get_table(vcpu->virt, VTABLE_IDT, &s->idt);
	s->cr0 = virt->get(vcpu->virt, VREG_CR0);
	s->cr2 = virt->get(vcpu->virt, VREG_CR2);
	s->cr3 = virt->get(vcpu->virt, VREG_CR3);
	s->cr4 = virt->get(vcpu->virt, VREG_CR4);
	s->cr8 = lapic_get_cr8(vcpu->virt);
	s->efer = virt->get(vcpu->virt, VREG_EFER);
	for (unsigned i = 0; i < 4; i++)
		s->pdpte[i] = virt->get(vcpu->virt, VREG_PDPTE0 + i);
}

static void put_sregs(struct vcpu *vcpu, const struct vcpu_sregs *s)
{
	for (unsigned i = 0; i < SREG_COUNT; i++)
		virt->set_segment(vcpu->virt, i, &s->seg[i]);
	virt->set_segment(vcpu->virt, VSEG_TR, &s->tr);
	virt->set_segment(vcpu->virt, VSEG_LDTR, &s->ldtr);
	virt->set_table(vcpu->virt, VTABLE_GDT, &s->gdt);
	virt->set_table(vcpu->virt, VTABLE_IDT, &s->idt);
	virt->set(vcpu->virt, VREG_CR0, s->cr0 | CR0_ET);
	virt->set(vcpu->virt, VREG_CR2, s->cr2);
	virt->set(vcpu->virt, VREG_CR3, s->cr3);
	virt->set(vcpu->virt, VREG_CR4, s->cr4);
	virt->set(vcpu->virt, VREG_EFER, s->efer);
	lapic_set_cr8(vcpu->virt, s->cr8);
	for (unsigned i = 0; i < 4; i++)
		virt->set(vcpu->virt, VREG_PDPTE0 + i, s->pdpte[i]);
	virt->flush(vcpu->virt);
}

void vcpu_set_state(struct vcpu *vcpu, const struct load_result *state)
{
	put_sregs(vcpu, &state->sregs);
	vcpu_write_regs(vcpu, &state->regs);
}

int vcpu_set_registers(struct vcpu *vcpu, const struct vcpu_regs *regs,
		       const struct vcpu_sregs *sregs, const char **why)
{
	u64 shadow = virt->get(vcpu->virt, VREG_SHADOW);
	u64 pending = virt->get(vcpu->virt, VREG_PENDING_DEBUG);
	struct load_result old;

	vcpu_get_regs(vcpu, &old.regs);
	vcpu_get_sregs(vcpu, &old.sregs);
	*why = sregs ? cr_check(vcpu, sregs) : NULL;
	if (*why)
		return -EINVAL;
	if (sregs)
		put_sregs(vcpu, sregs);
	if (regs)
		vcpu_write_regs(vcpu, regs);
	if (regs && (regs->rip != old.regs.rip || regs->rflags != old.regs.rflags))
		*why = set_pending(vcpu, shadow & SHADOW_NMI, 0);
	else
		*why = set_pending(vcpu, shadow, pending);
	if (!*why)
		return 0;
	vcpu_set_state(vcpu, &old);
	set_pending(vcpu, shadow, pending);
	return -EINVAL;
}

unsigned vcpu_get_msrs(struct vcpu *vcpu, struct vcpu_msr *msrs, unsigned count)
{
	unsigned i = 0;

	while (i < count && msr_read(vcpu, msrs[i].index, &msrs[i].value))
		i++;
	return i;
}

unsigned vcpu_set_msrs(struct vcpu *vcpu, const struct vcpu_msr *msrs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		u64 old;

		if (!msr_write(vcpu, msrs[i].index, msrs[i].value) &&
		    (!msr_read(vcpu, msrs[i].index, &old) || old != msrs[i].value))
			return i;
	}
	return count;
}

int vcpu_get_fpu(struct vcpu *vcpu, void *area, size_t size)
{
	if (size != virt->fpu()->size)
		return -EINVAL;
	virt->get_fpu(vcpu->virt, area);
	return 0;
}

int vcpu_set_fpu(struct vcpu *vcpu, const void *area, size_t size, const char **why)
{
	const struct virt_fpu *fpu = virt->fpu();
	u64 header[8] = {0};
	u32 mxcsr;

	if (size != fpu->size)
		return refuse(why, "the area has another size");
	memcpy(&mxcsr, (const u8 *)area + FXSAVE_MXCSR, sizeof(mxcsr));
	if (mxcsr & ~fpu->mxcsr_mask)
		return refuse(why, "MXCSR has reserved bits set");
	if (fpu->components)
		memcpy(header, (const u8 *)area + XSAVE_HEADER, sizeof(header));
	if (header[0] & ~(vcpu->vm->cpuid.xcr0_valid | XCR0_X87 | XCR0_SSE))
		return refuse(why, "XSTATE_BV has components that the VM's CPUID does not offer");
	for (unsigned i = 1; i < ARRAY_SIZE(header); i++)
		if (header[i])
			return refuse(why, "the XSAVE header is compacted or has reserved bits set");
	virt->set_fpu(vcpu->virt, area);
	return 0;
}

u64 vcpu_get_xcr0(struct vcpu *vcpu)
{
	return virt->get(vcpu->virt, VREG_XCR0);
}

int vcpu_set_xcr0(struct vcpu *vcpu, u64 value, const char **why)
{
	if (value != vcpu_get_xcr0(vcpu) && !cr_set_xcr(vcpu, 0, value))
		return refuse(why, "XCR0 needs x87, SSE for AVX, AVX for AVX-512, that whole, and has "
				   "nothing that the VM's CPUID does not offer");
	return 0;
}

void vcpu_get_events(struct vcpu *vcpu, struct vcpu_events *events)
{
	u64 shadow = virt->get(vcpu->virt, VREG_SHADOW);

	*events = (struct vcpu_events){
		.exception = vcpu->exception, .repeat = vcpu->repeat, .interrupt = vcpu->interrupt,
		.nmi_pending = vcpu->nmi_pending, .nmi_masked = shadow & SHADOW_NMI,
		.shadow = shadow & ~(u64)SHADOW_NMI,
		.pending_debug = virt->get(vcpu->virt, VREG_PENDING_DEBUG),
	};
}

/* The rule that an exception or software event breaks, or NULL. SDM volume 3,
 * "VM-Entry Controls for Event Injection". */
static const char *check_event(struct vcpu *vcpu, const struct vcpu_event *event)
{
	bool protected = virt->get(vcpu->virt, VREG_CR0) & CR0_PE;

	switch (event->type) {
	case EVENT_NONE:
		return NULL;
	case EVENT_EXCEPTION:
		/* Not every CPU takes #CP's error code at an entry, and no guest has CET. */
		if (event->vector >= 32 || event->vector == VECTOR_NMI || event->vector == VECTOR_CP)
			return "an exception has a vector of 0 to 31, not 2 nor 21";
		if (event->has_error != (inject_has_error(event->vector) && protected) &&
		    (protected || event->has_error != inject_has_error(event->vector)))
			return "an error code where the exception has none, or the reverse";
		return event->error & ~ERROR_CODE ? "an error code has 15 bits" : NULL;
	case EVENT_SOFT_INTERRUPT:
	case EVENT_SOFT_EXCEPTION:
	case EVENT_ICEBP:
		if (event->has_error)
			return "a software event has no error code";
		return event->insn_len < 1 || event->insn_len > INSN_MAX
			       ? "a software event has an instruction of 1 to 15 bytes"
			       : NULL;
	default:
		return "an interrupt or NMI in the place of an exception";
	}
}

int vcpu_set_events(struct vcpu *vcpu, const struct vcpu_events *e, const char **why)
{
	u64 shadow = virt->get(vcpu->virt, VREG_SHADOW);
	u64 pending = virt->get(vcpu->virt, VREG_PENDING_DEBUG);

	*why = check_event(vcpu, &e->exception) ?: check_event(vcpu, &e->repeat);
	if (*why)
		return -EINVAL;
	if (e->interrupt.type && (e->interrupt.type != EVENT_INTERRUPT || e->interrupt.has_error))
		return refuse(why, "no external interrupt in the place of one");
	if (e->nmi_pending + e->nmi_masked > (virt_supports("virtual-nmi") ? VCPU_NMIS_MAX : 0))
		return refuse(why, "one NMI in service and one pending, two pending, or no such CPU");
	if (e->shadow & ~(SHADOW_STI | SHADOW_MOV_SS))
		return refuse(why, "the shadow is of STI or MOV SS");
	if (e->pending_debug & ~PENDING_DEBUG)
		return refuse(why, "pending debug exceptions have reserved bits set");
	*why = set_pending(vcpu, e->shadow | (e->nmi_masked ? SHADOW_NMI : 0), e->pending_debug);
	if (*why) {
		set_pending(vcpu, shadow, pending);
		return -EINVAL;
	}
	vcpu->exception = e->exception;
	vcpu->repeat = e->repeat;
	vcpu->interrupt = e->interrupt;
	vcpu->nmi_pending = e->nmi_pending;
	return 0;
}

enum vcpu_mp_state vcpu_get_mp_state(const struct vcpu *vcpu)
{
	if (vcpu->waits_startup)
		return VCPU_WAITS_STARTUP;
	return vcpu->halted ? VCPU_HALTED : VCPU_RUNNABLE;
}

int vcpu_set_mp_state(struct vcpu *vcpu, enum vcpu_mp_state state, const char **why)
{
	if (state >= VCPU_MP_STATES)
		return refuse(why, "a vCPU is runnable, halted or waits for STARTUP");
	vcpu->waits_startup = state == VCPU_WAITS_STARTUP;
	vcpu->halted = state == VCPU_HALTED;
	return 0;
}

void vcpu_translate(struct vcpu *vcpu, gva_t gva, struct vcpu_translation *out)
{
	struct vcpu_sregs s;
	struct gwalk_ctx ctx;
	u32 rights;

	vcpu_get_sregs(vcpu, &s);
	ctx = (struct gwalk_ctx){.cr0 = s.cr0, .cr3 = s.cr3, .cr4 = s.cr4, .efer = s.efer,
				 .pdpte = s.pdpte, .maxphyaddr = vcpu->vm->cpuid.maxphyaddr};
	*out = (struct vcpu_translation){0};
	out->valid = (!(s.efer & EFER_LMA) || address_canonical(gva.v)) &&
		     !gwalk_translate(vcpu->vm, &ctx, gva, GWALK_PEEK, &out->gpa, &rights);
	out->writable = out->valid && (rights & PF_WRITE);
	out->user = out->valid && (rights & PF_USER);
}
