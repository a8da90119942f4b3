/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other processors: finds them, starts them by INIT-SIPI-SIPI, and has them call C
 * functions. CPUs are numbered from 0, the one that started first.
 * SDM volume 3, "Multiple-Processor (MP) Initialization".
 */
#ifndef GUEST_LIB_SMP_H
#define GUEST_LIB_SMP_H

#include "guest/lib/apic.h"

#define SMP_MAX	 32
#define SMP_WAKE 0xf0 /* the vector that wakes a CPU which waits for work */

extern unsigned smp_count;   /* CPUs that the machine has, once smp_find was called */
extern u32 smp_id[SMP_MAX];  /* their APIC ids */
/* Called by a CPU that arrives, before anything has touched its APIC, with its number. */
extern void (*smp_arrived)(unsigned cpu);

/* Counts the CPUs by the MADT, or by the word cpus=N with ids from 0. Does not start any. */
unsigned smp_find(void);
/*
 * INIT-SIPI-SIPI; true once the CPU has arrived, false after 100 ms without. It then
 * has its own stack, the program's IDT and its APIC on, as apic_enable does it; it waits
 * for work in HLT. May be repeated on a CPU that runs.
 */
bool smp_start(unsigned cpu);
/* Finds and starts all; how many CPUs run, this one included. The own APIC must be on. */
unsigned smp_start_all(void);
/* The two messages of it, for tests: INIT with its 10 ms, one STARTUP with its 200 us. */
void smp_send_init(unsigned cpu);
void smp_send_startup(unsigned cpu);
/* Whether a CPU has arrived since the last smp_send_init to it. */
bool smp_is_here(unsigned cpu);
/* The number of the CPU that calls. */
unsigned smp_cpu(void);

/* Lets a CPU call fn(arg), with interrupts off; it must wait for work. */
void smp_run(unsigned cpu, void (*fn)(void *arg), void *arg);
/* Waits until it has returned. */
void smp_wait(unsigned cpu);
/* Both, on all other CPUs, after all have begun. */
void smp_run_others(void (*fn)(void *arg), void *arg);

/* A place that `parties` CPUs reach before any goes on; zeroed before its first use. */
struct smp_barrier {
	volatile u32 waiting, round;
};
void smp_barrier(struct smp_barrier *barrier, u32 parties);

#endif
