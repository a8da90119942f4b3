/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of instructions that may fault, and the accesses to MSRs that use
 * it.
 */
#include "arch/extable.h"

#include "arch/msr.h"

struct entry {
	s32 from, to;
};

extern const struct entry __start_extable[], __stop_extable[];

u64 extable_find(u64 rip)
{
	for (const struct entry *e = __start_extable; e < __stop_extable; e++)
		if ((u64)&e->from + (u64)(s64)e->from == rip)
			return (u64)&e->to + (u64)(s64)e->to;
	return 0;
}

int msr_read_safe(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;
	int error = -EIO;

	__asm__ volatile("1:\trdmsr\n\t"
			 "xorl %0, %0\n"
			 "2:\n\t" EXTABLE(1b, 2b)
			 : "+r"(error), "+a"(lo), "+d"(hi)
			 : "c"(msr)
			 : "memory");
	*value = (u64)hi << 32 | lo;
	return error;
}

int msr_write_safe(u32 msr, u64 value)
{
	int error = -EIO;

	__asm__ volatile("1:\twrmsr\n\t"
			 "xorl %0, %0\n"
			 "2:\n\t" EXTABLE(1b, 2b)
			 : "+r"(error)
			 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
	return error;
}
