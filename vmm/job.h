/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jobs: long work beside the guests (scrubbing, loading, monitor commands), as
 * tasks of the run queues with a stack of their own. Between bounded pieces of
 * work a job calls job_yield, and the guests of its pCPU get their share.
 */
#pragma once

#include "vmm/sched.h"

struct job {
	struct task task;
	void (*fn)(void *arg);
	void *arg;
	void *stack_top;
	u64 rsp; /* while it does not run */
	enum task_next next;
};

/*
 * Begins fn(arg) as a job on the least loaded of the pCPUs allowed (BIT(id)),
 * where it stays. Before, `job` has never been started, or its task is gone. 0
 * or -ENOMEM. The job ends when fn returns.
 */
int job_start(struct job *job, const char *name, u64 allowed, void (*fn)(void *arg), void *arg);

/*
 * Lets others run; at least once for each 50,000 instructions of work. The host
 * address space stays as it is for the caller; no vCPU is loaded. Does nothing
 * outside of a job, so that boot code may use the same functions. No locks held.
 */
void job_yield(void);

/* Sleeps until job_wake, which may come early or for nothing: look and wait again. */
void job_wait(void);
void job_wake(struct job *job);
/* The same until about this host TSC at the latest. */
void job_wait_until(u64 tsc);

/* The job that runs on this pCPU now, or NULL. */
struct job *job_current(void);
