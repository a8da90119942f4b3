/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes over code by way of the early direct area, which maps the image a second
 * time, writable. Source: Intel SDM volume 3, "Handling Self- and Cross-Modifying
 * Code".
 */
#include "arch/patch.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/memory.h"

struct entry {
	s32 site; /* as a distance from itself */
	u8 kind, size;
	u8 code[6];
};

extern const struct entry __start_patches[], __stop_patches[];

void patch_apply(u32 kinds)
{
	for (const struct entry *e = __start_patches; e < __stop_patches; e++) {
		const u8 *site = (const u8 *)&e->site + e->site;

		if (kinds & BIT(e->kind))
			memcpy(phys_to_virt(virt_to_phys(site)), e->code, e->size);
	}
	cpuid(0, 0); /* serializes */
}
