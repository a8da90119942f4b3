/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_sched.h. */
#include "tests/unit/fake_sched.h"

#include <stddef.h>

#include "vmm/job.h"
#include "vmm/vcpu.h"
#include "vmm/vtimer.h"

struct fake_sched fake_sched;
u64 sched_cpus = ~0ull;

void sched_add(struct task *task)
{
	(void)task;
	fake_sched.adds++;
}

void sched_remove(struct task *task)
{
	(void)task;
	fake_sched.removes++;
}

void sched_wake(struct task *task)
{
	(void)task;
	fake_sched.wakes++;
}

void sched_hold(struct task *task)
{
	task->holds++;
	fake_sched.holds++;
}

void sched_release(struct task *task)
{
	task->holds--;
	fake_sched.releases++;
}

void sched_unload(void)
{
}

u64 sched_serve(u64 now)
{
	(void)now;
	return VTIMER_NEVER;
}

bool sched_should_yield(void)
{
	return false;
}

bool sched_alone(void)
{
	return fake_sched.alone;
}

bool sched_yield_to(struct task *task)
{
	fake_sched.yielded_to = task;
	fake_sched.directed++;
	return fake_sched.takes_yields;
}

void job_yield(void)
{
	fake_sched.yields++;
}

struct job *job_current(void)
{
	return NULL;
}

__attribute__((weak)) enum vcpu_stop vcpu_run(struct vcpu *vcpu, u64 until)
{
	(void)vcpu;
	(void)until;
	return VCPU_WAIT;
}

__attribute__((weak)) void vm_move_timers(struct vm *vm)
{
	(void)vm;
}
