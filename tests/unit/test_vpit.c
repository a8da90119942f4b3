/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vpit.c tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c */
/*
 * The 8254 and port 61h: each mode's counts, OUT and gate as the data sheet
 * draws them, access and latches, interrupts of channel 0 on time, late and
 * too many; then channel 2 under random commands against a model that really
 * counts, one clock after the other.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

#define HZ 1193182ull

static struct vm *vm;
static struct vdev *dev;

static void create(u64 hz)
{
	vm = fake_vm_create();
	vm->hz = hz;
	dev = fake_vm_create_device(vm, "8254", (struct vdev_args){0});
}

static int setup(void **state)
{
	(void)state;
	create(1000000000);
	fake_vm_advance(vm, 12345678);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_destroy(vm);
	return 0;
}

static void out(u16 port, u8 value)
{
	fake_vm_outb(vm, port, value);
}

static u8 in(u16 port)
{
	return fake_vm_inb(vm, port);
}

/* The clock of the oscillator: how many of its pulses there have been. */
static u64 clock_now(void)
{
	return (u64)((unsigned __int128)vm->now * HZ / vm->hz);
}

/* Goes to the moment at which so many more pulses have been. */
static void clocks(u64 count)
{
	u64 target = clock_now() + count;
	u64 moment = (u64)(((unsigned __int128)target * vm->hz + HZ - 1) / HZ);

	fake_vm_advance(vm, moment - vm->now);
	assert_int_equal(clock_now(), target);
}

static u16 count_of(unsigned ch)
{
	u8 low;

	out(0x43, (u8)(ch << 6));
	low = in(0x40 + ch);
	return (u16)(low | in(0x40 + ch) << 8);
}

static u8 status_of(unsigned ch)
{
	out(0x43, (u8)(0xe0 | 2 << ch));
	return in(0x40 + ch);
}

static bool out_of(unsigned ch)
{
	return status_of(ch) & 0x80;
}

/* Control word with both bytes, then the count. */
static void program(unsigned ch, unsigned mode, u16 count)
{
	out(0x43, (u8)(ch << 6 | 0x30 | mode << 1));
	out(0x40 + ch, (u8)count);
	out(0x40 + ch, (u8)(count >> 8));
}

static void gate2(bool level)
{
	out(0x61, level);
}

static void reset_state(void **state)
{
	(void)state;
	for (unsigned ch = 0; ch < 3; ch++) {
		assert_int_equal(status_of(ch), 0x70); /* OUT low, null count, mode 0 */
		assert_int_equal(count_of(ch), 0);
	}
	assert_int_equal(in(0x43), 0xff);
	assert_int_equal(in(0x61) & ~0x10, 0);
	program(0, 2, 100);
	gate2(true);
	program(2, 0, 1);
	clocks(10);
	vdev_reset(dev);
	assert_false(vm->level[0]);
	assert_null(vm->timers);
	assert_int_equal(status_of(0), 0x70);
	assert_int_equal(in(0x61) & ~0x10, 0);
}

static void mode0_counts_once(void **state)
{
	(void)state;
	program(0, 0, 100);
	assert_int_equal(status_of(0), 0x70); /* not loaded before the next clock */
	clocks(1);
	assert_int_equal(status_of(0), 0x30);
	assert_int_equal(count_of(0), 100);
	clocks(99);
	assert_int_equal(count_of(0), 1);
	assert_false(out_of(0));
	assert_false(vm->level[0]);
	clocks(1); /* N + 1 after the write */
	assert_int_equal(count_of(0), 0);
	assert_true(out_of(0));
	assert_true(vm->level[0]);
	clocks(1);
	assert_int_equal(count_of(0), 0xffff); /* counts on */
	clocks(200000);
	assert_true(vm->level[0]);
	assert_int_equal(vm->edges[0], 1);
	assert_null(vm->timers);
	/* A new count takes OUT down with its first byte, and stops the counting. */
	out(0x40, 50);
	assert_false(vm->level[0]);
	clocks(7);
	assert_false(out_of(0));
	assert_int_equal(status_of(0) & 0x40, 0x40);
	out(0x40, 0);
	clocks(50);
	assert_false(vm->level[0]);
	clocks(1);
	assert_true(vm->level[0]);
	assert_int_equal(vm->edges[0], 2);
}

