/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical 16550-compatible UART. Register names and bits follow the data
 * sheet of National Semiconductor's PC16550D; the rule that OUT2 gates the
 * interrupt line is the PC's.
 */
#include "drivers/uart.h"

#include "arch/cpu.h"
#include "arch/memory.h"

enum { RBR_THR = 0, DLL = 0, IER = 1, DLM = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };

#define REGISTERS 8

#define IER_RECEIVED	 BIT(0)
#define IER_EMPTY	 BIT(1)
#define IER_LINE	 BIT(2)
#define IIR_NONE	 BIT(0)
#define IIR_FIFO	 BITS(7, 6) /* both set: FIFOs that work */
#define FCR_ENABLE_CLEAR 0x87	   /* FIFOs on, both emptied; interrupt at 8 of 16 bytes */
#define LCR_8N1		 0x03
#define LCR_DLAB	 BIT(7)
#define MCR_DTR_RTS	 0x03
#define MCR_OUT2	 BIT(3)
#define LSR_DR		 BIT(0)
#define LSR_OE		 BIT(1)
#define LSR_THRE	 BIT(5)
#define LSR_TEMT	 BIT(6)
#define ABSENT		 0xff

#define CLOCK	   115200u
#define FIFO_BYTES 16
/* Polls before a wait is given up: over a second, as a port read takes 1 us or so. */
#define PATIENCE (1u << 21)

static u8 get(const struct uart *uart, unsigned reg)
{
	unsigned at = reg * uart->place.stride;

	if (!uart->memory)
		return inb((u16)(uart->place.base + at));
	if (uart->place.width == 4)
		return (u8)*(const volatile u32 *)(uart->memory + at);
	return uart->memory[at];
}

static void set(struct uart *uart, unsigned reg, u8 value)
{
	unsigned at = reg * uart->place.stride;

	if (!uart->memory)
		outb((u16)(uart->place.base + at), value);
	else if (uart->place.width == 4)
		*(volatile u32 *)(uart->memory + at) = value;
	else
		uart->memory[at] = value;
}

/* Reading the line status takes its error bits away: nobody else reads it. */
static u8 line_status(struct uart *uart)
{
	u8 lsr = get(uart, LSR);

	if (lsr & LSR_OE)
		__atomic_fetch_add(&uart->overruns, 1, __ATOMIC_RELAXED);
	return lsr;
}

static bool wait_for(struct uart *uart, u64 lsr_bit)
{
	for (unsigned i = 0; i < PATIENCE; i++)
		if (line_status(uart) & lsr_bit)
			return true;
	return false;
}

int uart_init(struct uart *uart, const struct uart_place *place, u32 baud)
{
	u64 size = REGISTERS * place->stride;

	*uart = (struct uart){.place = *place};
	if ((baud && (CLOCK % baud || CLOCK / baud > 0xffff)) ||
	    (!place->memory && place->base > 0x10000 - size))
		return -EINVAL;
	if (place->memory)
		uart->memory = phys_map(HPA(place->base), size, PHYS_UNCACHED);
	if (place->memory && !uart->memory)
		return -ENOMEM;
	/* An absent chip reads all ones; the scratch register tells a present one. */
	set(uart, SCR, 0x5a);
	if (get(uart, SCR) != 0x5a || get(uart, LSR) == ABSENT)
		return -ENODEV;
	if (baud) {
		set(uart, LCR, LCR_DLAB | LCR_8N1);
		set(uart, DLL, (u8)(CLOCK / baud));
		set(uart, DLM, (u8)(CLOCK / baud >> 8));
	}
	set(uart, LCR, LCR_8N1);
	set(uart, IER, 0); /* with DLAB set, as it may have been, this is the divisor */
	set(uart, IIR_FCR, FCR_ENABLE_CLEAR);
	set(uart, MCR, MCR_DTR_RTS);
	uart->fifo = (get(uart, IIR_FCR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
	return 0;
}

unsigned uart_try_write(struct uart *uart, const u8 *data, unsigned len)
{
	unsigned count = MIN(len, uart->fifo);

	if (count == 0 || !(line_status(uart) & LSR_THRE))
		return 0;
	for (unsigned i = 0; i < count; i++)
		set(uart, RBR_THR, data[i]);
	return count;
}

unsigned uart_try_read(struct uart *uart, u8 *data, unsigned len)
{
	unsigned count = 0;

	while (uart->fifo && count < len && (line_status(uart) & LSR_DR))
		data[count++] = get(uart, RBR_THR);
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
	if (uart->fifo)
		wait_for(uart, LSR_TEMT);
}

void uart_set_interrupt(struct uart *uart, bool on)
{
	set(uart, MCR, on ? MCR_DTR_RTS | MCR_OUT2 : MCR_DTR_RTS);
	set(uart, IER, on ? IER_RECEIVED | IER_EMPTY | IER_LINE : 0);
}

bool uart_interrupting(struct uart *uart)
{
	return uart->fifo && !(get(uart, IIR_FCR) & IIR_NONE);
}
