/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The window's tables hang in slot 1 of the PML4 of start64.asm.
 */
#include "guest/lib/paging.h"

#ifdef __x86_64__
#define TABLE __attribute__((aligned(4096)))

static u64 pdpt[512] TABLE, pd[512] TABLE, pt[512] TABLE;
extern u64 pml4[512];

void *paging_map(unsigned index, u64 physical, u64 flags)
{
	char *address = (char *)PAGING_WINDOW + 4096ul * index;

	pml4[1] = (u64)pdpt | 7;
	pdpt[0] = (u64)pd | 7;
	pd[0] = (u64)pt | 7;
	pt[index] = physical | flags;
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
	return address;
}
#endif
