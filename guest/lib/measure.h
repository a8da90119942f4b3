/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs that measure share: a store of samples in TSC ticks, and the line
 * `cost NAME median N max N` that tests/rig/bench.py reads; and marks at which Bochs' debugger
 * stops, for tests/rig/trace.py.
 */
#ifndef GUEST_LIB_MEASURE_H
#define GUEST_LIB_MEASURE_H

#include "guest/lib/types.h"

#define MEASURE_MOST  4096
#define MEASURE_NONE  (1u << 31) /* no round is marked */
#define MEASURE_MARKS 3		 /* rounds that are, one after the other */

extern u32 measure_ticks[MEASURE_MOST];

/* The word rounds=N, 1 to MEASURE_MOST; 1000 without it. */
unsigned measure_rounds(void);
/* Puts values in order, the least first. */
void measure_sort(u32 *values, unsigned count);
/* The median of the first `count` samples; puts them in order. */
u32 measure_median(unsigned count);
/* Prints the line for them, less what an empty round takes. Returns the median of it. */
u32 measure_print(const char *name, unsigned count, u32 empty);

/* Where the marked rounds begin, of `count`. */
unsigned measure_late_round(unsigned count);
/* Before and behind a round: an instruction without effect, if it is one of those from `first` on. */
static inline void measure_mark(unsigned round, unsigned first)
{
	if (round - first < MEASURE_MARKS)
		__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
}

#endif
