/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values that tell whose they are: each 16-bit lane is 6Bh, the VM's number and four bits
 * that make neighbours differ. Two lanes side by side are no accident, wherever they
 * are seen; so are bytes of Trivet's stack and of pages that it had freed (its paranoid
 * build fills both), and addresses at which it keeps itself.
 */
#ifndef GUEST_LIB_PATTERN_H
#define GUEST_LIB_PATTERN_H

#include "guest/lib/types.h"

#define PATTERN_LANE 0x6b00
#define PATTERN_VMS  15 /* their numbers begin at 1 */

/* What the paranoid build writes, as 32 bits; tests/paranoid/paranoid.h has the same. */
#define POISON_STACK 0xa5a5a5a5u
#define POISON_FREED 0x5a5a5a5au

/* 32 bits that differ by VM, number and epoch, for what is too small to hold a lane. */
static inline u32 pattern_hash(unsigned vm, unsigned n, unsigned epoch)
{
	u32 x = (n + 1) * 0x9e3779b9u + epoch * 0x85ebca6bu + vm * 0xc2b2ae35u;

	x = (x ^ x >> 15) * 0x2c1b3c6du;
	x = (x ^ x >> 12) * 0x297a2d39u;
	return x ^ x >> 15;
}

/* The n-th value of a VM; `epoch` makes new ones of all. */
static inline u64 pattern(unsigned vm, unsigned n, unsigned epoch)
{
	u32 x = pattern_hash(vm, n, epoch);

	return ((x & 15) | (u64)(x >> 4 & 15) << 16 | (u64)(x >> 8 & 15) << 32 |
		(u64)(x >> 12 & 15) << 48) |
	       (PATTERN_LANE | (vm & 15) << 4) * 0x0001000100010001ull;
}

enum pattern_kind { PATTERN_NONE, PATTERN_VM, PATTERN_STACK, PATTERN_FREED, PATTERN_ADDRESS };

/* What is to be seen in a value of `size` bytes, at any byte of it, that should not be. */
enum pattern_kind pattern_look(u64 value, unsigned size);
/* The name of it, for a message. */
const char *pattern_name(enum pattern_kind kind);

#endif
