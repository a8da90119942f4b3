/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface: clock, steal time, ends of interrupts without an
 * exit, hypercalls; numbers in vmm/abi.h. Structures lie in guest memory where the
 * guest's MSRs say; a write that meets no RAM is dropped. Source: the documents
 * "KVM-specific MSRs", "Linux KVM Hypercall" and "KVM CPUID bits" of Linux.
 */
#pragma once

#include "arch/lib/types.h"

struct vcpu;

struct vcpu_pv {
	u64 waited;	  /* task.waited as it was when the guest was told last */
	bool preempted;	  /* as the guest was told */
	bool eoi_offered; /* bit 0 of the guest's word was set */
};

/* After a reset or INIT: the guest has set nothing up. */
void pv_reset(struct vcpu *vcpu);
/* WRMSR of one of ABI_MSR_*; the row of vmm/msr.c keeps the value. False: #GP. The VM's space
 * is entered. */
bool pv_write_msr(struct vcpu *vcpu, u32 index, u64 value);
/* The guest's TSC has made a jump: its clock is told anew. The VM's space is entered. */
void pv_tell_clock(struct vcpu *vcpu);

/* A slice begins and ends, the latter because others shall run or for the vCPU's own reasons; the
 * VM's space is entered. No offer of an EOI stands between slices. */
void pv_load(struct vcpu *vcpu);
void pv_put(struct vcpu *vcpu, bool preempted);

/*
 * Before an entry: lets the guest end the interrupt of the highest priority in service by
 * clearing a bit, of which nobody hears before the next exit; so only where nothing
 * depends on that end: its vector is edge-triggered, nothing else waits in IRR, and
 * the CPU does not deliver by itself. Not on: takes a standing offer back. After each exit, before
 * it is served, pv_eoi_done says whether the guest took the offer, and lapic_eoi is
 * due. The VM's space is entered.
 */
void pv_eoi_offer(struct vcpu *vcpu, bool on);
bool pv_eoi_done(struct vcpu *vcpu);

/* The numbers that are served, as bits. */
#define PV_HYPERCALLS                                                                             \
	(BIT(ABI_HYPERCALL_KICK_CPU) | BIT(ABI_HYPERCALL_SEND_IPI) | BIT(ABI_HYPERCALL_SCHED_YIELD))

/* Serves a hypercall of CPL 0 by the vCPU's registers; what is to be in RAX. */
u64 pv_hypercall(struct vcpu *vcpu);
