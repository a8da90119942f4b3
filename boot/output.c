/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log's sinks, opened by Trivet's options.
 */
#include "boot/output.h"

#include "arch/lib/string.h"
#include "arch/panic.h"
#include "arch/tsc.h"
#include "boot/input.h"
#include "drivers/acpi.h"
#include "drivers/fbcon.h"
#include "drivers/pci.h"
#include "vmm/console.h"

#define DEFAULT_BAUD  115200
#define BITS_PER_BYTE 10 /* on the line: start, 8, stop */
#define BURST	      16
#define INPUT_LOOKS   100  /* a second */
#define SERIAL_LOOKS  2000 /* at a port without interrupts, whose FIFO fills in 1.4 ms */

struct uart output_uart;

/* From output_to_console on, the console's ring stands between log and devices. */
static bool through_console, screen_open;

static void serial_write(const char *text, size_t len)
{
	if (through_console)
		return;
	/* Of a line, which ends in a newline. */
	uart_write(&output_uart, (const u8 *)text, (unsigned)len - 1);
	uart_write(&output_uart, (const u8 *)"\r\n", 2);
}

static void screen_write(const char *text, size_t len)
{
	if (!through_console)
		fbcon_write(text, len);
}

static void console_write(const char *text, size_t len)
{
	if (through_console)
		console_write_log(text, len);
}

static struct log_sink serial_sink = {.write = serial_write};
static struct log_sink screen_sink = {.write = screen_write};
static struct log_sink console_sink = {.write = console_write};

static void flush(void)
{
	if (through_console)
		console_flush();
	uart_drain(&output_uart);
}

static struct uart_place port_place(u16 port)
{
	return (struct uart_place){.base = port, .stride = 1, .width = 1};
}

static void open_serial(const struct uart_place *place, u32 baud, const char *where)
{
	if (!place->base || uart_init(&output_uart, place, baud))
		log_warn("console: no 16550 %s", where);
	else
		log_add_sink(&serial_sink);
	panic_flush = flush;
}

static void last_resort(void)
{
	const struct uart_place com1 = port_place(UART_COM1_PORT);

	open_serial(&com1, DEFAULT_BAUD, "at COM1");
	flush();
}

void output_prepare(void)
{
	panic_flush = last_resort;
}

void output_serial(const struct options *options)
{
	const struct uart_place place = port_place(options->serial_port);
	char where[16];

	str_format(where, sizeof(where), "at port %xh", options->serial_port);
	if (options->serial == SERIAL_PORT)
		open_serial(&place, options->serial_baud ?: DEFAULT_BAUD, where);
	else if (options->serial == SERIAL_NONE) /* then a panic uses none either */
		panic_flush = flush;
}

void output_find_serial(const struct options *options)
{
	/* In memory the chip's clock may be any: the firmware's divisor is right. */
	u32 firmware_baud = acpi.serial.memory ? 0 : acpi.serial_baud;
	struct uart_place place;
	struct pci_bar bar;

	if (options->serial == SERIAL_PCI) {
		pci_find(PCI_CLASS_16550, &bar);
		place = (struct uart_place){bar.memory, bar.base, 1, 1};
		open_serial(&place, options->serial_baud ?: DEFAULT_BAUD, "on the PCI");
	} else if (options->serial == SERIAL_SPCR) {
		open_serial(&acpi.serial, options->serial_baud ?: firmware_baud,
			    "that the ACPI table SPCR names");
	}
}

void output_screen(const struct options *options, const struct fbcon_mode *mode)
{
	int error;

	if (!options->screen || !mode->addr.v)
		return;
	error = fbcon_init(mode);
	if (error) {
		log_warn("console: %s", error == -ENOMEM ? "no memory to map the screen" :
				"the screen has a mode that Trivet cannot use");
		return;
	}
	screen_open = true;
	log_add_sink(&screen_sink);
}

static unsigned serial_try_write(const u8 *data, unsigned len)
{
	return uart_try_write(&output_uart, data, len);
}

static void serial_wait_write(const u8 *data, unsigned len)
{
	uart_write(&output_uart, data, len);
}

void output_to_console(const struct options *options)
{
	bool serial = output_uart.fifo;
	/* A guest's output would cost it a repainted screen a line. */
	bool screen = screen_open && (!serial || options->console_given);
	bool interrupts = input_open(&output_uart, !serial || screen);
	u64 burst = tsc_hz * BITS_PER_BYTE * BURST / (options->serial_baud ?: DEFAULT_BAUD);
	struct console_backend backend = {
		.try_write = serial ? serial_try_write : NULL,
		.write = serial ? serial_wait_write : NULL,
		.try_read = input_take,
		.screen = screen_open ? fbcon_take : NULL,
		.screen_show = screen_open ? fbcon_show : NULL,
		.screen_shows_guest = screen,
		/* Where its interrupt tells the same, the clock is for one that got lost. */
		.burst_ticks = interrupts ? 2 * burst : serial ? burst : 0,
		.poll_ticks = tsc_hz / (serial && !interrupts ? SERIAL_LOOKS : INPUT_LOOKS),
	};

	if (serial)
		log_debug("console: the serial port is %s",
			  interrupts ? "heard by interrupt" : "polled");
	console_set_backend(&backend);
	log_add_sink(&console_sink);
	through_console = true;
	console_start();
}
