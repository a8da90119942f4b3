/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/lib/format.c */
/*
 * Formatted output, compared with the C library's wherever both know the
 * conversion, and numbers from text.
 */
#include "arch/lib/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "arch/lib/errno.h"

/* The same arguments to both; the text, the length and every shorter buffer. */
#define SAME(...)                                                                                 \
	do {                                                                                      \
		char ours[200], theirs[200];                                                      \
		int len = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                          \
                                                                                                  \
		assert_int_equal(str_format(ours, sizeof(ours), __VA_ARGS__), len);               \
		assert_string_equal(ours, theirs);                                                \
		for (size_t size = 1; size <= (size_t)len; size++) {                              \
			memset(ours, '#', sizeof(ours));                                          \
			assert_int_equal(str_format(ours, size, __VA_ARGS__), len);               \
			assert_int_equal(strlen(ours), size - 1);                                 \
			assert_memory_equal(ours, theirs, size - 1);                              \
			assert_int_equal(ours[size], '#');                                        \
		}                                                                                 \
	} while (0)

static void test_text(void **state)
{
	(void)state;
	SAME("plain");
	SAME("%s", "");
	SAME("[%s]", "text");
	SAME("[%8s|%-8s|%3s]", "text", "text", "text");
	SAME("[%.2s|%8.3s|%-8.3s|%.9s]", "text", "text", "text", "text");
	SAME("[%*s|%-*s|%.*s|%*s]", 6, "ab", 6, "ab", 1, "ab", -6, "ab");
	SAME("[%c%c|%3c|%-3c]", 'a', 'b', 'c', 'd');
	SAME("100%%");
}

static void test_precision_stops_reading(void **state)
{
	char *tight = malloc(3);
	char buf[16];

	(void)state;
	memcpy(tight, "abc", 3);
	assert_int_equal(str_format(buf, sizeof(buf), "%.3s", tight), 3);
	assert_string_equal(buf, "abc");
	free(tight);
}

static void test_numbers(void **state)
{
	(void)state;
	SAME("%d %d %d %d", 0, 1, -1, INT32_MIN);
	SAME("%d %u", INT32_MAX, UINT32_MAX);
	SAME("%x %08x %8x %-8x| %2x", 0xbeef, 0xbeef, 0xbeef, 0xbeef, 0xbeef);
	SAME("%o %o %lo %06o", 0, 0777, ~0ul, 8);
	SAME("%5d %-5d %05d %05d %1d", 42, 42, 42, -42, 42);
	SAME("%*d %0*x", 7, 5, 4, 5);
	SAME("%lu %ld %lx", UINT64_MAX, INT64_MIN, UINT64_MAX);
	SAME("%llu %lld %llx", 1ull << 63, -(1ll << 62), 0xabcdefull);
	SAME("%p", (void *)0x1234);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
#pragma GCC diagnostic ignored "-Wformat-security"
static void test_own_ways(void **state)
{
	const char *volatile nothing = NULL;
	char buf[32];

	(void)state;
	assert_int_equal(str_format(buf, sizeof(buf), "%s", nothing), 6);
	assert_string_equal(buf, "(null)");
	assert_int_equal(str_format(buf, sizeof(buf), "%p", (void *)NULL), 3);
	assert_string_equal(buf, "0x0");
	/* What is not known stands as it is; a lone % at the end goes. */
	assert_int_equal(str_format(buf, sizeof(buf), "a%qb"), 4);
	assert_string_equal(buf, "a%qb");
	assert_int_equal(str_format(buf, sizeof(buf), "a%"), 1);
	assert_string_equal(buf, "a");
	assert_int_equal(str_format(buf, sizeof(buf), "a%cb", 0), 3);
	assert_memory_equal(buf, "a\0b", 4);
	/* No room at all: nothing is touched. */
	buf[0] = '#';
	assert_int_equal(str_format(buf, 0, "abc"), 3);
	assert_int_equal(buf[0], '#');
}
#pragma GCC diagnostic pop

static void expect_number(const char *text, int error, u64 value)
{
	u64 got = 77;

	assert_int_equal(str_to_u64(text, strlen(text), &got), error);
	assert_int_equal(got, error ? 77 : value);
}

static void test_to_number(void **state)
{
	u64 value;

	(void)state;
	expect_number("0", 0, 0);
	expect_number("00012", 0, 12);
	expect_number("18446744073709551615", 0, UINT64_MAX);
	expect_number("18446744073709551616", -ERANGE, 0);
	expect_number("99999999999999999999", -ERANGE, 0);
	expect_number("0x0", 0, 0);
	expect_number("0xDeadBeef", 0, 0xdeadbeef);
	expect_number("0XffffFFFFffffFFFF", 0, UINT64_MAX);
	expect_number("0x10000000000000000", -ERANGE, 0);
	expect_number("", -EINVAL, 0);
	expect_number("0x", -EINVAL, 0);
	expect_number("x1", -EINVAL, 0);
	expect_number("12a", -EINVAL, 0);
	expect_number("0x1g", -EINVAL, 0);
	expect_number("-1", -EINVAL, 0);
	expect_number(" 1", -EINVAL, 0);
	/* A bad character counts before the size does. */
	expect_number("99999999999999999999z", -EINVAL, 0);
	for (int c = 0; c < 256; c++) {
		char text[3] = {'1', (char)c, '2'};
		bool digit = c >= '0' && c <= '9';

		assert_int_equal(str_to_u64(text, 3, &value), digit ? 0 : -EINVAL);
	}
	/* Only the given length counts. */
	assert_int_equal(str_to_u64("123,4", 3, &value), 0);
	assert_int_equal(value, 123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_precision_stops_reading),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_own_ways),
		cmocka_unit_test(test_to_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
