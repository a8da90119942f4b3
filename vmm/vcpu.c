/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's life, and single registers.
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
	struct vcpu *vcpu;

	if (id >= VM_VCPUS_MAX)
		return -EINVAL;
	vcpu = vm->vcpus[id];
	if (vcpu && !vcpu->parked)
		return -EEXIST;
	if (vcpu) {
		vcpu->parked = false;
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
	*out = vm->vcpus[id] = vcpu;
	return 0;
}

void vcpu_park(struct vcpu *vcpu)
{
	vcpu->parked = true;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	vcpu->vm->vcpus[vcpu->id] = NULL;
	virt->vcpu_destroy(vcpu->virt);
	pages_free(vcpu, 1);
}

void vcpu_load(struct vcpu *vcpu)
{
	space_enter(&vcpu->vm->space);
	virt->vcpu_load(vcpu->virt);
	virt->set(vcpu->virt, VREG_TSC_OFFSET, vcpu->tsc_delta - vcpu->vm->clock_start);
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
	vcpu->interrupt.type = EVENT_NONE;
	vcpu->nmi_pending = 0;
	vcpu->tsc_delta = 0;
	vcpu_debug_reset(vcpu);
	msr_reset(vcpu);
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
