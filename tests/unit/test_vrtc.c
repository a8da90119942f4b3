/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vrtc.c tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c */
/*
 * The MC146818 and CMOS RAM: the calendar against the C library's, formats,
 * SET, divider and update in progress, the periodic rates of the data sheet's
 * table, alarms against a search second by second, flags and IRQ 8, and the
 * bytes that firmware leaves.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

#define SECOND 1000000000ull
#define EPOCH  1700000000ull /* Tuesday 2023-11-14 22:13:20 */

static struct vm *vm;
static struct vdev *dev;

static void create(u64 epoch)
{
	vm = fake_vm_create();
	vm->boot_epoch = epoch;
	vm->ram_below_4g = MIB(64);
	vm->ram_above_4g = 0;
	dev = fake_vm_create_device(vm, "rtc", (struct vdev_args){0});
}

static void create_anew(u64 epoch)
{
	fake_vm_destroy(vm);
	create(epoch);
}

static int setup(void **state)
{
	(void)state;
	create(EPOCH);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_destroy(vm);
	return 0;
}

static u8 get(u8 reg)
{
	fake_vm_outb(vm, 0x70, reg);
	return fake_vm_inb(vm, 0x71);
}

static void put(u8 reg, u8 value)
{
	fake_vm_outb(vm, 0x70, reg);
	fake_vm_outb(vm, 0x71, value);
}

static void seconds(u64 count)
{
	fake_vm_advance(vm, count * SECOND);
}

static u8 bcd(unsigned value)
{
	return (u8)(value / 10 << 4 | value % 10);
}

static void assert_time(unsigned h, unsigned m, unsigned s)
{
	assert_int_equal(get(4), h);
	assert_int_equal(get(2), m);
	assert_int_equal(get(0), s);
}

static void set_time(u8 h, u8 m, u8 s)
{
	put(4, h);
	put(2, m);
	put(0, s);
}

static void power_on_state(void **state)
{
	(void)state;
	assert_int_equal(get(0x0a), 0x26);
	assert_int_equal(get(0x0b), 0x02);
	assert_int_equal(get(0x0c), 0);
	assert_int_equal(get(0x0d), 0x80);
	assert_int_equal(get(0x0e), 0);
	assert_int_equal(get(0x0f), 0);
	assert_time(0x22, 0x13, 0x20);
	assert_int_equal(get(6), 3); /* Sunday is 1 */
	assert_int_equal(get(7), 0x14);
	assert_int_equal(get(8), 0x11);
	assert_int_equal(get(9), 0x23);
	assert_int_equal(get(0x32), 0x20);
	assert_int_equal(fake_vm_inb(vm, 0x70), 0xff);
	assert_null(vm->timers);
	assert_false(vm->level[8]);
}

static void calendar_is_the_gregorian_one(void **state)
{
	static const u64 jumps[] = {1, 59, 3601, 86399, 86400, 2678400, 31536000, 100000007};
	u64 seed = 1;

	(void)state;
	for (unsigned run = 0; run < 300; run++) {
		u64 r = fake_vm_random(&seed);
		u64 epoch = r % 7258118400ull; /* before 2200 */
		bool binary = r >> 40 & 1;

		create_anew(epoch);
		if (binary) {
			/* The format changes; what stands there does not. */
			time_t t = (time_t)epoch;
			struct tm tm;

			gmtime_r(&t, &tm);
			put(0x0b, 0x86);
			set_time((u8)tm.tm_hour, (u8)tm.tm_min, (u8)tm.tm_sec);
			put(6, (u8)(tm.tm_wday + 1));
			put(7, (u8)tm.tm_mday);
			put(8, (u8)(tm.tm_mon + 1));
			put(9, (u8)(tm.tm_year % 100));
			put(0x32, (u8)((tm.tm_year + 1900) / 100));
			put(0x0b, 0x06);
		}
		for (unsigned step = 0; step < 8; step++) {
			struct tm tm;
			time_t t;

			seconds(jumps[fake_vm_random(&seed) % ARRAY_SIZE(jumps)]);
			t = (time_t)(epoch + vm->now / SECOND);
			gmtime_r(&t, &tm);
#define SHOWN(v) (binary ? (unsigned)(v) : bcd((unsigned)(v)))
			assert_time(SHOWN(tm.tm_hour), SHOWN(tm.tm_min), SHOWN(tm.tm_sec));
			assert_int_equal(get(6), tm.tm_wday + 1);
			assert_int_equal(get(7), SHOWN(tm.tm_mday));
			assert_int_equal(get(8), SHOWN(tm.tm_mon + 1));
			assert_int_equal(get(9), SHOWN(tm.tm_year % 100));
			assert_int_equal(get(0x32), SHOWN((tm.tm_year + 1900) / 100));
#undef SHOWN
		}
	}
}

