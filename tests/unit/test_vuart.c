/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vuart.c vmm/bus.c vmm/vdev_life.c tests/unit/fake_vm.c */
/*
 * The 16550A against the data sheet "PC16550D": reset values, the interrupt
 * sources and their priorities, FIFOs, loopback; and against its console: no
 * byte lost when that is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_vm.h"

#define COM 0x3f8
#define IRQ 4

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };

static struct vm *vm;
static struct vdev *uart;

static u8 in(unsigned reg)
{
	return fake_vm_inb(vm, COM + reg);
}

static void out(unsigned reg, u8 value)
{
	fake_vm_outb(vm, COM + reg, value);
}

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	uart = fake_vm_create_device(vm, "16550", (struct vdev_args){.port = COM, .irq = IRQ});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_check_save(vm, uart);
	fake_vm_destroy(vm);
	return 0;
}

/* Data sheet, table "UART Reset Configuration". */
static void reset_values(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(in(IER), 0x00);
		assert_int_equal(in(IIR), 0x01);
		assert_int_equal(in(LCR), 0x00);
		assert_int_equal(in(MCR), 0x00);
		assert_int_equal(in(LSR), 0x60);
		assert_int_equal(in(MSR), 0xb0);
		assert_false(vm->level[IRQ]);

		/* The second round comes after a reset of a chip full of state. */
		out(SCR, 0x5a);
		out(FCR, 0xc7);
		out(LCR, 0x83);
		out(0, 0x34);
		out(1, 0x12);
		out(LCR, 0x1b);
		out(MCR, 0x1f);
		out(IER, 0x0f);
		out(THR, 'x');
		vdev_reset(uart);
	}
	assert_int_equal(in(SCR), 0x5a);
	out(LCR, 0x80);
	assert_int_equal(in(0), 0x34);
	assert_int_equal(in(1), 0x12);
}

static void registers_keep_their_valid_bits(void **state)
{
	(void)state;
	out(IER, 0xff);
	assert_int_equal(in(IER), 0x0f);
	out(MCR, 0xef);
	assert_int_equal(in(MCR), 0x0f);
	out(LCR, 0x7f);
	assert_int_equal(in(LCR), 0x7f);
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	out(LSR, 0xff);
	out(MSR, 0xff);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0);
	/* An 8-bit chip: a word goes to two registers. */
	fake_vm_outw(vm, COM + SCR - 3, 0x0008);
	assert_int_equal(in(MCR), 0x08);
	assert_int_equal(fake_vm_inw(vm, COM + MSR), 0xa5b0);
}

static void divisor_latch(void **state)
{
	(void)state;
	out(IER, 0x05);
	out(LCR, 0x83);
	out(0, 0x01);
	out(1, 0x00);
	assert_int_equal(in(0), 0x01);
	assert_int_equal(in(1), 0x00);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0x05);
	fake_vm_expect_output(vm, 0, "");
	/* Divisor 0 still sends, and its timeout still has a length. */
	out(LCR, 0x80);
	out(0, 0);
	out(LCR, 0x03);
	out(FCR, 0xc1);
	out(THR, 'z');
	fake_vm_expect_output(vm, 0, "z");
	fake_vm_type(vm, 0, "q", 1);
	fake_vm_advance(vm, 300000);
	assert_int_equal(in(IIR), 0xc1);
}

static void transmit_goes_to_the_console(void **state)
{
	(void)state;
	for (const char *s = "hello"; *s; s++) {
		assert_int_equal(in(LSR) & 0x60, 0x60);
		out(THR, (u8)*s);
	}
	fake_vm_expect_output(vm, 0, "hello");
	assert_int_equal(in(LSR), 0x60);
}

/* The second port has its own stream and line. */
static void ports_are_separate(void **state)
{
	(void)state;
	fake_vm_create_device(vm, "16550",
			      (struct vdev_args){.port = 0x2f8, .irq = 3, .index = 1});
	fake_vm_outb(vm, 0x2f8, 'B');
	out(THR, 'A');
	fake_vm_expect_output(vm, 0, "A");
	fake_vm_expect_output(vm, 1, "B");
	fake_vm_outb(vm, 0x2f8 + MCR, 0x08);
	fake_vm_outb(vm, 0x2f8 + IER, 0x02);
	assert_true(vm->level[3]);
	assert_false(vm->level[IRQ]);
}

/* Ports that another device has: the VM fails to start. */
static void ports_in_use_are_refused(void **state)
{
	struct vdev *dev;

	(void)state;
	assert_int_equal(fake_vm_try_device(vm, "16550", (struct vdev_args){.port = COM}, &dev),
			 -EEXIST);
	assert_null(dev);
}

