/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run queues that run nothing, for tests of what merely has a task or yields:
 * calls are counted. In place of vmm/sched.c, vmm/job.c and, weakly, vmm/run.c.
 */
#ifndef TESTS_UNIT_FAKE_SCHED_H
#define TESTS_UNIT_FAKE_SCHED_H

struct fake_sched {
	unsigned adds, removes, wakes, holds, releases, yields;
};
extern struct fake_sched fake_sched;

#endif
