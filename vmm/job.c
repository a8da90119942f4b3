/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jobs: each runs on its own stack inside of a slice of its task, and goes back
 * to the scheduler's stack to yield, to wait, and for good.
 */
#include "vmm/job.h"

#include "arch/context.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/stacks.h"
#include "vmm/pcpu.h"

struct job *job_current(void)
{
	struct pcpu_vmm *own = this_pcpu()->vmm;

	return own ? own->job : NULL;
}

static void entry(void)
{
	struct job *job = job_current();
	struct pcpu_vmm *own = this_pcpu()->vmm;

	/* The space of whoever ran before may not outlive the first wait. */
	space_leave();
	job->fn(job->arg);
	job->next = TASK_GONE;
	context_switch(&job->rsp, own->scheduler_rsp);
}

static enum task_next slice(struct task *task, u64 until)
{
	struct job *job = CONTAINER_OF(task, struct job, task);
	struct pcpu_vmm *own = this_pcpu()->vmm;

	own->job = job;
	stacks_flush();
	context_switch(&own->scheduler_rsp, job->rsp);
	own->job = NULL;
	if (job->next == TASK_GONE)
		stacks_give(job->stack_top);
	return job->next;
}

int job_start(struct job *job, const char *name, u64 allowed, void (*fn)(void *arg), void *arg)
{
	void *stack_top = stacks_take();

	if (!stack_top)
		return -ENOMEM;
	*job = (struct job){
		.task = {.name = name, .slice = slice, .allowed = allowed,
			 .weight = SCHED_WEIGHT_DEFAULT},
		.fn = fn, .arg = arg, .stack_top = stack_top,
		.rsp = context_new(stack_top, entry),
	};
	sched_add(&job->task);
	job->task.allowed = BIT(job->task.cpu);
	sched_wake(&job->task);
	return 0;
}

static void leave(enum task_next next)
{
	struct job *job = job_current();
	struct pcpu_vmm *own = this_pcpu()->vmm;
	struct space *space = this_pcpu()->space;

	if (!job)
		return;
	job->next = next;
	context_switch(&job->rsp, own->scheduler_rsp);
	space_enter(space);
}

void job_yield(void)
{
	leave(TASK_READY);
}

void job_wait(void)
{
	leave(TASK_WAIT);
}

void job_wait_until(u64 tsc)
{
	struct job *job = job_current();

	if (job)
		job->task.wake_at = tsc;
	job_wait();
}

void job_wake(struct job *job)
{
	sched_wake(&job->task);
}
