/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers of each CPU. Source: Intel SDM volume 3, "Control
 * Registers"; "Page Attribute Table".
 */
#include "arch/cpu_setup.h"

#include "arch/cpu.h"
#include "arch/msr.h"

u8 cpu_smap;

void cpu_setup(void)
{
	bool leaf7 = cpuid(0, 0).eax >= 7;
	struct cpuid_regs ext = leaf7 ? cpuid(7, 0) : (struct cpuid_regs){0};
	bool xsave = cpuid(1, 0).ecx & BIT(26);
	u64 cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (ext.ebx & BIT(7))
		cr4 |= CR4_SMEP;
	if (ext.ebx & BIT(20))
		cr4 |= CR4_SMAP;
	if (ext.ecx & BIT(2))
		cr4 |= CR4_UMIP;
	if (xsave)
		cr4 |= CR4_OSXSAVE;
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	write_cr4(cr4);
	cpu_smap = !!(cr4 & CR4_SMAP);
	if (xsave)
		xsetbv(0, XCR0_X87 | XCR0_SSE);
	wrmsr(MSR_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	wrmsr(MSR_PAT, CPU_PAT);
}