static void thre_interrupt(void **state)
{
	(void)state;
	out(MCR, 0x08);
	assert_false(vm->level[IRQ]);
	/* Enabling it with an empty transmitter raises it. */
	out(IER, 0x02);
	assert_true(vm->level[IRQ]);
	/* Reading LSR does not end it, reading IIR does. */
	in(LSR);
	assert_true(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x02);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x01);
	/* Writing the enable bit again without a change does not raise it. */
	out(IER, 0x02);
	assert_int_equal(in(IIR), 0x01);
	/* A change does, as the drivers' tests for it expect. */
	out(IER, 0x00);
	out(IER, 0x02);
	assert_int_equal(in(IIR), 0x02);
	/* A byte that has left raises it, by a new edge. */
	assert_int_equal(vm->edges[IRQ], 2);
	out(THR, 'a');
	assert_int_equal(vm->edges[IRQ], 3);
	out(THR, 'b');
	assert_int_equal(vm->edges[IRQ], 4);
	assert_true(vm->level[IRQ]);
	/* Disabling hides it. */
	out(IER, 0x00);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x01);
	fake_vm_expect_output(vm, 0, "ab");
}

static void full_console_holds_thre_back(void **state)
{
	(void)state;
	out(MCR, 0x08);
	out(IER, 0x02);
	in(IIR);
	fake_vm_set_room(vm, 0, 1);
	out(THR, '1');
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0x02);
	out(THR, '2');
	assert_int_equal(in(LSR), 0x00);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x01);
	/* Enabling now must not raise it: the transmitter is not empty. */
	out(IER, 0x00);
	out(IER, 0x02);
	assert_int_equal(in(IIR), 0x01);
	fake_vm_check_save(vm, uart);
	fake_vm_set_room(vm, 0, 1);
	assert_int_equal(in(LSR), 0x60);
	assert_true(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x02);
	/* News of room with nothing to send raises nothing. */
	fake_vm_set_room(vm, 0, 100);
	assert_int_equal(in(IIR), 0x01);
	fake_vm_expect_output(vm, 0, "12");
	/* Without FIFOs a second byte replaces the one in the register. */
	vm->console[0].room = 0;
	out(THR, '3');
	out(THR, '4');
	fake_vm_set_room(vm, 0, 10);
	fake_vm_expect_output(vm, 0, "4");
}

static void full_console_fills_the_fifo(void **state)
{
	(void)state;
	out(FCR, 0x01);
	out(MCR, 0x08);
	out(IER, 0x02);
	in(IIR);
	vm->console[0].room = 0;
	for (unsigned i = 0; i < 17; i++)
		out(THR, (u8)('a' + i)); /* the 17th finds it full and is lost */
	assert_int_equal(in(LSR), 0x00);
	fake_vm_check_save(vm, uart);
	fake_vm_set_room(vm, 0, 10);
	assert_int_equal(in(LSR), 0x00);
	assert_false(vm->level[IRQ]);
	fake_vm_set_room(vm, 0, 10);
	assert_int_equal(in(LSR), 0x60);
	assert_true(vm->level[IRQ]);
	fake_vm_expect_output(vm, 0, "abcdefghijklmnop");
	/* A reset of the transmit FIFO empties it and raises THRE. */
	in(IIR);
	vm->console[0].room = 0;
	out(THR, 'x');
	out(FCR, 0x05);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0xc2);
	fake_vm_set_room(vm, 0, 10);
	fake_vm_expect_output(vm, 0, "");
}

static void receive_without_fifo(void **state)
{
	(void)state;
	out(MCR, 0x08);
	out(IER, 0x01);
	fake_vm_type(vm, 0, "x\0z", 3);
	assert_int_equal(vm->console[0].rx_count, 2); /* one register: the others wait */
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(RBR), 'x');
	assert_int_equal(vm->edges[IRQ], 2);
	assert_int_equal(in(RBR), 0x00);
	assert_int_equal(in(RBR), 'z');
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0x01);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(RBR), 0x00);
	fake_vm_advance(vm, 1000000000);
	assert_int_equal(in(IIR), 0x01); /* the timeout belongs to FIFO mode */
}

