/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: port 61h bit 4 toggles with the refresh, bit 5 shows counter 2's output;
 * counter 2 as a one-shot takes its count; the read-back command latches count
 * and status. "8254 Programmable Interval Timer" data sheet.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

static void refresh(void)
{
	unsigned toggles = 0;
	u8 last = inb(0x61), now;

	for (unsigned i = 0; i < 100000 && toggles < 100; i++, last = now) {
		now = inb(0x61);
		toggles += ((now ^ last) & 0x10) != 0;
	}
	test_equal("refresh-toggles", toggles, 100);
}

static void one_shot(void)
{
	u64 short_wait = pit_wait_us(5000), long_wait = pit_wait_us(50000);
	u64 tenth = div64(long_wait, 10, NULL), off;

	off = tenth > short_wait ? tenth - short_wait : short_wait - tenth;
	CHECK("one-shot-proportional", off < (tenth >> 5));
	outb(0x61, inb(0x61) & ~3);
	outb(0x43, 0xb0);
	test_equal("output-low-after-control", inb(0x61) & 0x20, 0);
	outb(0x42, 0);
	outb(0x42, 0);
	test_equal("gate-reads-back", inb(0x61) & 3, 0);
}

static void gate_stops_counting(void)
{
	u16 first, second;

	outb(0x61, (inb(0x61) & ~3) | 1);
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	for (unsigned i = 0; i < 100; i++)
		inb(0x61);
	outb(0x61, inb(0x61) & ~3);
	outb(0x43, 0x80);
	first = inb(0x42);
	first |= (u16)(inb(0x42) << 8);
	for (unsigned i = 0; i < 1000; i++)
		inb(0x61);
	outb(0x43, 0x80);
	second = inb(0x42);
	second |= (u16)(inb(0x42) << 8);
	CHECK("gate-low-holds", first == second && first < 0xffff);
}

static void read_back(void)
{
	u8 status, low;
	u16 latched, again;

	pit_start(2, 0x8000);
	pit_read();
	outb(0x43, 0xc2); /* count and status of counter 0 */
	status = inb(0x40);
	low = inb(0x40);
	latched = (u16)(low | inb(0x40) << 8);
	test_equal("status-mode", status & 0x3f, 0x34);
	CHECK("count-in-range", latched && latched <= 0x8000);
	for (unsigned i = 0; i < 200; i++)
		inb(0x61);
	again = pit_read();
	CHECK("count-moves", again != latched);
	outb(0x43, 0x34);
	outb(0x43, 0xe2); /* status only */
	CHECK("null-count-before-load", inb(0x40) & 0x40);
}

void test_main(void)
{
	refresh();
	one_shot();
	gate_stops_counting();
	read_back();
}
