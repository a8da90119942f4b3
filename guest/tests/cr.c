/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the guest's CR0 and CR4 are its own, whatever bits VMX needs fixed. A
 * value written reads back as the CPU defines it (ET always 1), illegal
 * combinations and reserved bits raise #GP and change nothing. SDM volume 3,
 * "Control Registers"; volume 2, MOV to/from Control Registers, LMSW, CLTS.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

static u32 directory[1024] __attribute__((aligned(4096)));

static void paging_with_4m_pages(void)
{
	for (u32 i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x83;
	cr4_write(cr4_read() | CR4_PSE);
	cr3_write((unsigned long)directory);
}

static void cr0_values(void)
{
	static const u32 values[] = {
		CR0_PE | CR0_MP, CR0_PE | CR0_EM, CR0_PE | CR0_NE, CR0_PE | CR0_WP,
		CR0_PE | CR0_CD, CR0_PE | CR0_CD | CR0_NW, CR0_PE | BIT(18),
		CR0_PE | CR0_TS | CR0_WP | CR0_NE,
	};
	bool same = true;

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		cr0_write(values[i]);
		same &= cr0_read() == (values[i] | CR0_ET);
	}
	CHECK("cr0-reads-back", same);
	cr0_write(CR0_PG | CR0_PE | CR0_WP);
	test_equal("cr0-pg-pe-wp", cr0_read(), 0x80010011);
	test_equal("cr0-et-fixed", (cr0_write(CR0_PG | CR0_PE), cr0_read()), 0x80000011);
}

static void cr0_faults(void)
{
	unsigned long before = cr0_read();

	test_equal("cr0-pg-without-pe", TRY_CR_WRITE(0, CR0_PG), TRAP_GP);
	test_equal("cr0-nw-without-cd", TRY_CR_WRITE(0, CR0_PG | CR0_PE | CR0_NW), TRAP_GP);
	test_equal("cr0-after-faults", cr0_read(), before);
	/* Reserved bits of CR0 are ignored in 32-bit mode. */
	TRY_CR_WRITE(0, CR0_PG | CR0_PE | BIT(6) | BIT(28));
	test_equal("cr0-reserved-ignored", cr0_read(), 0x80000011);
}

static void cr4_rules(void)
{
	unsigned long before = cr4_read();
	bool faults = true;

	for (unsigned bit = 24; bit < 32; bit++) /* reserved, or not offered to this program */
		if (bit != 24 && bit != 25)
			faults &= TRY_CR_WRITE(4, before | BIT(bit)) == TRAP_GP;
	CHECK("cr4-reserved-bits", faults);
	test_equal("cr4-bit-15", TRY_CR_WRITE(4, before | BIT(15)), TRAP_GP);
	test_equal("cr4-after-faults", cr4_read(), before);
	CHECK("cr4-vmxe-hidden", !(cr4_read() & CR4_VMXE));
	if (cpuid(1, 0).ecx & BIT(5))
		test_skip("cr4-vmxe-fault", "CPUID offers VMX");
	else
		test_equal("cr4-vmxe-fault", TRY_CR_WRITE(4, before | CR4_VMXE), TRAP_GP);
	cr4_write(before | CR4_TSD | CR4_VME);
	test_equal("cr4-reads-back", cr4_read(), before | CR4_TSD | CR4_VME);
	cr4_write(before);
}

static void lmsw_and_clts(void)
{
	u16 msw;

	__asm__ volatile("lmsw %0" : : "r"((u16)(CR0_PE | CR0_TS | CR0_EM)) : "memory");
	test_equal("lmsw-sets-ts-em", cr0_read(), 0x80000011 | CR0_TS | CR0_EM);
	__asm__ volatile("clts" : : : "memory");
	test_equal("clts", cr0_read(), 0x80000011 | CR0_EM);
	__asm__ volatile("lmsw %0" : : "r"((u16)0) : "memory");
	test_equal("lmsw-keeps-pe", cr0_read(), 0x80000011);
	__asm__ volatile("smsw %0" : "=r"(msw) : : "memory");
	test_equal("smsw", msw, 0x0011);
}

static void cr3_and_cr2(void)
{
	unsigned long here = cr3_read();

	cr3_write(here | 0x18); /* PWT and PCD */
	test_equal("cr3-reads-back", cr3_read(), here | 0x18);
	cr3_write(here);
	cr2_write(0x12345678);
	cpuid(0, 0);
	test_equal("cr2-kept-across-exit", cr2_read(), 0x12345678);
	cr0_write(CR0_PE);
	test_equal("cr0-paging-off", cr0_read(), 0x11);
}

void test_main(void)
{
	paging_with_4m_pages();
	cr0_values();
	cr0_faults();
	cr4_rules();
	lmsw_and_clts();
	cr3_and_cr2();
}
