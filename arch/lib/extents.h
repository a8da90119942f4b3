/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of address ranges in a sorted array of fixed size, neighbours always
 * joined: the free list for what is counted in large pieces. No lock, no
 * allocation; ranges do not reach 2^64.
 */
#pragma once

#include "arch/lib/types.h"

#define EXTENTS_MAX 256

struct extent {
	u64 start;
	u64 end; /* one past the last byte; > start */
};

struct extents {
	unsigned count;
	u64 total; /* bytes in all of them */
	struct extent at[EXTENTS_MAX];
};

/* Adds a range. 0; -EEXIST when part of it is there; -ENOSPC when the array is full. */
int extents_add(struct extents *set, u64 start, u64 size);

/* Takes out whatever of the range is there. 0; -ENOSPC, nothing changed, when a
 * range would have to be cut in two and the array is full. */
int extents_remove(struct extents *set, u64 start, u64 size);

/*
 * Takes one piece whose start is aligned to `align`, which ends at or below
 * `limit`: `size` bytes from the range that fits best, lowest first, or else as
 * much as the largest range has, in multiples of `unit`. align and unit are
 * powers of two. 0; -ENOSPC when there is not one unit.
 */
int extents_take(struct extents *set, u64 size, u64 align, u64 unit, u64 limit,
		 struct extent *taken);
