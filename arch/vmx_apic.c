/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's local APIC, as far as the CPU serves it. Source: Intel SDM volume
 * 3, "APIC Virtualization and Virtual Interrupts".
 */
#include "arch/vmx.h"

int vmx_apic_page(struct virt_vm *vm, bool on)
{
	return 0;
}

void vmx_apic_mode(struct virt_vcpu *vcpu, enum virt_apic mode)
{
}

void vmx_apic_irr_push(struct virt_vcpu *vcpu, int vector)
{
}

void vmx_apic_isr_sync(struct virt_vcpu *vcpu, int vector)
{
}

void vmx_apic_eoi_exits(struct virt_vcpu *vcpu, const u32 vectors[8])
{
}

void vmx_apic_tpr_threshold(struct virt_vcpu *vcpu, unsigned threshold)
{
}
