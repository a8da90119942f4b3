/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR allow-list as a table of ranges. Source: Intel SDM volume 4; volume
 * 3, "Memory Type Range Registers (MTRRs)", "Page Attribute Table (PAT)" and
 * "IA32_TSC_ADJUST Register Support".
 */
#include "vmm/msr.h"

#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/msr.h"
#include "vmm/abi.h"
#include "vmm/cr.h"
#include "vmm/vm.h"

#define MTRRCAP		     (VCPU_MTRR_VARIABLE | BIT(8) /* fixed */ | BIT(10) /* WC */)
#define MTRR_DEF_TYPE_VALID  (BITS(7, 0) | BIT(10) | BIT(11))
#define MTRR_BASE_TYPE	     BITS(7, 0)
#define MTRR_MASK_VALID	     BIT(11)
#define MISC_ENABLE_FAST_STRING BIT(0)
#define MISC_ENABLE_RESET    (MISC_ENABLE_FAST_STRING | BIT(11) /* no BTS */ | BIT(12) /* no PEBS */)

/*
 * A row without `read` is kept in struct vcpu_msrs, or has a fixed value. `write`
 * says whether the value is taken, and does what is to be done beyond keeping it.
 */
struct msr_row {
	u32 first, last;
	const char *name;
	bool (*write)(struct vcpu *vcpu, u32 index, u64 value); /* NULL: #GP */
	bool (*read)(struct vcpu *vcpu, u32 index, u64 *value);
	u8 kept; /* KEPT of the first one */
	u64 fixed;
};

#define KEPT(member) (offsetof(struct vcpu_msrs, member) / sizeof(u64) + 1)

/* For registers of which Trivet has none of the writable bits. */
static bool write_zero(struct vcpu *vcpu, u32 index, u64 value)
{
	return value == 0;
}

static bool write_ignore(struct vcpu *vcpu, u32 index, u64 value)
{
	return true;
}

static bool read_tsc(struct vcpu *vcpu, u32 index, u64 *value)
{
	*value = vm_now(vcpu->vm) + vcpu->tsc_delta;
	return true;
}

static bool write_tsc(struct vcpu *vcpu, u32 index, u64 value)
{
	vcpu_set_tsc_delta(vcpu, value - vm_now(vcpu->vm));
	return true;
}

/* Both begin at 0 and whatever moves one moves the other. */
static bool read_tsc_adjust(struct vcpu *vcpu, u32 index, u64 *value)
{
	*value = vcpu->tsc_delta;
	return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, u32 index, u64 value)
{
	vcpu_set_tsc_delta(vcpu, value);
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
	*value = virt->get(vcpu->virt, VREG_EFER);
	return true;
}

