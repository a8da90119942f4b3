/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical local APIC of each CPU, in xAPIC or x2APIC mode, whichever the
 * firmware left; x2APIC is never switched off. Trivet uses it for two things:
 * to wake another CPU, and as a timer. Both interrupts do nothing but end a
 * HLT or force a VM exit; whoever wakes looks for work. Source: Intel SDM
 * volume 3, "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef ARCH_APIC_H
#define ARCH_APIC_H

#include "arch/lib/types.h"

enum {
	APIC_VECTOR_TIMER = 0xf0,
	APIC_VECTOR_KICK = 0xf1,
	APIC_VECTOR_SPURIOUS = 0xff,
};

/* The widest id that xAPIC can address; 255 is everybody. */
#define APIC_ID_XAPIC_MAX 254

/*
 * Finds and enables the boot CPU's APIC and registers its vectors. id_max is
 * the largest APIC id of the machine: beyond what xAPIC can address the boot
 * CPU goes to x2APIC mode, and the others follow. 0, or -ENODEV with no APIC, none of the
 * other functions may then be called. Boot CPU, interrupts off, once.
 */
int apic_init(u32 id_max);

/* Brings this CPU's APIC into the boot CPU's mode and enables it: all local
 * sources but LINT1 (the machine's NMI) masked. */
void apic_cpu_init(void);

bool apic_is_x2apic(void);

/* The id of the CPU that calls. */
u32 apic_id(void);

void apic_eoi(void);

/* Interrupts for another CPU by its APIC id. They return when the interrupt
 * was sent; -EIO when the APIC stays busy. Any CPU, interrupts off. */
int apic_send_fixed(u32 id, u8 vector);
int apic_send_nmi(u32 id);
int apic_send_init(u32 id);
/* page: where the CPU starts in real mode, below 1 MiB. */
int apic_send_startup(u32 id, hpa_t page);

/*
 * Chooses how the timer works, on all CPUs: by TSC deadline where the CPU has
 * it and use_deadline allows it, else one-shot, whose rate it measures against
 * the TSC in 5 ms. Boot CPU, behind tsc_init.
 */
void apic_timer_init(bool use_deadline);

/*
 * Raises APIC_VECTOR_TIMER on this CPU once the TSC has reached deadline, or
 * somewhat earlier if it is far away: look at the clock and arm again. A deadline that has passed
 * raises it at once. Replaces the one armed before.
 */
void apic_timer_arm(u64 deadline);
void apic_timer_stop(void);

#endif
