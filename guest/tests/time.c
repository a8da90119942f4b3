/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the clocks of the machine agree within 1 %: the TSC over one second of the
 * RTC, over 50 ms of the 8254's counter 2 and over 100 periods of counter 0. "8254 Programmable
 * Interval Timer", "MC146818" data sheets; SDM volume 3, "Time-Stamp Counter".
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

static u8 rtc_second(void)
{
	outb(0x70, 0);
	return inb(0x71);
}

static u64 tsc_of_rtc_second(void)
{
	u8 last = rtc_second();
	u64 start;

	while (rtc_second() == last)
		;
	start = rdtsc();
	last = rtc_second();
	while (rtc_second() == last)
		;
	return rdtsc() - start;
}

static u64 tsc_of_100_ticks(void)
{
	unsigned first;
	u64 start;

	irq_init();
	pit_start(2, 11932);
	irq_unmask(0);
	sti_hlt_cli();
	first = irq_count[0];
	start = rdtsc();
	while (irq_count[0] - first < 100)
		sti_hlt_cli();
	irq_mask(0);
	return rdtsc() - start;
}

static bool agree(u64 a, u64 b)
{
	u64 off = a > b ? a - b : b - a;

	return off < div64(b, 100, NULL);
}

void test_main(void)
{
	u64 counter2 = 20 * pit_wait_us(50000);
	u64 counter0 = tsc_of_100_ticks();
	u64 rtc = tsc_of_rtc_second();

	print("TSC in a second: %llu by counter 2, %llu by IRQ 0, %llu by the RTC\n", counter2,
	      counter0, rtc);
	CHECK("counter-0-and-2", agree(counter0, counter2));
	CHECK("rtc-and-counter-2", agree(rtc, counter2));
}
