/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other CPUs: started one at a time, then idle until somebody posts a call
 * to their mailbox. Source: Intel SDM volume 3, "Multiple-Processor (MP)
 * Initialization".
 */
#pragma once

#include "arch/lib/types.h"

/*
 * Starts the CPUs with these APIC ids, the caller's own passed over, until
 * `limit` run in all (0: as many as there are). One that does not come up within a second
 * is reported and left out. Returns how many run, the boot CPU included
 * (pcpu_count). Boot CPU, in the base space, behind apic_init and tsc_init, interrupts off.
 */
unsigned smp_start(const u32 *apic_ids, unsigned count, unsigned limit);

/*
 * Has fn(arg) called on a CPU by its pcpu id, soon, and does not wait for it:
 * only for an earlier call to have been fetched. Calls to one CPU begin in
 * order. fn may never return if it calls smp_serve now and then. On the
 * caller's own CPU fn is called directly. Any CPU, interrupts off, no locks that fn may need.
 */
void smp_post(unsigned cpu, void (*fn)(void *arg), void *arg);

/* The same, and waits until fn has returned, serving its own mailbox. */
void smp_call(unsigned cpu, void (*fn)(void *arg), void *arg);

/* Waits until every other CPU in operation has looked into its mailbox: what it did before, it
 * has finished. As smp_call. */
void smp_sync(void);

/* Runs what stands in this CPU's mailbox; false when it was empty. */
bool smp_serve(void);

/* Serves the mailbox for ever, halted in between. */
_Noreturn void smp_idle(void);

/* Brings a CPU out of HLT or guest mode, with no effect beyond that. Any CPU. */
void smp_kick(unsigned cpu);

/*
 * Halts all other CPUs for good, wherever they are, by NMI, and waits until they
 * stand, at most a second for each. Set as panic_stop_others by smp_start; the rest
 * is panic_nmi's.
 */
void smp_stop_others(void);
