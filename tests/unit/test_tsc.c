/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/tsc.c */
/*
 * TSC measurement against simulated clocks: exact ones, ones that wrap, that
 * stand still, creep, jump, or are read through an occasional long stall.
 */
#include "arch/tsc.h"

#include <setjmp.h>

#include <cmocka.h>

#include "arch/lib/log.h"
#include "arch/memory.h"

void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	(void)hpa, (void)size, (void)cache;
	return NULL;
}

void phys_unmap(void *virt, u64 size)
{
	(void)virt, (void)size;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	(void)level, (void)fmt;
}

/* Simulated time in nanoseconds; each reading takes some. */
static u64 ns, reads, stall_every, skew_after;
static u64 sim_tsc_hz;
static u64 sim_clock_hz, sim_mask, sim_start;

static u64 sim_now(void)
{
	ns += 10;
	if (stall_every && ++reads % stall_every == 0)
		ns += 300000; /* an SMI */
	return muldiv64(ns, sim_tsc_hz, 1000000000);
}

static u64 sim_read(void)
{
	ns += 700;
	return (sim_start + muldiv64(ns, sim_clock_hz, 1000000000)) & sim_mask;
}

static u64 dead_read(void)
{
	return 0xffffff;
}

/* Changes now and then but never gets anywhere. */
static u64 creeping_read(void)
{
	return ++reads & 15;
}

/* Doubles its rate in the middle of each measurement. */
static u64 uneven_read(void)
{
	u64 t = muldiv64(ns += 700, sim_clock_hz, 1000000000);

	return t > skew_after ? t + (t - skew_after) : t;
}

static u64 measure(u64 tsc, u64 hz, u64 mask, u64 start, u64 stall)
{
	struct tsc_clock clock = {hz, mask, sim_read};

	ns = 1000000;
	reads = 0;
	sim_tsc_hz = tsc;
	sim_clock_hz = hz;
	sim_mask = mask;
	sim_start = start;
	stall_every = stall;
	return tsc_measure(&clock, sim_now);
}

static void assert_close(u64 hz, u64 want)
{
	assert_in_range(hz, want - want / 5000, want + want / 5000); /* 200 ppm */
}

static void measures_every_clock(void **state)
{
	(void)state;
	assert_close(measure(100000000, 3579545, 0xffffff, 0, 0), 100000000);
	assert_close(measure(2894560000, 3579545, 0xffffffff, 0, 0), 2894560000);
	assert_close(measure(5200000000, 14318180, 0xffffffff, 0, 0), 5200000000);
	assert_close(measure(3000000000, 1193182, 0xffff, 0, 0), 3000000000);
}

static void clocks_may_wrap(void **state)
{
	(void)state;
	assert_close(measure(2400000000, 3579545, 0xffffff, 0xfffff0, 0), 2400000000);
	assert_close(measure(2400000000, 3579545, 0xffffff, 0xffa000, 0), 2400000000);
	assert_close(measure(2400000000, 1193182, 0xffff, 0xf000, 0), 2400000000);
}

static void stalls_do_no_harm(void **state)
{
	(void)state;
	for (u64 every = 3; every < 40; every++)
		assert_close(measure(2400000000, 3579545, 0xffffff, 0, every), 2400000000);
}

static void bad_clocks_are_refused(void **state)
{
	struct tsc_clock clock = {3579545, 0xffffff, dead_read};

	(void)state;
	sim_tsc_hz = 1000000000;
	assert_int_equal(tsc_measure(&clock, sim_now), 0);
	clock.read = creeping_read;
	stall_every = 0;
	assert_int_equal(tsc_measure(&clock, sim_now), 0);
}

static void an_uneven_span_is_measured_again(void **state)
{
	struct tsc_clock clock = {3579545, 0xffffffff, uneven_read};

	(void)state;
	stall_every = 0;
	ns = 1000000;
	sim_tsc_hz = 2000000000;
	sim_clock_hz = 3579545;
	/* breaks after 12 ms, in the second span: the second attempt sees an even clock */
	skew_after = 13 * 3580;
	assert_close(tsc_measure(&clock, sim_now), 1000000000);
}

static void stated_frequencies(void **state)
{
	static const struct {
		struct cpuid_regs leaf15, leaf16;
		u64 hz;
	} rows[] = {
		{{0, 0, 0, 0}, {3000, 0, 0, 0}, 0},
		{{2, 0, 24000000, 0}, {0, 0, 0, 0}, 0},
		{{2, 250, 24000000, 0}, {0, 0, 0, 0}, 3000000000},
		{{2, 216, 0, 0}, {2600, 0, 0, 0}, 2600000000},
		{{2, 216, 0, 0}, {0xffff0a28, 0, 0, 0}, 2600000000},
		{{2, 216, 0, 0}, {0, 0, 0, 0}, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(tsc_stated(&rows[i].leaf15, &rows[i].leaf16), rows[i].hz);
}

static void one_per_cent(void **state)
{
	(void)state;
	assert_false(tsc_differs(1000, 1000));
	assert_false(tsc_differs(1000, 990));
	assert_true(tsc_differs(1000, 989));
	assert_true(tsc_differs(100000000, 3500000000));
	assert_false(tsc_differs(3500000000, 3465000000));
}

static void delays_are_never_short(void **state)
{
	u64 start;

	(void)state;
	tsc_hz = 1000000;
	start = rdtsc();
	tsc_delay_us(1000000);
	assert_true(rdtsc() - start >= 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measures_every_clock),
		cmocka_unit_test(clocks_may_wrap),
		cmocka_unit_test(stalls_do_no_harm),
		cmocka_unit_test(bad_clocks_are_refused),
		cmocka_unit_test(an_uneven_span_is_measured_again),
		cmocka_unit_test(stated_frequencies),
		cmocka_unit_test(one_per_cent),
		cmocka_unit_test(delays_are_never_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
