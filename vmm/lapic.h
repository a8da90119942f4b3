/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of a vCPU, in xAPIC and x2APIC mode, version 14h. Its registers
 * stand in vcpu->virt->apic, where the CPU may serve some of them. Its id is the
 * vCPU's, and cannot be written; its timer's clock is the crystal's of CPUID leaf
 * 15h, mostly that of the TSC. Source: Intel SDM volume 3, "Advanced Programmable
 * Interrupt Controller (APIC)".
 *
 * Only the vCPU itself, in its slice, changes its APIC; others may set bits of
 * `posted`, `events` and TMR (lapic_accept), by atomic operations, without a lock; of IRR
 * not: the CPU may be at work on it. So an interrupt costs the sender no more than those
 * and, where the vCPU is in its guest, a kick.
 */
#pragma once

#include "arch/virt.h"
#include "vmm/vdev.h"

struct vcpu;

/* Registers by their offset in the page; that of the x2APIC MSR is 800h + offset / 16. */
enum lapic_register {
	LAPIC_ID = 0x020, LAPIC_VERSION = 0x030, LAPIC_TPR = 0x080, LAPIC_APR = 0x090,
	LAPIC_PPR = 0x0a0, LAPIC_EOI = 0x0b0, LAPIC_RRD = 0x0c0, LAPIC_LDR = 0x0d0,
	LAPIC_DFR = 0x0e0, LAPIC_SVR = 0x0f0, LAPIC_ISR = 0x100, LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200, LAPIC_ESR = 0x280, LAPIC_ICR = 0x300, LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320, LAPIC_LVT_THERMAL = 0x330, LAPIC_LVT_PERFORMANCE = 0x340,
	LAPIC_LVT_LINT0 = 0x350, LAPIC_LVT_LINT1 = 0x360, LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380, LAPIC_TIMER_CURRENT = 0x390, LAPIC_TIMER_DIVIDE = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0,
};

/* What others have sent beside vectors; bits of lapic.events. */
enum { LAPIC_EVENT_INIT = 1, LAPIC_EVENT_STARTUP = 2, LAPIC_EVENT_NMI = 4, LAPIC_EVENT_EXTINT = 8,
       LAPIC_EVENT_KICK = 16 /* ends a halt, as KVM_HC_KICK_CPU does */ };

struct lapic {
	u64 base;	  /* IA32_APIC_BASE */
	u64 tsc_deadline; /* in the guest's TSC; 0: not armed */
	u64 deadline;	  /* one-shot and periodic: the VM's clock when the count ends; 0: it is not
			   * counting */
	/* Set by others, atomic. */
	u32 events;	  /* LAPIC_EVENT_* */
	u32 errors;	  /* bits for ESR, until it is written */
	u32 posted[8];	  /* vectors that are to go to IRR */
	u32 posted_words; /* the words of `posted` that may hold some, as bits */
	bool tmr_changed; /* TMR has, since the CPU was told */
	u8 startup;	  /* the vector of the last STARTUP */
	/* Its own: */
	u8 irr_words;	  /* the words of IRR that may hold something, as bits */
	bool requests;	  /* bits of IRR are new to the CPU that delivers */
	u8 timer_mode, timer_shift; /* of LVT Timer and Divide, which the CPU may have changed */
	u8 isr_words;	  /* the words of ISR that hold something, unless the CPU delivers ... */
	u8 isr_highest;	  /* ... and the highest vector in service, or 0 */
	u8 threshold;	  /* as virt->tpr_threshold was told last */
};

/* Whether a vector may stand in IRR, or be about to; never wrongly false. */
static inline bool lapic_requested(const struct lapic *lapic)
{
	return lapic->irr_words | __atomic_load_n(&lapic->posted_words, __ATOMIC_ACQUIRE);
}

/* IA32_APIC_BASE: EN, whether the guest's APIC is there at all; EXTD; BSP. */
bool lapic_enabled(const struct vcpu *vcpu);
bool lapic_x2apic(const struct vcpu *vcpu);
bool lapic_boots(const struct vcpu *vcpu);