static void interrupt_is_not_early_nor_late(void **state)
{
	(void)state;
	program(0, 0, 1000);
	clocks(1000);
	assert_int_equal(vm->timers->deadline, (clock_now() + 1) * vm->hz / HZ + 1);
	fake_vm_advance(vm, vm->timers->deadline - vm->now - 1);
	assert_false(vm->level[0]);
	fake_vm_advance(vm, 1);
	assert_true(vm->level[0]);
}

static void mode2_divides(void **state)
{
	(void)state;
	program(0, 2, 5);
	assert_true(vm->level[0]); /* OUT goes high with the control word */
	clocks(1);
	for (unsigned i = 0; i < 23; i++) {
		assert_int_equal(count_of(0), 5 - i % 5);
		assert_int_equal(out_of(0), i % 5 != 4);
		clocks(1);
	}
	/* A count written in the middle waits for the period's end. */
	program(0, 2, 10);
	clocks(4); /* 7 */
	out(0x40, 4);
	out(0x40, 0);
	assert_int_equal(status_of(0) & 0x40, 0x40);
	clocks(6); /* 1 */
	assert_int_equal(count_of(0), 1);
	assert_false(out_of(0));
	clocks(1);
	assert_int_equal(count_of(0), 4);
	assert_int_equal(status_of(0), 0xb4);
	clocks(3);
	assert_false(out_of(0));
	clocks(1);
	assert_int_equal(count_of(0), 4);
	/* Written before the first is loaded, it replaces that one. */
	program(0, 2, 10);
	out(0x40, 6);
	out(0x40, 0);
	clocks(1);
	assert_int_equal(count_of(0), 6);
}

static void mode2_ticks_without_drift(void **state)
{
	static const u64 rates[] = {1000000, 2400000000ull, 3579545, 1193182, 99999999999ull};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		u64 first;

		fake_vm_destroy(vm);
		create(rates[i]);
		program(0, 2, 11932);
		first = clock_now() + 1;
		vm->edges[0] = 0;
		for (unsigned s = 0; s < 70; s++)
			fake_vm_advance(vm, vm->hz / 7);
		assert_int_equal(vm->edges[0], (clock_now() - first) / 11932);
	}
}

static void mode3_square_wave(void **state)
{
	static const struct {
		u16 count;
		u16 shown[12];
		unsigned high;
	} rows[] = {
		{6, {6, 4, 2, 6, 4, 2}, 3},
		{5, {4, 2, 0, 4, 2}, 3},
		{3, {2, 0, 2}, 2},
		{2, {2, 2}, 1},
		{1, {2, 2}, 1}, /* forbidden: taken for 2 */
	};

	(void)state;
	gate2(true);
	for (unsigned r = 0; r < ARRAY_SIZE(rows); r++) {
		unsigned period = MAX(rows[r].count, 2);

		program(2, 3, rows[r].count);
		clocks(1);
		for (unsigned i = 0; i < 3 * period; i++) {
			assert_int_equal(count_of(2), rows[r].shown[i % period]);
			assert_int_equal(out_of(2), i % period < rows[r].high);
			clocks(1);
		}
	}
	/* A new count is taken at the end of the half. */
	program(2, 3, 10);
	clocks(3); /* 6, high for 3 more */
	out(0x42, 8);
	out(0x42, 0);
	clocks(3);
	assert_false(out_of(2));
	assert_int_equal(count_of(2), 8);
	clocks(3);
	assert_false(out_of(2));
	clocks(1);
	assert_true(out_of(2));
	clocks(5); /* in the low half */
	out(0x42, 4);
	out(0x42, 0);
	clocks(3);
	assert_true(out_of(2));
	assert_int_equal(count_of(2), 4);
	clocks(2);
	assert_false(out_of(2));
}

static void mode3_ticks_through_a_new_count(void **state)
{
	(void)state;
	program(0, 3, 1000);
	vm->edges[0] = 0;
	clocks(101); /* high until 501 */
	out(0x40, 400 & 255);
	out(0x40, 400 >> 8);
	clocks(599); /* low from 501 to 701 */
	assert_int_equal(vm->edges[0], 0);
	clocks(1);
	assert_int_equal(vm->edges[0], 1);
	clocks(301); /* low: the next rise is at 1101, then 600 on */
	out(0x40, 600 & 255);
	out(0x40, 600 >> 8);
	clocks(98);
	assert_int_equal(vm->edges[0], 1);
	clocks(1);
	assert_int_equal(vm->edges[0], 2);
	clocks(599);
	assert_int_equal(vm->edges[0], 2);
	clocks(1);
	assert_int_equal(vm->edges[0], 3);
}

