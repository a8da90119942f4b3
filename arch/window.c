/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access to a VM's window. The window is mapped for user mode, so with SMAP
 * nothing but the two functions here can touch it, by mistake or otherwise.
 */
#include "arch/cpu_setup.h"
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

void window_copy(void *dst, const void *src, size_t len)
{
	size_t words = len / 8;

	len %= 8;
	window_open();
	__asm__ volatile("rep movsq\n\t"
			 "movq %3, %%rcx\n\t"
			 "rep movsb"
			 : "+D"(dst), "+S"(src), "+c"(words)
			 : "r"(len)
			 : "memory");
	window_close();
}

void window_fill(void *dst, u8 byte, size_t len)
{
	size_t words = len / 8;

	len %= 8;
	window_open();
	__asm__ volatile("rep stosq\n\t"
			 "movq %2, %%rcx\n\t"
			 "rep stosb"
			 : "+D"(dst), "+c"(words)
			 : "r"(len), "a"(byte * 0x0101010101010101ull)
			 : "memory");
	window_close();
}
