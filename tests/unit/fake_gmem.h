/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/gmem.h over a malloc'ed guest RAM and byte arrays as memory objects.
 * Every piece of RAM and every object is an allocation of its own, so that the
 * address sanitizer guards its ends as well. Refused accesses are counted: a
 * loader checks before it writes, so its tests assert that there were none.
 */
#ifndef TESTS_UNIT_FAKE_GMEM_H
#define TESTS_UNIT_FAKE_GMEM_H

#include "arch/lib/types.h"

struct vm;

struct mem_object {
	u8 *data;
	u64 size;
};

struct fake_gmem {
	u64 low_size, below_4g, above_4g;
	u8 *low, *high, *above; /* [0, A0000h), [1 MiB, below_4g), [4 GiB, ...) */
	u8 *acpi;		/* [E0000h, F0000h) */
	u64 faults;		/* refused reads and writes of guest RAM */
	u64 mem_faults;		/* refused reads of memory objects */
	u64 fail_writes_after;	/* writes that succeed before all others fail; ~0 for never */
	u8 *read_counts;	/* one a byte of low and high RAM, while armed */
};

/* Guest RAM of these sizes, zeroed; below_4g as in struct load_input. */
struct vm *fake_gmem_create(u64 below_4g, u64 above_4g);
void fake_gmem_destroy(struct vm *vm);
struct fake_gmem *fake_gmem(struct vm *vm);

/* Where [gpa, gpa + len) of RAM lies in the test's memory, NULL if it is not all RAM. */
u8 *fake_gmem_at(struct vm *vm, u64 gpa, u64 len);
/* Zeroes all guest RAM, as before a VM's reboot. */
void fake_gmem_clear(struct vm *vm);

/* Double-fetch detector: after arming, how often the most-read byte has been read. */
void fake_gmem_arm_reads(struct vm *vm);
unsigned fake_gmem_most_reads(struct vm *vm);

/* A memory object with a copy of these bytes. */
struct mem_object *fake_mem_create(const void *data, u64 size);
void fake_mem_destroy(struct mem_object *mem);

/* A small pseudo-random generator for mutation loops (xorshift). */
u64 fake_random(u64 *state);

#endif
