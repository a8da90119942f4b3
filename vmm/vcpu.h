/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU: the back end's part, the state that Trivet keeps for it, and
 * the run loop. All calls come from the pCPU that runs it.
 */
#pragma once

#include "arch/virt.h"
#include "vmm/load.h"

struct vm;

#define VCPU_MTRR_VARIABLE 8

/* MSRs that are memory to the guest; vmm/msr.c. */
struct vcpu_msrs {
	u64 pat;
	u64 misc_enable;
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_variable[2 * VCPU_MTRR_VARIABLE]; /* base, mask, base, ... */
};

struct vcpu {
	struct vm *vm;
	struct virt_vcpu *virt;
	unsigned id;
	bool halted;		    /* executed HLT, waits for an event */
	u64 cr8;		    /* task priority; without a local APIC nothing reads it */
	struct vcpu_event exception; /* to deliver next */
	struct vcpu_event repeat;   /* delivery was interrupted by an exit: deliver again */
	bool in_delivery;	    /* the last exit came while it was being delivered */
	struct vcpu_msrs msrs;
	u64 exits[EXIT_REASONS];
	u64 idle_ticks; /* host TSC ticks spent halted */
};

/* How vcpu_run came back. */
enum vcpu_stop {
	VCPU_RESET, /* the guest asked for a reset */
	VCPU_ENDED, /* the VM has ended, vm->end_reason */
};

/* Makes vCPU `id` of a VM. 0 or -ENOMEM. */
int vcpu_create(struct vm *vm, unsigned id, struct vcpu **vcpu);
void vcpu_destroy(struct vcpu *vcpu);
/* Brings it into this pCPU and takes it out again. */
void vcpu_load(struct vcpu *vcpu);
void vcpu_put(struct vcpu *vcpu);
/* Power-up state; the vCPU is loaded. */
void vcpu_reset(struct vcpu *vcpu);
/* Sets what a loader asks for; the vCPU is loaded and was reset. */
void vcpu_set_state(struct vcpu *vcpu, const struct load_result *state);
/* Registers as KVM_GET_REGS and KVM_GET_SREGS give them, and KVM_SET_REGS. */
void vcpu_get_regs(struct vcpu *vcpu, struct vcpu_regs *regs);
void vcpu_set_regs(struct vcpu *vcpu, const struct vcpu_regs *regs);
void vcpu_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *sregs);

/*
 * Runs the loaded vCPU, serving its exits, its VM's timers and the console,
 * until the VM is to be reset or has ended. Interrupts are off.
 */
enum vcpu_stop vcpu_run(struct vcpu *vcpu);

/* Privilege level now: the DPL of SS. */
unsigned vcpu_cpl(struct vcpu *vcpu);
/* Reads a general register, RSP included, and writes one. */
u64 vcpu_gpr(struct vcpu *vcpu, unsigned gpr);
void vcpu_set_gpr(struct vcpu *vcpu, unsigned gpr, u64 value);
/* Moves behind the instruction that exited. */
void vcpu_skip(struct vcpu *vcpu, const struct vcpu_exit *exit);
