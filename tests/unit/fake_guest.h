/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loaders' tests share: a VM of fake guest memory, its modules, and
 * the loops that no loader may fail at: every prefix of an image, and random
 * damage to it.
 */
#ifndef TESTS_UNIT_FAKE_GUEST_H
#define TESTS_UNIT_FAKE_GUEST_H

#include "tests/unit/fake_gmem.h"
#include "vmm/load.h"

#define GUEST_MODULES 6

struct fake_guest {
	struct vm *vm;
	struct vm_module modules[GUEST_MODULES];
	struct load_input in;
	struct load_result out;
	struct load_error err;
};

void guest_begin(struct fake_guest *g, u64 below_4g, u64 above_4g);
void guest_end(struct fake_guest *g);
/* Adds a module with these bytes; its number counts from 1. */
struct vm_module *guest_add(struct fake_guest *g, enum module_kind kind, const char *cmdline,
			    const void *data, u64 size);
/* load_guest; checks that no access was refused unless it failed. */
int load_fake(struct fake_guest *g);
/* Expects a failure with this code and this text within the message. */
void guest_expect_error(struct fake_guest *g, int code, const char *text);

/* Loads every prefix of module 0; those shorter than `whole` must fail with a reason. */
void guest_try_prefixes(struct fake_guest *g, u64 whole);
/* Loads module 0 with random damage in its first `len` bytes, n times. */
void guest_try_mutations(struct fake_guest *g, u64 len, unsigned n, u64 seed);
/* Lets each write to guest RAM in turn be the first to fail: errors, never success. */
void guest_try_failing_writes(struct fake_guest *g);

/* Reads little-endian values of guest RAM; the test fails where it is not RAM. */
u64 guest_value(struct fake_guest *g, u64 gpa, unsigned size);
const char *guest_string(struct fake_guest *g, u64 gpa);

/* Puts little-endian values into an image under construction. */
void put(u8 *image, u64 offset, unsigned size, u64 value);

/* The register states that the loaders promise. */
void guest_expect_protected32(struct fake_guest *g, u32 eip);

#endif
