/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory and string functions with the C library's names and meanings, as far
 * as Trivet uses them, and formatted output into a buffer under names of its
 * own. Host tests link the C library's memcpy and kin instead.
 */
#pragma once

#include "arch/lib/types.h"

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
/* memset writes words whole where it is given aligned ones: arch/pt.c counts on it. */
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/*
 * Formats into buf, always NUL-terminated when size > 0. Understands %c %s %d %u
 * %o %x %p %% with -, 0, width (also *), precision of %s (also *) and the length
 * marks l ll. Returns the length the whole text would have.
 */
int str_vformat(char *buf, size_t size, const char *fmt, va_list ap);
int str_format(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* str_vformat of the variable arguments of the function it stands in, which follow `fmt`. */
#define STR_FORMAT_REST(buf, size, fmt)                                                           \
	({                                                                                        \
		va_list rest_;                                                                    \
		va_start(rest_, fmt);                                                             \
		int length_ = str_vformat(buf, size, fmt, rest_);                                 \
		va_end(rest_);                                                                    \
		length_;                                                                          \
	})

/*
 * Parses an unsigned number, decimal or with 0x hexadecimal, over the whole
 * of the len bytes at s. Returns 0, -EINVAL for anything else than digits or
 * an empty text, -ERANGE when it does not fit in 64 bits.
 */
int str_to_u64(const char *s, size_t len, u64 *value);
