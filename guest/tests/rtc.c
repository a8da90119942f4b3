/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the MC146818's time goes forward once a second, UIP is seen before each
 * update, the periodic interrupt comes at its rate on IRQ 8 and reading register C
 * ends it. "MC146818 Real-Time Clock Plus RAM" data sheet.
 */
#include "guest/lib/boot.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

static u8 rtc_read(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void rtc_write(u8 index, u8 value)
{
	outb(0x70, index);
	outb(0x71, value);
}

static u8 last_c;

static void on_irq8(void)
{
	last_c = rtc_read(0x0c);
}

static void seconds(void)
{
	bool uip = false;
	u8 first = rtc_read(0), second;
	u64 start = rdtsc(), limit = 25 * pit_wait_us(50000) + pit_wait_us(50000);

	while (rtc_read(0) == first && rdtsc() - start < limit)
		uip |= rtc_read(0x0a) >> 7;
	second = rtc_read(0);
	CHECK("second-advances", second != first);
	start = rdtsc();
	while (rtc_read(0) == second && rdtsc() - start < limit)
		uip |= rtc_read(0x0a) >> 7;
	CHECK("one-second", rdtsc() - start > limit >> 1);
	/* 244 us of each second, in which two exits may not fit where they are slow */
	while (boot_number("slow", 1) > 1 && !uip && rdtsc() - start < 8 * limit)
		uip = rtc_read(0x0a) >> 7;
	CHECK("update-in-progress", uip);
}

static void periodic(void)
{
	unsigned before;

	irq_handler[8] = on_irq8;
	irq_unmask(8);
	rtc_write(0x0a, (rtc_read(0x0a) & 0x70) | 6); /* 1024 Hz */
	rtc_write(0x0b, (rtc_read(0x0b) & ~0x70) | 0x40);
	rtc_read(0x0c);
	sti();
	pit_wait_us(1000);
	before = irq_count[8];
	pit_wait_us(50000);
	before = irq_count[8] - before;
	cli();
	CHECK("periodic-rate", before >= 49 && before <= 54);
	test_equal("periodic-flags", last_c & 0xc0, 0xc0);
	rtc_write(0x0b, rtc_read(0x0b) & ~0x40);
	rtc_read(0x0c);
	test_equal("flags-cleared-by-read", rtc_read(0x0c) & 0x80, 0);
}

void test_main(void)
{
	irq_init();
	CHECK("valid", rtc_read(0x0d) & 0x80);
	rtc_write(0x60, 0x5a);
	test_equal("ram", rtc_read(0x60), 0x5a);
	seconds();
	periodic();
}
