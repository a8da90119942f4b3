/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programming of the 8259A and the 8254 as their data sheets print it, and of
 * port 61h's gate and output bits for counter 2.
 */
#include "guest/lib/irq.h"
#include "guest/lib/cpu.h"
#include "guest/lib/trap.h"

#define READ_ISR 0x0b
#define PORT61_GATE2   0x01
#define PORT61_SPEAKER 0x02
#define PORT61_OUT2    0x20

volatile unsigned irq_count[16];
volatile unsigned irq_spurious;
void (*irq_handler[16])(void);

static bool in_service(unsigned line)
{
	u16 cmd = line < 8 ? PIC1_CMD : PIC2_CMD;

	outb(cmd, READ_ISR);
	return inb(cmd) >> (line & 7) & 1;
}

static void irq_dispatch(struct trap_frame *frame)
{
	unsigned line = (unsigned)frame->vector - TRAP_IRQ0;

	if ((line & 7) == 7 && !in_service(line)) {
		irq_spurious++;
		if (line == 15)
			outb(PIC1_CMD, PIC_EOI);
		return;
	}
	irq_count[line]++;
	if (irq_handler[line])
		irq_handler[line]();
	if (line >= 8)
		outb(PIC2_CMD, PIC_EOI);
	outb(PIC1_CMD, PIC_EOI);
}

void irq_init(void)
{
	static const struct {
		u16 port;
		u8 value;
	} setup[] = {
		{PIC1_CMD, 0x11}, {PIC1_DATA, TRAP_IRQ0},     {PIC1_DATA, 0x04}, {PIC1_DATA, 0x01},
		{PIC2_CMD, 0x11}, {PIC2_DATA, TRAP_IRQ0 + 8}, {PIC2_DATA, 0x02}, {PIC2_DATA, 0x01},
		{PIC1_DATA, 0xff}, {PIC2_DATA, 0xff},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(setup); i++)
		outb(setup[i].port, setup[i].value);
	for (unsigned line = 0; line < 16; line++)
		trap_hook[TRAP_IRQ0 + line] = irq_dispatch;
}

void irq_unmask(unsigned line)
{
	u16 port = line < 8 ? PIC1_DATA : PIC2_DATA;

	outb(port, inb(port) & (u8)~BIT(line & 7));
	if (line >= 8)
		irq_unmask(2);
}

void irq_mask(unsigned line)
{
	u16 port = line < 8 ? PIC1_DATA : PIC2_DATA;

	outb(port, inb(port) | (u8)BIT(line & 7));
}

void pit_start(unsigned mode, u16 count)
{
	outb(0x43, (u8)(0x30 | mode << 1));
	outb(0x40, (u8)count);
	outb(0x40, (u8)(count >> 8));
}

u16 pit_read(void)
{
	u8 low;

	outb(0x43, 0x00);
	low = inb(0x40);
	return (u16)(low | inb(0x40) << 8);
}

u64 pit_wait_us(u32 us)
{
	u32 count = (u32)div64((u64)us * PIT_HZ, 1000000, NULL);
	u64 start;

	outb(0x61, (inb(0x61) & ~(PORT61_SPEAKER | PORT61_GATE2)) | PORT61_GATE2);
	outb(0x43, 0xb0); /* counter 2, both bytes, mode 0 */
	outb(0x42, (u8)count);
	outb(0x42, (u8)(count >> 8));
	start = rdtsc();
	while (!(inb(0x61) & PORT61_OUT2))
		;
	return rdtsc() - start;
}
