/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: an interrupt that was acknowledged is delivered, whatever becomes due in the
 * same moment. Two timers interrupt as fast as they can while the program exits all
 * the time; one that is lost stays in service and silences its line for good. Intel
 * 8259A data sheet, "Interrupt Sequence". Word: slow=N, fewer exits where they are slow.
 */
#include "guest/lib/boot.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

#define ROUNDS 30000u

static void on_irq8(void)
{
	outb(0x70, 0x0c);
	inb(0x71);
}

void test_main(void)
{
	unsigned slow = (unsigned)boot_number("slow", 1), rounds = ROUNDS / slow;
	unsigned before, ticks;

	irq_init();
	irq_handler[8] = on_irq8;
	irq_unmask(8);
	irq_unmask(0);
	outb(0x70, 0x0a);
	outb(0x71, slow > 1 ? 0x27 : 0x23); /* 512 or 8192 Hz */
	outb(0x70, 0x0b);
	outb(0x71, 0x42);
	on_irq8();
	pit_start(2, (u16)(200 * slow)); /* as fast as the program still gets on at what an exit costs */
	sti();
	for (unsigned i = 0; i < rounds; i++)
		inb(0x64);
	before = irq_count[8];
	ticks = irq_count[0];
	for (unsigned i = 0; i < rounds; i++)
		inb(0x64);
	cli();
	CHECK("slow-timer-lives", irq_count[8] > before);
	CHECK("fast-timer-lives", irq_count[0] > ticks);
}
