/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults of Trivet's own: selftest=panic and selftest=fault end in a panic,
 * the second by an access to where nothing is mapped, behind one that is fixed up.
 */
#include "arch/memory.h"
#include "arch/panic.h"
#include "tests/image/selftest.h"

static unsigned run_panic(const char *argument)
{
	(void)argument;
	panic("asked for by selftest=panic");
}

static unsigned run_fault(const char *argument)
{
	u64 word;

	(void)argument;
	log_info("selftest: a copy from where nothing is mapped gives %d",
		 window_copy(&word, (const void *)WINDOW_BASE, sizeof(word)));
	*(volatile u8 *)WINDOW_BASE = 0;
	return 1;
}

DEFINE_SELFTEST(panic_test, .name = "panic", .early = true, .run = run_panic);
DEFINE_SELFTEST(fault_test, .name = "fault", .early = true, .run = run_fault);
