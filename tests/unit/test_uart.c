/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/uart.c tests/unit/fake_ports.c */
/*
 * The physical UART's driver over a simulated PC16550D: its FIFOs, divisor
 * latch, line status and the priorities of its interrupts, as the data sheet
 * has them. The registers in memory are plain bytes, which show where the
 * driver reads and writes.
 */
#include "drivers/uart.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/memory.h"
#include "tests/unit/fake_ports.h"

#define BASE 0x2f8
#define FIFO 16

static struct {
	bool absent, no_fifo;
	u8 ier, fcr, lcr, mcr, scr, dll, dlm, errors;
	u8 rx[FIFO], tx[FIFO];
	unsigned rx_count, tx_count, tx_room, late; /* room: after so many status reads */
	bool thre_pending, gated;
	char sent[4096];
	unsigned sent_count;
} chip;

static u8 line_status(void)
{
	u8 lsr = (u8)(chip.errors | (chip.rx_count ? 1 : 0));

	chip.errors = 0;
	if (chip.tx_count && chip.late-- == 0) {
		chip.tx_count = 0;
		chip.late = 3;
		chip.thre_pending = true;
	}
	return lsr | (chip.tx_count ? 0 : 0x60);
}

static u8 identify(void)
{
	u8 fifo = chip.no_fifo || !(chip.fcr & 1) ? 0 : 0xc0;

	if ((chip.ier & 4) && chip.errors)
		return fifo | 6;
	if ((chip.ier & 1) && chip.rx_count)
		return fifo | (chip.rx_count >= 8 || !fifo ? 4 : 12);
	if ((chip.ier & 2) && chip.thre_pending) {
		chip.thre_pending = false;
		return fifo | 2;
	}
	return fifo | 1;
}

static u8 receive(void)
{
	u8 byte = chip.rx[0];

	assert_true(chip.rx_count > 0);
	memmove(chip.rx, chip.rx + 1, --chip.rx_count);
	return byte;
}

static u32 in(u16 port, unsigned size)
{
	bool dlab = chip.lcr & 0x80;

	assert_int_equal(size, 1);
	assert_in_range(port, BASE, BASE + 7);
	if (chip.absent)
		return 0xff;
	switch (port - BASE) {
	case 0: return dlab ? chip.dll : receive();
	case 1: return dlab ? chip.dlm : chip.ier;
	case 2: return identify();
	case 3: return chip.lcr;
	case 4: return chip.mcr;
	case 5: return line_status();
	case 7: return chip.scr;
	default: return 0;
	}
}

static void send(u8 byte)
{
	/* More than fits would be lost on the line. */
	assert_true(chip.tx_count < (chip.no_fifo ? 1 : FIFO));
	chip.tx_count++;
	chip.thre_pending = false;
	assert_true(chip.sent_count < sizeof(chip.sent));
	chip.sent[chip.sent_count++] = (char)byte;
}

static void enable(u8 ier)
{
	/* Opened with an empty transmitter, its interrupt comes at once. */
	if (!(chip.ier & 2) && (ier & 2) && !chip.tx_count)
		chip.thre_pending = true;
	chip.ier = ier;
}

static void out(u16 port, unsigned size, u32 value)
{
	bool dlab = chip.lcr & 0x80;
	u8 v = (u8)value;

	assert_int_equal(size, 1);
	assert_in_range(port, BASE, BASE + 7);
	if (chip.absent)
		return;
	switch (port - BASE) {
	case 0: dlab ? (void)(chip.dll = v) : send(v); break;
	case 1: dlab ? (void)(chip.dlm = v) : enable(v); break;
	case 2: chip.fcr = v; break;
	case 3: chip.lcr = v; break;
	case 4: chip.mcr = v; break;
	case 7: chip.scr = v; break;
	}
}

static u8 mapped[64];
static unsigned maps;
static bool deny_map;

void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	assert_int_equal(hpa.v, 0xfe030000);
	assert_int_equal(cache, PHYS_UNCACHED);
	assert_in_range(size, 8, 32);
	maps++;
	return deny_map ? NULL : mapped;
}

static const struct uart_place com2 = {.base = BASE, .stride = 1, .width = 1};
static struct uart uart;

static void start(void)
{
	static const struct fake_ports ports = {in, out};

	memset(&chip, 0, sizeof(chip));
	memset(&uart, 0xee, sizeof(uart));
	chip.dll = 12;
	chip.late = 3;
	fake_ports_serve(&ports);
}

static void ready(void)
{
	start();
	assert_int_equal(uart_init(&uart, &com2, 115200), 0);
}

static void test_init(void **state)
{
	static const struct {
		u32 baud;
		int error;
		u16 divisor;
	} rows[] = {
		{115200, 0, 1}, {9600, 0, 12}, {2, 0, 57600}, {0, 0, 12},
		{1, -EINVAL, 12}, {115201, -EINVAL, 12}, {7, -EINVAL, 12},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		start();
		chip.lcr = 0x80; /* as a careless firmware may leave it */
		chip.ier = 0x0f;
		assert_int_equal(uart_init(&uart, &com2, rows[i].baud), rows[i].error);
		assert_int_equal(chip.dll | chip.dlm << 8, rows[i].divisor);
		assert_int_equal(uart.fifo, rows[i].error ? 0 : 16);
		if (rows[i].error)
			continue;
		assert_int_equal(chip.lcr, 0x03);
		assert_int_equal(chip.ier, 0);
		assert_int_equal(chip.mcr, 0x03); /* OUT2 is closed */
		assert_int_equal(chip.fcr & 0x07, 0x07);
	}
	start();
	chip.no_fifo = true;
	assert_int_equal(uart_init(&uart, &com2, 9600), 0);
	assert_int_equal(uart.fifo, 1);
}

