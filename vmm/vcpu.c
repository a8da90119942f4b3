/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's life and its registers as KVM's calls group them.
 */
#include "vmm/vcpu.h"

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "vmm/inject.h"
#include "vmm/msr.h"
#include "vmm/vm.h"

_Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "a vCPU is one page");

int vcpu_create(struct vm *vm, unsigned id, struct vcpu **out)
{
	struct vcpu *vcpu = pages_alloc(1);

	if (!vcpu)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->id = id;
	if (virt->vcpu_create(vm->virt, &vcpu->virt)) {
		pages_free(vcpu, 1);
		return -ENOMEM;
	}
	*out = vcpu;
	return 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	virt->vcpu_destroy(vcpu->virt);
	pages_free(vcpu, 1);
}

void vcpu_load(struct vcpu *vcpu)
{
	space_enter(&vcpu->vm->space);
	virt->vcpu_load(vcpu->virt);
}

void vcpu_put(struct vcpu *vcpu)
{
	virt->vcpu_put(vcpu->virt);
	space_leave();
}

void vcpu_reset(struct vcpu *vcpu)
{
	virt->vcpu_reset(vcpu->virt);
	virt->set(vcpu->virt, VREG_TSC_OFFSET, 0 - vcpu->vm->clock_start);
	vcpu->halted = false;
	vcpu->cr8 = 0;
	vcpu->exception.type = EVENT_NONE;
	vcpu->repeat.type = EVENT_NONE;
	msr_reset(vcpu);
}

void vcpu_set_state(struct vcpu *vcpu, const struct load_result *state)
{
	const struct vcpu_sregs *s = &state->sregs;

	for (unsigned i = 0; i < SREG_COUNT; i++)
		virt->set_segment(vcpu->virt, i, &s->seg[i]);
	virt->set_segment(vcpu->virt, VSEG_TR, &s->tr);
	virt->set_segment(vcpu->virt, VSEG_LDTR, &s->ldtr);
	virt->set_table(vcpu->virt, VTABLE_GDT, &s->gdt);
	virt->set_table(vcpu->virt, VTABLE_IDT, &s->idt);
	virt->set(vcpu->virt, VREG_CR0, s->cr0);
	virt->set(vcpu->virt, VREG_CR2, s->cr2);
	virt->set(vcpu->virt, VREG_CR3, s->cr3);
	virt->set(vcpu->virt, VREG_CR4, s->cr4);
	virt->set(vcpu->virt, VREG_EFER, s->efer);
	vcpu->cr8 = s->cr8;
	vcpu_set_regs(vcpu, &state->regs);
}

void vcpu_get_regs(struct vcpu *vcpu, struct vcpu_regs *regs)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		regs->gpr[i] = vcpu_gpr(vcpu, i);
	regs->rip = virt->get(vcpu->virt, VREG_RIP);
	regs->rflags = virt->get(vcpu->virt, VREG_RFLAGS);
}

void vcpu_set_regs(struct vcpu *vcpu, const struct vcpu_regs *regs)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		vcpu_set_gpr(vcpu, i, regs->gpr[i]);
	virt->set(vcpu->virt, VREG_RIP, regs->rip);
	virt->set(vcpu->virt, VREG_RFLAGS, regs->rflags | RFLAGS_ONE);
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
	s->cr8 = vcpu->cr8;
	s->efer = virt->get(vcpu->virt, VREG_EFER);
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
}
