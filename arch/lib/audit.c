/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the checks that an image was built with.
 */
#include "arch/lib/audit.h"

/* Host tests may have none. */
extern const struct audit *const __start_audits[] __attribute__((weak));
extern const struct audit *const __stop_audits[] __attribute__((weak));

const char *audit_run(enum audit_point point, const void *what)
{
	const struct audit *const *it;
	const char *complaint = NULL;

	SECTION_FOR_EACH(it, audits)
		if (!complaint && (*it)->point == point)
			complaint = (*it)->check(what);
	return complaint;
}
