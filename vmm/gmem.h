/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one checked door to guest memory. Every call works on the VM whose host
 * address space is loaded on this pCPU; a range must lie in RAM regions, else
 * the call fails and nothing, or for a write a part up to the hole, is done.
 * A value is fetched once, into the caller's local. What is written counts in the
 * region's dirty log.
 */
#pragma once

#include "arch/lib/types.h"

struct vm;
struct mem_object;
struct region;

/* Copies out of guest RAM. Returns 0, or -EFAULT where [gpa, gpa+len) is not all RAM. */
int guest_read(struct vm *vm, gpa_t gpa, void *dst, size_t len);
/*
 * The number of `size` bytes, 4 or 8, at gpa, fetched at once where gpa is aligned to it, which must
 * be so. For a series of these near each other *near is first NULL, then the call's own. 0, -EFAULT.
 */
int guest_load(struct vm *vm, gpa_t gpa, unsigned size, u64 *value, const struct region **near);
/* Copies into guest RAM; -EFAULT also for a read-only region. */
int guest_write(struct vm *vm, gpa_t gpa, const void *src, size_t len);
/* Fills guest RAM with zero bytes; in a job it yields, as guest_copy_from. No locks held. */
int guest_zero(struct vm *vm, gpa_t gpa, u64 len);
/*
 * Puts `value` in the place of `old` in guest RAM by one locked operation; size is
 * 4 or 8. 0; -EAGAIN where something else stands; -EFAULT as guest_write, and
 * where gpa is not aligned to size.
 */
int guest_cmpxchg(struct vm *vm, gpa_t gpa, unsigned size, u64 old, u64 value);
/* Copies from a memory object that belongs to this VM (a module) into guest RAM. */
int guest_copy_from(struct vm *vm, gpa_t gpa, struct mem_object *mem, u64 offset, u64 len);

/*
 * Reads bytes of a memory object that belongs to this VM, for loaders.
 * Returns 0 or -EFAULT where [offset, offset+len) is not within its size.
 */
int mem_read(struct vm *vm, struct mem_object *mem, u64 offset, void *dst, size_t len);
