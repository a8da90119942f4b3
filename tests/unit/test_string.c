/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: */
/*
 * The freestanding string functions under other names beside the C library's,
 * which they are compared with.
 */
#define memcpy	tested_memcpy
#define memmove tested_memmove
#define memset	tested_memset
#define memcmp	tested_memcmp
#define strlen	tested_strlen
#define strnlen tested_strnlen
#define strcmp	tested_strcmp
#define strncmp tested_strncmp
#define strchr	tested_strchr
#include "arch/lib/string.c" /* NOLINT: under other names */
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 80

static u8 ours[SIZE], theirs[SIZE];

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		ours[i] = theirs[i] = (u8)(i * 7 + 1);
	return 0;
}

static void test_memset(void **state)
{
	(void)state;
	for (size_t at = 0; at < 9; at++)
		for (size_t n = 0; n < 40; n++) {
			assert_ptr_equal(tested_memset(ours + at, (int)(n + 0x1f0), n), ours + at);
			memset(theirs + at, (int)(n + 0x1f0), n);
			assert_memory_equal(ours, theirs, SIZE);
		}
}

static void test_memcpy(void **state)
{
	u8 source[SIZE];

	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		source[i] = (u8)~i;
	for (size_t at = 0; at < 9; at++)
		for (size_t n = 0; n < 40; n++) {
			assert_ptr_equal(tested_memcpy(ours + at, source + n, n), ours + at);
			memcpy(theirs + at, source + n, n);
			assert_memory_equal(ours, theirs, SIZE);
		}
}

static void test_memmove(void **state)
{
	(void)state;
	for (size_t to = 0; to < 30; to++)
		for (size_t from = 0; from < 30; from++)
			for (size_t n = 0; n < 40; n += 3) {
				setup(NULL);
				assert_ptr_equal(tested_memmove(ours + to, ours + from, n),
						 ours + to);
				memmove(theirs + to, theirs + from, n);
				assert_memory_equal(ours, theirs, SIZE);
			}
}

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

static void test_compare(void **state)
{
	static const char *const texts[] = {"", "a", "ab", "abc", "abd", "\x80", "b", "a\x7f"};
	const unsigned count = sizeof(texts) / sizeof(texts[0]);

	(void)state;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < count; k++) {
			const char *a = texts[i], *b = texts[k];

			assert_int_equal(sign(tested_strcmp(a, b)), sign(strcmp(a, b)));
			for (size_t n = 0; n < 5; n++)
				assert_int_equal(sign(tested_strncmp(a, b, n)),
						 sign(strncmp(a, b, n)));
			for (size_t n = 0; n <= strlen(a) && n <= strlen(b); n++)
				assert_int_equal(sign(tested_memcmp(a, b, n)),
						 sign(memcmp(a, b, n)));
		}
}

static void test_lengths(void **state)
{
	char *tight = malloc(3);

	(void)state;
	assert_int_equal(tested_strlen(""), 0);
	assert_int_equal(tested_strlen("abc"), 3);
	memcpy(tight, "abc", 3);
	assert_int_equal(tested_strnlen(tight, 3), 3);
	assert_int_equal(tested_strnlen("a", 3), 1);
	free(tight);
}

static void test_strchr(void **state)
{
	const char *text = "a=b=\xff";

	(void)state;
	assert_ptr_equal(tested_strchr(text, '='), text + 1);
	assert_ptr_equal(tested_strchr(text, 0xff), text + 4);
	assert_ptr_equal(tested_strchr(text, 0), text + 5);
	assert_null(tested_strchr(text, 'x'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_memset, setup),
		cmocka_unit_test_setup(test_memcpy, setup),
		cmocka_unit_test_setup(test_memmove, setup),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_strchr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
