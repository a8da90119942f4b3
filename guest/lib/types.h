/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Basic types of guest programs, and the few memory functions that a compiler
 * may call on its own. Guests share no source with Trivet but vmm/abi.h.
 */
#ifndef GUEST_LIB_TYPES_H
#define GUEST_LIB_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64; /* the same text for printf in both widths */
typedef int32_t s32;
typedef long long s64;

#define BIT(n)	      (1ull << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

/* A physical address as a pointer that the compiler knows nothing about. */
static inline volatile void *phys(unsigned long address)
{
	__asm__("" : "+r"(address));
	return (volatile void *)address;
}

/* n / d without a library; the quotient may have 64 bits. */
static inline u64 div64(u64 n, u32 d, u32 *rest)
{
	u32 high = (u32)(n >> 32) / d, left = (u32)(n >> 32) % d, low;

	__asm__("divl %3" : "=a"(low), "=d"(left) : "0"((u32)n), "rm"(d), "1"(left) : "cc");
	if (rest)
		*rest = left;
	return (u64)high << 32 | low;
}

#endif
