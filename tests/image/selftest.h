/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the test image share: a check that tells where it failed.
 */
#pragma once

#include "arch/lib/log.h"
#include "boot/selftest.h"

/* Counts and tells a failure; `failed` is the caller's counter. */
#define CHECK(condition)                                                                          \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			failed++;                                                                 \
			log_error("%s:%u: not so: %s", __FILE__, __LINE__, #condition);           \
		}                                                                                 \
	} while (0)

#define CHECK_EQUAL(is, wanted)                                                                   \
	do {                                                                                      \
		u64 is_ = (u64)(is), wanted_ = (u64)(wanted);                                     \
		if (is_ != wanted_) {                                                             \
			failed++;                                                                 \
			log_error("%s:%u: %s is %lx, not %lx", __FILE__, __LINE__, #is, is_,      \
				  wanted_);                                                       \
		}                                                                                 \
	} while (0)

