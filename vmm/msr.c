/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR allow-list as a table of ranges. Source: Intel SDM volume 4; volume
 * 3, "Memory Type Range Registers (MTRRs)" and "Page Attribute Table (PAT)".
 */
#include "vmm/msr.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/msr.h"
#include "vmm/cr.h"
#include "vmm/vm.h"

#define MTRRCAP		     (VCPU_MTRR_VARIABLE | BIT(8) /* fixed */ | BIT(10) /* WC */)
#define MTRR_DEF_TYPE_VALID  (BITS(7, 0) | BIT(10) | BIT(11))
#define MTRR_BASE_TYPE	     BITS(7, 0)
#define MTRR_MASK_VALID	     BIT(11)
#define MISC_ENABLE_FAST_STRING BIT(0)
#define MISC_ENABLE_RESET    (MISC_ENABLE_FAST_STRING | BIT(11) /* no BTS */ | BIT(12) /* no PEBS */)

struct msr_row {
	u32 first, last;
	const char *name;
	bool (*read)(struct vcpu *vcpu, u32 index, u64 *value);
	bool (*write)(struct vcpu *vcpu, u32 index, u64 value); /* NULL: #GP */
};

static bool read_zero(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)vcpu;
	(void)index;
	*value = 0;
	return true;
}

/* For registers of which Trivet has none of the writable bits. */
static bool write_zero(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)vcpu;
	(void)index;
	return value == 0;
}

static bool write_ignore(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)vcpu;
	(void)index;
	(void)value;
	return true;
}

static bool read_tsc(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)index;
	*value = rdtsc() + virt->get(vcpu->virt, VREG_TSC_OFFSET);
	return true;
}

static bool write_tsc(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)index;
	u64 offset = value - rdtsc();

	virt->set(vcpu->virt, VREG_TSC_OFFSET, offset);
	vcpu->tsc_delta = offset + vcpu->vm->clock_start;
	return true;
}

/* Those that live in the CPU; the guest mostly reaches them without an exit. */
static bool read_cpu(struct vcpu *vcpu, u32 index, u64 *value)
{
	return virt->msr(vcpu->virt, false, index, value) == 0;
}

static bool write_cpu(struct vcpu *vcpu, u32 index, u64 value)
{
	return virt->msr(vcpu->virt, true, index, &value) == 0;
}

static bool read_efer(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)index;
	*value = virt->get(vcpu->virt, VREG_EFER);
	return true;
}

static bool write_efer(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)index;
	return cr_set_efer(vcpu, value);
}

static bool read_mtrrcap(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)vcpu;
	(void)index;
	*value = MTRRCAP;
	return true;
}

/* UC, WC, WT, WP, WB; the PAT also has UC-. */
static bool valid_memory_type(u64 type, bool pat)
{
	return type <= 6 ? (BIT(type) & (BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6)))
			 : pat && type == 7;
}

static bool valid_types(u64 value, bool pat)
{
	for (unsigned i = 0; i < 8; i++)
		if (!valid_memory_type(value >> 8 * i & 0xff, pat))
			return false;
	return true;
}

static bool read_pat(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)index;
	*value = vcpu->msrs.pat;
	return true;
}

static bool write_pat(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)index;
	if (!valid_types(value, true))
		return false;
	vcpu->msrs.pat = value;
	virt->set(vcpu->virt, VREG_PAT, value);
	return true;
}

/* Where a fixed-range MTRR is kept; the caller has checked the index. */
static u64 *fixed_mtrr(struct vcpu *vcpu, u32 index)
{
	unsigned place = index == MSR_MTRR_FIX64K_00000	 ? 0
			 : index < MSR_MTRR_FIX4K_C0000 ? index - MSR_MTRR_FIX16K_80000 + 1
							: index - MSR_MTRR_FIX4K_C0000 + 3;

	return &vcpu->msrs.mtrr_fixed[place];
}

static bool read_mtrr_fixed(struct vcpu *vcpu, u32 index, u64 *value)
{
	*value = *fixed_mtrr(vcpu, index);
	return true;
}

static bool write_mtrr_fixed(struct vcpu *vcpu, u32 index, u64 value)
{
	if (!valid_types(value, false))
		return false;
	*fixed_mtrr(vcpu, index) = value;
	return true;
}

static bool read_mtrr_variable(struct vcpu *vcpu, u32 index, u64 *value)
{
	*value = vcpu->msrs.mtrr_variable[index - MSR_MTRR_PHYSBASE0];
	return true;
}

static bool write_mtrr_variable(struct vcpu *vcpu, u32 index, u64 value)
{
	u64 address = (BIT(vcpu->vm->cpuid.maxphyaddr) - 1) & ~BITS(11, 0);
	bool mask = index & 1;

	if (value & ~(address | (mask ? MTRR_MASK_VALID : MTRR_BASE_TYPE)))
		return false;
	if (!mask && !valid_memory_type(value & MTRR_BASE_TYPE, false))
		return false;
	vcpu->msrs.mtrr_variable[index - MSR_MTRR_PHYSBASE0] = value;
	return true;
}

static bool read_mtrr_def_type(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)index;
	*value = vcpu->msrs.mtrr_def_type;
	return true;
}

