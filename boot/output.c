/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log's sinks, opened by Trivet's options.
 */
#include "boot/output.h"

#include "arch/panic.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "drivers/fbcon.h"
#include "vmm/console.h"

#define BITS_PER_BYTE 10 /* on the line: start, 8, stop */
#define BURST	      16
#define INPUT_LOOKS   100 /* a second */

struct uart output_uart;

/* From output_to_console on, the console's ring stands between log and devices. */
static bool through_console, screen_open;

static void serial_write(const char *text, size_t len)
{
	if (through_console)
		return;
	for (size_t i = 0; i < len;) {
		size_t run = i;

		while (run < len && text[run] != '\n')
			run++;
		uart_write(&output_uart, (const u8 *)text + i, (unsigned)(run - i));
		if (run < len)
			uart_write(&output_uart, (const u8 *)"\r\n", 2);
		i = run + 1;
	}
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

static int open_serial(u16 port, u32 baud)
{
	int error = uart_init(&output_uart, port, baud);

	if (!error)
		log_add_sink(&serial_sink);
	panic_flush = flush;
	return error;
}

static void last_resort(void)
{
	open_serial(UART_COM1_PORT, 115200);
	flush();
}

void output_prepare(void)
{
	panic_flush = last_resort;
}

void output_serial(const struct options *options)
{
	if (options->serial && open_serial(options->serial_port, options->serial_baud))
		log_warn("console: no UART at port %xh", options->serial_port);
	/* With no serial port wanted, a panic still uses none. */
	panic_flush = flush;
}

void output_screen(const struct options *options, const struct fbcon_mode *mode)
{
	if (!options->screen || !mode->addr.v)
		return;
	if (fbcon_init(mode)) {
		log_warn("console: the screen has a mode that Trivet cannot use");
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

static unsigned serial_try_read(u8 *data, unsigned len)
{
	return uart_try_read(&output_uart, data, len);
}

/* In a panic nobody moves the ring any more. */
static void stop_others(void)
{
	console_break();
	smp_stop_others();
}

void output_to_console(const struct options *options)
{
	bool serial = output_uart.port;
	struct console_backend backend = {
		.try_write = serial ? serial_try_write : NULL,
		.write = serial ? serial_wait_write : NULL,
		.try_read = serial ? serial_try_read : NULL,
		.screen = screen_open ? fbcon_write : NULL,
		/* A guest's output would cost it a repainted screen a line. */
		.screen_shows_guest = screen_open && (!serial || options->console_given),
		.burst_ticks = serial ? tsc_hz * BITS_PER_BYTE * BURST / options->serial_baud : 0,
		.poll_ticks = tsc_hz / INPUT_LOOKS,
	};

	console_set_backend(&backend);
	log_add_sink(&console_sink);
	through_console = true;
	panic_stop_others = stop_others;
	console_start();
}