static void mode4_strobes_once(void **state)
{
	(void)state;
	program(0, 4, 8);
	vm->edges[0] = 0;
	assert_true(out_of(0));
	clocks(8);
	assert_true(out_of(0));
	clocks(1); /* N + 1 after the write */
	assert_false(out_of(0));
	assert_int_equal(count_of(0), 0);
	assert_int_equal(vm->edges[0], 0); /* the strobe's end is the rise */
	clocks(1);
	assert_true(out_of(0));
	assert_int_equal(vm->edges[0], 1);
	clocks(1 << 17);
	assert_int_equal(vm->edges[0], 1);
	assert_null(vm->timers);
}

static void mode1_and_5_wait_for_the_gate(void **state)
{
	(void)state;
	program(2, 1, 4);
	assert_int_equal(status_of(2), 0xf2);
	clocks(20);
	assert_true(out_of(2));
	gate2(true);
	clocks(1);
	assert_int_equal(status_of(2), 0x32);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(count_of(2), 4 - i);
		assert_false(out_of(2));
		clocks(1);
	}
	assert_true(out_of(2));
	/* Retriggered before its end; a low gate changes nothing. */
	gate2(false);
	gate2(true);
	clocks(3);
	gate2(false);
	out(0x42, 9);
	out(0x42, 0);
	assert_int_equal(count_of(2), 2); /* the new count waits for a trigger */
	gate2(true);
	clocks(9);
	assert_false(out_of(2));
	clocks(1);
	assert_true(out_of(2));
	/* Mode 5: a strobe of one clock, N + 1 after the trigger. */
	gate2(false);
	program(2, 5, 3);
	clocks(10);
	gate2(true);
	clocks(3);
	assert_true(out_of(2));
	clocks(1);
	assert_false(out_of(2));
	clocks(1);
	assert_true(out_of(2));
	/* A trigger without a count starts nothing. */
	gate2(false);
	out(0x43, 0xb2);
	gate2(true);
	clocks(5);
	assert_int_equal(status_of(2), 0xf2);
}

static void gate_holds_modes_0_and_4(void **state)
{
	(void)state;
	program(2, 0, 10);
	clocks(5);
	assert_int_equal(count_of(2), 10);
	gate2(true);
	clocks(4);
	assert_int_equal(count_of(2), 6);
	gate2(false);
	clocks(100);
	assert_int_equal(count_of(2), 6);
	gate2(true);
	clocks(5);
	assert_int_equal(in(0x61) & 0x20, 0);
	clocks(1);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	gate2(false);
	assert_true(out_of(2)); /* the gate has no effect on OUT */
	program(2, 4, 3);
	clocks(50);
	assert_true(out_of(2));
	gate2(true);
	clocks(3);
	assert_false(out_of(2));
	gate2(false);
	clocks(1);
	assert_true(out_of(2));
}

static void gate_restarts_modes_2_and_3(void **state)
{
	(void)state;
	for (unsigned mode = 2; mode < 4; mode++) {
		gate2(true);
		program(2, mode, 10);
		clocks(10); /* OUT is low in both */
		assert_false(out_of(2));
		gate2(false);
		assert_true(out_of(2));
		clocks(33);
		assert_true(out_of(2));
		out(0x42, 6);
		out(0x42, 0);
		assert_int_equal(status_of(2) & 0x40, 0x40);
		clocks(33);
		gate2(true);
		clocks(1);
		assert_int_equal(status_of(2) & 0x40, 0);
		assert_int_equal(count_of(2), 6);
		clocks(6);
		assert_int_equal(count_of(2), 6);
		/* A count that waits for the period's end is loaded by the gate, too. */
		out(0x42, 4);
		out(0x42, 0);
		gate2(false);
		clocks(20);
		gate2(true);
		clocks(1);
		assert_int_equal(count_of(2), 4);
		gate2(false);
		program(2, mode, 7);
		clocks(5);
		gate2(true);
		clocks(7);
		assert_false(out_of(2));
	}
}

