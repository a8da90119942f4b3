/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does what Trivet cannot emulate, a hardware task switch, 1.2 s after its start
 * (`ms=`): its VM ends, and no other. SDM volume 3, "Task Switching".
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

void test_main(void)
{
	irq_init();
	pit_start(2, 11932);
	irq_unmask(0);
	while (irq_count[0] * 10 < boot_number("ms", 1200))
		sti_hlt_cli();
	print("crashing\n");
	console_drain();
	gdt[SEL_TSS / 8] &= ~BIT(41); /* available, not busy */
	__asm__ volatile("ljmp %0, $0" : : "i"(SEL_TSS) : "memory");
	CHECK("not-reached", false);
}
