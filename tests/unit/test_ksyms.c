/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/ksyms.c */
/*
 * Names for addresses: first and last byte of each function, what lies outside
 * the text, and the empty table of the first link.
 */
#include "arch/ksyms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/memory.h"

/* Not const here, so that tests can take them away; the reader sees const objects. */
__asm__(".pushsection .data\n"
	".globl ksyms_count, ksyms_table, ksyms_names\n"
	"ksyms_count: .long 4\n"
	"ksyms_table: .long 0x200, 0x210, 0x300, 0x1000\n"
	"ksyms_names: .asciz \"first\", \"two\", \"third\", \"\"\n"
	".popsection");

static void expect(u64 offset, const char *name, u64 inside)
{
	u64 got = 99;
	const char *found = ksyms_lookup(IMAGE_BASE + offset, &got);

	if (!name) {
		assert_null(found);
		return;
	}
	assert_non_null(found);
	assert_string_equal(found, name);
	assert_int_equal(got, inside);
}

static void test_lookup(void **state)
{
	(void)state;
	expect(0x200, "first", 0);
	expect(0x20f, "first", 0xf);
	expect(0x210, "two", 0);
	expect(0x2ff, "two", 0xef);
	expect(0x300, "third", 0);
	expect(0xfff, "third", 0xcff);
}

static void test_outside(void **state)
{
	u64 offset;

	(void)state;
	expect(0x1ff, NULL, 0);
	expect(0, NULL, 0);
	expect(0x1000, NULL, 0);
	expect(0x7fffffff, NULL, 0);
	assert_null(ksyms_lookup(0, &offset));
	assert_null(ksyms_lookup(0x200, &offset));
	assert_null(ksyms_lookup(DIRECT_BASE, &offset));
}

static void test_empty(void **state)
{
	(void)state;
	*(volatile u32 *)(uintptr_t)&ksyms_count = 0;
	expect(0x210, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
