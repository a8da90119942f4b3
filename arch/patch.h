/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places in Trivet's code where a mitigation stands that not every CPU needs. The
 * image holds the safe form; what is found needless at start is written over, once,
 * before the final tables make the text read-only. arch/patch.inc registers a place.
 */
#pragma once

#include "arch/lib/types.h"

/* What a place is for; arch/patch.inc has the same numbers. */
enum patch_kind {
	PATCH_RETPOLINE, /* indirect branches that are not predicted */
	PATCH_RSB,	 /* filling the whole return stack behind an exit */
	PATCH_RSB_ONE,	 /* and one entry of it at least */
	PATCH_VERW,	 /* clearing the CPU's buffers before an entry */
	PATCH_ZERO,	 /* clearing the guest's registers behind an exit */
	PATCH_KINDS
};

/*
 * Writes over all places of the kinds whose bits are set. Boot CPU, once, before
 * memory_init and before another CPU runs.
 */
void patch_apply(u32 kinds);
