/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs that the guest reaches without an exit: those that the VMCS or the vCPU
 * switch keeps apart and of which the CPU checks every value itself. All others
 * exit. Source: Intel SDM volume 3, "MSR-Bitmap Address".
 */
#include "arch/vmx.h"

#include "arch/mitigate.h"

const u32 vmx_msr_switched[SWITCHED_COUNT] = {
	[SWITCHED_STAR] = MSR_STAR, [SWITCHED_LSTAR] = MSR_LSTAR, [SWITCHED_CSTAR] = MSR_CSTAR,
	[SWITCHED_FMASK] = MSR_FMASK, [SWITCHED_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
	[SWITCHED_TSC_AUX] = MSR_TSC_AUX,
};

/* MSRs that are VMCS fields. */
static const struct {
	u32 msr, field;
} field_msrs[] = {
	{MSR_FS_BASE, VMCS_GUEST_FS_BASE}, {MSR_GS_BASE, VMCS_GUEST_GS_BASE},
	{MSR_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS},
	{MSR_SYSENTER_ESP, VMCS_GUEST_SYSENTER_ESP},
	{MSR_SYSENTER_EIP, VMCS_GUEST_SYSENTER_EIP},
};

/* Where the CPU serves the x2APIC: registers that the page has as they are to be read. ICR's high
 * half stands elsewhere in it, and the current count is not there. PPR is as of now only where
 * the CPU delivers. */
#define X2APIC_SERVED	 PROC2_APIC_REGISTERS
#define X2APIC_DELIVERED (PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)
static const struct {
	u16 first, last;
	bool write;
	u32 needs;
} x2apic_msrs[] = {
	{0x802, 0x803, false, X2APIC_SERVED},	 /* ID, version */
	{0x808, 0x808, false, 0}, {0x808, 0x808, true, 0}, /* TPR */
	{0x80a, 0x80a, false, X2APIC_DELIVERED}, /* PPR */
	{0x80b, 0x80b, true, PROC2_VIRTUAL_INTERRUPTS}, /* EOI */
	{0x80d, 0x80d, false, X2APIC_SERVED},	 /* LDR */
	{0x80f, 0x828, false, X2APIC_SERVED},	 /* SVR, ISR, TMR, IRR, ESR */
	{0x832, 0x838, false, X2APIC_SERVED},	 /* LVT, initial count */
	{0x83e, 0x83e, false, X2APIC_SERVED},	 /* divider */
	{0x83f, 0x83f, true, PROC2_VIRTUAL_INTERRUPTS}, /* SELF IPI */
};

/* Four bitmaps of 1 KiB: reads low, reads high, writes low, writes high. */
#define BITMAP_WRITES 2048

static void pass(u8 *bitmap, u32 msr)
{
	unsigned bit = (msr & 0x1fff) + (msr >= 0xc0000000 ? 0x2000 : 0);

	bitmap[bit / 8] &= ~BIT(bit % 8);
}

static void pass_x2apic(u8 *bitmap, bool (*allowed)(const void *arg, u32 msr, bool write),
			const void *arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(x2apic_msrs); i++) {
		bool write = x2apic_msrs[i].write;

		if ((vmx_caps.use[VMX_PROC2] & x2apic_msrs[i].needs) != x2apic_msrs[i].needs)
			continue;
		for (u32 msr = x2apic_msrs[i].first; msr <= x2apic_msrs[i].last; msr++)
			if (!allowed || allowed(arg, msr, write))
				pass(bitmap + (write ? BITMAP_WRITES : 0), msr);
	}
}

int vmx_msr_filter(struct virt_vm *vm, bool (*allowed)(const void *arg, u32 msr, bool write),
		   const void *arg)
{
	if (!vm->msr_bitmap)
		vm->msr_bitmap = pages_alloc(2);
	if (!vm->msr_bitmap)
		return -ENOMEM;
	memset(vm->msr_bitmap, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(field_msrs) + SWITCHED_COUNT; i++) {
		bool switched = i >= ARRAY_SIZE(field_msrs);
		u32 msr = switched ? vmx_msr_switched[i - ARRAY_SIZE(field_msrs)] : field_msrs[i].msr;

		if (msr == MSR_TSC_AUX && !vmx_uses(VMX_PROC2, PROC2_RDTSCP))
			continue;
		if (!allowed || allowed(arg, msr, false))
			pass(vm->msr_bitmap, msr);
		if (!allowed || allowed(arg, msr, true))
			pass(vm->msr_bitmap + BITMAP_WRITES, msr);
	}
	memcpy(vm->msr_bitmap + PAGE_SIZE, vm->msr_bitmap, PAGE_SIZE);
	pass_x2apic(vm->msr_bitmap + PAGE_SIZE, allowed, arg);
	return 0;
}

static int access_field(bool write, u32 msr, u32 field, u64 *value)
{
	if (!write)
		*value = vmcs_get(field);
	else if (msr == MSR_SYSENTER_CS)
		vmcs_set(field, (u32)*value);
	else if (!address_canonical(*value))
		return -EINVAL;
	else
		vmcs_set(field, *value);
	return 0;
}

/* Those around speculation, which always exit; who calls knows what values are good. */
static int access_speculation(struct vmx_vcpu *v, bool write, u32 index, u64 *value)
{
	if (index == MSR_ARCH_CAPABILITIES && !write)
		*value = mitigate_caps;
	else if (index == MSR_SPEC_CTRL && !write)
		*value = v->spec_ctrl;
	else if (index == MSR_SPEC_CTRL)
		vmx_vcpu_set_spec_ctrl(v, *value);
	else if (index == MSR_PRED_CMD && write)
		return msr_write_safe(index, *value) ? -EINVAL : 0;
	else
		return -ENOENT;
	return 0;
}

int vmx_msr_access(struct virt_vcpu *vcpu, bool write, u32 index, u64 *value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(field_msrs); i++)
		if (field_msrs[i].msr == index)
			return access_field(write, index, field_msrs[i].field, value);
	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		if (vmx_msr_switched[i] == index)
			return (write ? msr_write_safe(index, *value) : msr_read_safe(index, value))
				       ? -EINVAL
				       : 0;
	return access_speculation(to_vmx(vcpu), write, index, value);
}
