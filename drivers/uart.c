/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical 16550-compatible UART, polled. Register names and bits follow the
 * data sheet of National Semiconductor's PC16550D.
 */
#include "drivers/uart.h"

#include "arch/cpu.h"
#include "arch/lib/errno.h"

enum { RBR_THR = 0, DLL = 0, IER = 1, DLM = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };

#define FCR_ENABLE_CLEAR 0x07	   /* FIFOs on, both emptied */
#define IIR_FIFO	 BITS(7, 6) /* both set: FIFOs that work */
#define LCR_8N1		 0x03
#define LCR_DLAB	 BIT(7)
#define MCR_DTR_RTS	 0x03
#define LSR_DR		 BIT(0)
#define LSR_THRE	 BIT(5)
#define LSR_TEMT	 BIT(6)

#define CLOCK	   115200u
#define FIFO_BYTES 16
/* Polls before a wait is given up: over a second, as a port read takes 1 us or so. */
#define PATIENCE (1u << 21)

static bool wait_for(const struct uart *uart, u64 lsr_bit)
{
	for (unsigned i = 0; i < PATIENCE; i++)
		if (inb(uart->port + LSR) & lsr_bit)
			return true;
	return false;
}

int uart_init(struct uart *uart, u16 port, u32 baud)
{
	u32 divisor;

	*uart = (struct uart){0};
	if (baud == 0 || CLOCK % baud || CLOCK / baud > 0xffff)
		return -EINVAL;
	divisor = CLOCK / baud;
	/* An absent chip reads all ones; the scratch register tells a present one. */
	outb(port + SCR, 0x5a);
	if (inb(port + SCR) != 0x5a || inb(port + LSR) == 0xff)
		return -ENODEV;
	outb(port + LCR, LCR_DLAB | LCR_8N1);
	outb(port + DLL, (u8)divisor);
	outb(port + DLM, (u8)(divisor >> 8));
	outb(port + LCR, LCR_8N1);
	outb(port + IER, 0); /* with DLAB set, as it may have been, this is the divisor */
	outb(port + IIR_FCR, FCR_ENABLE_CLEAR);
	outb(port + MCR, MCR_DTR_RTS);
	uart->port = port;
	uart->fifo = (inb(port + IIR_FCR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
	return 0;
}

unsigned uart_try_write(struct uart *uart, const u8 *data, unsigned len)
{
	unsigned count = MIN(len, uart->fifo);

	if (count == 0 || !(inb(uart->port + LSR) & LSR_THRE))
		return 0;
	for (unsigned i = 0; i < count; i++)
		outb(uart->port + RBR_THR, data[i]);
	return count;
}

unsigned uart_try_read(struct uart *uart, u8 *data, unsigned len)
{
	unsigned count = 0;

	while (uart->port && count < len && (inb(uart->port + LSR) & LSR_DR))
		data[count++] = inb(uart->port + RBR_THR);
	return count;
}

void uart_write(struct uart *uart, const u8 *data, unsigned len)
{
	while (len) {
		unsigned count = uart_try_write(uart, data, len);

		if (count == 0 && (uart->fifo == 0 || !wait_for(uart, LSR_THRE)))
			return;
		data += count;
		len -= count;
	}
}

void uart_drain(struct uart *uart)
{
	if (uart->port)
		wait_for(uart, LSR_TEMT);
}