static void trigger_levels(void **state)
{
	static const u8 levels[] = {1, 4, 8, 14};

	(void)state;
	out(MCR, 0x08);
	out(IER, 0x01);
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		out(FCR, (u8)(i << 6 | 0x07));
		for (unsigned n = 1; n <= 16; n++) {
			fake_vm_type(vm, 0, "k", 1);
			assert_int_equal(vm->level[IRQ], n >= levels[i]);
			assert_int_equal(in(IIR), n >= levels[i] ? 0xc4 : 0xc1);
		}
		for (unsigned n = 15; n < 16; n--) {
			assert_int_equal(in(RBR), 'k');
			assert_int_equal(vm->level[IRQ], n >= levels[i]);
			assert_int_equal(in(LSR), n ? 0x61 : 0x60);
		}
	}
}

static void fifo_takes_only_what_fits(void **state)
{
	u8 text[40];

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (u8)('0' + i);
	out(FCR, 0x01);
	fake_vm_type(vm, 0, text, sizeof(text));
	assert_int_equal(vm->console[0].rx_count, sizeof(text) - 16);
	for (unsigned i = 0; i < sizeof(text); i++) {
		assert_int_equal(in(LSR) & 0x03, 0x01);
		assert_int_equal(in(RBR), text[i]);
	}
	assert_int_equal(in(LSR), 0x60);
}

/* 115200 baud, 8N1: 4 characters of 10 bits are 347 us. */
static void character_timeout(void **state)
{
	const u64 us = 1000;

	(void)state;
	out(LCR, 0x83);
	out(0, 1);
	out(1, 0);
	out(LCR, 0x03);
	out(FCR, 0xc1);
	out(MCR, 0x08);
	out(IER, 0x01);
	fake_vm_type(vm, 0, "ab", 2);
	fake_vm_check_save(vm, uart);
	fake_vm_advance(vm, 346 * us);
	assert_int_equal(in(IIR), 0xc1);
	fake_vm_type(vm, 0, "c", 1); /* a new byte starts the time anew */
	fake_vm_advance(vm, 346 * us);
	assert_false(vm->level[IRQ]);
	fake_vm_advance(vm, 2 * us);
	assert_true(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(IIR), 0xcc); /* only reading a byte ends it */
	fake_vm_check_save(vm, uart);
	assert_int_equal(in(RBR), 'a');
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0xc1);
	fake_vm_advance(vm, 348 * us);
	assert_int_equal(in(IIR), 0xcc);
	in(RBR);
	in(RBR);
	fake_vm_advance(vm, 1000 * us); /* an empty FIFO has none */
	assert_int_equal(in(IIR), 0xc1);
	assert_int_equal(vm->timers_fired, 2);
	/* 300 baud, 7E2: 4 * 11 bits are 146.7 ms. */
	out(LCR, 0x80);
	out(0, 0x80);
	out(1, 0x01);
	out(LCR, 0x1e);
	fake_vm_type(vm, 0, "d", 1);
	fake_vm_advance(vm, 146000 * us);
	assert_int_equal(in(IIR), 0xc1);
	fake_vm_advance(vm, 1000 * us);
	assert_int_equal(in(IIR), 0xcc);
	/* A reset of the receive FIFO ends it as well, and one still to come. */
	out(FCR, 0xc3);
	assert_int_equal(in(IIR), 0xc1);
	assert_int_equal(in(LSR), 0x60);
	fake_vm_type(vm, 0, "e", 1);
	out(FCR, 0xc3);
	fake_vm_advance(vm, 1000000 * us);
	assert_int_equal(in(IIR), 0xc1);
	/* So does a reset of the chip. */
	fake_vm_type(vm, 0, "f", 1);
	vdev_reset(uart);
	fake_vm_advance(vm, 1000000 * us);
	out(IER, 0x01);
	assert_int_equal(in(IIR), 0x01);
	/* Bytes by loopback have it too. */
	out(FCR, 0xc1);
	out(MCR, 0x10);
	out(THR, 'g');
	fake_vm_advance(vm, 1000000 * us);
	assert_int_equal(in(IIR), 0xcc);
}

static void fcr_needs_its_enable_bit(void **state)
{
	(void)state;
	assert_int_equal(in(IIR), 0x01);
	out(FCR, 0xc1);
	assert_int_equal(in(IIR), 0xc1);
	fake_vm_type(vm, 0, "1234", 4);
	/* Neither reset bit keeps the data. */
	out(FCR, 0xc1);
	assert_int_equal(in(LSR), 0x61);
	out(FCR, 0xc5);
	assert_int_equal(in(RBR), '1');
	/* Leaving FIFO mode clears it, and the trigger with it. */
	out(FCR, 0xc6);
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(LSR), 0x60);
	/* In 16450 mode the reset bits alone do nothing. */
	fake_vm_type(vm, 0, "5", 1);
	out(FCR, 0x06);
	assert_int_equal(in(LSR), 0x61);
	/* Entering FIFO mode clears the register's byte; what waits outside comes in. */
	out(FCR, 0x01);
	assert_int_equal(in(LSR), 0x60);
	out(FCR, 0x00);
	fake_vm_type(vm, 0, "67", 2);
	out(FCR, 0x01);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), '7');
}

