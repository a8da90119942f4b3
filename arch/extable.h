/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that may fault, and where to go on when they do. An entry is a
 * pair of distances from itself, so that the table needs no relocation.
 */
#pragma once

#include "arch/lib/types.h"

/* In inline assembly: a #GP or #PF at `from` continues at `to`. */
#define EXTABLE(from, to)                                                                         \
	".pushsection extable, \"a\"\n\t"                                                         \
	".balign 4\n\t"                                                                           \
	".long " #from " - ., " #to " - .\n\t"                                                    \
	".popsection\n\t"

/* Where to go on after a fault at rip, or 0. */
u64 extable_find(u64 rip);