static void aliases_and_status(void **state)
{
	(void)state;
	gate2(true);
	program(2, 6, 5); /* as mode 2 */
	clocks(5);
	assert_int_equal(count_of(2), 1);
	assert_int_equal(status_of(2), 0x3c);
	program(2, 7, 6); /* as mode 3 */
	clocks(2);
	assert_int_equal(count_of(2), 4);
	assert_int_equal(status_of(2), 0xbe);
}

static void bcd_counts(void **state)
{
	(void)state;
	gate2(true);
	out(0x43, 0xb1);
	out(0x42, 0x00);
	out(0x42, 0x00); /* 10000 */
	clocks(1);
	assert_int_equal(count_of(2), 0x0000);
	clocks(1);
	assert_int_equal(count_of(2), 0x9999);
	clocks(9998);
	assert_int_equal(count_of(2), 0x0001);
	assert_int_equal(in(0x61) & 0x20, 0);
	clocks(1);
	assert_int_equal(in(0x61) & 0x20, 0x20);
	clocks(1);
	assert_int_equal(count_of(2), 0x9999);
	out(0x43, 0xb5);
	out(0x42, 0x20);
	out(0x42, 0x01); /* 120 */
	clocks(22);
	assert_int_equal(count_of(2), 0x0099);
	out(0x42, 0xff);
	out(0x42, 0x0f); /* digits above 9 count as 9 */
	clocks(120);
	assert_int_equal(count_of(2), 0x0978);
}

static void count_of_zero_and_one(void **state)
{
	(void)state;
	program(0, 0, 0);
	clocks(65536);
	assert_int_equal(count_of(0), 1);
	assert_false(vm->level[0]);
	clocks(1);
	assert_true(vm->level[0]);
	program(0, 0, 1);
	clocks(2);
	assert_true(vm->level[0]);
	program(0, 2, 1); /* forbidden: taken for 2 */
	clocks(1);
	assert_int_equal(count_of(0), 2);
	clocks(1);
	assert_int_equal(count_of(0), 1);
	assert_false(out_of(0));
	program(0, 2, 0);
	clocks(1);
	assert_int_equal(count_of(0), 0);
	clocks(1);
	assert_int_equal(count_of(0), 0xffff);
}

static void access_by_one_byte(void **state)
{
	(void)state;
	out(0x43, 0x10); /* channel 0, low byte only: the high one is 0 */
	out(0x40, 0x80);
	clocks(1);
	assert_int_equal(in(0x40), 0x80);
	clocks(1);
	assert_int_equal(in(0x40), 0x7f);
	out(0x43, 0x20); /* high byte only */
	out(0x40, 0x12);
	clocks(1);
	assert_int_equal(in(0x40), 0x12);
	clocks(1);
	assert_int_equal(in(0x40), 0x11);
	out(0x43, 0x00);
	clocks(0x400);
	assert_int_equal(in(0x40), 0x11); /* latched */
	assert_int_equal(in(0x40), 0x0d);
}

static void reads_alternate_without_a_latch(void **state)
{
	(void)state;
	program(0, 0, 0x1234);
	clocks(1);
	assert_int_equal(in(0x40), 0x34);
	assert_int_equal(in(0x40), 0x12);
	assert_int_equal(in(0x40), 0x34);
	out(0x43, 0x30); /* a control word sets the toggle back */
	out(0x40, 0x78);
	out(0x40, 0x56);
	clocks(1);
	assert_int_equal(fake_vm_inw(vm, 0x3f) >> 8, 0x78);
	assert_int_equal(in(0x40), 0x56);
	/* A wide access is one to each port. */
	program(1, 0, 0x1111);
	program(2, 0, 0x2222);
	gate2(true);
	clocks(1);
	assert_int_equal(fake_vm_inl(vm, 0x40), 0xff221177);
	fake_vm_outl(vm, 0x40, 0x34000000);
	assert_int_equal(status_of(0), 0xf4);
	/* And so it writes: counts, then a command. */
	out(0x43, 0x54);
	fake_vm_outw(vm, 0x40, 0x0907);
	out(0x40, 0);
	clocks(1);
	assert_int_equal(in(0x41), 9);
	assert_int_equal(count_of(0), 7);
}

