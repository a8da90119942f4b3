/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: XSETBV takes only legal values of XCR0: bit 0 set, AVX with SSE, nothing
 * that CPUID leaf 0Dh does not offer, ECX = 0; else #GP, and XCR0 stays. Without
 * CR4.OSXSAVE it is #UD. SDM volume 1, "Enabling the XSAVE Feature Set and
 * XSAVE-Enabled Features".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define XSAVE	   BIT(26)
#define AVX512_ALL 0xe0ull
#define MPX_ALL	   0x18ull

static unsigned try_xsetbv(u32 index, u64 value)
{
	return TRY("xsetbv", : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static u64 xgetbv(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

static bool legal(u64 value, u64 offered)
{
	u64 wide = value & AVX512_ALL, mpx = value & MPX_ALL;

	return (value & 1) && !(value & ~offered) && (!(value & 4) || (value & 2)) &&
	       (!wide || (wide == AVX512_ALL && (value & 6) == 6)) && (!mpx || mpx == MPX_ALL);
}

void test_main(void)
{
	struct cpuid leaf;
	bool low = true, high = true;
	u64 offered;

	test_equal("without-osxsave", try_xsetbv(0, 1), TRAP_UD);
	if (!(cpuid(1, 0).ecx & XSAVE)) {
		test_skip("xcr0", "no XSAVE");
		return;
	}
	cr4_write(cr4_read() | CR4_OSXSAVE);
	leaf = cpuid(0xd, 0);
	offered = (u64)leaf.edx << 32 | leaf.eax;
	test_equal("reset-value", xgetbv(), 1);
	for (u64 value = 0; value < 256; value++)
		low &= try_xsetbv(0, value) == (legal(value, offered) ? TRAP_NONE : TRAP_GP);
	CHECK("low-byte", low);
	try_xsetbv(0, 1);
	for (unsigned bit = 10; bit < 64; bit++)
		if (!(offered & BIT(bit)))
			high &= try_xsetbv(0, 1 | BIT(bit)) == TRAP_GP;
	CHECK("high-bits", high);
	test_equal("other-register", try_xsetbv(1, 1), TRAP_GP);
	test_equal("kept-after-faults", xgetbv(), 1);
	try_xsetbv(0, offered & 7);
	cpuid(0, 0);
	test_equal("reads-back", xgetbv(), offered & 7);
	test_equal("size-follows-xcr0", cpuid(0xd, 0).ebx, offered & 4 ? 832 : 576);
}
