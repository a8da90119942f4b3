/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of frames that only memory_init and the page allocator use; the
 * rest is in arch/memory.h.
 */
#pragma once

#include "arch/lib/types.h"

/* While booting, before the first allocation: [start, end), page-aligned, is
 * RAM; is in use. 0, or -ENOSPC when there are too many pieces. */
int frames_add(u64 start, u64 end);
int frames_keep(u64 start, u64 end);

/* Takes `size` bytes (a power of two) in one piece below `limit`. 0 or -ENOMEM. */
int frames_take(u64 size, u64 align, u64 limit, u64 *start);