static void century_turns(void **state)
{
	(void)state;
	put(0x0b, 0x82);
	set_time(0x23, 0x59, 0x59);
	put(7, 0x31);
	put(8, 0x12);
	put(9, 0x99);
	put(0x32, 0x19);
	put(6, 6);
	put(0x0b, 0x02);
	seconds(1);
	assert_time(0, 0, 0);
	assert_int_equal(get(7), 0x01);
	assert_int_equal(get(8), 0x01);
	assert_int_equal(get(9), 0x00);
	assert_int_equal(get(0x32), 0x20);
	assert_int_equal(get(6), 7);
	seconds(59 * 86400); /* 2000 is a leap year */
	assert_int_equal(get(7), 0x29);
	assert_int_equal(get(8), 0x02);
	assert_int_equal(get(6), 3);
}

static void twelve_hours(void **state)
{
	static const u8 shown[24] = {
		0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
		0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91,
	};

	(void)state;
	put(0x0b, 0x80);
	set_time(0x92, 0x00, 0x00); /* noon */
	put(0x0b, 0x00);
	for (unsigned h = 13; h < 13 + 48; h++) {
		seconds(3600);
		assert_int_equal(get(4), shown[h % 24]);
	}
	put(0x0b, 0x84); /* binary too */
	set_time(0x80 | 11, 59, 59);
	put(0x0b, 0x04);
	seconds(1);
	assert_time(12, 0, 0);
}

static void set_freezes_the_time_only(void **state)
{
	(void)state;
	fake_vm_advance(vm, SECOND / 4);
	put(0x0b, 0x92);
	assert_int_equal(get(0x0b), 0x82); /* SET clears UIE */
	seconds(10);
	assert_time(0x22, 0x13, 0x20);
	assert_int_equal(get(0x0c) & 0x10, 0);
	assert_int_equal(get(0x0a) & 0x80, 0);
	put(0x0b, 0x02);
	assert_time(0x22, 0x13, 0x20);
	/* The divider went on: the next update at its full second. */
	fake_vm_advance(vm, SECOND * 3 / 4 - 1);
	assert_int_equal(get(0), 0x20);
	fake_vm_advance(vm, 1);
	assert_int_equal(get(0), 0x21);
	/* A write without SET counts on from there. */
	put(0, 0x40);
	seconds(1);
	assert_time(0x22, 0x13, 0x41);
}

static void held_divider_stands(void **state)
{
	(void)state;
	fake_vm_advance(vm, SECOND * 9 / 10);
	put(0x0a, 0x76);
	assert_int_equal(get(0x0c), 0x40); /* from before */
	put(0x0b, 0x72);
	seconds(100);
	assert_time(0x22, 0x13, 0x20);
	assert_int_equal(get(0x0c), 0);
	assert_int_equal(get(0x0a), 0x76);
	assert_null(vm->timers);
	put(0x0b, 0x02);
	put(0x0a, 0x26);
	/* The first update comes half a second after the release. */
	fake_vm_advance(vm, SECOND / 2 - 1);
	assert_int_equal(get(0), 0x20);
	assert_int_equal(get(0x0a), 0xa6);
	fake_vm_advance(vm, 1);
	assert_int_equal(get(0), 0x21);
	assert_int_equal(get(0x0a), 0x26);
	put(0x0a, 0x06); /* a divider for another crystal runs all the same */
	seconds(1);
	assert_int_equal(get(0), 0x22);
}

static void update_in_progress(void **state)
{
	unsigned set = 0;

	(void)state;
	for (unsigned us = 0; us < 1000000; us += 10) {
		bool uip = get(0x0a) & 0x80;

		/* 244 us, then the change; never elsewhere. */
		assert_int_equal(uip, us >= 1000000 - 244);
		set += uip;
		fake_vm_advance(vm, 10000);
	}
	assert_int_equal(set, 24);
	assert_int_equal(get(0), 0x21);
	put(0x0a, 0xa6); /* not writable */
	assert_int_equal(get(0x0a), 0x26);
}

