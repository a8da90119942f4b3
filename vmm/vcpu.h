/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU: the back end's part, the state that Trivet keeps for it, and
 * the run loop. All calls come from the pCPU that runs it.
 */
#pragma once

#include "arch/virt.h"
#include "vmm/decode.h"
#include "vmm/lapic.h"
#include "vmm/load.h"
#include "vmm/pv.h"
#include "vmm/sched.h"

struct vm;

#define VCPU_MTRR_VARIABLE 8

/* MSRs that are memory to the guest; vmm/msr.c. */
struct vcpu_msrs {
	u64 pat, misc_enable, mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_variable[2 * VCPU_MTRR_VARIABLE]; /* base, mask, base, ... */
	u64 pv_wall_clock, pv_system_time, pv_steal_time, pv_eoi; /* vmm/pv.c */
};

struct vcpu_debugregs {
	u64 dr[4], dr6, dr7;
};

/* What a debugger asks for; flags 0: nothing. */
enum { VCPU_DEBUG_STEP = 1, VCPU_DEBUG_SOFTWARE = 2, VCPU_DEBUG_HARDWARE = 4 };
struct vcpu_debug {
	u32 flags;
	u64 dr[4], dr7; /* with VCPU_DEBUG_HARDWARE: DR0 to DR3 and DR7 */
};

/* Why vcpu_run came back with VCPU_DEBUG. */
struct vcpu_debug_stop {
	u64 rip;
	u8 vector; /* #DB: a step or hardware breakpoint; #BP: a software breakpoint */
	u64 dr6;   /* #DB: B0 to B3, BD, BS */
};

/* An NMI being served and one pending; or both pending. */
#define VCPU_NMIS_MAX 2

/* What the monitor has shown of a vCPU's counters, to tell what is new. */
struct vcpu_seen {
	u64 exits[EXIT_REASONS], served[EXIT_REASONS], exit_ticks[EXIT_REASONS];
	u64 ran;
};

/* Bytes of a string instruction in one exit, where it takes the short way. */
#define EMULATOR_STRING_MAX 256

/* The last instruction that vmm/emulator.c has decoded, and all that the decoder saw of it. */
struct vcpu_decoded {
	u64 bytes[2]; /* zeros behind those that there were; in the last byte mode and how many */
	struct insn insn;
};

/* How vcpu_run came back. */
enum vcpu_stop {
	VCPU_SLICE,	/* its time is over, or something else is to run here */
	VCPU_WAIT,	/* halted: nothing to do until vcpu_wake */
	VCPU_REQUEST,	/* vm->requests says why */
	VCPU_DEBUG,	/* what vcpu_set_debug asked for has happened: vcpu->stop */
	VCPU_HYPERCALL, /* number vcpu->hypercall, of a VM that takes them: RAX is to be set */
};

/* Where a vCPU is, so that who sends it something knows what to do. */
enum vcpu_where {
	VCPU_OUT,   /* not in a slice: sched_wake */
	VCPU_ROOT,  /* in its slice; it looks again before it enters the guest or waits */
	VCPU_GUEST, /* in the guest or about to enter: it needs a kick */
};

/* What does not exit; after a reset HLT does. */
enum { VCPU_PASSES_HLT = 1, VCPU_PASSES_PAUSE = 2 };

struct vcpu {
	struct vm *vm;
	struct virt_vcpu *virt;
	unsigned id;
	bool parked;		    /* taken away; its object waits for its id */
	struct task task;	    /* on the run queues; held until its VM starts */
	bool halted;		    /* executed HLT, waits for an event */
	bool waits_startup;	    /* INIT came, or power-up of no boot CPU: STARTUP is awaited */
	u8 where;		    /* enum vcpu_where; atomic */
	bool news;		    /* vcpu_wake was called; atomic */
	bool dead;		    /* waits, and no vector would wake it; atomic */
	bool kicked;		    /* LAPIC_EVENT_KICK came: the next halt ends at once */
	bool extint;		    /* LAPIC_EVENT_EXTINT came */
	u8 idle;		    /* VCPU_PASSES_*: as virt->idle_exits was told last */
	u64 limit;		    /* host TSC until when this run may last, its own timer apart */
	struct lapic lapic;
	struct vcpu_event exception; /* to deliver next */
	/* Deliveries that an exit interrupted: an exception or what software raised ... */
	struct vcpu_event repeat;
	struct vcpu_event interrupt; /* ... an interrupt; all NMIs not yet delivered: */
	u8 nmi_pending;
	u8 windows;		     /* BIT(enum virt_window): as virt->window was told last */
	struct vcpu_event delivery;  /* the one that the last exit interrupted */
	/* The guest's TSC less its VM's clock; so IA32_TSC_ADJUST, 0 after a reset as well. */
	u64 tsc_delta;
	struct vcpu_pv pv;
	struct vcpu_debug debug;
	struct vcpu_debugregs guest_dr; /* the guest's, while a debugger has the CPU's */
	struct vcpu_debug_stop stop;
	u64 hypercall;	      /* the number of the last */
	enum vcpu_stop leave; /* why the run loop is to be left; VCPU_SLICE: it is not */
	struct vcpu_msrs msrs;
	u64 exits[EXIT_REASONS];      /* that were not served in the middle of a run; and of these */
	u64 exit_ticks[EXIT_REASONS]; /* host TSC ticks from the exit to the next entry's start */
	struct vcpu_seen seen;
	struct vcpu_decoded decoded;
	u8 string[EMULATOR_STRING_MAX]; /* elements on their way between port and memory */
};

