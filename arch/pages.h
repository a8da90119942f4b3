/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start of the page allocator, for memory_init; the rest is in arch/memory.h.
 */
#pragma once

#include "arch/lib/types.h"

#define CHUNK_SIZE MIB(2)

/* Takes the first chunk, below 4 GiB and so in the early direct area. Its
 * address, or 0 when there is none. */
hpa_t pages_init(void);
