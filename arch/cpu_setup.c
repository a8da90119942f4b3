/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers of each CPU. Source: Intel SDM volume 3, "Control
 * Registers"; "Page Attribute Table"; volume 1, "Control-flow Enforcement
 * Technology".
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

	cr4 |= ext.ebx & BIT(7) ? CR4_SMEP : 0;
	cr4 |= ext.ebx & BIT(20) ? CR4_SMAP : 0;
	cr4 |= ext.ecx & BIT(2) ? CR4_UMIP : 0;
	cr4 |= xsave ? CR4_OSXSAVE : 0;
	/* Indirect branches land on ENDBR64 only, without exceptions. No guest gets CR4.CET or
	 * the MSR, so that exits and entries need not load it: it stays as it is. */
	if (ext.edx & BIT(20)) {
		wrmsr(MSR_S_CET, S_CET_ENDBR_EN);
		cr4 |= CR4_CET;
	}
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	write_cr4(cr4);
	cpu_smap = !!(cr4 & CR4_SMAP);
	if (xsave)
		xsetbv(0, XCR0_X87 | XCR0_SSE);
	wrmsr(MSR_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	wrmsr(MSR_PAT, CPU_PAT);
}