/* Loopback: the pins of the modem control register come back, and so do bytes. */
static void loopback(void **state)
{
	static const struct {
		u8 mcr, msr;
	} pins[] = {{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80},
		    {0x1a, 0x90}, {0x1f, 0xf0}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(pins); i++) {
		out(MCR, pins[i].mcr);
		assert_int_equal(in(MSR) & 0xf0, pins[i].msr);
	}
	out(MCR, 0x18);
	out(IER, 0x03);
	out(THR, 'L');
	fake_vm_expect_output(vm, 0, "");
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(IIR), 0x04);
	assert_false(vm->level[IRQ]); /* OUT2's pin is forced inactive */
	fake_vm_type(vm, 0, "q", 1); /* the line is cut */
	assert_int_equal(in(RBR), 'L');
	assert_int_equal(in(LSR), 0x60);
	out(MCR, 0x08);
	assert_true(vm->level[IRQ]);
	assert_int_equal(in(RBR), 'q');
	/* A byte that the console did not take yet goes round as well. */
	vm->console[0].room = 0;
	out(THR, 'h');
	assert_int_equal(in(LSR), 0x00);
	out(MCR, 0x18);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'h');
	out(MCR, 0x08);
	assert_int_equal(in(MSR), 0xb7); /* RTS, DTR and OUT1 fell since the last read */
}

static void msr_delta_bits(void **state)
{
	(void)state;
	out(MCR, 0x1f);
	assert_int_equal(in(MSR), 0xf0); /* all stayed or only rose: RI has no rising delta */
	out(MCR, 0x1b);
	assert_int_equal(in(MSR), 0xb4); /* TERI: the trailing edge of RI */
	assert_int_equal(in(MSR), 0xb0);
	out(MCR, 0x1a);
	out(MCR, 0x18);
	assert_int_equal(in(MSR), 0x83); /* DSR, then CTS fell; both deltas add up */
	out(MCR, 0x10);
	out(MCR, 0x18);
	assert_int_equal(in(MSR), 0x88); /* there and back is a change */
	/* The interrupt; loopback gates the line, so look at IIR, then leave loopback. */
	out(IER, 0x08);
	assert_int_equal(in(IIR), 0x01);
	out(MCR, 0x19);
	assert_int_equal(in(IIR), 0x00);
	out(MCR, 0x08);
	assert_true(vm->level[IRQ]);
	in(MSR);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x01);
}

static void overrun(void **state)
{
	(void)state;
	/* Without FIFOs the newer byte stays. */
	out(MCR, 0x10);
	out(THR, '1');
	out(THR, '2');
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(LSR), 0x61); /* reading cleared OE */
	assert_int_equal(in(RBR), '2');
	/* With them the FIFO's sixteen stay. */
	out(FCR, 0x01);
	for (unsigned i = 0; i < 17; i++)
		out(THR, (u8)('a' + i));
	fake_vm_check_save(vm, uart);
	out(IER, 0x04);
	assert_int_equal(in(IIR), 0xc6);
	out(MCR, 0x08);
	assert_true(vm->level[IRQ]);
	assert_int_equal(in(LSR), 0x63);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0xc1);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(RBR), 'a' + i);
	assert_int_equal(in(LSR), 0x60);
}

/* All four levels pending at once; each is served and shows the next. */
static void priorities(void **state)
{
	(void)state;
	out(MCR, 0x10);	 /* modem deltas */
	out(THR, '1');
	out(THR, '2');	 /* overrun, data, THRE */
	out(IER, 0x0f);
	assert_int_equal(in(IIR), 0x06);
	in(LSR);
	assert_int_equal(in(IIR), 0x04);
	in(RBR);
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x00);
	in(MSR);
	assert_int_equal(in(IIR), 0x01);
	/* Reading IIR ends THRE only where it was what IIR showed. */
	out(IER, 0x00);
	out(IER, 0x03);
	out(THR, '3');
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(IIR), 0x04);
	in(RBR);
	assert_int_equal(in(IIR), 0x02);
}

static void out2_gates_the_line(void **state)
{
	(void)state;
	out(IER, 0x02);
	assert_int_equal(vm->edges[IRQ], 0);
	out(MCR, 0x08);
	assert_true(vm->level[IRQ]);
	out(MCR, 0x00);
	assert_false(vm->level[IRQ]);
	out(MCR, 0x08);
	assert_true(vm->level[IRQ]);
	out(MCR, 0x18);
	assert_false(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0x02);
}

