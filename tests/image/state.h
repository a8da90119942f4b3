/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of a vCPU's state share: all of it in one struct.
 */
#pragma once

#include "tests/image/guest.h"

#define STATE_MSRS_MAX 64
#define STATE_FPU_MAX  4096
#define STATE_CODE     0x8000ull
#define STATE_STACK    0x7000ull
#define STATE_TABLES   0x10000ull
#define STATE_GDT      0x4000ull

struct state {
	struct vcpu_regs regs;
	struct vcpu_sregs sregs;
	u64 xcr0;
	struct vcpu_debugregs debugregs;
	struct vcpu_events events;
	enum vcpu_mp_state mp_state;
	unsigned msrs;
	struct vcpu_msr msr[STATE_MSRS_MAX];
	u8 fpu[STATE_FPU_MAX];
};

extern const u8 state_compute[], state_compute_end[];

/* All that the interface gives; how many calls failed. */
unsigned state_save(struct vcpu *vcpu, struct state *state);
unsigned state_restore(struct vcpu *vcpu, const struct state *state);
/* Names the group in which they differ, or NULL; time stamps apart. */
const char *state_differs(const struct state *a, const struct state *b);
/* A VM with code at STATE_CODE, one to one mapped memory of 4 MiB; false: no memory. */
bool state_guest(struct guest *g, const void *code, u64 size);
/* Starts the computation with so many rounds, AVX too where the VM has it. */
unsigned state_start(struct guest *g, u64 rounds);
