/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's local APIC, as far as the CPU serves it: which accesses go to the
 * register page in each mode, delivery of interrupts from it, and the frame that
 * the EPT shows in the place of the xAPIC. Source: Intel SDM volume 3, "APIC
 * Virtualization and Virtual Interrupts".
 */
#include "arch/vmx.h"

/* Pauses that are so many TSC ticks apart at most are a loop, which exits after that many. */
enum { PLE_GAP_TICKS = 128, PLE_WINDOW_TICKS = 4096 };

enum { STATUS_RVI = BITS(7, 0), STATUS_SVI = BITS(15, 8) };

/* What the CPU can do in each mode. */
static const u32 mode_controls[] = {
	[VIRT_APIC_XAPIC] = PROC2_APIC & ~PROC2_X2APIC,
	[VIRT_APIC_X2APIC] = PROC2_APIC & ~PROC2_APIC_ACCESS,
};

/* The frame is there before a control that names it. */
int vmx_apic_create(struct virt_vm *vm)
{
	if (!vm->apic_frame && vmx_uses(VMX_PROC2, PROC2_APIC_ACCESS))
		vm->apic_frame = pages_alloc(1);
	return vm->apic_frame || !vmx_uses(VMX_PROC2, PROC2_APIC_ACCESS) ? 0 : -ENOMEM;
}

void vmx_apic_reset(struct vmx_vcpu *v)
{
	static const u32 no_vectors[8];

	if (vmx_uses(VMX_PROC, PROC_TPR_SHADOW)) {
		vmwrite64(VIRTUAL_APIC_ADDRESS, virt_to_phys(v->base.apic).v);
		vmwrite32(TPR_THRESHOLD, 0);
		v->tpr_threshold = 0;
	}
	if (vmx_uses(VMX_PROC2, PROC2_APIC_ACCESS))
		vmwrite64(APIC_ACCESS_ADDRESS, virt_to_phys(v->vm->apic_frame).v);
	if (vmx_uses(VMX_PROC2, PROC2_PAUSE_LOOP)) {
		vmwrite32(PLE_GAP, PLE_GAP_TICKS);
		vmwrite32(PLE_WINDOW, PLE_WINDOW_TICKS);
	}
	if (vmx_uses(VMX_PROC2, PROC2_VIRTUAL_INTERRUPTS)) {
		vmx_apic_eoi_exits(&v->base, no_vectors);
		vmwrite16(GUEST_INTERRUPT_STATUS, 0);
	}
	vmx_apic_mode(&v->base, VIRT_APIC_OFF);
}

/* The tables on the way stay: other CPUs may be walking them. */
int vmx_apic_page(struct virt_vm *vm, bool on)
{
	unsigned level;
	u64 *entry = pt_leaf(&vm->ept, VIRT_APIC_PAGE, &level);
	bool mapped = entry && vm->apic_frame &&
		      (*entry & PT_ADDRESS) == virt_to_phys(vm->apic_frame).v;

	if (on && !mapped && vm->apic_frame)
		return ept_vm_map(vm, GPA(VIRT_APIC_PAGE), virt_to_phys(vm->apic_frame), PAGE_SIZE,
				  MAP_READ | MAP_WRITE, MEMTYPE_RAM);
	if (!on && mapped) {
		__atomic_store_n(entry, 0, __ATOMIC_RELEASE);
		pt_downgraded(&vm->ept);
	}
	return 0;
}

void vmx_apic_mode(struct virt_vcpu *vcpu, enum virt_apic mode)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 bits = vmx_caps.use[VMX_PROC2] & mode_controls[mode];

	vmx_vcpu_controls2(v, PROC2_APIC, bits);
	vcpu->apic_delivers = bits & PROC2_VIRTUAL_INTERRUPTS;
	virt_forget(&vcpu->served);
	if (vmx_uses(VMX_PROC, PROC_MSR_BITMAP))
		vmwrite64(MSR_BITMAP, virt_to_phys(v->vm->msr_bitmap).v +
					      (bits & PROC2_X2APIC ? PAGE_SIZE : 0));
	/* "Guidelines for Use of the INVVPID Instruction": translations know of the frame. */
	v->flush_vpid = true;
}

static void set_status(u32 mask, int vector)
{
	u16 old = vmread16(GUEST_INTERRUPT_STATUS), new = old & ~mask;

	new |= vector < 0 ? 0 : FIELD_PREP(mask, (u32)vector);
	if (new != old)
		vmwrite16(GUEST_INTERRUPT_STATUS, new);
}

void vmx_apic_irr_push(struct virt_vcpu *vcpu, int vector)
{
	set_status(STATUS_RVI, vector);
}

void vmx_apic_isr_sync(struct virt_vcpu *vcpu, int vector)
{
	set_status(STATUS_SVI, vector);
}

void vmx_apic_eoi_exits(struct virt_vcpu *vcpu, const u32 vectors[8])
{
	for (unsigned i = 0; i < 4; i++)
		vmcs_set(VMCS_EOI_EXIT0 + 2 * i, vectors[2 * i] | (u64)vectors[2 * i + 1] << 32);
}

/* At most TPR's own, which an entry would refuse: "VM-Execution Control Fields". */
void vmx_apic_tpr_threshold(struct virt_vcpu *vcpu, unsigned threshold)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u8 value = MIN(threshold, FIELD_GET(APIC_TPR_CLASS, vcpu->apic[APIC_TPR]));

	if (value == v->tpr_threshold || !vmx_uses(VMX_PROC, PROC_TPR_SHADOW))
		return;
	v->tpr_threshold = value;
	vmwrite32(TPR_THRESHOLD, value);
}
