/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run queues, one a pCPU. What runs is a task: a vCPU, or a job (vmm/job.h).
 * The ready task that has had the least time by its weight goes next, for a
 * slice of at most SCHED_SLICE_MS; one that wakes takes the pCPU from a task
 * that has had more. A pCPU with nothing to do takes a waiting task of another.
 */
#pragma once

#include "arch/lib/lock.h"

#define SCHED_SLICE_MS	     10
#define SCHED_WEIGHT_DEFAULT 100
#define SCHED_WEIGHT_MAX     10000
#define SCHED_NEVER	     (~0ull)

enum task_next {
	TASK_READY, /* runs again when it is its turn */
	TASK_WAIT,  /* runs again after sched_wake, one during the slice included, or at wake_at */
	TASK_GONE,  /* leaves the queues; `gone` is set when nobody looks at it any more */
};

struct task {
	/* Set before sched_add: */
	const char *name;
	/* Runs until about `until` (host TSC); on the pCPU that has picked it. */
	enum task_next (*slice)(struct task *task, u64 until);
	/* Bring state into this pCPU before a slice, and out of it before another such
	 * task is loaded or when it is held. NULL for a task that leaves none. */
	void (*load)(struct task *task);
	void (*unload)(struct task *task);
	u64 allowed;	 /* BIT(pCPU id) of where it may run */
	unsigned weight; /* its share, 1 to SCHED_WEIGHT_MAX */
	const void *group; /* those that yield to each other, of one weight; NULL: it does not */

	/* Host TSC at which it wakes at the latest, where its slice ends in TASK_WAIT; SCHED_NEVER
	 * as each slice begins. Set in the slice. */
	u64 wake_at;
	/* It may let its pCPU halt in its slice, which ends as soon as any other task is ready
	 * there. False as each slice begins; see sched_alone. Set in the slice, atomic. */
	bool lazy;

	/* sched.c's own; guarded by the lock of the queue of `cpu`. */
	u32 cpu;
	u32 holds; /* reasons why it must not run */
	bool ready, queued, running, woken, asleep;
	bool loaded; /* its state is in its pCPU; written there only */
	bool gone;
	u64 used; /* time by weight: what the queue is sorted by */
	u64 ran;    /* host TSC ticks that it had; as of its last slice */
	u64 waited; /* those that it stood in a queue for, ready; as of the last time it did */
	u64 since;  /* TSC at which it came into the queue */
	struct task *next; /* in the queue, or among the sleepers */
};

/* One pCPU's queue. */
struct sched_queue {
	struct spinlock lock;	    /* guards the rest, and the tasks whose `cpu` this is */
	struct task *first;	    /* ready tasks, the least used first */
	struct task *sleepers;	    /* waiting tasks with an alarm, the earliest first ... */
	u64 alarm;		    /* ... and its wake_at; atomic */
	struct task *favoured;	    /* one of the ready that goes next, until `until` */
	struct task *running;	    /* now, or NULL */
	struct task *loaded;	    /* whose state is in the pCPU; its own */
	unsigned count, assigned;   /* tasks in the list; weights of all that live here */
	u64 floor;		    /* `used` below which no task comes back */
	u64 spare;		    /* where the next one may run, as the slice began; its own */
	u64 since, until;	    /* TSC at which the slice began, and ends; its own */
	bool yield;		    /* the slice is to end; atomic */
	bool idle;		    /* halted or about to; atomic */
};

/* Which pCPUs tasks may run on where nothing else is said: BIT(pCPU id). */
extern u64 sched_cpus;

/* Makes this pCPU's queue; 0 or -ENOMEM. On each pCPU, before tasks are added. */
int sched_init_cpu(void);

/*
 * Serves this pCPU's tasks, device timers and, on the boot pCPU, the console,
 * until done (where given) says true. Interrupts are off.
 */
void sched_run(bool (*done)(void));

/*
 * What this pCPU has to do of its own: timers and alarms that are due, the console,
 * its mailbox. Returns the TSC at which it has to be called next. In a slice, at
 * the top of its loop; no locks.
 */
u64 sched_serve(u64 now);
/* Whether the slice is to end before its time. */
bool sched_should_yield(void);

/*
 * Whether no other task is ready on this pCPU. If so, the one that runs is `lazy` from
 * here on: it need not look again before its pCPU is wanted. In a slice.
 */
bool sched_alone(void);

/*
 * Directed yield, for one that cannot go on before another of its group has run: `task`,
 * or, for NULL, one that waits longest, here before elsewhere. It goes next and has what
 * is left of the slice, as well as the place in the queue if the own one is the better: the
 * group as a whole has no more by it. So it does on another pCPU, where one of its group
 * is running. The own slice ends soon. False with nothing changed: it is not
 * waiting for a pCPU, or for one that others have. In a slice, interrupts off; locks of
 * devices may be held.
 */
bool sched_yield_to(struct task *task);

/* Places a task on the pCPU with the least load among those allowed, of equals on the first from
 * task->cpu on, and the last one is followed by 0; it waits there. */
void sched_add(struct task *task);
/* Takes it out, as sched_hold waits; not a running job, which returns TASK_GONE. */
void sched_remove(struct task *task);
/* Lets a waiting task run. Any pCPU, interrupts off; locks of devices may be held. */
void sched_wake(struct task *task);

/*
 * Keeps a task from running until sched_release has been called as often.
 * Returns when it neither runs nor is loaded anywhere; waits for that, serving
 * this pCPU's mailbox. From a job or before sched_run; no locks held.
 */
void sched_hold(struct task *task);
void sched_release(struct task *task);

/* Takes a task's state out of this pCPU: before a job loads a vCPU by hand. */
void sched_unload(void);

