/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access to a VM's window. The window is mapped for user mode, so with SMAP
 * nothing but the functions here can touch it, by mistake or otherwise. A
 * fault in them is an error of the caller, and leaves the guest's CR2 alone.
 */
#include "arch/cpu.h"
#include "arch/cpu_setup.h"
#include "arch/extable.h"
#include "arch/memory.h"

static inline void window_open(void)
{
	if (cpu_smap)
		__asm__ volatile("stac" ::: "memory");
}

static inline void window_close(void)
{
	if (cpu_smap)
		__asm__ volatile("clac" ::: "memory");
}

int window_copy(void *dst, const void *src, size_t len)
{
	u64 guest_cr2 = read_cr2();
	size_t words = len / 8;
	int error = -EFAULT;

	len %= 8;
	window_open();
	__asm__ volatile("1:\trep movsq\n\t"
			 "movq %4, %%rcx\n"
			 "2:\trep movsb\n\t"
			 "xorl %0, %0\n"
			 "3:\n\t" EXTABLE(1b, 3b) EXTABLE(2b, 3b)
			 : "+r"(error), "+D"(dst), "+S"(src), "+c"(words)
			 : "r"(len)
			 : "memory", "cc");
	window_close();
	if (error)
		write_cr2(guest_cr2);
	return error;
}

int window_fill(void *dst, u8 byte, size_t len)
{
	u64 guest_cr2 = read_cr2();
	size_t words = len / 8;
	int error = -EFAULT;

	len %= 8;
	window_open();
	__asm__ volatile("1:\trep stosq\n\t"
			 "movq %3, %%rcx\n"
			 "2:\trep stosb\n\t"
			 "xorl %0, %0\n"
			 "3:\n\t" EXTABLE(1b, 3b) EXTABLE(2b, 3b)
			 : "+r"(error), "+D"(dst), "+c"(words)
			 : "r"(len), "a"(byte * 0x0101010101010101ull)
			 : "memory", "cc");
	window_close();
	if (error)
		write_cr2(guest_cr2);
	return error;
}

#define CMPXCHG(suffix)                                                                           \
	__asm__ volatile("1:\tlock cmpxchg" suffix "\n\t"                                         \
			 "xorl %0, %0\n"                                                          \
			 "2:\n\t" EXTABLE(1b, 2b)                                                 \
			 : "+r"(error), "+a"(found)                                               \
			 : "r"(at), "r"(value)                                                    \
			 : "memory", "cc")

int window_cmpxchg(void *at, unsigned size, u64 old, u64 value)
{
	u64 guest_cr2 = read_cr2(), found = old;
	int error = -EFAULT;

	window_open();
	if (size == 8)
		CMPXCHG("q %3, (%2)");
	else
		CMPXCHG("l %k3, (%2)");
	window_close();
	if (error)
		write_cr2(guest_cr2);
	else if ((found ^ old) & size_mask(size))
		error = -EAGAIN;
	return error;
}