static bool write_efer(struct vcpu *vcpu, u32 index, u64 value)
{
	return cr_set_efer(vcpu, value);
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

static bool write_pat(struct vcpu *vcpu, u32 index, u64 value)
{
	if (!valid_types(value, true))
		return false;
	virt->set(vcpu->virt, VREG_PAT, value);
	return true;
}

static bool write_mtrr_fixed(struct vcpu *vcpu, u32 index, u64 value)
{
	return valid_types(value, false);
}

static bool write_mtrr_variable(struct vcpu *vcpu, u32 index, u64 value)
{
	u64 address = (BIT(vcpu->vm->cpuid.maxphyaddr) - 1) & ~BITS(11, 0);
	bool mask = index & 1;

	if (value & ~(address | (mask ? MTRR_MASK_VALID : MTRR_BASE_TYPE)))
		return false;
	return mask || valid_memory_type(value & MTRR_BASE_TYPE, false);
}

static bool write_mtrr_def_type(struct vcpu *vcpu, u32 index, u64 value)
{
	return !(value & ~MTRR_DEF_TYPE_VALID) && valid_memory_type(value & MTRR_BASE_TYPE, false);
}

static bool write_misc_enable(struct vcpu *vcpu, u32 index, u64 value)
{
	return !((value ^ MISC_ENABLE_RESET) & ~MISC_ENABLE_FAST_STRING);
}

/* What is true of a CPU is so inside a VM too, for these bits of IA32_ARCH_CAPABILITIES. */
#define ARCH_CAPABILITIES                                                                         \
	(BIT(0) /* RDCL_NO */ | BIT(1) /* IBRS_ALL */ | BIT(2) /* RSBA */ |                       \
	 BIT(3) /* SKIP_L1DFL_VMENTRY */ | BIT(4) /* SSB_NO */ | BIT(5) /* MDS_NO */ |            \
	 BIT(8) /* TAA_NO */ | BITS(15, 13) /* SBDR_SSDP_NO, FBSDP_NO, PSDP_NO */ |               \
	 BIT(17) /* FB_CLEAR */ | BITS(20, 19) /* RRSBA, BHI_NO */ | BIT(24) /* PBRSB_NO */ |     \
	 BITS(28, 26) /* GDS_NO, RFDS_NO, RFDS_CLEAR */ | BIT(62) /* ITS_NO */)
/* Changes of a page's size are no danger to a guest that has no guests. */
#define PSCHANGE_MC_NO BIT(6)

static bool read_arch_capabilities(struct vcpu *vcpu, u32 index, u64 *value)
{
	if (!vcpu->vm->cpuid.arch_capabilities || !read_cpu(vcpu, index, value))
		return false;
	*value = (*value & ARCH_CAPABILITIES) | PSCHANGE_MC_NO;
	return true;
}

static bool read_spec_ctrl(struct vcpu *vcpu, u32 index, u64 *value)
{
	return vcpu->vm->cpuid.spec_ctrl_valid && read_cpu(vcpu, index, value);
}

static bool write_spec_ctrl(struct vcpu *vcpu, u32 index, u64 value)
{
	u64 valid = vcpu->vm->cpuid.spec_ctrl_valid;

	return valid && !(value & ~valid) && write_cpu(vcpu, index, value);
}

/* A command: nothing is kept. */
static bool read_nothing(struct vcpu *vcpu, u32 index, u64 *value)
{
	return false;
}

static bool write_pred_cmd(struct vcpu *vcpu, u32 index, u64 value)
{
	u64 valid = vcpu->vm->cpuid.pred_cmd_valid;

	return valid && !(value & ~valid) && write_cpu(vcpu, index, value);
}

/* Sorted. */
static const struct msr_row rows[] = {
	{MSR_TSC, MSR_TSC, "TSC", .write = write_tsc, .read = read_tsc},
	{ABI_MSR_WALL_CLOCK_OLD, ABI_MSR_SYSTEM_TIME_OLD, "KVM_CLOCK_OLD", .write = pv_write_msr,
	 .kept = KEPT(pv_wall_clock)},
	{0x17, 0x17, "PLATFORM_ID", .write = NULL},
	{MSR_APIC_BASE, MSR_APIC_BASE, "APIC_BASE", .write = lapic_write_msr,
	 .read = lapic_read_msr},
	{MSR_TSC_ADJUST, MSR_TSC_ADJUST, "TSC_ADJUST", .write = write_tsc_adjust,
	 .read = read_tsc_adjust},
	{MSR_SPEC_CTRL, MSR_SPEC_CTRL, "SPEC_CTRL", .write = write_spec_ctrl, .read = read_spec_ctrl},
	{MSR_PRED_CMD, MSR_PRED_CMD, "PRED_CMD", .write = write_pred_cmd, .read = read_nothing},
	{MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, "BIOS_SIGN_ID", .write = write_ignore},
	{MSR_MTRRCAP, MSR_MTRRCAP, "MTRRCAP", .fixed = MTRRCAP},
	{MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, "ARCH_CAPABILITIES",
	 .read = read_arch_capabilities},
	{MSR_SYSENTER_CS, MSR_SYSENTER_EIP, "SYSENTER", .write = write_cpu, .read = read_cpu},
	/* No machine-check banks: the bank registers do not exist. */
	{MSR_MCG_CAP, MSR_MCG_CAP, "MCG_CAP", .write = NULL},
	{MSR_MCG_STATUS, MSR_MCG_STATUS, "MCG_STATUS", .write = write_zero},
	{MSR_MISC_ENABLE, MSR_MISC_ENABLE, "MISC_ENABLE", .write = write_misc_enable,
	 .kept = KEPT(misc_enable)},
	{MSR_DEBUGCTL, MSR_DEBUGCTL, "DEBUGCTL", .write = write_zero},
	{MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSBASE0 + 2 * VCPU_MTRR_VARIABLE - 1, "MTRR_PHYS",
	 .write = write_mtrr_variable, .kept = KEPT(mtrr_variable)},
	{MSR_MTRR_FIX64K_00000, MSR_MTRR_FIX64K_00000, "MTRR_FIX64K", .write = write_mtrr_fixed,
	 .kept = KEPT(mtrr_fixed)},
	{MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_80000 + 1, "MTRR_FIX16K", .write = write_mtrr_fixed,
	 .kept = KEPT(mtrr_fixed) + 1},
	{MSR_MTRR_FIX4K_C0000, MSR_MTRR_FIX4K_C0000 + 7, "MTRR_FIX4K", .write = write_mtrr_fixed,
	 .kept = KEPT(mtrr_fixed) + 3},
	{MSR_PAT, MSR_PAT, "PAT", .write = write_pat, .kept = KEPT(pat)},
	{MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, "MTRR_DEF_TYPE", .write = write_mtrr_def_type,
	 .kept = KEPT(mtrr_def_type)},
	{MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, "TSC_DEADLINE", .write = lapic_write_msr,
	 .read = lapic_read_msr},
	{MSR_XSS, MSR_XSS, "XSS", .write = write_zero},
	{ABI_MSR_WALL_CLOCK, ABI_MSR_SYSTEM_TIME, "KVM_CLOCK", .write = pv_write_msr,
	 .kept = KEPT(pv_wall_clock)},
	{ABI_MSR_STEAL_TIME, ABI_MSR_PV_EOI, "KVM_STEAL_EOI", .write = pv_write_msr,
	 .kept = KEPT(pv_steal_time)},
	{MSR_EFER, MSR_EFER, "EFER", .write = write_efer, .read = read_efer},
	{MSR_STAR, MSR_FMASK, "SYSCALL", .write = write_cpu, .read = read_cpu},
	{MSR_FS_BASE, MSR_KERNEL_GS_BASE, "BASE", .write = write_cpu, .read = read_cpu},
	{MSR_TSC_AUX, MSR_TSC_AUX, "TSC_AUX", .write = write_cpu, .read = read_cpu},
};

/* Not in the list: vcpu_get_lapic has them. */
static const struct msr_row x2apic = {
	MSR_X2APIC_BASE, MSR_X2APIC_BASE + 0xff, "X2APIC", .write = lapic_write_msr,
	.read = lapic_read_msr};

static const struct msr_row *find(struct vcpu *vcpu, u32 index)
{
	if (index >= x2apic.first && index <= x2apic.last)
		return &x2apic;
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

static u64 *kept(struct vcpu *vcpu, const struct msr_row *row, u32 index)
{
	return (u64 *)&vcpu->msrs + row->kept - 1 + index - row->first;
}

/* The next read finds the value where it stands, or the fault. */
static void remember(struct vcpu *vcpu, u32 index, const u64 *value)
{
	*virt_msr_slot(&vcpu->virt->served, index) =
		(struct virt_msr){index, vcpu->virt->served.epoch, value};
}

bool msr_read(struct vcpu *vcpu, u32 index, u64 *value)
{
	const struct msr_row *row = find(vcpu, index);
	const u64 *at = NULL;

	if (row && row->read && index != MSR_APIC_BASE)
		return row->read(vcpu, index, value);
	if (row)
		at = index == MSR_APIC_BASE ? &vcpu->lapic.base :
		     row->kept ? kept(vcpu, row, index) : &row->fixed;
	remember(vcpu, index, at);
	*value = at ? *at : 0;
	return at;
}

bool msr_write(struct vcpu *vcpu, u32 index, u64 value)
{
	const struct msr_row *row = find(vcpu, index);

	if (!row || !row->write || !row->write(vcpu, index, value))
		return false;
	if (row->kept)
		*kept(vcpu, row, index) = value;
	return true;
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