static void periodic_rates(void **state)
{
	/* Nanoseconds, from the table for 32.768 kHz. */
	static const u64 period[16] = {
		0, 3906250, 7812500, 122070, 244140, 488281, 976562, 1953125, 3906250, 7812500,
		15625000, 31250000, 62500000, 125000000, 250000000, 500000000,
	};

	(void)state;
	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned count = 0;
		u64 end;

		create_anew(EPOCH);
		put(0x0a, 0x20 | rate);
		assert_null(vm->timers);
		put(0x0b, 0x42);
		end = vm->now + 2 * SECOND;
		while (vm->timers && vm->timers->deadline <= end) {
			fake_vm_advance(vm, vm->timers->deadline - vm->now);
			assert_true(vm->level[8]);
			count++;
			assert_in_range(vm->now, count * period[rate], count * (period[rate] + 1));
			assert_int_equal(get(0x0c) & 0xe0, 0xc0);
			assert_false(vm->level[8]);
		}
		assert_int_equal(count, rate ? 2 * SECOND / period[rate] : 0);
	}
}

static void flags_rise_without_being_enabled(void **state)
{
	(void)state;
	put(0x0a, 0x2f);
	fake_vm_advance(vm, SECOND / 2 - 1);
	assert_int_equal(get(0x0c), 0);
	fake_vm_advance(vm, 1);
	assert_int_equal(get(0x0c), 0x40);
	assert_int_equal(get(0x0c), 0);
	seconds(1);
	assert_int_equal(get(0x0c), 0x50);
	put(1, 0xc0);
	put(3, 0xff);
	put(5, 0xc5); /* don't care, all three */
	seconds(1);
	assert_int_equal(get(0x0c), 0x70);
	assert_int_equal(vm->edges[8], 0);
	/* Enabling a flag that stands raises the line. */
	seconds(1);
	put(0x0b, 0x12);
	assert_true(vm->level[8]);
	assert_null(vm->timers); /* nothing more can happen before C is read */
	assert_int_equal(get(0x0c), 0xf0);
	assert_false(vm->level[8]);
	assert_non_null(vm->timers);
	/* And disabling lowers it. */
	seconds(1);
	assert_true(vm->level[8]);
	put(0x0b, 0x02);
	assert_false(vm->level[8]);
	assert_int_equal(get(0x0c), 0x70);
}

static void update_ended_interrupt(void **state)
{
	(void)state;
	fake_vm_advance(vm, 123456789);
	put(0x0b, 0x12);
	fake_vm_advance(vm, SECOND - 123456789 - 1);
	assert_false(vm->level[8]);
	fake_vm_advance(vm, 1);
	assert_true(vm->level[8]);
	assert_int_equal(get(0), 0x21);
	seconds(5); /* unread: one line, one edge, no timer */
	assert_int_equal(vm->edges[8], 1);
	assert_int_equal(vm->timers_fired, 1);
	assert_int_equal(get(0x0c), 0xd0);
	seconds(1);
	assert_int_equal(vm->edges[8], 2);
}

/* An alarm byte against a value, as the chip compares. */
static bool part_matches(u8 alarm, unsigned value)
{
	return alarm >= 0xc0 || alarm == bcd(value);
}

static void alarm_as_a_search_finds_it(void **state)
{
	u64 seed = 146818;

	(void)state;
	for (unsigned run = 0; run < 400; run++) {
		u64 r = fake_vm_random(&seed);
		u8 s = r & 1 ? 0xc0 : bcd((r >> 8) % 60), m = r & 2 ? 0xff : bcd((r >> 16) % 60);
		u8 h = r & 4 ? 0xe3 : bcd((r >> 24) % 24);
		unsigned day = (EPOCH + (r >> 32) % 86400) % 86400, after = 1;

		if (r >> 60 == 0)
			s = (u8)(0x60 + (r >> 8) % 64 % 0x60); /* no second: never */
		create_anew(EPOCH + (r >> 32) % 86400);
		put(1, s);
		put(3, m);
		put(5, h);
		put(0x0b, 0x22);
		while (after <= 86400 && !(part_matches(s, (day + after) % 60) &&
					   part_matches(m, (day + after) / 60 % 60) &&
					   part_matches(h, (day + after) / 3600 % 24)))
			after++;
		if (after > 86400) {
			assert_null(vm->timers);
			seconds(86400);
			assert_int_equal(get(0x0c), 0x50);
			continue;
		}
		fake_vm_advance(vm, after * SECOND - 1);
		assert_false(vm->level[8]);
		fake_vm_advance(vm, 1);
		assert_true(vm->level[8]);
		assert_int_equal(get(0x0c) & 0xb0, 0xb0);
	}
}

