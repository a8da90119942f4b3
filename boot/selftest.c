/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds and runs the test that the option selftest= names.
 */
#include "boot/selftest.h"

#include "arch/lib/log.h"
#include "arch/lib/string.h"

SECTION_DECLARE(struct selftest, selftests);

void selftest_run(const char *option, bool early)
{
	const char *colon = strchr(option, ':');
	size_t len = colon ? (size_t)(colon - option) : strlen(option);
	const struct selftest *const *it;
	const struct selftest *test = NULL;
	unsigned failed;

	SECTION_FOR_EACH(it, selftests)
		if (strlen((*it)->name) == len && strncmp((*it)->name, option, len) == 0)
			test = *it;
	if (!test && len && early)
		log_error("selftest: this image has no test '%s'", option);
	if (!test || test->early != early)
		return;
	failed = test->run(colon ? colon + 1 : "");
	if (failed)
		log_error("selftest %s: %u failed", test->name, failed);
	else
		log_info("selftest %s: passed", test->name);
}
