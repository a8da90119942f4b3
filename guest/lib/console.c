/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1, polled, and formatted output over it. Registers by the PC16550D data
 * sheet. Without a UART the status register reads all ones, and nothing waits.
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"

#define LSR	 (CONSOLE_PORT + 5)
#define LSR_DR	 0x01
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

void console_init(void)
{
	outb(CONSOLE_PORT + 1, 0);
	outb(CONSOLE_PORT + 3, 0x80); /* DLAB */
	outb(CONSOLE_PORT + 0, 1);    /* divisor 1: 115200 */
	outb(CONSOLE_PORT + 1, 0);
	outb(CONSOLE_PORT + 3, 0x03); /* 8N1 */
	outb(CONSOLE_PORT + 2, 0x07); /* FIFOs on, cleared */
	outb(CONSOLE_PORT + 4, 0x0b); /* DTR, RTS, OUT2 */
}

void console_putc(char c)
{
	if (c == '\n')
		console_putc('\r');
	while (!(inb(LSR) & LSR_THRE))
		pause();
	outb(CONSOLE_PORT, (u8)c);
}

int console_getc(void)
{
	u8 status = inb(LSR);

	return status != 0xff && (status & LSR_DR) ? inb(CONSOLE_PORT) : -1;
}

void console_drain(void)
{
	while (!(inb(LSR) & LSR_TEMT))
		pause();
}

static void put_number(u64 value, u32 base, unsigned width, char pad, bool negative)
{
	char text[24];
	unsigned n = 0;
	u32 digit;

	do {
		value = div64(value, base, &digit);
		text[n++] = "0123456789abcdef"[digit];
	} while (value);
	if (negative)
		text[n++] = '-';
	for (; width > n; width--)
		console_putc(pad);
	while (n)
		console_putc(text[--n]);
}

static u64 get_argument(va_list *ap, unsigned longs, bool is_signed)
{
	if (longs == 2)
		return va_arg(*ap, u64);
	if (longs == 1)
		return is_signed ? (u64)va_arg(*ap, long) : va_arg(*ap, unsigned long);
	return is_signed ? (u64)va_arg(*ap, int) : va_arg(*ap, unsigned);
}

static void put_conversion(char c, va_list *ap, unsigned longs, unsigned width, char pad)
{
	const char *text;
	u64 value;

	switch (c) {
	case 'c':
		console_putc((char)va_arg(*ap, int));
		break;
	case 's':
		for (text = va_arg(*ap, const char *); *text; text++)
			console_putc(*text);
		break;
	case 'd':
		value = get_argument(ap, longs, true);
		put_number((s64)value < 0 ? -value : value, 10, width, pad, (s64)value < 0);
		break;
	case 'u':
		put_number(get_argument(ap, longs, false), 10, width, pad, false);
		break;
	case 'x':
		put_number(get_argument(ap, longs, false), 16, width, pad, false);
		break;
	case 'p':
		put_number((unsigned long)va_arg(*ap, void *), 16, 2 * sizeof(void *), '0', false);
		break;
	default:
		console_putc(c);
	}
}

void console_vprint(const char *fmt, va_list args)
{
	unsigned longs, width;
	va_list ap;
	char pad;

	va_copy(ap, args);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			console_putc(*fmt);
			continue;
		}
		pad = *++fmt == '0' ? '0' : ' ';
		for (width = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = 10 * width + (unsigned)(*fmt - '0');
		for (longs = 0; *fmt == 'l'; fmt++)
			longs++;
		if (!*fmt)
			break;
		put_conversion(*fmt, &ap, longs, width, pad);
	}
	va_end(ap);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	console_vprint(fmt, ap);
	va_end(ap);
}
