/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The composition root: the order in which Trivet comes up, as a list of calls.
 * It knows every part and no part knows it.
 */
#include "boot/main.h"

#include "arch/lib/log.h"
#include "arch/panic.h"
#include "arch/percpu.h"
#include "arch/pic.h"
#include "drivers/uart.h"
#include "version.h"

static struct uart early_uart;

static void early_write(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			uart_write(&early_uart, (const u8 *)"\r", 1);
		uart_write(&early_uart, (const u8 *)&text[i], 1);
	}
}

static struct log_sink early_sink = {.write = early_write};

static void early_flush(void)
{
	uart_drain(&early_uart);
}

/* Where there is no COM1, the ring keeps what is said until a console comes. */
static void console_early(void)
{
	if (uart_init(&early_uart, UART_COM1_PORT, 115200))
		return;
	panic_flush = early_flush;
	log_add_sink(&early_sink);
}

void boot_main(u64 mbi)
{
	pcpu_init_boot();
	console_early();
	log_info("Trivet " TRIVET_VERSION);
	pic_off();
	(void)mbi;
	panic("end of the list");
}
