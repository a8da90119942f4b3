/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations that fail: the test image's linker puts tests/image/alloc.c in the way to
 * all functions by which Trivet gets memory (WRAPPED in the Makefile).
 */
#pragma once

#include "tests/image/selftest.h"

/* From now on the calls are counted, on all CPUs; the nth of them fails, 0: none does. With
 * `on` all behind it fail, too. */
void alloc_arm(u64 nth, bool on);
/* No more. Returns how many calls there were since alloc_arm. */
u64 alloc_disarm(void);
/* Of the calls since alloc_arm. */
u64 alloc_failures(void);
/* pages_in_use() without what phys_map keeps for good. */
u64 alloc_pages(void);
/* The function in which the first one failed, for messages. */
const char *alloc_failed_in(void);