static void latches_hold_until_read(void **state)
{
	(void)state;
	program(0, 2, 1000);
	clocks(11);
	out(0x43, 0x00);
	clocks(5);
	out(0x43, 0x00); /* a second latch is ignored */
	assert_int_equal(in(0x40), 990 & 255);
	clocks(3);
	assert_int_equal(in(0x40), 990 >> 8);
	assert_int_equal(in(0x40), 982 & 255);
	assert_int_equal(in(0x40), 982 >> 8);
	/* Read-back of count and status: the status comes first. */
	out(0x43, 0xc2);
	clocks(1);
	out(0x43, 0xc2);
	assert_int_equal(in(0x40), 0xb4);
	assert_int_equal(in(0x40), 982 & 255);
	assert_int_equal(in(0x40), 982 >> 8);
	assert_int_equal(in(0x40), 981 & 255);
	assert_int_equal(in(0x40), 981 >> 8);
	/* Several channels at once; a status is held until it is read. */
	gate2(true);
	program(2, 0, 5);
	out(0x43, 0xee);
	clocks(20);
	assert_int_equal(in(0x42), 0x70);
	assert_int_equal(status_of(2), 0xb0);
	/* Reprogramming drops what is latched. */
	out(0x43, 0x00);
	program(0, 0, 0x4444);
	clocks(1);
	assert_int_equal(in(0x40), 0x44);
}

static void port61(void **state)
{
	unsigned changes = 0;
	u8 was;

	(void)state;
	out(0x61, 0xff);
	assert_int_equal(in(0x61) & 0xcf, 0x0f);
	out(0x61, 0xf2);
	assert_int_equal(in(0x61) & 0xcf, 0x02);
	was = in(0x61);
	for (unsigned us = 0; us < 15085; us++) {
		u8 now;

		fake_vm_advance(vm, 1000);
		now = in(0x61);
		changes += (was ^ now) >> 4 & 1;
		was = now;
	}
	assert_in_range(changes, 999, 1001); /* one in 15.085 us */
}

static void calibration_as_linux_does_it(void **state)
{
	unsigned reads = 0;
	u64 start;

	(void)state;
	out(0x61, (in(0x61) & ~2) | 1);
	out(0x43, 0xb0);
	start = vm->now;
	out(0x42, 11932 & 255);
	out(0x42, 11932 >> 8);
	while (!(in(0x61) & 0x20)) {
		fake_vm_advance(vm, 3000);
		reads++;
	}
	assert_in_range(reads, 3300, 3340);
	assert_in_range(vm->now - start, 10000000, 10004000);
}

/* --- late ticks and too many ------------------------------------------------ */

/* The VM has no CPU for a while: its clock goes on, its timers do not. */
static void stolen(u64 ns)
{
	vm->now += ns;
}

static void late_ticks_are_delivered_one_by_one(void **state)
{
	u64 start;

	(void)state;
	program(0, 2, 11932); /* 10 ms */
	vm->edges[0] = 0;
	start = vm->now;
	stolen(95000000);
	fake_vm_advance(vm, 0);
	assert_int_equal(vm->edges[0], 1); /* not a burst */
	fake_vm_advance(vm, 2400000);
	assert_int_equal(vm->edges[0], 1);
	fake_vm_advance(vm, 200000);
	assert_int_equal(vm->edges[0], 2); /* a quarter of a period later */
	fake_vm_advance(vm, 40000000);
	assert_int_equal(vm->edges[0], (vm->now - start) / 10000000); /* none lost */
	fake_vm_advance(vm, 1000000000);
	assert_int_equal(vm->edges[0], (vm->now - start) / 10000000);
}

static void a_long_absence_is_cut(void **state)
{
	(void)state;
	program(0, 2, 11932);
	vm->edges[0] = 0;
	stolen(3600000000000ull);
	fake_vm_advance(vm, 1000000000);
	assert_in_range(vm->edges[0], 100 + 30, 100 + 34);
	vm->edges[0] = 0;
	fake_vm_advance(vm, 1000000000);
	assert_in_range(vm->edges[0], 99, 101);
}

static void programming_forgets_what_was_owed(void **state)
{
	(void)state;
	program(0, 2, 11932);
	stolen(95000000);
	program(0, 0, 1000);
	vm->edges[0] = 0;
	fake_vm_advance(vm, 1000000000);
	assert_int_equal(vm->edges[0], 1);
}

