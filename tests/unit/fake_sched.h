/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run queues that run nothing, for tests of what merely has a task or yields:
 * calls are counted. In place of vmm/sched.c, vmm/job.c and, weakly, vmm/run.c.
 */
#ifndef TESTS_UNIT_FAKE_SCHED_H
#define TESTS_UNIT_FAKE_SCHED_H

#include "arch/lib/types.h"

struct task;

struct fake_sched {
	unsigned adds, removes, wakes, holds, releases, yields;
	/* sched_yield_to: how often, to whom last, and what it answers; sched_alone's answer. */
	unsigned directed;
	const struct task *yielded_to;
	bool takes_yields, alone;
};
extern struct fake_sched fake_sched;

#endif
