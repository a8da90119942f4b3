/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookup in the table of symbols. Only a panic asks, so it is walked from the
 * start, names beside it: no index of the names takes room in the image.
 */
#include "arch/ksyms.h"

#include "arch/lib/string.h"
#include "arch/memory.h"

const char *ksyms_lookup(u64 addr, u64 *offset)
{
	u64 wanted = addr - IMAGE_BASE;
	const char *name = ksyms_names;

	/* The last entry marks the end of the text and is nobody's name. */
	for (u32 i = 0; i + 1 < ksyms_count; i++, name += strlen(name) + 1) {
		if (wanted < ksyms_table[i] || wanted >= ksyms_table[i + 1])
			continue;
		*offset = wanted - ksyms_table[i];
		return name;
	}
	return NULL;
}
