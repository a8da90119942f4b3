/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lives of the configured machines: started, paused, resumed, reset, killed,
 * destroyed and started again. A request is noted at once and carried out, in
 * the order of asking, by the machine's job. Requests may come at any moment
 * and from any pCPU: from the monitor, from boot, and from the guest itself.
 */
#pragma once

#include "vmm/job.h"
#include "vmm/machine.h"

enum life_state {
	LIFE_OFF,      /* no VM: never started, or destroyed */
	LIFE_STARTING, /* scrubbing and loading */
	LIFE_RUNNING,
	LIFE_PAUSED,
	LIFE_ENDED, /* memory and registers are there to be looked at */
	LIFE_STATES
};
extern const char *const life_state_names[LIFE_STATES];

enum life_request {
	LIFE_START, LIFE_PAUSE, LIFE_RESUME, LIFE_RESET, LIFE_KILL, LIFE_DESTROY,
	LIFE_GUEST, /* the guest asked for something: vm->requests; from the VM's vCPUs only */
	LIFE_REQUESTS
};

#define LIFE_QUEUE 8

/* One machine of the configuration; it lives as long as Trivet. */
struct machine {
	struct machine_config config;
	enum life_state state; /* changed by its job only, as the next four */
	struct vm *vm;	       /* NULL in LIFE_OFF */
	bool held;	       /* its vCPUs are stopped by life.c */
	char reason[96];       /* why it ended last; "" */
	unsigned crashes;      /* after which it was restarted */
	struct console_stream *console; /* NULL: there was no memory */
	struct machine *next;

	struct spinlock lock; /* guards all below */
	u8 queue[LIFE_QUEUE]; /* enum life_request, the oldest first */
	unsigned queued;
	unsigned waits; /* requests that life_enter waits for, and one; 0: nobody waits */
	bool cancel;	/* a start in progress is to be given up */
	bool working;	/* the job is about, or who called life_enter */
	bool jobless;	/* there was no memory for the job, the last time; who set `working` has it */
	struct job job;
};

/* All machines, in the order of the configuration. */
extern struct machine *life_machines;
/* By the VM's name, or NULL. */
struct machine *life_find(const char *name);

/* Adds a machine, whose config is set and all else 0, and opens its console, in the order of
 * the keys; at start-up. It is off. */
void life_add(struct machine *machine);

/*
 * Asks for a change. NULL, or what is wrong with it now, as a sentence without
 * a subject ("is not running"). Does not wait. Any pCPU, no locks.
 */
const char *life_ask(struct machine *machine, enum life_request request);
/* Waits until what was asked of a machine so far is done; in a job. */
void life_wait(struct machine *machine);

/*
 * Between these two a machine's job does nothing, so that its state and VM stay
 * as they are; requests wait, and those made before have been done. In a job, one
 * at a time; for short looks, as the guest may have asked for a reset.
 */
void life_enter(struct machine *machine);
void life_leave(struct machine *machine);

/* True once no machine runs, is paused or has work to be done. */
bool life_all_ended(void);
