/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of the configured machines: starting, pausing, resuming, resetting,
 * killing, destroying and starting again. A request is noted at once and
 * carried out by the machine's job; requests may come at any moment, in any
 * state, from any pCPU and job, and from the guest itself.
 */
#pragma once

#include "vmm/job.h"
#include "vmm/machine.h"

enum life_state {
	LIFE_OFF,      /* no VM: never started, or destroyed */
	LIFE_STARTING, /* scrubbing and loading */
	LIFE_RUNNING,
	LIFE_PAUSED,
	LIFE_ENDED,    /* memory and registers are there to be looked at */
};
extern const char *const life_state_names[];

enum life_request { LIFE_START, LIFE_PAUSE, LIFE_RESUME, LIFE_RESET, LIFE_KILL, LIFE_DESTROY };

/* One machine of the configuration; lives as long as Trivet. */
struct machine {
	struct machine_config config;
	enum life_state state; /* written by its job */
	struct vm *vm;	       /* NULL in LIFE_OFF; changed by its job */
	char reason[96];       /* why it ended last; "" */
	u32 requests;	       /* BIT(enum life_request) still to be done, atomic */
	struct job job;
	struct machine *next;
	/* ... */
};

/* All machines, in the order of the configuration. */
extern struct machine *life_machines;
/* By name, or NULL. */
struct machine *life_find(const char *name);

/* Adds a machine of the configuration; `machine` stays. */
void life_add(struct machine *machine, const struct machine_config *config);

/*
 * Asks for a change. NULL, or what is wrong with it in the present state, as a
 * sentence ("it is not running"). Returns before it is done.
 */
const char *life_ask(struct machine *machine, enum life_request request);
/* In a job: waits until no request of the machine is open. */
void life_wait(struct machine *machine);

/* True once no machine runs, starts or is paused. */
bool life_all_ended(void);
