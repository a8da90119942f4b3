/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: an unknown MSR is #GP for RDMSR and WRMSR; the known ones keep what is
 * written and refuse what their description forbids: PAT types, addresses
 * that are not canonical. SDM volume 2, RDMSR and WRMSR; volume 3, "Page Attribute
 * Table", "Fast System Calls in 64-Bit Mode"; volume 4, model-specific registers,
 * "IA32_SPEC_CTRL", "IA32_PRED_CMD", "IA32_ARCH_CAPABILITIES"; volume 2, CPUID leaf 7.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define NOT_CANONICAL 0x0000800000000000ull
#define CANONICAL     0xffff800012345678ull

static void unknown(void)
{
	static const u32 msrs[] = {0x4, 0x1fff, 0x40000200, 0xc0001fff, 0xc0010117, 0xffffffff};
	bool reads = true, writes = true;
	u64 value;

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		reads &= try_rdmsr(msrs[i], &value) == TRAP_GP;
		writes &= try_wrmsr(msrs[i], 0) == TRAP_GP;
	}
	CHECK("unknown-read", reads);
	CHECK("unknown-write", writes);
}

static void pat(void)
{
	u64 reset = rdmsr(MSR_PAT);
	bool refused = true;

	test_equal("pat-reset", reset, 0x0007040600070406);
	wrmsr(MSR_PAT, 0x0706050401000706);
	test_equal("pat-reads-back", rdmsr(MSR_PAT), 0x0706050401000706);
	for (unsigned byte = 0; byte < 8; byte++) {
		refused &= try_wrmsr(MSR_PAT, 2ull << 8 * byte) == TRAP_GP;
		refused &= try_wrmsr(MSR_PAT, 3ull << 8 * byte) == TRAP_GP;
		refused &= try_wrmsr(MSR_PAT, 8ull << 8 * byte) == TRAP_GP;
	}
	CHECK("pat-reserved-types", refused);
	test_equal("pat-after-faults", rdmsr(MSR_PAT), 0x0706050401000706);
	wrmsr(MSR_PAT, reset);
}

static void addresses(void)
{
	static const struct {
		const char *kept, *refused;
		u32 msr;
	} rows[] = {
		{"sysenter-esp", "sysenter-esp-canonical", MSR_SYSENTER_ESP},
		{"sysenter-eip", "sysenter-eip-canonical", MSR_SYSENTER_EIP},
		{"lstar", "lstar-canonical", MSR_LSTAR},
		{"cstar", "cstar-canonical", MSR_CSTAR},
		{"fs-base", "fs-base-canonical", MSR_FS_BASE},
		{"gs-base", "gs-base-canonical", MSR_GS_BASE},
		{"kernel-gs", "kernel-gs-canonical", MSR_KERNEL_GS},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		test_equal(rows[i].refused, try_wrmsr(rows[i].msr, NOT_CANONICAL), TRAP_GP);
		wrmsr(rows[i].msr, CANONICAL);
		cpuid(0, 0);
		test_equal(rows[i].kept, rdmsr(rows[i].msr), CANONICAL);
		wrmsr(rows[i].msr, 0);
	}
}

/* Each is there if CPUID says so. */
static void speculation(void)
{
	u32 edx = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).edx : 0;
	bool barrier = edx & BIT(26), capabilities = edx & BIT(29);
	u64 valid = (edx & BIT(26) ? 1 : 0) | (edx & BIT(27) ? 2 : 0) | (edx & BIT(31) ? 4 : 0), value;

	test_equal("spec-ctrl-there", try_rdmsr(MSR_SPEC_CTRL, &value) == TRAP_NONE, valid != 0);
	if (valid) {
		wrmsr(MSR_SPEC_CTRL, valid);
		cpuid(0, 0);
		test_equal("spec-ctrl", rdmsr(MSR_SPEC_CTRL), valid);
		wrmsr(MSR_SPEC_CTRL, 0);
	}
	test_equal("spec-ctrl-reserved", try_wrmsr(MSR_SPEC_CTRL, BIT(31)), TRAP_GP);
	test_equal("pred-cmd-reads", try_rdmsr(MSR_PRED_CMD, &value), TRAP_GP);
	test_equal("pred-cmd-there", try_wrmsr(MSR_PRED_CMD, 1) == TRAP_NONE, barrier);
	test_equal("pred-cmd-reserved", try_wrmsr(MSR_PRED_CMD, 2), TRAP_GP);
	test_equal("capabilities-there", try_rdmsr(MSR_ARCH_CAPABILITIES, &value) == TRAP_NONE,
		   capabilities);
	test_equal("capabilities-written", try_wrmsr(MSR_ARCH_CAPABILITIES, 0), TRAP_GP);
}

static void values(void)
{
	wrmsr(MSR_STAR, 0x0023001012345678);
	test_equal("star", rdmsr(MSR_STAR), 0x0023001012345678);
	wrmsr(MSR_FMASK, 0x47700);
	test_equal("fmask", rdmsr(MSR_FMASK), 0x47700);
	wrmsr(MSR_SYSENTER_CS, 0x10);
	test_equal("sysenter-cs", rdmsr(MSR_SYSENTER_CS) & 0xffff, 0x10);
}

static void tsc(void)
{
	bool forward = true;
	u64 last = rdmsr(MSR_TSC), now;

	for (unsigned i = 0; i < 1000; i++, last = now) {
		now = i & 1 ? rdmsr(MSR_TSC) : rdtsc();
		forward &= now > last;
	}
	CHECK("tsc-monotonic", forward);
}

void test_main(void)
{
	unknown();
	pat();
	addresses();
	values();
	speculation();
	tsc();
}
