/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single 4 KiB pages beside the identity map of 64-bit programs: 2 MiB of
 * linear addresses from PAGING_WINDOW on.
 */
#ifndef GUEST_LIB_PAGING_H
#define GUEST_LIB_PAGING_H

#include "guest/lib/types.h"

#define PAGING_WINDOW  0x8000000000ull
#define PAGING_PRESENT 1
#define PAGING_WRITE   2
#define PAGING_USER    4

/* Maps page `index` (0 to 511) of the window to a physical page; returns its address. */
void *paging_map(unsigned index, u64 physical, u64 flags);

#endif