static void alarm_in_other_formats(void **state)
{
	(void)state;
	put(0x0b, 0x80);
	set_time(0x91, 0x59, 0x58); /* 11:59:58 pm */
	put(1, 0x00);
	put(3, 0x00);
	put(5, 0x12);
	put(0x0b, 0x20);
	seconds(1);
	assert_int_equal(vm->edges[8], 0);
	seconds(1);
	assert_int_equal(vm->edges[8], 1);
	get(0x0c);
	put(5, 0x00); /* no hour of a 12-hour clock */
	seconds(86400);
	assert_int_equal(vm->edges[8], 1);
	put(5, 0x1a); /* no BCD */
	seconds(86400);
	assert_int_equal(vm->edges[8], 1);
	put(0x0b, 0x86);
	set_time(23, 59, 58);
	put(5, 0);
	put(0x0b, 0x26);
	seconds(2);
	assert_int_equal(vm->edges[8], 2);
}

static void invalid_bytes_are_kept_then_mended(void **state)
{
	(void)state;
	put(0x0b, 0x82);
	set_time(0x45, 0xff, 0x7a);
	put(6, 0);
	put(7, 0xaa);
	put(8, 0x00);
	put(9, 0xee);
	put(0x32, 0xff);
	put(0x0b, 0x02);
	assert_int_equal(get(2), 0xff);
	assert_int_equal(get(8), 0);
	seconds(86400 * 3);
	for (u8 reg = 0; reg < 10; reg += reg < 6 ? 2 : 1) {
		assert_true((get(reg) & 15) < 10);
		assert_true(get(reg) >> 4 < 10);
	}
	assert_in_range(get(6), 1, 7);
	assert_in_range(get(8), 1, 0x12);
}

static void firmware_bytes(void **state)
{
	static const struct {
		u64 below, above;
		unsigned kib, low64, high64;
	} rows[] = {
		{MIB(64), 0, 63 * 1024, 48 * 16, 0},
		{MIB(512), 0, 0xffff, 496 * 16, 0},
		{MIB(8), 0, 7 * 1024, 0, 0},
		{KIB(640), 0, 0, 0, 0},
		{0xc0000000, GIB(5), 0xffff, 0xbf00, 5 * 16384},
		{0xc0000000, 1ull << 50, 0xffff, 0xbf00, 0xffffff},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_vm_destroy(vm);
		vm = fake_vm_create();
		vm->ram_below_4g = rows[i].below;
		vm->ram_above_4g = rows[i].above;
		dev = fake_vm_create_device(vm, "rtc", (struct vdev_args){0});
		assert_int_equal(get(0x15) | get(0x16) << 8, 640);
		assert_int_equal(get(0x17) | get(0x18) << 8, rows[i].kib);
		assert_int_equal(get(0x30) | get(0x31) << 8, rows[i].kib);
		assert_int_equal(get(0x34) | get(0x35) << 8, rows[i].low64);
		assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, rows[i].high64);
		assert_int_equal(get(0x14), 2);
	}
}

static void ram_and_words(void **state)
{
	(void)state;
	for (unsigned i = 0x0e; i < 128; i++)
		if (i != 0x32)
			put((u8)i, (u8)(i * 7));
	for (unsigned i = 0x0e; i < 128; i++)
		if (i != 0x32)
			assert_int_equal(get((u8)(i | 0x80)), (u8)(i * 7)); /* bit 7: NMI mask */
	put(0x0c, 0xff); /* read-only */
	put(0x0d, 0x00);
	assert_int_equal(get(0x0c), 0);
	assert_int_equal(get(0x0d), 0x80);
	/* Words are an index with its data; there is no second bank at 72h. */
	fake_vm_outw(vm, 0x70, 0x5a0f);
	assert_int_equal(fake_vm_inw(vm, 0x70), 0x5aff);
	fake_vm_outl(vm, 0x70, 0x33446655);
	assert_int_equal(get(0x55), 0x66);
	assert_int_equal(fake_vm_inl(vm, 0x70), 0xffff66ff);
}

