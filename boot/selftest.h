/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests that run inside the image, on the real processor: the test image has
 * the files of tests/image beside Trivet's own, and each registers its test
 * here. The image that is installed has none.
 */
#pragma once

#include "arch/lib/section.h"
#include "arch/lib/types.h"

struct selftest {
	const char *name;
	bool early; /* runs with memory and console only, else in virtualization operation */
	/* Returns how many checks failed, each told in the log. */
	unsigned (*run)(const char *argument);
};

#define DEFINE_SELFTEST(ident, ...)                                                               \
	static const struct selftest ident = {__VA_ARGS__};                                       \
	SECTION_REGISTER(selftests, ident)

/*
 * Runs the test of the option selftest=NAME[:ARGUMENT], if it belongs to this
 * stage of the start-up, and logs "selftest NAME: passed" or "selftest NAME: N
 * failed"; "" does nothing. Before any VM.
 */
void selftest_run(const char *option, bool early);
