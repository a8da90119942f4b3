/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the test image share: a check that tells where it failed.
 */
#pragma once

#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "boot/selftest.h"

/* Whether a text holds another one. */
static inline bool selftest_holds(const char *text, const char *part)
{
	while (*text && strncmp(text, part, strlen(part)))
		text++;
	return *text;
}

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

