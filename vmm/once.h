/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Things of which each is counted, and told once: unknown ports, MSRs,
 * addresses. The memory is bounded, so no guest can flood the log.
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
	once->count++;
	for (unsigned i = 0; i < once->used; i++)
		if (once->key[i] == key)
			return false;
	if (once->used == ONCE_KEYS)
		return false;
	once->key[once->used++] = key;
	return true;
}
