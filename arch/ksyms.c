/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookup in the table of symbols, by bisection.
 */
#include "arch/ksyms.h"

#include "arch/memory.h"

const char *ksyms_lookup(u64 addr, u64 *offset)
{
	u64 wanted = addr - IMAGE_BASE;
	u32 low = 0, high = ksyms_count;

	if (addr < IMAGE_BASE || high == 0 || wanted < ksyms_table[0].offset)
		return NULL;
	/* ksyms_table[low] is at or below the address, [high] above it. */
	while (high - low > 1) {
		u32 middle = low + (high - low) / 2;

		if (ksyms_table[middle].offset <= wanted)
			low = middle;
		else
			high = middle;
	}
	/* The last entry marks the end of the text and is nobody's name. */
	if (low == ksyms_count - 1)
		return NULL;
	*offset = wanted - ksyms_table[low].offset;
	return ksyms_names + ksyms_table[low].name;
}
