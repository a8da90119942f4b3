/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formatted output into a buffer, and the way back for numbers. An unknown
 * conversion is printed as it stands: the compiler checks formats anyway.
 */
#include "arch/lib/string.h"

struct output {
	char *buf;
	size_t size;
	size_t len; /* of the whole text, beyond size too */
};

struct conversion {
	bool left, zero, wide; /* wide: the argument has 64 bits */
	int width;
	int precision; /* of %s; negative: none given */
};

static void put(struct output *out, char c)
{
	if (out->len + 1 < out->size)
		out->buf[out->len] = c;
	out->len++;
}

static void put_text(struct output *out, const struct conversion *conv, const char *s, size_t len)
{
	int blank = conv->width - (int)len;

	for (; blank > 0 && !conv->left; blank--)
		put(out, ' ');
	while (len--)
		put(out, *s++);
	for (; blank > 0; blank--)
		put(out, ' ');
}

static void put_number(struct output *out, const struct conversion *conv, u64 value, unsigned base,
		       bool negative)
{
	char text[32], *end = text + sizeof(text), *at = end;

	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (conv->zero && !conv->left)
		while (end - at < MIN(conv->width, (int)sizeof(text)) - negative)
			*--at = '0';
	if (negative)
		*--at = '-';
	put_text(out, conv, at, (size_t)(end - at));
}

static void convert(struct output *out, const struct conversion *conv, char type, va_list *ap)
{
	const char *text;
	s64 number;
	u64 value;
	char one;

	switch (type) {
	case 'c':
		one = (char)va_arg(*ap, int);
		put_text(out, conv, &one, 1);
		return;
	case 's':
		text = va_arg(*ap, const char *);
		text = text ? text : "(null)";
		put_text(out, conv, text, strnlen(text, (size_t)(s64)conv->precision));
		return;
	case 'd':
		number = conv->wide ? va_arg(*ap, s64) : va_arg(*ap, int);
		value = number < 0 ? 0 - (u64)number : (u64)number;
		put_number(out, conv, value, 10, number < 0);
		return;
	case 'u':
	case 'o':
	case 'x':
		value = conv->wide ? va_arg(*ap, u64) : va_arg(*ap, unsigned);
		put_number(out, conv, value, type == 'u' ? 10 : type == 'o' ? 8 : 16, false);
		return;
	case 'p':
		put(out, '0');
		put(out, 'x');
		put_number(out, conv, va_arg(*ap, uintptr_t), 16, false);
		return;
	}
	put(out, '%');
	if (type != '%')
		put(out, type);
}

static const char *parse_amount(const char *fmt, int *amount, va_list *ap)
{
	if (*fmt == '*') {
		*amount = va_arg(*ap, int);
		return fmt + 1;
	}
	*amount = 0;
	for (; *fmt >= '0' && *fmt <= '9'; fmt++)
		*amount = *amount * 10 + (*fmt - '0');
	return fmt;
}

static const char *parse_conversion(const char *fmt, struct conversion *conv, va_list *ap)
{
	*conv = (struct conversion){.precision = -1};
	for (; *fmt == '-' || *fmt == '0'; fmt++) {
		conv->left |= *fmt == '-';
		conv->zero |= *fmt == '0';
	}
	fmt = parse_amount(fmt, &conv->width, ap);
	if (conv->width < 0) {
		conv->left = true;
		conv->width = -conv->width;
	}
	if (*fmt == '.')
		fmt = parse_amount(fmt + 1, &conv->precision, ap);
	for (; *fmt == 'l'; fmt++)
		conv->wide = true;
	return fmt;
}

int str_vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct output out = {.buf = buf, .size = size};
	struct conversion conv;
	va_list args;

	/* A va_list parameter may be an array: only a copy has an address to pass on. */
	va_copy(args, ap);
	while (*fmt) {
		if (*fmt != '%') {
			put(&out, *fmt++);
			continue;
		}
		fmt = parse_conversion(fmt + 1, &conv, &args);
		if (*fmt == '\0')
			break;
		convert(&out, &conv, *fmt++, &args);
	}
	va_end(args);
	if (size)
		buf[out.len < size ? out.len : size - 1] = '\0';
	return (int)out.len;
}

int str_format(char *buf, size_t size, const char *fmt, ...)
{
	return STR_FORMAT_REST(buf, size, fmt);
}

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

int str_to_u64(const char *s, size_t len, u64 *value)
{
	u64 base = 10, sum = 0;
	int error = 0;

	if (len > 2 && s[0] == '0' && (s[1] | 0x20) == 'x') {
		base = 16;
		s += 2;
		len -= 2;
	}
	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		u64 digit = digit_value(s[i]);

		if (digit >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(sum, base, &sum) ||
		    __builtin_add_overflow(sum, digit, &sum))
			error = -ERANGE;
	}
	if (!error)
		*value = sum;
	return error;
}
