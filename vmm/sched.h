/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run queues, one a pCPU. What runs is a task: a vCPU, or a job (vmm/job.h).
 * The ready task that has had the least time by its weight goes next, for a
 * slice of at most SCHED_SLICE_MS; one that wakes takes the pCPU from a task
 * that has had more. A pCPU with nothing to do takes a waiting task of another.
 */
#pragma once

#include "arch/lib/types.h"

#define SCHED_SLICE_MS	     10
#define SCHED_WEIGHT_DEFAULT 100

enum task_next {
	TASK_READY, /* runs again when it is its turn */
	TASK_WAIT,  /* runs again after sched_wake, one during the slice included */
	TASK_GONE,  /* has been taken out; the task may be free by now */
};

struct task {
	/* Set before sched_add: */
	const char *name;
	/* Runs until about `until` (host TSC); on the pCPU that has picked it. */
	enum task_next (*slice)(struct task *task, u64 until);
	/* Takes state that a slice has left in this pCPU out of it; NULL: leaves none.
	 * Called on that pCPU before another task that leaves state runs, or when held. */
	void (*unload)(struct task *task);
	u64 allowed;	 /* BIT(pCPU id) of where it may run; 0: anywhere */
	unsigned weight; /* its share, 1 to 10,000 */

	/* sched.c's own; guarded by the lock of the queue of `cpu`. */
	u32 cpu;
	u32 holds;	  /* reasons why it must not run */
	bool ready, queued, running, woken;
	bool loaded;	  /* state of it is in its pCPU; written there only */
	u64 used;	  /* time by weight: what the queue is sorted by */
	u64 ran;	  /* host TSC ticks that it had */
	struct task *next;
};

/* This pCPU's queue; 0 or -ENOMEM. Called once on each before it calls sched_run. */
int sched_init_cpu(void);

/*
 * Serves tasks, device timers and, on the boot pCPU, the console, on the pCPU
 * that calls, until done (where given) says true. Interrupts are off.
 */
void sched_run(bool (*done)(void));

/* Places a task on the pCPU with the least load among those allowed; it waits. */
void sched_add(struct task *task);
/* Takes it out; not its own slice, which returns TASK_GONE instead. It is unloaded then. */
void sched_remove(struct task *task);
/* Lets a waiting task run; any context with interrupts off but a handler. */
void sched_wake(struct task *task);

/*
 * Keeps a task from running until sched_release has been called as often.
 * Returns when it neither runs nor is loaded anywhere; waits for that, serving
 * this pCPU's mailbox. Not from a slice of a vCPU or a device.
 */
void sched_hold(struct task *task);
void sched_release(struct task *task);

/* Whether this pCPU's task is to return from its slice. */
bool sched_should_yield(void);

/* Least TSC at which this pCPU has work of its own: a device timer, the console. */
u64 sched_serve(u64 now);
