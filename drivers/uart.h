/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical 16550-compatible UART, at I/O ports or in memory. Callers serialise
 * receiving, and sending, on one UART; the two may run at the same time.
 */
#pragma once

#include "arch/lib/types.h"

#define UART_COM1_PORT 0x3f8

/* Where the eight registers are. */
struct uart_place {
	bool memory; /* host physical address, else an I/O port */
	u64 base;
	u8 stride; /* bytes from one register to the next: 1, 2 or 4 */
	u8 width;  /* bytes of an access to memory: 1 or 4 */
};

/* All zeroes: none. */
struct uart {
	struct uart_place place;
	volatile u8 *memory; /* where it is mapped; NULL: at ports */
	u8 fifo; /* bytes that the transmitter takes when it is empty; 0: no UART */
	u32 overruns; /* times that the receiver was read too late */
};

/*
 * Looks for a UART at `place` and sets it to `baud`, 8N1, FIFOs on where it
 * has them, interrupts off. baud must divide 115200; 0 leaves the rate as it
 * is. One in memory needs memory_init first. 0; -EINVAL for the baud rate or a
 * port out of range, -ENOMEM without room to map, -ENODEV when nothing answers
 * there (uart->fifo is then 0).
 */
int uart_init(struct uart *uart, const struct uart_place *place, u32 baud);

/* Sends and receives what goes without waiting; the count of bytes is returned. */
unsigned uart_try_write(struct uart *uart, const u8 *data, unsigned len);
unsigned uart_try_read(struct uart *uart, u8 *data, unsigned len);

/* Sends everything; gives up on a transmitter that stays full. */
void uart_write(struct uart *uart, const u8 *data, unsigned len);

/* Waits until the last bit has left, before the machine is switched off. */
void uart_drain(struct uart *uart);

/*
 * Opens or closes the chip's interrupt: for bytes received, and once each time
 * that the transmitter has become empty. Opening it with an empty transmitter
 * raises one at once.
 */
void uart_set_interrupt(struct uart *uart, bool on);

/*
 * Whether the chip still asks for an interrupt; an empty transmitter asks only
 * once. The handler reads what has come and asks again until this is false:
 * only then has the line dropped, and a new edge can come.
 */
bool uart_interrupting(struct uart *uart);