/* As a PC's firmware leaves the boot CPU's: the 8259s at LINT0 ("Virtual Wire Mode"). */
void lapic_virtual_wire(struct vcpu *vcpu);
/* Power-up state, or that after INIT, which keeps IA32_APIC_BASE. The vCPU is loaded. */
void lapic_reset(struct vcpu *vcpu, bool init);

/*
 * Takes a message that is for this APIC, of whatever kind; false where it does not:
 * the APIC is off or the kind is none. Any pCPU, locks of devices may be held.
 */
bool lapic_accept(struct vcpu *vcpu, const struct apic_msg *msg);
/* Ends its halt, now or when it next halts. Any pCPU. */
void lapic_kick(struct vcpu *vcpu);
/* LINT0, which the 8259s drive, has changed; with the device lock held. Any pCPU. */
void lapic_lint0(struct vcpu *vcpu, bool level);
/* Whether a destination means this APIC. */
bool lapic_matches(const struct vcpu *vcpu, u32 dest, bool logical);

/* The vector that the CPU is to take next, above the priority of now, or -1. */
int lapic_pending(struct vcpu *vcpu);
/* The CPU takes it: from IRR to ISR. */
void lapic_ack(struct vcpu *vcpu, u8 vector);
/* Whether the external interrupt source, at LINT0, reaches this CPU. */
bool lapic_takes_extint(const struct vcpu *vcpu);
/* Ends the highest vector in service: a write of EOI. */
void lapic_eoi(struct vcpu *vcpu);
/* An IPI, a vector for one other vCPU that takes it. False with nothing done. */
bool lapic_send_early(struct vcpu *vcpu, u8 vector, u32 dest);

/* Before each entry: hands the CPU what it serves by itself, or asks for an exit when TPR
 * lets the next vector through. */
void lapic_prepare(struct vcpu *vcpu);
/* Serves a timer that has come by `now` (host TSC); host TSC of the next, or ~0. */
u64 lapic_timer(struct vcpu *vcpu, u64 now);

/* MSRs: IA32_APIC_BASE, IA32_TSC_DEADLINE, and x2APIC's 800h to 8FFh. False: #GP. */
bool lapic_read_msr(struct vcpu *vcpu, u32 index, u64 *value);
bool lapic_write_msr(struct vcpu *vcpu, u32 index, u64 value);

/* Whether an address is in the page of the vCPU's xAPIC; accesses there, within the page. */
bool lapic_claims(const struct vcpu *vcpu, u64 gpa);
u64 lapic_read(struct vcpu *vcpu, unsigned offset, unsigned size);
void lapic_write(struct vcpu *vcpu, unsigned offset, unsigned size, u64 value);

/* Exits by which the CPU tells what it did of this. */
void lapic_written(struct vcpu *vcpu, const struct vcpu_exit *exit);
void lapic_ended(struct vcpu *vcpu, const struct vcpu_exit *exit);

/* TPR as CR8 shows it. */
static inline u64 lapic_get_cr8(const struct virt_vcpu *virt)
{
	return virt->apic[LAPIC_TPR / 4] >> 4 & 15;
}
static inline void lapic_set_cr8(struct virt_vcpu *virt, u64 value)
{
	virt->apic[LAPIC_TPR / 4] = (u32)(value << 4);
}

/* KVM_GET_LAPIC and KVM_SET_LAPIC, with IA32_APIC_BASE: the page's registers, and how far its
 * timer is. The VM is stopped and the vCPU loaded. -EINVAL with the broken rule in *why. */
struct lapic_state {
	u64 base, tsc_deadline, deadline; /* as struct lapic has them */
	u32 regs[256];	       /* 0 to 3FFh of the page */
	u32 errors;
};
void vcpu_get_lapic(struct vcpu *vcpu, struct lapic_state *state);
int vcpu_set_lapic(struct vcpu *vcpu, const struct lapic_state *state, const char **why);