/* How many exits it took for a reason, in the middle of a run and else. */
static inline u64 vcpu_exits(const struct vcpu *vcpu, unsigned reason)
{
	return vcpu->exits[reason] + vcpu->virt->served.exits[reason];
}

/*
 * KVM_CREATE_VCPU: makes vCPU `id` of a stopped VM, or takes up again the one of
 * that id that was parked; to be reset before it runs. Its task is on the run
 * queues and runs with the VM. 0, -EINVAL for an id of VM_VCPUS_MAX or more,
 * -EEXIST or -ENOMEM.
 */
int vcpu_create(struct vm *vm, unsigned id, struct vcpu **vcpu);
void vcpu_destroy(struct vcpu *vcpu);
/* Takes a vCPU of a stopped VM away from the guest. */
void vcpu_park(struct vcpu *vcpu);
/* Brings it into this pCPU and takes it out again, its TSC following its VM's clock; by a job with
 * the VM stopped, and with no job_yield in between. */
void vcpu_load(struct vcpu *vcpu);
void vcpu_put(struct vcpu *vcpu);
/* Something has come for it, which it has to look at. Any pCPU; locks of devices may be held. */
void vcpu_wake(struct vcpu *vcpu);
/* The guest's TSC jumps; the vCPU is loaded. */
void vcpu_set_tsc_delta(struct vcpu *vcpu, u64 delta);
/* Power-up state; the vCPU is loaded. All but the boot CPU wait for STARTUP. */
void vcpu_reset(struct vcpu *vcpu);
/* Serves what others have sent: INIT, STARTUP, NMI and the like. In its slice. */
void vcpu_take_events(struct vcpu *vcpu);
/* Sets what a loader asks for; the vCPU is loaded and was reset. */
void vcpu_set_state(struct vcpu *vcpu, const struct load_result *state);
/* Sets general registers, RIP and RFLAGS to what an instruction can have made of them. */
void vcpu_write_regs(struct vcpu *vcpu, const struct vcpu_regs *regs);

/*
 * Runs the loaded vCPU, serving its exits and what this pCPU has to do of its
 * own, until about `until` (host TSC) or an earlier reason to stop. Interrupts
 * are off.
 */
enum vcpu_stop vcpu_run(struct vcpu *vcpu, u64 until);

/* Privilege level now: the DPL of SS. */
unsigned vcpu_cpl(struct vcpu *vcpu);
/* Reads a general register, RSP included, and writes one. */
u64 vcpu_gpr(struct vcpu *vcpu, unsigned gpr);
void vcpu_set_gpr(struct vcpu *vcpu, unsigned gpr, u64 value);
/* Moves behind the instruction that exited. */
void vcpu_skip(struct vcpu *vcpu, const struct vcpu_exit *exit);

/*
 * The whole state of a vCPU, vmm/vcpu_state.c. The vCPU is loaded on this pCPU
 * and its VM stopped. Get, set, get is the identity. A set that would make a
 * state that no guest can be in returns -EINVAL, with the rule that it breaks
 * in *why, and changes nothing. Rules between two groups are checked against
 * what the other one holds: events and debug registers are set after registers.
 */

/* KVM_GET_REGS and KVM_GET_SREGS. */
void vcpu_get_regs(struct vcpu *vcpu, struct vcpu_regs *regs);
void vcpu_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *sregs);
/*
 * KVM_SET_REGS and KVM_SET_SREGS in one, for changes that are valid together
 * only; either is NULL for what stays. Another RIP or RFLAGS ends the shadows of
 * STI and MOV SS and drops pending debug traps. Source: SDM volume 3, "Control
 * Registers", and the rules of virt->check.
 */
int vcpu_set_registers(struct vcpu *vcpu, const struct vcpu_regs *regs,
		       const struct vcpu_sregs *sregs, const char **why);

