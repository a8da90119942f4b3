/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: whatever values a program moves to CR0, CR4 and EFER, in whatever order, each
 * is taken or raises #GP and changes nothing; nothing that is taken makes a state in
 * which the machine cannot go on. A fixed random sequence, with an exit behind each
 * step, with paging off, 32-bit, PAE and in compatibility mode. SDM volume 3, "Control
 * Registers", "Paging Modes and Control Bits"; "Checks on the Guest State Area".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define STEPS 20000
#define TABLE __attribute__((aligned(4096)))

static u32 flat[1024] TABLE;
static u64 pml4[512] TABLE, pdpt[512] TABLE, pae[4] TABLE, directories[4][512] TABLE;
static u32 seed = 0x2545f491;

static u32 chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

/* One identity map in each format; with paging on the tables must fit the mode. */
static void make_tables(void)
{
	for (u32 i = 0; i < 1024; i++)
		flat[i] = i << 22 | 0x83;
	for (u32 i = 0; i < 2048; i++)
		directories[i >> 9][i & 511] = (u64)i << 21 | 0x83;
	for (u32 i = 0; i < 4; i++) {
		pae[i] = (unsigned long)directories[i] | 1;
		pdpt[i] = pae[i] | 2;
	}
	pml4[0] = (unsigned long)pdpt | 3;
}

static unsigned long table_for(unsigned long cr4, bool lme)
{
	return (unsigned long)(!(cr4 & CR4_PAE) ? (void *)flat : lme ? (void *)pml4 : (void *)pae);
}

static bool step_cr4(unsigned long *cr4, u32 valid)
{
	unsigned long want = (*cr4 ^ (BIT(chance() % 23) | BIT(chance() % 23))) & ~(u32)CR4_VMXE;
	bool paging = cr0_read() & CR0_PG, good = !(want & ~valid) && !(want & BIT(17));

	/* The tables fit one format only. */
	if (paging && good && ((want ^ *cr4) & CR4_PAE))
		return true;
	if (paging && !(want & CR4_PSE) && !(want & CR4_PAE))
		return true;
	if ((TRY_CR_WRITE(4, want) == TRAP_NONE) != good)
		return false;
	*cr4 = good ? want : *cr4;
	return cr4_read() == *cr4;
}

static bool step_cr0(void)
{
	static const u32 bits[] = {CR0_MP, CR0_EM, CR0_TS, CR0_NE, CR0_WP, CR0_NW, CR0_CD, BIT(18), BIT(6)};
	unsigned long old = cr0_read(), want = old ^ bits[chance() % 9] ^ bits[chance() % 9];
	bool good = !(want & CR0_NW) || (want & CR0_CD);

	if ((TRY_CR_WRITE(0, want) == TRAP_NONE) != good)
		return false;
	return cr0_read() == (good ? (want & ~BIT(6)) | CR0_ET : old);
}

/* Turns paging on or off; in compatibility mode it stays on for a few exits only. */
static bool step_paging(unsigned long *cr4, bool lme)
{
	unsigned long cr0 = cr0_read();

	if (cr0 & CR0_PG) {
		cr0_write(cr0 & ~CR0_PG);
		return true;
	}
	if (lme && !(*cr4 & CR4_PAE))
		return TRY_CR_WRITE(0, cr0 | CR0_PG) == TRAP_GP;
	if (!(*cr4 & (CR4_PAE | CR4_PSE)))
		return true;
	cr3_write(table_for(*cr4, lme));
	cr0_write(cr0 | CR0_PG);
	if (!lme)
		return true;
	for (unsigned i = 0; i < 4; i++) {
		*cr4 ^= BIT(chance() & 1 ? 2 : 7);
		cr4_write(*cr4);
		cr0_write(cr0_read() ^ CR0_TS);
		cpuid(0, 0);
	}
	cr0_write(cr0_read() & ~CR0_PG);
	return !(rdmsr(MSR_EFER) & EFER_LMA);
}

static bool step_efer(void)
{
	u64 old = rdmsr(MSR_EFER), want = old ^ (chance() & 1 ? EFER_LME : BIT(chance() % 16));
	bool good = !(want & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) &&
		    !((old ^ want) & EFER_LME && cr0_read() & CR0_PG);

	if ((try_wrmsr(MSR_EFER, want) == TRAP_NONE) != good)
		return false;
	return rdmsr(MSR_EFER) == (good ? (want & ~EFER_LMA) | (old & EFER_LMA) : old);
}

void test_main(void)
{
	struct cpuid leaf1 = cpuid(1, 0), leaf7 = cpuid(7, 0);
	u32 valid = 0x7ff, bad = 0, step;
	unsigned long cr4;

	valid |= leaf1.ecx & BIT(26) ? CR4_OSXSAVE : 0;
	if (cpuid(0, 0).eax >= 7)
		valid |= (leaf7.ebx & BIT(0) ? BIT(16) : 0) | (leaf7.ebx & BIT(7) ? BIT(20) : 0) |
			 (leaf7.ebx & BIT(20) ? BIT(21) : 0) | (leaf7.ecx & BIT(2) ? BIT(11) : 0);
	make_tables();
	cr4 = cr4_read();
	for (step = 0; step < STEPS && !bad; step++) {
		u32 which = chance() % 8;
		bool lme = rdmsr(MSR_EFER) & EFER_LME, good;

		good = which < 3 ? step_cr4(&cr4, valid) : which < 5 ? step_cr0() :
		       which < 7 ? step_paging(&cr4, lme) : step_efer();
		if (!good)
			bad = step << 4 | which;
		cpuid(0, 0);
	}
	test_equal("control-registers", bad, 0);
	test_equal("all-steps", step, STEPS);
}
