/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the 8259A pair delivers IRQ 0 once for each period of the 8254 in modes 2 and
 * 3, holds it back by mask, IF and service, ends service by EOI and
 * answers the poll command. "8259A Programmable
 * Interrupt Controller" data sheet.
 */
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

#define READ_IRR 0x0a
#define READ_ISR 0x0b

static u8 pic_read(u16 port, u8 which)
{
	outb(port, which);
	return inb(port);
}

static void wait_ticks(unsigned n)
{
	unsigned until = irq_count[0] + n;

	while ((s32)(until - irq_count[0]) > 0)
		sti_hlt_cli();
}

static u64 ticks_of_mode(unsigned mode)
{
	u64 start;

	pit_start(mode, 11932); /* 10 ms */
	wait_ticks(1);
	start = rdtsc();
	wait_ticks(10);
	return rdtsc() - start;
}

static bool near(u64 a, u64 b)
{
	u64 off = a > b ? a - b : b - a;

	return off < (b >> 5); /* 3 % */
}

static void periods(void)
{
	u64 ms50 = pit_wait_us(50000), mode2, mode3;

	irq_unmask(0);
	mode2 = ticks_of_mode(2);
	mode3 = ticks_of_mode(3);
	CHECK("mode-2-period", near(mode2, 2 * ms50));
	CHECK("mode-3-period", near(mode3, 2 * ms50));
}

static void holding(void)
{
	unsigned before;

	/* In mode 3 the request would vanish with the square wave's low half. */
	pit_start(2, 11932);
	wait_ticks(1);
	irq_mask(0);
	before = irq_count[0];
	sti();
	pit_wait_us(30000);
	cli();
	test_equal("masked", irq_count[0], before);
	CHECK("request-under-mask", pic_read(PIC1_CMD, READ_IRR) & 1);
	irq_unmask(0);
	pit_wait_us(30000);
	test_equal("if-clear", irq_count[0], before);
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	test_equal("one-request-kept", irq_count[0], before + 1);
	test_equal("eoi-ended-service", pic_read(PIC1_CMD, READ_ISR), 0);
}

static u8 isr_in_handler;

static void look_at_isr(void)
{
	isr_in_handler = pic_read(PIC1_CMD, READ_ISR);
}

static void service(void)
{
	irq_handler[0] = look_at_isr;
	wait_ticks(1);
	irq_handler[0] = NULL;
	test_equal("in-service", isr_in_handler, 1);
	outb(PIC1_DATA, 0xa5);
	outb(PIC2_DATA, 0x5a);
	test_equal("mask-reads-back", inb(PIC1_DATA) | inb(PIC2_DATA) << 8, 0x5aa5);
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
}

/* A poll command acknowledges like INTA and reads the highest request. */
static void poll(void)
{
	u8 word;

	if (!cpu_on_trivet()) {
		test_skip("poll", "not every bare machine's 8259 has it");
		return;
	}
	pit_start(2, 11932);
	irq_unmask(0);
	pit_wait_us(15000);
	outb(PIC1_CMD, 0x0c);
	word = inb(PIC1_CMD);
	test_equal("poll-word", word, 0x80);
	test_equal("poll-sets-service", pic_read(PIC1_CMD, READ_ISR), 1);
	outb(PIC1_CMD, 0x60); /* specific EOI of line 0 */
	test_equal("specific-eoi", pic_read(PIC1_CMD, READ_ISR), 0);
	irq_mask(0);
}

void test_main(void)
{
	irq_init();
	periods();
	holding();
	service();
	poll();
	test_equal("no-spurious", irq_spurious, 0);
}
