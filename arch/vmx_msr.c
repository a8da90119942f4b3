/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs that the guest reaches without an exit: those that the VMCS or the vCPU
 * switch keeps apart and of which the CPU checks every value itself. All others
 * exit. Source: Intel SDM volume 3, "MSR-Bitmap Address".
 */
#include "arch/vmx.h"

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/msr.h"

const u32 vmx_msr_switched[SWITCHED_COUNT] = {
	[SWITCHED_STAR] = MSR_STAR,
	[SWITCHED_LSTAR] = MSR_LSTAR,
	[SWITCHED_CSTAR] = MSR_CSTAR,
	[SWITCHED_FMASK] = MSR_FMASK,
	[SWITCHED_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
	[SWITCHED_TSC_AUX] = MSR_TSC_AUX,
};

/* MSRs that are VMCS fields. */
static const struct {
	u32 msr;
	u32 field;
} field_msrs[] = {
	{MSR_FS_BASE, VMCS_GUEST_FS_BASE},
	{MSR_GS_BASE, VMCS_GUEST_GS_BASE},
	{MSR_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS},
	{MSR_SYSENTER_ESP, VMCS_GUEST_SYSENTER_ESP},
	{MSR_SYSENTER_EIP, VMCS_GUEST_SYSENTER_EIP},
};

static u8 *bitmap; /* one for all vCPUs: the list is the same */

/* Four bitmaps of 1 KiB: reads low, reads high, writes low, writes high. */
static void pass(u32 msr)
{
	unsigned bit = (msr & 0x1fff) + (msr >= 0xc0000000 ? 0x2000 : 0);

	bitmap[bit / 8] &= ~BIT(bit % 8);
	bitmap[2048 + bit / 8] &= ~BIT(bit % 8);
}

int vmx_msr_init(void)
{
	if (bitmap)
		return 0;
	bitmap = pages_alloc(1);
	if (!bitmap)
		return -ENOMEM;
	memset(bitmap, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(field_msrs); i++)
		pass(field_msrs[i].msr);
	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		if (i != SWITCHED_TSC_AUX || vmx_uses(VMX_PROC2, PROC2_RDTSCP))
			pass(vmx_msr_switched[i]);
	return 0;
}

hpa_t vmx_msr_bitmap(void)
{
	return virt_to_phys(bitmap);
}

static bool serve_field(struct vmx_vcpu *v, u32 msr, bool write, u64 *value, bool *fault)
{
	for (unsigned i = 0; i < ARRAY_SIZE(field_msrs); i++) {
		if (field_msrs[i].msr != msr)
			continue;
		if (!write)
			*value = vmcs_get(field_msrs[i].field);
		else if (msr != MSR_SYSENTER_CS && !address_canonical(*value))
			*fault = true;
		else
			vmcs_set(field_msrs[i].field, msr == MSR_SYSENTER_CS ? (u32)*value : *value);
		return true;
	}
	(void)v;
	return false;
}

bool vmx_msr_serve(struct vmx_vcpu *v, bool write, bool *fault)
{
	u64 *gpr = v->base.gpr;
	u32 msr = gpr[GPR_RCX];
	u64 value = (u32)gpr[GPR_RAX] | gpr[GPR_RDX] << 32;
	bool served;

	*fault = false;
	served = serve_field(v, msr, write, &value, fault);
	for (unsigned i = 0; i < SWITCHED_COUNT && !served; i++) {
		if (vmx_msr_switched[i] != msr)
			continue;
		if (i == SWITCHED_TSC_AUX && !vmx_uses(VMX_PROC2, PROC2_RDTSCP))
			return false;
		*fault = write ? msr_write_safe(msr, value) : msr_read_safe(msr, &value);
		served = true;
	}
	if (served && !write && !*fault) {
		gpr[GPR_RAX] = (u32)value;
		gpr[GPR_RDX] = value >> 32;
	}
	return served;
}
