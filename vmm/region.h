/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions: ranges of a VM's guest physical addresses that show a part of a
 * memory object, KVM's memory slots. Whatever is in a region is mapped in the
 * nested tables and, at the same offset, in the VM's window. A region with a
 * dirty log has a bitmap, one bit a page, of what was written.
 */
#pragma once

#include "arch/lib/types.h"

struct mem_object;
struct vm;

#define REGIONS_MAX 512

/* Guest writes go to the devices; the log is on. */
enum { REGION_READ_ONLY = 1, REGION_LOG_DIRTY = 2 };

struct region {
	u64 gpa, size;
	struct mem_object *mem;
	u64 offset;
	u64 *dirty; /* the log, or NULL */
	unsigned flags;
	unsigned slot;
};

/* Sorted by gpa: the few that most VMs have in place, more in as many pages as they need. */
#define REGIONS_FEW 8
struct region_table {
	unsigned count, pages;
	struct region *region;
	struct region few[REGIONS_FEW];
};

/* The region that holds gpa, or NULL. By halves: some 16 instructions more each time that their
 * number doubles. */
const struct region *region_find(const struct region_table *table, gpa_t gpa);

/*
 * KVM_SET_USER_MEMORY_REGION: shows mem from offset at [gpa, gpa + size) as
 * `slot`, everything page-aligned. Size 0 deletes the slot. An existing slot
 * moves to another gpa, and its log goes on or off, in place; its size, object,
 * offset and read-only stay, to change them it is deleted and set again. The
 * VM's vCPUs are stopped. Returns 0; -EINVAL (alignment, wrap, beyond the
 * object or the window, unknown flags, what does not change), -EEXIST (overlap),
 * -ENOSPC (too many, or VIRT_LOGS_MAX with a log, of which one that moves
 * has two for a moment), -ENOENT (deleting what is not there), -E2BIG (a log of
 * more than 63 GiB), -ENOMEM; nothing is changed then. But a region that moves
 * onto a part of itself shows nothing after -ENOMEM when the way back found no
 * memory either. Contents are not touched. In a job it yields.
 */
int vm_set_memory_region(struct vm *vm, unsigned slot, unsigned flags, gpa_t gpa, u64 size,
			 struct mem_object *mem, u64 offset);

/*
 * KVM_GET_DIRTY_LOG: the pages of the slot that the guest, or Trivet for it, wrote
 * since the last call, bit n for page n, and clears the log. `size` is the
 * bitmap's in bytes. The VM's vCPUs are stopped. 0; -ENOENT without such a slot
 * or its log; -EINVAL where the bitmap is too short.
 */
int vm_get_dirty_log(struct vm *vm, unsigned slot, u64 *bitmap, size_t size);

/* Trivet has written to [gpa, gpa + len), which lies in r; len is not 0. Any CPU. */
void region_mark_dirty(const struct region *r, u64 gpa, u64 len);