static void a_tiny_count_is_no_storm(void **state)
{
	(void)state;
	program(0, 2, 2);
	vm->edges[0] = 0;
	vm->timers_fired = 0;
	fake_vm_advance(vm, 100000000);
	assert_in_range(vm->edges[0], 1990, 2001);
	assert_in_range(vm->timers_fired, 1990, 2001);
	program(0, 3, 74); /* 16.1 kHz, below the limit: every one */
	vm->edges[0] = 0;
	fake_vm_advance(vm, 100000000);
	assert_in_range(vm->edges[0], 1611, 1613);
}

static void an_early_call_only_arms_again(void **state)
{
	(void)state;
	program(0, 2, 11932);
	vm->edges[0] = 0;
	vm->timers->deadline = vm->now;
	fake_vm_advance(vm, 0);
	assert_int_equal(vm->edges[0], 0);
	assert_non_null(vm->timers);
	fake_vm_advance(vm, 10100000);
	assert_int_equal(vm->edges[0], 1);
}

/* --- save and restore -------------------------------------------------------- */

static void saves(void **state)
{
	u8 blob[512];
	size_t size;
	unsigned edges;

	(void)state;
	fake_vm_check_save(vm, dev);
	program(0, 2, 11932);
	clocks(100);
	out(0x40, 0x12);
	gate2(true);
	program(2, 3, 777);
	clocks(50);
	out(0x42, 9);
	out(0x42, 0);
	out(0x43, 0xce);
	fake_vm_check_save(vm, dev);
	/* What was saved goes on as it would have. */
	size = vdev_save(dev, blob);
	clocks(20000);
	edges = vm->edges[0];
	vm->now -= 20000 * vm->hz / HZ;
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	clocks(20000);
	assert_int_equal(vm->edges[0] - edges, 1);
	/* A state without a tick to come cancels the timer. */
	program(0, 0, 10);
	clocks(20);
	size = vdev_save(dev, blob);
	program(0, 2, 100);
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	assert_null(vm->timers);
	assert_true(vm->level[0]);
}

static void restores_only_what_can_be(void **state)
{
	u8 blob[512], bad[512];
	size_t size;
	unsigned refused = 0;

	(void)state;
	gate2(true);
	program(0, 2, 11932);
	program(2, 3, 777);
	clocks(10);
	out(0x42, 5);
	out(0x42, 0);
	size = vdev_save(dev, blob);
	for (size_t i = 0; i < size; i++) {
		memcpy(bad, blob, size);
		bad[i] ^= 0x80;
		if (vdev_restore(dev, bad, size) == -EINVAL)
			refused++;
		clocks(3);
		count_of(0);
		count_of(2);
	}
	assert_true(refused > size / 5);
	/* Channel 0's `held` with its sign set. */
	memcpy(bad, blob, size);
	bad[15] = 0x80;
	assert_int_equal(vdev_restore(dev, bad, size), -EINVAL);
	/* The next edge ten centuries away is no reason to call at once for ever. */
	memcpy(bad, blob, size);
	bad[size - 9] = 0x10;
	assert_int_equal(vdev_restore(dev, bad, size), 0);
	vm->timers_fired = 0;
	fake_vm_advance(vm, 1000000000);
	assert_true(vm->timers_fired <= 1);
}

static void storms(void **state)
{
	static const u64 rates[] = {1000000000, 1000000, 3579545001ull};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		fake_vm_destroy(vm);
		create(rates[i]);
		fake_vm_storm(vm, i + 77, 60000);
	}
}

static void ports_taken(void **state)
{
	struct vdev *other;

	(void)state;
	assert_int_equal(fake_vm_try_device(vm, "8254", (struct vdev_args){0}, &other), -EEXIST);
}

/* --- a model that counts ------------------------------------------------------ */

static struct {
	int mode, count, written; /* count: as loaded; written: last in the count register */
	int element;
	bool out, gate, active, load, trigger, done;
} ref;

static void ref_control(int mode)
{
	bool gate = ref.gate;

	memset(&ref, 0, sizeof(ref));
	ref.mode = mode;
	ref.gate = gate;
	ref.out = mode != 0;
}

static void ref_count(int count)
{
	ref.written = count;
	if (ref.mode == 0 || ref.mode == 4) {
		ref.load = true;
		if (ref.mode == 0)
			ref.out = false;
	} else if ((ref.mode == 2 || ref.mode == 3) && !ref.active) {
		ref.load = true;
	}
}

