/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: x87, SSE and AVX registers and MXCSR belong to the guest and stay across exits
 * of every kind (CPUID, ports, interrupts); CR0.TS gives #NM. SDM volume 1, "Programming
 * with the x87 FPU"; volume 3, "Processor Extended States".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

static u8 before[832] __attribute__((aligned(64))), after[832] __attribute__((aligned(64)));

static void exits(void)
{
	cpuid(0, 0);
	outb(0x80, 0);
	inb(0x61);
	pit_start(2, 1193);
	irq_unmask(0);
	for (unsigned i = 0; i < 3; i++)
		sti_hlt_cli();
	irq_mask(0);
}

static void x87_and_sse(void)
{
	u32 mxcsr = 0x1fc0;

	for (unsigned i = 0; i < sizeof(before); i++)
		before[i] = 0;
	__asm__ volatile("fninit; fldpi; fldl2e; fld1; ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("movq %0, %%xmm0; movq %1, %%xmm7; movq %0, %%xmm15; "
			 "punpcklqdq %%xmm7, %%xmm15"
			 : : "r"(0x0123456789abcdefull), "r"(0xfedcba9876543210ull));
	__asm__ volatile("fxsave64 %0" : "=m"(before) : : "memory");
	exits();
	__asm__ volatile("fxsave64 %0" : "=m"(after) : : "memory");
	CHECK("x87-sse-kept", !memcmp(before, after, 512));
	test_equal("mxcsr-kept", *(u32 *)(after + 24), mxcsr);
}

static void avx(void)
{
	u32 same;

	if (!(cpuid(1, 0).ecx & BIT(28))) {
		test_skip("avx-kept", "no AVX");
		return;
	}
	cr4_write(cr4_read() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
	for (unsigned i = 0; i < 32; i++)
		before[i] = (u8)(i * 7 + 1);
	__asm__ volatile("vmovdqu %0, %%ymm3; vmovdqu %0, %%ymm12" : : "m"(before));
	exits();
	__asm__ volatile("vmovdqu %%ymm3, %0" : "=m"(after) : : "memory");
	same = !memcmp(before, after, 32);
	__asm__ volatile("vmovdqu %%ymm12, %0" : "=m"(after) : : "memory");
	CHECK("avx-kept", same && !memcmp(before, after, 32));
}

void test_main(void)
{
	irq_init();
	cr0_write(cr0_read() & ~CR0_EM);
	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	x87_and_sse();
	avx();
	cr0_write(cr0_read() | CR0_TS);
	test_equal("ts-gives-nm", TRY("fnop", : : : "memory"), TRAP_NM);
	__asm__ volatile("clts");
	test_equal("clts-ends-nm", TRY("fnop", : : : "memory"), TRAP_NONE);
}