static bool write_mtrr_def_type(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)index;
	if ((value & ~MTRR_DEF_TYPE_VALID) || !valid_memory_type(value & MTRR_BASE_TYPE, false))
		return false;
	vcpu->msrs.mtrr_def_type = value;
	return true;
}

static bool read_misc_enable(struct vcpu *vcpu, u32 index, u64 *value)
{
	(void)index;
	*value = vcpu->msrs.misc_enable;
	return true;
}

static bool write_misc_enable(struct vcpu *vcpu, u32 index, u64 value)
{
	(void)index;
	if ((value ^ MISC_ENABLE_RESET) & ~MISC_ENABLE_FAST_STRING)
		return false;
	vcpu->msrs.misc_enable = value;
	return true;
}

/* Sorted. */
static const struct msr_row rows[] = {
	{MSR_TSC, MSR_TSC, "TSC", read_tsc, write_tsc},
	{0x17, 0x17, "PLATFORM_ID", read_zero, NULL},
	{MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, "BIOS_SIGN_ID", read_zero, write_ignore},
	{MSR_MTRRCAP, MSR_MTRRCAP, "MTRRCAP", read_mtrrcap, NULL},
	{MSR_SYSENTER_CS, MSR_SYSENTER_EIP, "SYSENTER", read_cpu, write_cpu},
	/* No machine-check banks: the bank registers do not exist. */
	{MSR_MCG_CAP, MSR_MCG_CAP, "MCG_CAP", read_zero, NULL},
	{MSR_MCG_STATUS, MSR_MCG_STATUS, "MCG_STATUS", read_zero, write_zero},
	{MSR_MISC_ENABLE, MSR_MISC_ENABLE, "MISC_ENABLE", read_misc_enable, write_misc_enable},
	{MSR_DEBUGCTL, MSR_DEBUGCTL, "DEBUGCTL", read_zero, write_zero},
	{MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSBASE0 + 2 * VCPU_MTRR_VARIABLE - 1, "MTRR_PHYS",
	 read_mtrr_variable, write_mtrr_variable},
	{MSR_MTRR_FIX64K_00000, MSR_MTRR_FIX64K_00000, "MTRR_FIX64K", read_mtrr_fixed,
	 write_mtrr_fixed},
	{MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_80000 + 1, "MTRR_FIX16K", read_mtrr_fixed,
	 write_mtrr_fixed},
	{MSR_MTRR_FIX4K_C0000, MSR_MTRR_FIX4K_C0000 + 7, "MTRR_FIX4K", read_mtrr_fixed,
	 write_mtrr_fixed},
	{MSR_PAT, MSR_PAT, "PAT", read_pat, write_pat},
	{MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, "MTRR_DEF_TYPE", read_mtrr_def_type,
	 write_mtrr_def_type},
	{MSR_XSS, MSR_XSS, "XSS", read_zero, write_zero},
	{MSR_EFER, MSR_EFER, "EFER", read_efer, write_efer},
	{MSR_STAR, MSR_FMASK, "SYSCALL", read_cpu, write_cpu},
	{MSR_FS_BASE, MSR_KERNEL_GS_BASE, "BASE", read_cpu, write_cpu},
	{MSR_TSC_AUX, MSR_TSC_AUX, "TSC_AUX", read_cpu, write_cpu},
};

static const struct msr_row *find(struct vcpu *vcpu, u32 index)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows) && rows[i].first <= index; i++) {
		if (index > rows[i].last)
			continue;
		/* These exist only with their instructions. */
		if ((index == MSR_XSS && !virt_supports("xsaves")) ||
		    (index == MSR_TSC_AUX && !virt_supports("rdtscp")))
			break;
		return &rows[i];
	}
	if (once_first(&vcpu->vm->unknown_msrs, index))
		log_debug("[%s] unknown MSR %xh: #GP", vcpu->vm->name, index);
	return NULL;
}

void msr_reset(struct vcpu *vcpu)
{
	memset(&vcpu->msrs, 0, sizeof(vcpu->msrs));
	vcpu->msrs.pat = MSR_PAT_RESET;
	vcpu->msrs.misc_enable = MISC_ENABLE_RESET;
}

bool msr_allowed(const void *arg, u32 index, bool write)
{
	const struct vm_msr_policy *policy = &((const struct vm *)arg)->msr_policy;

	for (unsigned i = 0; i < policy->count; i++)
		if (index >= policy->range[i].first && index <= policy->range[i].last)
			return write ? policy->range[i].write : policy->range[i].read;
	return !policy->deny;
}

bool msr_read(struct vcpu *vcpu, u32 index, u64 *value)
{
	const struct msr_row *row = find(vcpu, index);

	return row && row->read(vcpu, index, value);
}

bool msr_write(struct vcpu *vcpu, u32 index, u64 value)
{
	const struct msr_row *row = find(vcpu, index);

	return row && row->write && row->write(vcpu, index, value);
}

bool msr_range(unsigned row, u32 *first, u32 *last, const char **name)
{
	if (row >= ARRAY_SIZE(rows))
		return false;
	*first = rows[row].first;
	*last = rows[row].last;
	*name = rows[row].name;
	return true;
}
