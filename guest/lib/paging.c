/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the four levels from start64.asm's root and adds tables from a pool.
 * SDM volume 3, "4-Level Paging and 5-Level Paging".
 */
#include "guest/lib/paging.h"

#ifdef __x86_64__
#define TABLES	12
#define TABLE_FLAGS (PAGING_PRESENT | PAGING_WRITE | PAGING_USER)
#define ADDRESS 0x000ffffffffff000ull

static u64 pool[TABLES][512] __attribute__((aligned(4096)));
static unsigned used;
extern u64 pml4[512];

void *paging_map(u64 linear, u64 physical, u64 flags)
{
	u64 *table = pml4;

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 *entry = &table[linear >> shift & 511];

		if (!*entry)
			*entry = (u64)pool[used++ % TABLES] | TABLE_FLAGS;
		table = (u64 *)(*entry & ADDRESS);
	}
	table[linear >> 12 & 511] = physical | flags;
	__asm__ volatile("invlpg (%0)" : : "r"(linear) : "memory");
	return (void *)linear;
}
#endif
