/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formatted output into a buffer, and the way back for numbers. An unknown
 * conversion is printed as it stands: the compiler checks formats anyway.
 */
#include "arch/lib/errno.h"
#include "arch/lib/string.h"

struct output {
	char *buf;
	size_t size;
	size_t len; /* of the whole text, beyond size too */
};

struct conversion {
	bool left;
	bool zero;
	int width;
	int precision; /* -1: none given */
	int length;    /* -2 hh, -1 h, 0, 1 l, 2 ll or z */
};

static void put(struct output *out, char c)
{
	if (out->len + 1 < out->size)
		out->buf[out->len] = c;
	out->len++;
}

static void pad(struct output *out, char c, int count)
{
	while (count-- > 0)
		put(out, c);
}

static void put_text(struct output *out, const struct conversion *conv, const char *s)
{
	size_t max = conv->precision < 0 ? SIZE_MAX : (size_t)conv->precision;
	size_t len;

	if (!s)
		s = "(null)";
	len = strnlen(s, max);
	if (!conv->left)
		pad(out, ' ', conv->width - (int)len);
	for (size_t i = 0; i < len; i++)
		put(out, s[i]);
	if (conv->left)
		pad(out, ' ', conv->width - (int)len);
}

static void put_number(struct output *out, const struct conversion *conv, u64 value, unsigned base,
		       const char *digits, const char *prefix)
{
	char text[20];
	int len = 0, blank;

	do {
		text[len++] = digits[value % base];
		value /= base;
	} while (value);
	blank = conv->width - len - (int)strlen(prefix);
	if (!conv->left && !conv->zero)
		pad(out, ' ', blank);
	for (; *prefix; prefix++)
		put(out, *prefix);
	if (!conv->left && conv->zero)
		pad(out, '0', blank);
	while (len)
		put(out, text[--len]);
	if (conv->left)
		pad(out, ' ', blank);
}

static u64 fetch(va_list *ap, int length, bool is_signed)
{
	u64 value;

	if (length > 0)
		return va_arg(*ap, u64);
	value = va_arg(*ap, unsigned);
	if (length == -1)
		return is_signed ? (u64)(s64)(s16)value : (u16)value;
	if (length == -2)
		return is_signed ? (u64)(s64)(s8)value : (u8)value;
	return is_signed ? (u64)(s64)(s32)value : (u32)value;
}

static void convert(struct output *out, const struct conversion *conv, char type, va_list *ap)
{
	char one[2] = {0};
	s64 number;

	switch (type) {
	case 'c':
		one[0] = (char)va_arg(*ap, int);
		if (one[0] == '\0')
			put(out, '\0');
		else
			put_text(out, conv, one);
		break;
	case 's':
		put_text(out, conv, va_arg(*ap, const char *));
		break;
	case 'd':
	case 'i':
		number = (s64)fetch(ap, conv->length, true);
		put_number(out, conv, number < 0 ? 0 - (u64)number : (u64)number, 10, "0123456789",
			   number < 0 ? "-" : "");
		break;
	case 'u':
		put_number(out, conv, fetch(ap, conv->length, false), 10, "0123456789", "");
		break;
	case 'x':
		put_number(out, conv, fetch(ap, conv->length, false), 16, "0123456789abcdef", "");
		break;
	case 'X':
		put_number(out, conv, fetch(ap, conv->length, false), 16, "0123456789ABCDEF", "");
		break;
	case 'p':
		put_number(out, conv, (uintptr_t)va_arg(*ap, void *), 16, "0123456789abcdef", "0x");
		break;
	case '%':
		put(out, '%');
		break;
	default:
		put(out, '%');
		put(out, type);
	}
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
	for (;; fmt++) {
		if (*fmt == 'h')
			conv->length--;
		else if (*fmt == 'l')
			conv->length++;
		else if (*fmt == 'z')
			conv->length = 2;
		else
			return fmt;
	}
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
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = str_vformat(buf, size, fmt, ap);
	va_end(ap);
	return len;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

int str_to_u64(const char *s, size_t len, u64 *value)
{
	u64 base = 10, sum = 0;

	if (len > 2 && s[0] == '0' && (s[1] | 0x20) == 'x') {
		base = 16;
		s += 2;
		len -= 2;
	}
	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if ((u64)digit_value(s[i]) >= base)
			return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (__builtin_mul_overflow(sum, base, &sum) ||
		    __builtin_add_overflow(sum, (u64)digit_value(s[i]), &sum))
			return -ERANGE;
	}
	*value = sum;
	return 0;
}