/* Clearing the FIFO drops the line before waiting input raises it again. */
static void refilled_fifo_makes_an_edge(void **state)
{
	u8 text[32] = {0};

	(void)state;
	out(FCR, 0x01);
	out(MCR, 0x08);
	out(IER, 0x01);
	fake_vm_type(vm, 0, text, sizeof(text));
	assert_int_equal(vm->edges[IRQ], 1);
	out(FCR, 0x03);
	assert_true(vm->level[IRQ]);
	assert_int_equal(vm->edges[IRQ], 2);
}

/* Input waits through a reset of the chip; the guest still gets it. */
static void reset_lets_input_in(void **state)
{
	(void)state;
	out(MCR, 0x10);
	fake_vm_type(vm, 0, "w", 1);
	vdev_reset(uart);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'w');
}

/* Restoring brings back the line and the pending timeout. */
static void restore_brings_back_line_and_timer(void **state)
{
	u8 blob[256];
	size_t size;

	(void)state;
	assert_true(uart->type->save_size <= sizeof(blob));
	out(FCR, 0xc1);
	out(MCR, 0x08);
	out(IER, 0x03);
	fake_vm_type(vm, 0, "p", 1);
	size = vdev_save(uart, blob);
	vdev_reset(uart);
	assert_false(vm->level[IRQ]);
	assert_int_equal(vdev_restore(uart, blob, size), 0);
	assert_true(vm->level[IRQ]);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc1);
	fake_vm_advance(vm, 1000000000);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(RBR), 'p');
	/* And a state without a timer ends one that runs. */
	out(IER, 0x01);
	size = vdev_save(uart, blob);
	fake_vm_type(vm, 0, "r", 1);
	assert_int_equal(vdev_restore(uart, blob, size), 0);
	fake_vm_advance(vm, 1000000000);
	assert_int_equal(in(IIR), 0xc1);
}

/* Each byte of a saved state, with each value: taken as it is, or refused. */
static void any_blob_is_safe(void **state)
{
	u8 blob[256], before[256], after[256];
	unsigned refused = 0;
	size_t size;

	(void)state;
	out(FCR, 0xc1);
	fake_vm_type(vm, 0, "abc", 3);
	vm->console[0].room = 0;
	out(THR, 'x');
	size = vdev_save(uart, blob);
	for (unsigned i = 0; i < size * 256; i++) {
		u8 old = blob[i / 256];

		vdev_save(uart, before);
		blob[i / 256] = (u8)i;
		if (vdev_restore(uart, blob, size) == 0) {
			vdev_save(uart, after);
			assert_memory_equal(after, blob, size);
			for (unsigned n = 0; n < 17; n++) {
				in(RBR);
				out(THR, 'y');
			}
		} else {
			refused++;
			vdev_save(uart, after);
			assert_memory_equal(after, before, size);
		}
		blob[i / 256] = old;
	}
	/* At least every count of the FIFOs and every flag that is too large. */
	assert_true(refused >= 2 * 239 + 3 * 254);
}

static void survives_a_storm(void **state)
{
	(void)state;
	fake_vm_create_device(vm, "16550",
			      (struct vdev_args){.port = 0x2f8, .irq = 3, .index = 1});
	fake_vm_storm(vm, 0x16550, 1000000);
	/* It did reach the chips. */
	assert_true(vm->console[0].tx_count > 1000);
	assert_true(vm->edges[IRQ] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reset_values, setup, teardown),
		cmocka_unit_test_setup_teardown(registers_keep_their_valid_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(divisor_latch, setup, teardown),
		cmocka_unit_test_setup_teardown(transmit_goes_to_the_console, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_are_separate, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_in_use_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(thre_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(full_console_holds_thre_back, setup, teardown),
		cmocka_unit_test_setup_teardown(full_console_fills_the_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(receive_without_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(trigger_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(fifo_takes_only_what_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(character_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(fcr_needs_its_enable_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(loopback, setup, teardown),
		cmocka_unit_test_setup_teardown(msr_delta_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(overrun, setup, teardown),
		cmocka_unit_test_setup_teardown(priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(out2_gates_the_line, setup, teardown),
		cmocka_unit_test_setup_teardown(refilled_fifo_makes_an_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_lets_input_in, setup, teardown),
		cmocka_unit_test_setup_teardown(restore_brings_back_line_and_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(any_blob_is_safe, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_storm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
