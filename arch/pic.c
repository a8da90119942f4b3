/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Silences the physical 8259A pair. Machines without one ignore the writes.
 */
#include "arch/pic.h"

#include "arch/cpu.h"

#define PIC1 0x20
#define PIC2 0xa0

enum { ICW1_INIT_ICW4 = 0x11, ICW4_8086 = 0x01, IRQ_BASE = 0x20, CASCADE = 2 };

void pic_off(void)
{
	outb(PIC1, ICW1_INIT_ICW4);
	outb(PIC2, ICW1_INIT_ICW4);
	outb(PIC1 + 1, IRQ_BASE);
	outb(PIC2 + 1, IRQ_BASE + 8);
	outb(PIC1 + 1, BIT(CASCADE));
	outb(PIC2 + 1, CASCADE);
	outb(PIC1 + 1, ICW4_8086);
	outb(PIC2 + 1, ICW4_8086);
	outb(PIC1 + 1, 0xff);
	outb(PIC2 + 1, 0xff);
}
