/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bits, fields and alignment. Ranges are written as the manual prints them,
 * high bit first: BITS(15, 8) is the mask of bits 15:8.
 */
#pragma once

#include "arch/lib/types.h"

#define BIT(n)       (1ull << (n))
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

/* The value of a field, moved down to bit 0. */
#define FIELD_GET(mask, word) (((u64)(word) & (mask)) >> __builtin_ctzll(mask))
/* A value moved up into a field; bits that do not fit are cut. */
#define FIELD_PREP(mask, value) (((u64)(value) << __builtin_ctzll(mask)) & (mask))
/* A word with one field replaced. */
#define FIELD_SET(word, mask, value) (((word) & ~(u64)(mask)) | FIELD_PREP(mask, value))

#define KIB(n) ((u64)(n) << 10)
#define MIB(n) ((u64)(n) << 20)
#define GIB(n) ((u64)(n) << 30)

#define ALIGN_DOWN(x, a) ((u64)(x) & ~((u64)(a) - 1))
#define ALIGN_UP(x, a)   (((u64)(x) + (u64)(a) - 1) & ~((u64)(a) - 1))
#define IS_ALIGNED(x, a) (((u64)(x) & ((u64)(a) - 1)) == 0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* Sets a bit of a bitmap that others set and clear at the same time. */
static inline void bit_set_atomic(u64 *map, u64 bit)
{
	__atomic_fetch_or(&map[bit / 64], BIT(bit % 64), __ATOMIC_ACQ_REL);
}

/* All ones in the low `size` bytes, size 1 to 8. */
static inline u64 size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : BIT(8 * size) - 1;
}

/*
 * a * b / c with a 128-bit product; c must be greater than the high half of
 * the product, which holds whenever the result fits in 64 bits.
 */
static inline u64 muldiv64(u64 a, u64 b, u64 c)
{
	u64 hi, lo, quotient;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "a"(a), "rm"(b) : "cc");
	if (hi >= c)
		return ~0ull;
	__asm__("divq %4" : "=a"(quotient), "=d"(hi) : "a"(lo), "d"(hi), "rm"(c) : "cc");
	return quotient;
}
