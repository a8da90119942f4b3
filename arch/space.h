/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start of the host's address spaces, for memory_init and the page allocator;
 * the rest is in arch/memory.h.
 */
#pragma once

#include "arch/lib/types.h"

/* Builds the base space, with the image and the page allocator's first chunk,
 * and loads it. 0 or -ENOMEM. */
int space_init(hpa_t first_chunk);

/* Maps a chunk in the direct area. Returns whether `table`, a zeroed page, has
 * become a page table for it. Called with the page allocator's lock held. */
bool space_map_chunk(hpa_t chunk, u64 *table);

/* Takes a CPU's guard pages out of the tables, for good. Boot CPU, before another CPU has
 * used the stacks. 0 or -ENOMEM. */
struct pcpu_stacks;
int space_guard(const struct pcpu_stacks *stacks);

/* Maps pages of Trivet's own in the area of stacks: 0 or -ENOMEM; and takes them out, on this
 * CPU at once. */
int space_map_stack(u64 virt, hpa_t hpa, u64 size);
void space_unmap_stack(u64 virt, u64 size);

/* Builds the tables for the trampoline page. 0 or -ENOMEM. */
int space_init_trampoline(hpa_t page);