static void ref_gate(bool level)
{
	if (level && !ref.gate && ref.written)
		ref.trigger = true;
	if (!level && (ref.mode == 2 || ref.mode == 3))
		ref.out = true;
	ref.gate = level;
}

static void ref_load(void)
{
	ref.count = ref.written;
	ref.element = ref.mode == 3 ? ref.count & ~1 : ref.count;
	ref.active = true;
	ref.load = ref.trigger = ref.done = false;
}

static void ref_step_periodic(void)
{
	if (ref.load || (ref.trigger && ref.gate)) {
		ref_load();
		ref.out = true;
		return;
	}
	if (!ref.active || !ref.gate)
		return;
	if (ref.mode == 2) {
		ref.element--;
		ref.out = ref.element != 1;
		if (ref.element == 0) {
			ref_load();
			ref.out = true;
		}
		return;
	}
	/* The high half of an odd count has one clock more, at 0. */
	if (ref.element > 0)
		ref.element -= 2;
	else
		ref.element = -1;
	if (ref.element == 0 && ref.out && ref.count % 2 == 1)
		return;
	if (ref.element <= 0) {
		bool high = !ref.out;

		ref_load();
		ref.out = high;
	}
}

static void ref_step(void)
{
	bool triggered = ref.mode == 1 || ref.mode == 5;

	if (ref.mode == 2 || ref.mode == 3) {
		ref_step_periodic();
		return;
	}
	if (!triggered)
		ref.trigger = false;
	if (ref.load || ref.trigger) {
		ref_load();
		ref.out = ref.mode == 4 || ref.mode == 5;
		return;
	}
	if (!ref.active || (!ref.gate && !triggered))
		return;
	ref.element = (ref.element + 65535) % 65536;
	if (ref.mode < 2) {
		ref.out = ref.out || ref.element == 0;
	} else {
		ref.out = ref.element != 0 || ref.done;
		ref.done = ref.done || ref.element == 0;
	}
}

static void counts_as_the_model(void **state)
{
	u64 seed = 8254;
	unsigned compared = 0;

	(void)state;
	out(0x43, 0xb0);
	ref_control(0);
	for (unsigned i = 0; i < 100000; i++) {
		u64 r = fake_vm_random(&seed);
		int mode = r >> 8 & 7, count = 2 + (r >> 16) % 20;

		if (r % 32 == 0) {
			out(0x43, (u8)(0xb0 | mode << 1));
			ref_control(mode > 5 ? mode - 4 : mode);
		}
		if (r % 16 < 2) {
			out(0x42, (u8)count);
			out(0x42, 0);
			ref_count(count);
		} else if (r % 16 == 2 && !(ref.mode == 4 && !ref.out)) {
			gate2(!ref.gate);
			ref_gate(!ref.gate);
		}
		for (unsigned step = (r >> 40) % 12; step > 0; step--) {
			clocks(1);
			ref_step();
		}
		/* What was written or triggered in this very clock is not loaded yet. */
		if (ref.load || ref.trigger)
			continue;
		assert_int_equal(in(0x61) >> 5 & 1, ref.out);
		if (ref.active)
			assert_int_equal(count_of(2), ref.element);
		compared++;
	}
	assert_true(compared > 50000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_state),
		TEST(mode0_counts_once),
		TEST(interrupt_is_not_early_nor_late),
		TEST(mode2_divides),
		TEST(mode2_ticks_without_drift),
		TEST(mode3_square_wave),
		TEST(mode3_ticks_through_a_new_count),
		TEST(mode4_strobes_once),
		TEST(mode1_and_5_wait_for_the_gate),
		TEST(gate_holds_modes_0_and_4),
		TEST(gate_restarts_modes_2_and_3),
		TEST(aliases_and_status),
		TEST(bcd_counts),
		TEST(count_of_zero_and_one),
		TEST(access_by_one_byte),
		TEST(reads_alternate_without_a_latch),
		TEST(latches_hold_until_read),
		TEST(port61),
		TEST(calibration_as_linux_does_it),
		TEST(late_ticks_are_delivered_one_by_one),
		TEST(a_long_absence_is_cut),
		TEST(programming_forgets_what_was_owed),
		TEST(a_tiny_count_is_no_storm),
		TEST(an_early_call_only_arms_again),
		TEST(saves),
		TEST(restores_only_what_can_be),
		TEST(storms),
		TEST(ports_taken),
		TEST(counts_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
