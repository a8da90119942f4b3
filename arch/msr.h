/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSR numbers, and reads and writes that survive a #GP. Everything that is not
 * architectural on every CPU with the required features goes through the safe
 * forms. Source: Intel SDM volume 4, "Model-Specific Registers".
 */
#pragma once

#include "arch/lib/types.h"

enum {
	MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_FEATURE_CONTROL = 0x3a, MSR_TSC_ADJUST = 0x3b,
	MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49,
	MSR_BIOS_SIGN_ID = 0x8b, MSR_SMM_MONITOR_CTL = 0x9b, MSR_MTRRCAP = 0xfe,
	MSR_ARCH_CAPABILITIES = 0x10a, MSR_FLUSH_CMD = 0x10b, MSR_TSX_CTRL = 0x122,
	MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176,
	MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MISC_ENABLE = 0x1a0, MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_PHYSBASE0 = 0x200, MSR_MTRR_FIX64K_00000 = 0x250, MSR_MTRR_FIX16K_80000 = 0x258,
	MSR_MTRR_FIX4K_C0000 = 0x268, MSR_PAT = 0x277, MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_MC0_STATUS = 0x401, MSR_VMX_BASIC = 0x480, MSR_VMX_PINBASED_CTLS = 0x481,
	MSR_VMX_PROCBASED_CTLS = 0x482,
	MSR_VMX_EXIT_CTLS = 0x483, MSR_VMX_ENTRY_CTLS = 0x484, MSR_VMX_MISC = 0x485,
	MSR_VMX_CR0_FIXED0 = 0x486, MSR_VMX_CR0_FIXED1 = 0x487,
	MSR_VMX_CR4_FIXED0 = 0x488, MSR_VMX_CR4_FIXED1 = 0x489,
	MSR_VMX_PROCBASED_CTLS2 = 0x48b, MSR_VMX_EPT_VPID_CAP = 0x48c,
	MSR_VMX_TRUE_PINBASED_CTLS = 0x48d, MSR_VMX_TRUE_PROCBASED_CTLS = 0x48e,
	MSR_VMX_TRUE_EXIT_CTLS = 0x48f, MSR_VMX_TRUE_ENTRY_CTLS = 0x490, MSR_S_CET = 0x6a2,
	MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC_BASE = 0x800, MSR_XSS = 0xda0,
	MSR_EFER = 0xc0000080, MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082,
	MSR_CSTAR = 0xc0000083, MSR_FMASK = 0xc0000084, MSR_FS_BASE = 0xc0000100,
	MSR_GS_BASE = 0xc0000101, MSR_KERNEL_GS_BASE = 0xc0000102, MSR_TSC_AUX = 0xc0000103,
};

enum { PRED_CMD_IBPB = 1, FLUSH_CMD_L1D = 1 };

/* IA32_PAT after a reset: write-back, write-through, UC-, UC, twice. */
#define MSR_PAT_RESET 0x0007040600070406ull

/*
 * Reads or writes an MSR that may not exist. Returns 0, or -EIO when the CPU
 * raised #GP (then *value is 0). Any context once the trap handlers stand.
 */
int msr_read_safe(u32 msr, u64 *value);
int msr_write_safe(u32 msr, u64 value);
