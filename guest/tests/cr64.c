/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: in 64-bit mode CR8 is the task priority, the high halves of CR0, CR4
 * and CR8's bits 63:4 are reserved (#GP), PAE and LME cannot be taken away under paging,
 * and LMA is the CPU's to write. SDM volume 3, "Control Registers",
 * "Initializing IA-32e Mode", "Extended Feature Enable Register".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

static void cr8_rules(void)
{
	unsigned long value;
	bool same = true;

	for (unsigned long want = 0; want < 16; want++) {
		__asm__ volatile("mov %1, %%cr8; mov %%cr8, %0"
				 : "=r"(value) : "r"(want) : "memory");
		same &= value == want;
	}
	CHECK("cr8-reads-back", same);
	test_equal("cr8-reserved", TRY_CR_WRITE(8, 0x10), TRAP_GP);
	test_equal("cr8-high-bit", TRY_CR_WRITE(8, BIT(63)), TRAP_GP);
	__asm__ volatile("mov %0, %%cr8" : : "r"(0ul) : "memory");
}

static void cr0_cr4_rules(void)
{
	unsigned long cr0 = cr0_read(), cr4 = cr4_read();
	bool high0 = true, high4 = true;

	for (unsigned bit = 32; bit < 64; bit++) {
		high0 &= TRY_CR_WRITE(0, cr0 | BIT(bit)) == TRAP_GP;
		if (bit != 32) /* FRED, on CPUs that have it */
			high4 &= TRY_CR_WRITE(4, cr4 | BIT(bit)) == TRAP_GP;
	}
	CHECK("cr0-high-half", high0);
	CHECK("cr4-high-half", high4);
	test_equal("cr4-pae-in-long-mode", TRY_CR_WRITE(4, cr4 & ~CR4_PAE), TRAP_GP);
	test_equal("cr0-unchanged", cr0_read(), cr0);
	test_equal("cr4-unchanged", cr4_read(), cr4);
	/* Leaving paging from 64-bit code is refused too: CS.L is 1. */
	test_equal("cr0-pg-off-in-64-bit", TRY_CR_WRITE(0, cr0 & ~CR0_PG), TRAP_GP);
	test_equal("cr3-reserved-high", TRY_CR_WRITE(3, cr3_read() | BIT(60)), TRAP_GP);
}

static void efer_rules(void)
{
	u64 efer = rdmsr(MSR_EFER);
	bool reserved = true;

	test_equal("efer-lma-lme", efer & (EFER_LMA | EFER_LME), EFER_LMA | EFER_LME);
	for (unsigned bit = 1; bit < 64; bit++)
		if (bit != 8 && bit != 10 && bit != 11 && !(bit >= 12 && bit <= 15))
			reserved &= try_wrmsr(MSR_EFER, efer | BIT(bit)) == TRAP_GP;
	CHECK("efer-reserved-bits", reserved);
	test_equal("efer-lme-off-under-paging", try_wrmsr(MSR_EFER, efer & ~EFER_LME), TRAP_GP);
	test_equal("efer-lma-write-ignored", try_wrmsr(MSR_EFER, efer & ~EFER_LMA), TRAP_NONE);
	test_equal("efer-after-lma", rdmsr(MSR_EFER), efer);
	wrmsr(MSR_EFER, efer | EFER_SCE | EFER_NXE);
	test_equal("efer-sce-nxe", rdmsr(MSR_EFER), efer | EFER_SCE | EFER_NXE);
	wrmsr(MSR_EFER, efer);
}

void test_main(void)
{
	cr8_rules();
	cr0_cr4_rules();
	efer_rules();
}
