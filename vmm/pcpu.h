/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm's part of a physical CPU: the timers of the VMs that it runs, its run
 * queue, and the job that runs on it.
 */
#pragma once

#include "vmm/sched.h"
#include "vmm/vtimer.h"

struct job;

struct pcpu_vmm {
	struct vtimer_queue timers;
	struct sched_queue queue;
	u64 due;	     /* TSC at which sched_serve has to look again; atomic, 0 by anybody */
	struct job *job;   /* running now, or NULL */
	u64 scheduler_rsp; /* of the scheduler, while a job runs */
};

/* This pCPU's, made when it is first asked for; NULL when there is no memory for it. */
struct pcpu_vmm *pcpu_vmm(void);
/* Another's, by its id; NULL when it has none yet. */
struct pcpu_vmm *pcpu_vmm_of(unsigned id);

