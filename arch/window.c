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

/* Keeps the guest's CR2, which is not switched, for window_close. */
static inline u64 window_open(void)
{
	if (cpu_smap)
		__asm__ volatile("stac" ::: "memory");
	return read_cr2();
}

static inline int window_close(u64 guest_cr2, int error)
{
	if (cpu_smap)
		__asm__ volatile("clac" ::: "memory");
	if (error)
		write_cr2(guest_cr2);
	return error;
}

/* A string instruction over words, then over the bytes that are left; `operand` is what it
 * uses beside RDI and RCX. */
#define REPEAT(name, operand)                                                                     \
	__asm__ volatile("1:\trep " name "q\n\t"                                                  \
			 "movq %4, %%rcx\n"                                                       \
			 "2:\trep " name "b\n\t"                                                  \
			 "xorl %0, %0\n"                                                          \
			 "3:\n\t" EXTABLE(1b, 3b) EXTABLE(2b, 3b)                                 \
			 : "+r"(error), "+D"(dst), operand, "+c"(words)                           \
			 : "r"(len % 8)                                                           \
			 : "memory", "cc")

int window_copy(void *dst, const void *src, size_t len)
{
	u64 guest_cr2 = window_open();
	size_t words = len / 8;
	int error = -EFAULT;

	REPEAT("movs", "+S"(src));
	return window_close(guest_cr2, error);
}

int window_fill(void *dst, u8 byte, size_t len)
{
	u64 guest_cr2 = window_open(), fill = byte * 0x0101010101010101ull;
	size_t words = len / 8;
	int error = -EFAULT;

	REPEAT("stos", "+a"(fill));
	return window_close(guest_cr2, error);
}

#define LOAD(move)                                                                                \
	__asm__ volatile("1:\t" move "\n\t"                                                      \
			 "xorl %0, %0\n"                                                          \
			 "2:\n\t" EXTABLE(1b, 2b)                                                 \
			 : "+r"(error), "+r"(found)                                               \
			 : "r"(at)                                                                \
			 : "memory", "cc")

int window_load(const void *at, unsigned size, u64 *value)
{
	u64 guest_cr2 = window_open(), found = 0;
	int error = -EFAULT;

	if (size == 8)
		LOAD("movq (%2), %1");
	else
		LOAD("movl (%2), %k1");
	*value = found;
	return window_close(guest_cr2, error);
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
	u64 guest_cr2 = window_open(), found = old;
	int error = -EFAULT;

	if (size == 8)
		CMPXCHG("q %3, (%2)");
	else
		CMPXCHG("l %k3, (%2)");
	if (window_close(guest_cr2, error))
		return error;
	return (found ^ old) & size_mask(size) ? -EAGAIN : 0;
}
