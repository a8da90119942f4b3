/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples in order, their median and maximum.
 */
#include "guest/lib/measure.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"

u32 measure_ticks[MEASURE_MOST];

unsigned measure_rounds(void)
{
	u64 rounds = boot_number("rounds", 1000);

	return rounds < 1 ? 1 : rounds > MEASURE_MOST ? MEASURE_MOST : (unsigned)rounds;
}

unsigned measure_late_round(unsigned count)
{
	return count < 2 * MEASURE_MARKS ? 0 : count - count / 10 - MEASURE_MARKS;
}

void measure_sort(u32 *values, unsigned count)
{
	for (unsigned gap = count / 2; gap; gap /= 2)
		for (unsigned i = gap; i < count; i++) {
			u32 value = values[i];
			unsigned at = i;

			for (; at >= gap && values[at - gap] > value; at -= gap)
				values[at] = values[at - gap];
			values[at] = value;
		}
}

u32 measure_median(unsigned count)
{
	measure_sort(measure_ticks, count);
	return measure_ticks[count / 2];
}

/* Where time is not exact, an empty round may have taken longer. */
static u32 less(u32 ticks, u32 empty)
{
	return ticks > empty ? ticks - empty : 0;
}

u32 measure_print(const char *name, unsigned count, u32 empty)
{
	u32 median = less(measure_median(count), empty);

	print("cost %s median %u max %u\n", name, median,
	      less(measure_ticks[count - 1], empty));
	return median;
}
