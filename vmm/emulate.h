/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executes one guest instruction whose memory operand is device memory, or a
 * port string instruction, on a copy of the vCPU's registers. It knows neither
 * devices nor exits: it reaches devices by the two accesses of
 * vmm/emulator.h. Segment checks, paging and faults are as the CPU would have
 * them; #AC and debug registers' data breakpoints are not looked at.
 */
#pragma once

#include "vmm/decode.h"
#include "arch/vcpu_state.h"

struct vm;
struct vcpu;

/* What to inject. In real mode there is no error code. */
struct emulate_fault {
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2; /* for #PF */
};

struct emulator {
	struct vm *vm;
	struct vcpu *vcpu; /* for emulator_read and emulator_write */
	struct vcpu_regs regs;
	struct vcpu_sregs sregs; /* the guest's view; the CPL is SS.DPL */
	unsigned maxphyaddr;
	/* Results. */
	struct emulate_fault fault; /* with EMULATE_FAULT */
	bool trap;		    /* with DONE and AGAIN: RFLAGS.TF asks for #DB (DR6.BS) now */
	/* emulate.c's own: the page last used for reads [0] and writes [1]. */
	struct emulate_page {
		u64 page, frame;
		bool valid;
	} last[2];
};

enum emulate_result {
	EMULATE_DONE,	     /* registers, RIP and RFLAGS are as after the instruction */
	EMULATE_AGAIN,	     /* a repeated string paused between iterations; run the guest on */
	EMULATE_FAULT,	     /* inject ->fault; registers as before the instruction or iteration */
	EMULATE_UNSUPPORTED, /* nothing was done */
};

#define EMULATE_NO_PORT (~0u)

/* Iterations of a string instruction in one call, of some 500 instructions each. */
#define EMULATE_MAX_ITERATIONS 16

/* Where its memory operand begins, from the segment's base on, in an instruction at rip. */
u64 emulate_offset(const struct insn *insn, const u64 gpr[GPR_COUNT], u64 rip);

/*
 * Executes a decoded instruction; INS and OUTS only with a port, to which the CPU
 * has checked the right, else EMULATE_NO_PORT. All faults come
 * before the first access to a device, so a read with a side effect is done
 * once. An operand that is not RAM, or RAM that refuses a write, goes to the
 * devices, in two pieces where it crosses a page. Not atomic against other
 * vCPUs. Caller clears interrupt shadows. Source: SDM volume 2; volume 1,
 * "EFLAGS Register"; volume 3, "Segment-Level Protection".
 */
enum emulate_result emulate_insn(struct emulator *em, const struct insn *insn, unsigned port);