/* KVM_GET_MSRS and KVM_SET_MSRS: in order; returns how many were done before one
 * that the vCPU lacks or whose value it refuses. The VM's MSR policy does not
 * count. A read-only MSR takes the value that it has. msr_range lists them. */
struct vcpu_msr {
	u32 index;
	u64 value;
};
unsigned vcpu_get_msrs(struct vcpu *vcpu, struct vcpu_msr *msrs, unsigned count);
unsigned vcpu_set_msrs(struct vcpu *vcpu, const struct vcpu_msr *msrs, unsigned count);

/* KVM_GET_XSAVE or KVM_GET_FPU and their SETs: an area of virt->fpu()->size bytes.
 * SDM volume 1, "Standard Form of XRSTOR" and "MXCSR Control and Status Register". */
int vcpu_get_fpu(struct vcpu *vcpu, void *area, size_t size);
int vcpu_set_fpu(struct vcpu *vcpu, const void *area, size_t size, const char **why);

/* KVM_GET_XCRS and KVM_SET_XCRS. SDM volume 1, "Enabling the XSAVE Feature Set". */
u64 vcpu_get_xcr0(struct vcpu *vcpu);
int vcpu_set_xcr0(struct vcpu *vcpu, u64 value, const char **why);

/* KVM_GET_DEBUGREGS and KVM_SET_DEBUGREGS: the guest's, whoever has the CPU's. The high
 * halves of DR6 and DR7 are 0. */
void vcpu_get_debugregs(struct vcpu *vcpu, struct vcpu_debugregs *regs);
int vcpu_set_debugregs(struct vcpu *vcpu, const struct vcpu_debugregs *regs, const char **why);

/* KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS. */
struct vcpu_events {
	struct vcpu_event exception; /* to be delivered first */
	struct vcpu_event repeat;    /* an exception or software event on its way */
	struct vcpu_event interrupt; /* an external interrupt that was acknowledged */
	u8 nmi_pending;
	bool nmi_masked;
	u8 shadow;	   /* SHADOW_STI or SHADOW_MOV_SS */
	u64 pending_debug; /* as VREG_PENDING_DEBUG */
};
void vcpu_get_events(struct vcpu *vcpu, struct vcpu_events *events);
int vcpu_set_events(struct vcpu *vcpu, const struct vcpu_events *events, const char **why);

/* KVM_GET_MP_STATE and KVM_SET_MP_STATE. */
enum vcpu_mp_state { VCPU_RUNNABLE, VCPU_HALTED, VCPU_WAITS_STARTUP, VCPU_MP_STATES };
enum vcpu_mp_state vcpu_get_mp_state(const struct vcpu *vcpu);
int vcpu_set_mp_state(struct vcpu *vcpu, enum vcpu_mp_state state, const char **why);

/* KVM_TRANSLATE: where a linear address leads now, and the rights that the page tables
 * give. No fault is raised and no accessed or dirty bit set. */
struct vcpu_translation {
	gpa_t gpa;
	bool valid, writable, user;
};
void vcpu_translate(struct vcpu *vcpu, gva_t gva, struct vcpu_translation *out);

/* KVM_NMI: makes an NMI pending, in vmm/inject.c; one too many is lost, as in a CPU. 0, or
 * -ENODEV where the back end cannot tell when the guest's handler ends. */
int vcpu_nmi(struct vcpu *vcpu);

/*
 * KVM_SET_GUEST_DEBUG, in vmm/vcpu_debug.c. While the debugger has the debug
 * registers, the guest's own ones are kept and served, but break nowhere; a #DB
 * that its breakpoints raise is the debugger's, and with VCPU_DEBUG_SOFTWARE
 * each INT3; vcpu_set_events gives one to the guest. Where the CPU has no trap
 * for it, a step uses RFLAGS.TF and the debug registers: the guest's own TF
 * is lost, and it sees the flag in what it pushes. 0 or -EINVAL.
 */
int vcpu_set_debug(struct vcpu *vcpu, const struct vcpu_debug *debug);
/* Serves MOV DR while the debugger has the registers. SDM volume 3, "Debug Registers". */
void vcpu_debug_mov_dr(struct vcpu *vcpu, const struct vcpu_exit *exit);
/* Around each run of the guest, where a step is made by RFLAGS.TF. */
void vcpu_debug_enter(struct vcpu *vcpu);
void vcpu_debug_leave(struct vcpu *vcpu);
/* Whether an exception was the debugger's; then the vCPU stops. */
bool vcpu_debug_takes(struct vcpu *vcpu, const struct vcpu_event *event);
/* One instruction was executed: stops a vCPU that is stepped. */
void vcpu_debug_stepped(struct vcpu *vcpu);
/* After the back end's reset. */
void vcpu_debug_reset(struct vcpu *vcpu);
