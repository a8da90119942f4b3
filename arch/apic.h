/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical local APIC of each CPU, in xAPIC or x2APIC mode, whichever the
 * firmware left; x2APIC is never switched off. Trivet uses it for two things:
 * to wake another CPU, and as a timer. Both interrupts do nothing but end a
 * HLT or force a VM exit; whoever wakes looks for work. Source: Intel SDM
 * volume 3, "Advanced Programmable Interrupt Controller (APIC)".
 */
#pragma once

#include "arch/lib/types.h"

enum {
	APIC_VECTOR_SERIAL = 0xe0, /* of physical devices, for their drivers' users */
	APIC_VECTOR_KEYBOARD = 0xe1,
	APIC_VECTOR_TIMER = 0xf0,
	APIC_VECTOR_KICK = 0xf1,
	APIC_VECTOR_SPURIOUS = 0xff,
};

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

/* The id of the CPU that calls. */
u32 apic_id(void);

void apic_eoi(void);

/* Interrupt commands: APIC_SEND_FIXED + vector; APIC_SEND_STARTUP + number of the page below
 * 1 MiB where the CPU starts in real mode. */
enum {
	APIC_SEND_FIXED = 0 << 8,
	APIC_SEND_NMI = 4 << 8,
	APIC_SEND_INIT = 5 << 8,
	APIC_SEND_STARTUP = 6 << 8,
};

/* Sends an interrupt to another CPU by its APIC id, and returns when it is sent, but for a
 * vector, or the APIC stays busy for a tenth of a second. Any CPU, interrupts off. */
void apic_send(u32 id, u32 command);

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
