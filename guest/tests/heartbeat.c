/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prints `beat N` ten times a second by IRQ 0, to show that its VM lives while
 * something happens to another. The word `beats=N` ends it after N (default 10,
 * 0: never); then it tells the longest time between two interrupts, in TSC ticks.
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

void test_main(void)
{
	u32 beats = (u32)boot_number("beats", 10);
	u64 last, gap = 0;

	irq_init();
	pit_start(2, 11932);
	irq_unmask(0);
	sti_hlt_cli();
	last = rdtsc();
	for (u32 beat = 1; !beats || beat <= beats; beat++) {
		while (irq_count[0] < 10 * beat) {
			u64 now;

			sti_hlt_cli();
			now = rdtsc();
			gap = now - last > gap ? now - last : gap;
			last = now;
		}
		print("beat %u\n", beat);
	}
	print("longest gap %llu\n", gap);
	test_check("heartbeat", true, "");
}
