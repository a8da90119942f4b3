/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory objects: frames with one life, shown to a VM through regions. An
 * object is anonymous (scrubbed RAM), a module where GRUB put it, or a range of
 * physical addresses that is not Trivet's: a device, or reserved RAM.
 */
#pragma once

#include "arch/lib/types.h"

struct mem_extent {
	u64 offset; /* in the object */
	hpa_t hpa;
	u64 size;
};

#define MEM_EXTENTS_MAX 160

enum mem_kind { MEM_ANONYMOUS, MEM_MODULE, MEM_PHYSICAL };

struct mem_object {
	u64 size;  /* bytes; a module's may end within a page */
	u32 users; /* regions and holders; the last mem_put frees */
	enum mem_kind kind;
	bool uncached;
	unsigned extent_count;
	struct mem_extent extent[MEM_EXTENTS_MAX]; /* by offset, without gaps */
};

/*
 * Frames for `size` bytes, a multiple of the page size, in the largest pieces
 * that there are, each aligned for large pages at its offset. Not scrubbed
 * yet: they are mapped nowhere. 0, -ENOMEM.
 */
int mem_create(u64 size, struct mem_object **mem);
/* The frames of a module, page-aligned at hpa; the frames are not freed with it. */
int mem_create_module(hpa_t hpa, u64 size, struct mem_object **mem);
/* [hpa, hpa + size), page-aligned, neither scrubbed nor freed by Trivet, which has
 * no other use for it. Write-back, or uncached as a device wants it. 0; -EINVAL
 * for what is empty, not aligned or beyond the CPU's width; -ENOMEM. */
int mem_create_physical(hpa_t hpa, u64 size, bool uncached, struct mem_object **mem);
void mem_get(struct mem_object *mem);
/* Gives up one use; with the last one, frames and object are free. The frames
 * must have been scrubbed. */
void mem_put(struct mem_object *mem);

/* The longest piece of [offset, offset + size) that is contiguous: its address
 * and length. The offset lies in the object. */
u64 mem_piece(const struct mem_object *mem, u64 offset, u64 size, hpa_t *hpa);