/* What is not there takes and gives nothing, and holds nobody up. */
static void test_absent(void **state)
{
	const struct uart_place beyond = {.base = 0xfffc, .stride = 1, .width = 1};
	const struct uart_place wide = {.base = 0xffe1, .stride = 4, .width = 1};
	u8 byte = 0;

	(void)state;
	start();
	chip.absent = true;
	assert_int_equal(uart_init(&uart, &com2, 115200), -ENODEV);
	assert_int_equal(uart.fifo, 0);
	assert_int_equal(uart_try_write(&uart, &byte, 1), 0);
	assert_int_equal(uart_try_read(&uart, &byte, 1), 0);
	uart_write(&uart, &byte, 1);
	uart_drain(&uart);
	assert_int_equal(uart_init(&uart, &beyond, 115200), -EINVAL);
	assert_int_equal(uart_init(&uart, &wide, 115200), -EINVAL);
}

static void test_send(void **state)
{
	static const u8 text[40] = "0123456789abcdefghijklmnopqrstuvwxyzABCD";

	(void)state;
	ready();
	assert_int_equal(uart_try_write(&uart, text, 40), 16);
	assert_int_equal(uart_try_write(&uart, text + 16, 24), 0);
	uart_write(&uart, text + 16, 24);
	assert_int_equal(chip.sent_count, 40);
	assert_memory_equal(chip.sent, text, 40);
	uart_drain(&uart);
	assert_int_equal(chip.tx_count, 0);
	start();
	chip.no_fifo = true;
	uart_init(&uart, &com2, 115200);
	uart_write(&uart, text, 40);
	assert_memory_equal(chip.sent, text, 40);
}

static void test_receive(void **state)
{
	u8 data[32];

	(void)state;
	ready();
	memcpy(chip.rx, "hello", 5);
	chip.rx_count = 5;
	assert_int_equal(uart_try_read(&uart, data, 3), 3);
	assert_int_equal(uart_try_read(&uart, data + 3, 29), 2);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(uart_try_read(&uart, data, 32), 0);
	assert_int_equal(uart.overruns, 0);
	/* each overrun counts once, whoever reads the status that tells it */
	chip.errors = 0x02;
	assert_int_equal(uart_try_read(&uart, data, 32), 0);
	assert_int_equal(uart.overruns, 1);
	chip.errors = 0x02;
	uart_try_write(&uart, (const u8 *)"x", 1);
	assert_int_equal(uart.overruns, 2);
	chip.errors = 0x1c; /* parity, framing, break */
	uart_try_read(&uart, data, 32);
	assert_int_equal(uart.overruns, 2);
}

static void test_interrupt(void **state)
{
	u8 data[32];

	(void)state;
	ready();
	uart_set_interrupt(&uart, true);
	assert_int_equal(chip.mcr, 0x0b);
	assert_int_equal(chip.ier, 0x07);
	assert_int_equal(chip.fcr & 0xc0, 0x80);
	/* an empty transmitter tells it at once, and once */
	assert_true(uart_interrupting(&uart));
	assert_false(uart_interrupting(&uart));
	assert_int_equal(uart_try_write(&uart, (const u8 *)"abc", 3), 3);
	assert_false(uart_interrupting(&uart));
	while (chip.tx_count)
		line_status();
	assert_true(uart_interrupting(&uart));
	assert_false(uart_interrupting(&uart));
	/* received bytes ask until they are read */
	chip.rx_count = 9;
	assert_true(uart_interrupting(&uart));
	assert_true(uart_interrupting(&uart));
	uart_try_read(&uart, data, 8);
	assert_true(uart_interrupting(&uart));
	uart_try_read(&uart, data, 8);
	assert_false(uart_interrupting(&uart));
	/* an overrun without a byte is ended by one read of nothing */
	chip.errors = 0x02;
	assert_true(uart_interrupting(&uart));
	assert_int_equal(uart_try_read(&uart, data, 8), 0);
	assert_false(uart_interrupting(&uart));
	uart_set_interrupt(&uart, false);
	assert_int_equal(chip.ier, 0);
	assert_int_equal(chip.mcr, 0x03);
}

static void test_memory(void **state)
{
	struct uart_place place = {true, 0xfe030000, 1, 1};

	(void)state;
	start();
	deny_map = true;
	assert_int_equal(uart_init(&uart, &place, 0), -ENOMEM);
	deny_map = false;
	for (place.stride = 1; place.stride <= 4; place.stride *= 2) {
		for (place.width = 1; place.width <= place.stride; place.width += 3) {
			unsigned stride = place.stride;
			u8 data[4];

			memset(mapped, 0, sizeof(mapped));
			mapped[5 * stride] = 0x60;
			assert_int_equal(uart_init(&uart, &place, 9600), 0);
			assert_int_equal(uart.fifo, 1); /* reads back 87h: no FIFO */
			assert_int_equal(mapped[0 * stride], 12);
			assert_int_equal(mapped[2 * stride], 0x87);
			assert_int_equal(mapped[3 * stride], 0x03);
			assert_int_equal(mapped[4 * stride], 0x03);
			assert_int_equal(mapped[7 * stride], 0x5a);
			assert_int_equal(uart_try_write(&uart, (const u8 *)"Q", 1), 1);
			assert_int_equal(mapped[0], 'Q');
			mapped[5 * stride] = 0x61;
			assert_int_equal(uart_try_read(&uart, data, 4), 4);
			assert_int_equal(data[3], 'Q');
			for (unsigned i = 0; i < sizeof(mapped); i++)
				if (i % stride || i >= 8 * stride)
					assert_int_equal(mapped[i], 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
