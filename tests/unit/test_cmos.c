/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/cmos.c */
/*
 * The reader of the physical clock, over a simulated MC146818 in each of its
 * number formats, in the middle of updates, and with dates that do not exist.
 * Expected values come from the C library's calendar.
 */
#include "drivers/cmos.h"

#include <setjmp.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "arch/lib/bits.h"

#define BINARY 4
#define H24    2

static u8 reg[128];
static unsigned updating; /* reads of register A that still show an update */
static unsigned reads, tick_at; /* the seconds move on before this read */
static bool tick_always;

static u8 sim_read(u8 index)
{
	if (++reads == tick_at || (tick_always && index == 0))
		reg[0] ^= 1;
	if (index == 0x0a && updating) {
		updating--;
		return 0xa6;
	}
	return index == 0x0a ? 0x26 : reg[index];
}

static u8 bcd(unsigned v, u8 mode)
{
	return (u8)(mode & BINARY ? v : v / 10 << 4 | v % 10);
}

static void set(u8 mode, unsigned year, unsigned month, unsigned day, unsigned h, unsigned m,
		unsigned s)
{
	memset(reg, 0xee, sizeof(reg));
	updating = tick_at = reads = 0;
	tick_always = false;
	reg[0x0b] = mode;
	reg[0] = bcd(s, mode);
	reg[2] = bcd(m, mode);
	if (mode & H24)
		reg[4] = bcd(h, mode);
	else
		reg[4] = (u8)(bcd(h % 12 ? h % 12 : 12, mode) | (h >= 12 ? 0x80 : 0));
	reg[7] = bcd(day, mode);
	reg[8] = bcd(month, mode);
	reg[9] = bcd(year % 100, mode);
	reg[0x32] = bcd(year / 100, mode);
}

static u64 want(int year, int month, int day, int h, int m, int s)
{
	struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day,
			.tm_hour = h, .tm_min = m, .tm_sec = s};

	return (u64)timegm(&tm);
}

static void every_format(void **state)
{
	static const int dates[][6] = {
		{2023, 11, 14, 22, 13, 20}, {2000, 2, 29, 0, 0, 0},    {1999, 12, 31, 23, 59, 59},
		{2024, 3, 1, 12, 30, 1},    {1970, 1, 1, 0, 0, 1},     {2100, 2, 28, 11, 59, 59},
		{2100, 3, 1, 12, 0, 0},	    {2024, 12, 31, 13, 0, 30},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(dates); i++) {
		for (u8 mode = 0; mode <= 6; mode += 2) {
			const int *d = dates[i];

			set(mode, (unsigned)d[0], (unsigned)d[1], (unsigned)d[2], (unsigned)d[3],
			    (unsigned)d[4], (unsigned)d[5]);
			assert_int_equal(cmos_epoch(sim_read, 0x32),
					 want(d[0], d[1], d[2], d[3], d[4], d[5]));
		}
	}
}

static void without_century(void **state)
{
	(void)state;
	set(H24, 2069, 6, 1, 1, 2, 3);
	assert_int_equal(cmos_epoch(sim_read, 0), want(2069, 6, 1, 1, 2, 3));
	set(H24, 1970, 6, 1, 1, 2, 3);
	assert_int_equal(cmos_epoch(sim_read, 0), want(1970, 6, 1, 1, 2, 3));
	set(H24, 2030, 6, 1, 1, 2, 3);
	reg[0x32] = 0xff;
	assert_int_equal(cmos_epoch(sim_read, 0x32), want(2030, 6, 1, 1, 2, 3));
	reg[0x32] = 0;
	assert_int_equal(cmos_epoch(sim_read, 0x32), want(2030, 6, 1, 1, 2, 3));
}

static void updates_are_waited_for(void **state)
{
	(void)state;
	set(H24, 2030, 6, 1, 1, 2, 4);
	updating = 500;
	assert_int_equal(cmos_epoch(sim_read, 0x32), want(2030, 6, 1, 1, 2, 4));
	/* a tick anywhere in between makes it read again */
	for (unsigned at = 1; at < 20; at++) {
		u64 epoch;

		set(H24, 2030, 6, 1, 1, 2, 4);
		tick_at = at;
		epoch = cmos_epoch(sim_read, 0x32);
		assert_in_range(epoch, want(2030, 6, 1, 1, 2, 4), want(2030, 6, 1, 1, 2, 5));
	}
	set(H24, 2030, 6, 1, 1, 2, 4);
	tick_always = true;
	assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
	set(H24, 2030, 6, 1, 1, 2, 4);
	updating = ~0u; /* a clock that hangs, or no clock at all */
	assert_int_equal(cmos_epoch(sim_read, 0x32), want(2030, 6, 1, 1, 2, 4));
}

static void impossible_dates(void **state)
{
	static const struct {
		u8 index, value;
	} rows[] = {
		{0, 0x60}, {0, 0x1a}, {0, 0xa1}, {2, 0x60}, {4, 0x24}, {7, 0}, {7, 0x31},
		{7, 0x32}, {8, 0},    {8, 0x13}, {9, 0xaa}, {9, 0xff},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set(H24, 2030, 6, 1, 1, 2, 3);
		reg[rows[i].index] = rows[i].value;
		assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
	}
	set(H24, 2023, 2, 28, 1, 2, 3);
	reg[7] = 0x29;
	assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
	set(H24, 1950, 2, 28, 1, 2, 3);
	assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
	set(0, 2030, 6, 1, 1, 2, 3);
	reg[4] = 0x13;
	assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
	reg[4] = 0x80;
	assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
	memset(reg, 0xff, sizeof(reg)); /* no clock answers */
	assert_int_equal(cmos_epoch(sim_read, 0x32), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format),
		cmocka_unit_test(without_century),
		cmocka_unit_test(updates_are_waited_for),
		cmocka_unit_test(impossible_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
