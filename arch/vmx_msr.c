/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs that the guest reaches without an exit: those that the VMCS or the vCPU
 * switch keeps apart and of which the CPU checks every value itself. All others
 * exit. Source: Intel SDM volume 3, "MSR-Bitmap Address".
 */
#include "arch/vmx.h"

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

/* Four bitmaps of 1 KiB: reads low, reads high, writes low, writes high. */
#define BITMAP_WRITES 2048

static void pass(u8 *bitmap, u32 msr)
{
	unsigned bit = (msr & 0x1fff) + (msr >= 0xc0000000 ? 0x2000 : 0);

	bitmap[bit / 8] &= ~BIT(bit % 8);
}

int vmx_msr_filter(struct virt_vm *vm, bool (*allowed)(const void *arg, u32 msr, bool write),
		   const void *arg)
{
	if (!vm->msr_bitmap)
		vm->msr_bitmap = pages_alloc(1);
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
	return -ENOENT;
}
