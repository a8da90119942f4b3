/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Things of which each is counted, and told once: unknown ports, MSRs,
 * addresses. The memory is bounded, so no guest can flood the log, with several
 * vCPUs at once either.
 */
#pragma once

#include "arch/lib/types.h"

#define ONCE_KEYS 24

struct once {
	u64 key[ONCE_KEYS];
	unsigned used;
	u64 count; /* of all times */
};

/* Counts; true when `key` is new and there is still room to remember it. */
static inline bool once_first(struct once *once, u64 key)
{
	unsigned used = __atomic_load_n(&once->used, __ATOMIC_ACQUIRE);

	once->count++;
	for (unsigned i = 0; i < used; i++)
		if (once->key[i] == key)
			return false;
	/* Of two vCPUs at the same time one takes the place; the other comes again. */
	if (used >= ONCE_KEYS || !__atomic_compare_exchange_n(&once->used, &used, used + 1, false,
							      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return false;
	once->key[used] = key;
	return true;
}