static void reset_keeps_time_and_ram(void **state)
{
	(void)state;
	put(0x0f, 0x5a);
	put(0x0b, 0x7a);
	seconds(10);
	assert_true(vm->level[8]);
	vdev_reset(dev);
	assert_false(vm->level[8]);
	assert_null(vm->timers);
	assert_int_equal(get(0x0b), 0x02);
	assert_int_equal(get(0x0c), 0);
	assert_int_equal(get(0x0f), 0x5a);
	assert_time(0x22, 0x13, 0x30);
}

static void odd_clock_rates(void **state)
{
	static const u64 rates[] = {1000000, 3579545001ull, 2400000000ull};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		fake_vm_destroy(vm);
		vm = fake_vm_create();
		vm->hz = rates[i];
		dev = fake_vm_create_device(vm, "rtc", (struct vdev_args){0});
		put(0x0a, 0x26);
		put(0x0b, 0x42);
		for (unsigned n = 0; n < 1024; n++) {
			fake_vm_advance(vm, vm->timers->deadline - vm->now);
			assert_int_equal(get(0x0c) & 0xc0, 0xc0);
		}
		/* 1,024 ticks are a second, with no tick of drift. */
		assert_int_equal(vm->now, rates[i]);
		assert_int_equal(get(0), 1);
	}
}

static void saves(void **state)
{
	u8 blob[512], other[512], bad[512];
	size_t size;

	(void)state;
	fake_vm_advance(vm, 5 * SECOND + 1234567);
	put(0x0b, 0x72);
	put(1, 0x44);
	fake_vm_check_save(vm, dev);
	fake_vm_advance(vm, 30 * SECOND);
	get(0);
	fake_vm_check_save(vm, dev);
	/* What was saved goes on as it would have. */
	get(0x0c);
	put(0x0b, 0x12);
	size = vdev_save(dev, blob);
	memcpy(bad, blob, size);
	seconds(1);
	get(2);
	vdev_save(dev, other);
	vm->now -= SECOND;
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	assert_false(vm->level[8]);
	seconds(1);
	assert_true(vm->level[8]);
	get(2);
	vdev_save(dev, blob);
	assert_memory_equal(blob, other, size);
	/* A register D that no chip has. */
	bad[0x0d] = 0;
	assert_int_equal(vdev_restore(dev, bad, size), -EINVAL);
	/* Seconds counted, or flags looked at, that have not come yet. */
	memcpy(bad, blob, size);
	bad[128 + 8 + 5] = 1;
	assert_int_equal(vdev_restore(dev, bad, size), -EINVAL);
	memcpy(bad, blob, size);
	bad[128 + 16 + 7] = 1;
	assert_int_equal(vdev_restore(dev, bad, size), -EINVAL);
	/* A state from the future. */
	vm->now -= SECOND;
	assert_int_equal(vdev_restore(dev, blob, size), -EINVAL);
	/* A state with nothing to come cancels the timer. */
	vm->now += SECOND;
	put(0x0b, 0x02);
	size = vdev_save(dev, blob);
	put(0x0b, 0x12);
	get(0x0c);
	assert_non_null(vm->timers);
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	assert_null(vm->timers);
}

static void storms(void **state)
{
	(void)state;
	for (u64 seed = 1; seed < 4; seed++)
		fake_vm_storm(vm, seed, 50000);
}

static void ports_taken(void **state)
{
	struct vdev *other;

	(void)state;
	assert_int_equal(fake_vm_try_device(vm, "rtc", (struct vdev_args){0}, &other), -EEXIST);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_on_state),
		TEST(calendar_is_the_gregorian_one),
		TEST(century_turns),
		TEST(twelve_hours),
		TEST(set_freezes_the_time_only),
		TEST(held_divider_stands),
		TEST(update_in_progress),
		TEST(periodic_rates),
		TEST(flags_rise_without_being_enabled),
		TEST(update_ended_interrupt),
		TEST(alarm_as_a_search_finds_it),
		TEST(alarm_in_other_formats),
		TEST(invalid_bytes_are_kept_then_mended),
		TEST(firmware_bytes),
		TEST(ram_and_words),
		TEST(reset_keeps_time_and_ram),
		TEST(odd_clock_rates),
		TEST(saves),
		TEST(storms),
		TEST(ports_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
