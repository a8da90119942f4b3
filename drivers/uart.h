/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical 16550-compatible UART, polled. Callers serialise calls on one UART.
 */
#pragma once

#include "arch/lib/types.h"

#define UART_COM1_PORT 0x3f8

struct uart {
	u16 port;
	u8 fifo; /* bytes that the transmitter takes when it is empty */
};

/*
 * Looks for a UART at `port` and sets it to `baud`, 8N1, FIFOs on where it has
 * them, interrupts off. baud must divide 115200. 0; -EINVAL for the baud rate,
 * -ENODEV when nothing answers there (uart is then zeroed).
 */
int uart_init(struct uart *uart, u16 port, u32 baud);

/* Sends and receives what goes without waiting; the count of bytes is returned. */
unsigned uart_try_write(struct uart *uart, const u8 *data, unsigned len);
unsigned uart_try_read(struct uart *uart, u8 *data, unsigned len);

/* Sends everything; gives up on a transmitter that stays full. */
void uart_write(struct uart *uart, const u8 *data, unsigned len);

/* Waits until the last bit has left, before the machine is switched off. */
void uart_drain(struct uart *uart);
