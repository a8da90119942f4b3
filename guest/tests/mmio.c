/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: a guest physical address that nobody has reads all ones and ignores writes,
 * whatever instruction does it, and an access that runs from RAM over into it does
 * its part on RAM. SDM volume 2 for the instructions' results and flags.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/paging.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define NOWHERE 0xd0000000ul /* in the PCI window, no device there */

static u8 ram[8192] __attribute__((aligned(4096)));
static volatile u8 *hole;

static u64 flags_of(u64 flags)
{
	return flags & 0x8d5; /* OF SF ZF AF PF CF */
}

static void moves(void)
{
	u64 value;

	*(volatile u64 *)hole = 0x1122334455667788;
	test_equal("mov-8", *hole, 0xff);
	test_equal("mov-16", *(volatile u16 *)(hole + 2), 0xffff);
	test_equal("mov-32", *(volatile u32 *)(hole + 4), 0xffffffff);
	test_equal("mov-64", *(volatile u64 *)hole, ~0ull);
	__asm__ volatile("movzbl (%1), %k0" : "=r"(value) : "r"(hole));
	test_equal("movzx", value, 0xff);
	__asm__ volatile("movswq (%1), %0" : "=r"(value) : "r"(hole));
	test_equal("movsx", value, ~0ull);
	__asm__ volatile("movb $1, (%0); movw $1, (%0); movl $1, (%0); movq $1, (%0)"
			 : : "r"(hole) : "memory");
	test_equal("mov-immediate", *hole, 0xff);
	__asm__ volatile("mov %%ah, (%1); movabs 0xd0000000, %%al"
			 : "+a"(value) : "r"(hole) : "memory");
	test_equal("movabs", value & 0xff, 0xff);
	__asm__ volatile("mov 8(%1,%1,1), %0" : "=r"(value) : "r"(hole - NOWHERE / 2 - 4));
	test_equal("sib", value, ~0ull);
}

static void strings(void)
{
	volatile void *to = hole;
	const volatile void *from = ram;
	u64 count = 32;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
	CHECK("rep-stosb", count == 0 && to == hole + 32 && *hole == 0xff);
	to = hole;
	count = 8;
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	CHECK("rep-movsq-out", count == 0 && to == hole + 64 && from == ram + 64);
	to = ram;
	from = hole;
	count = 4;
	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	CHECK("rep-movsl-in", count == 0 && ram[0] == 0xff && ram[15] == 0xff && ram[16] == 0);
	from = hole;
	__asm__ volatile("lodsw" : "+S"(from), "=a"(count) : : "memory");
	CHECK("lodsw", (count & 0xffff) == 0xffff && from == hole + 2);
}

static void arithmetic(void)
{
	u64 flags, value = 5;

	__asm__ volatile("addl $1, (%1); pushf; pop %0" : "=r"(flags) : "r"(hole) : "memory", "cc");
	test_equal("add-flags", flags_of(flags), 0x55); /* ZF CF AF PF */
	__asm__ volatile("orb $0, (%1); pushf; pop %0" : "=r"(flags) : "r"(hole) : "memory", "cc");
	test_equal("or-flags", flags_of(flags) & ~0x10ull, 0x84); /* SF PF */
	__asm__ volatile("andl (%1), %k0" : "+r"(value) : "r"(hole) : "cc");
	test_equal("and-from", value, 5);
	__asm__ volatile("cmpb $0xff, (%1); pushf; pop %0" : "=r"(flags) : "r"(hole) : "cc");
	test_equal("cmp-flags", flags_of(flags), 0x44); /* ZF PF */
	__asm__ volatile("testl $0x80000000, (%1); pushf; pop %0" : "=r"(flags) : "r"(hole) : "cc");
	test_equal("test-flags", flags_of(flags) & ~0x10ull, 0x84);
	__asm__ volatile("xchgl %k0, (%1)" : "+r"(value) : "r"(hole) : "memory");
	test_equal("xchg", value, 0xffffffff);
}

static void crossing(void)
{
	u8 *page = paging_map(PAGING_WINDOW, (u64)ram, PAGING_PRESENT | PAGING_WRITE);
	volatile u32 *across = (volatile u32 *)(page + 4094);

	paging_map(PAGING_WINDOW + 4096, NOWHERE, PAGING_PRESENT | PAGING_WRITE);
	ram[4094] = 0x34;
	ram[4095] = 0x12;
	test_equal("crossing-read", *across, 0xffff1234);
	*across = 0xaabbccdd;
	test_equal("crossing-write", ram[4095] << 8 | ram[4094], 0xccdd);
}

static void local_apic_page(void)
{
	if (cpuid(1, 0).edx & BIT(9))
		test_skip("apic-page", "there is a local APIC");
	else
		test_equal("apic-page", *(volatile u32 *)phys(0xfee00030), 0xffffffff);
}

void test_main(void)
{
	hole = phys(NOWHERE);
	moves();
	strings();
	arithmetic();
	crossing();
	local_apic_page();
}
