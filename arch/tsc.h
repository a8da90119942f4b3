/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time-stamp counter as Trivet's clock: its frequency, measured against a
 * clock of the machine, and what makes it a bad clock.
 */
#pragma once

#include "arch/cpu.h"

/* Ticks a second. Before tsc_init a value that no CPU exceeds, so that delays
 * are never too short. */
extern u64 tsc_hz;

/* Clocks that firmware tables name; 0 for absent. The 8254 is always tried. */
struct tsc_sources {
	u16 pm_timer; /* port of the ACPI power management timer */
	bool pm_timer_32bit;
	hpa_t hpet;
};

/* A clock to measure against: counts up at hz, modulo mask + 1. */
struct tsc_clock {
	u64 hz, mask;
	u64 (*read)(void);
};

/*
 * Measures with the first source that works (ACPI PM timer, HPET, 8254), compares with what
 * CPUID states, sets tsc_hz and logs it together with every doubt. Takes about
 * 16 ms. Boot CPU, interrupts off. 0, or -ENODEV when there is nothing to
 * measure with and nothing is stated; tsc_hz is then a guess.
 */
int tsc_init(const struct tsc_sources *sources);

/* Waits at least `us` microseconds; any CPU. */
void tsc_delay_us(u64 us);

/*
 * The frequency of the counter `now` as measured against clock, or 0 when the
 * clock stands still or does not run evenly.
 */
u64 tsc_measure(const struct tsc_clock *clock, u64 (*now)(void));

/*
 * The frequency that CPUID leaf 15h states, with leaf 16h's base frequency for
 * the crystal where leaf 15h leaves it out; 0 for none. Intel SDM volume 3,
 * "Determining the Processor Base Frequency".
 */
u64 tsc_stated(const struct cpuid_regs *leaf15, const struct cpuid_regs *leaf16);

/* Do two frequencies differ by more than 1 %? */
bool tsc_differs(u64 a, u64 b);
