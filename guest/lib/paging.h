/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single 4 KiB pages in 64-bit programs, outside the 4 GiB that start64.asm maps.
 */
#ifndef GUEST_LIB_PAGING_H
#define GUEST_LIB_PAGING_H

#include "guest/lib/types.h"

#define PAGING_WINDOW  0x8000000000ul /* a place that is free */
#define PAGING_PRESENT 1
#define PAGING_WRITE   2
#define PAGING_USER    4

/* Maps the page of a linear address; returns it as a pointer. A few places at most. */
void *paging_map(u64 linear, u64 physical, u64 flags);

#endif
