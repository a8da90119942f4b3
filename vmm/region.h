/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions: ranges of a VM's guest physical addresses that show a part of a
 * memory object, KVM's memory slots. Whatever is in a region is mapped in the
 * nested tables and, at the same offset, in the VM's window.
 */
#pragma once

#include "arch/lib/types.h"

struct mem_object;
struct vm;

#define REGIONS_MAX 32

enum { REGION_READ_ONLY = 1 };

struct region {
	u64 gpa, size;
	struct mem_object *mem;
	u64 offset;
	unsigned flags;
	unsigned slot;
};

/* Sorted by gpa. */
struct region_table {
	unsigned count;
	struct region region[REGIONS_MAX];
};

/* The region that holds gpa, or NULL. */
const struct region *region_find(const struct region_table *table, gpa_t gpa);

/*
 * KVM_SET_USER_MEMORY_REGION: shows mem from offset at [gpa, gpa + size) as
 * `slot`; size 0 deletes the slot. Everything page-aligned. The VM's vCPUs are
 * stopped. Returns 0; -EINVAL (alignment, wrap, beyond the object, an
 * existing slot), -EEXIST (overlap), -ENOSPC (too many), -ENOENT (deleting
 * what is not there), -ENOMEM; nothing is changed then. Contents are not
 * touched.
 */
int vm_set_memory_region(struct vm *vm, unsigned slot, unsigned flags, gpa_t gpa, u64 size,
			 struct mem_object *mem, u64 offset);
