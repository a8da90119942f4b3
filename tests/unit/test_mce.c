/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/mce.c arch/lib/format.c */
/*
 * Machine-check banks as the manual has them: which error is told, which one the processor does not
 * survive, and that all are forgotten. Source: Intel SDM volume 3, "Machine-Check Architecture".
 */
#include "arch/mce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/log.h"

#define BANKS 4
#define VALID BIT(63)
#define UC    BIT(61)
#define PCC   BIT(57)

static u64 cap, global, bank[BANKS];
static bool absent;
static char text[120], logged[200];
static bool panicked;
static jmp_buf end;

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	assert_int_equal(level, LOG_ERROR);
	va_start(ap, fmt);
	vsnprintf(logged, sizeof(logged), fmt, ap);
	va_end(ap);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(logged, sizeof(logged), fmt, ap);
	va_end(ap);
	panicked = true;
	longjmp(end, 1);
}

static u64 *msr(u32 index)
{
	if (absent)
		return NULL;
	if (index == 0x179)
		return &cap;
	if (index == 0x17a)
		return &global;
	assert_true(index >= 0x401 && index < 0x401 + 4 * BANKS && index % 4 == 1);
	return &bank[(index - 0x401) / 4];
}

int msr_read_safe(u32 index, u64 *value)
{
	*value = msr(index) ? *msr(index) : 0;
	return msr(index) ? 0 : -EIO;
}

int msr_write_safe(u32 index, u64 value)
{
	if (!msr(index))
		return -EIO;
	*msr(index) = value;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	absent = panicked = false;
	cap = 0xffffff00 | BANKS;
	global = 0;
	memset(bank, 0, sizeof(bank));
	return 0;
}

static void worst_error_is_told(void **state)
{
	(void)state;
	global = 7;
	bank[0] = UC | PCC | 1; /* of old, no longer valid */
	bank[1] = VALID | UC | 0x150;
	bank[3] = VALID | BIT(62) | 0x90;
	assert_true(mce_describe(text, sizeof(text)));
	assert_string_equal(text, ", mcg status 0x7, bank 1 status 0xa000000000000150");
}

static void corrupt_context_in_any_bank(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BANKS; i++) {
		setup(NULL);
		bank[0] |= VALID | 0x90;
		bank[i] |= VALID | UC | PCC;
		assert_false(mce_describe(text, sizeof(text)));
	}
	cap = 3; /* the last one is none of this CPU's */
	assert_true(mce_describe(text, sizeof(text)));
}

/* A later one would be a shutdown else. */
static void told_and_forgotten(void **state)
{
	(void)state;
	global = 5;
	cap = 3;
	memset(bank, 0xff, sizeof(bank));
	bank[0] = bank[1] = bank[2] = VALID | UC;
	mce_take();
	assert_string_equal(logged, "machine check in a guest, mcg status 0x5, bank 0 status 0xa000000000000000");
	assert_int_equal(global, 0);
	assert_int_equal(bank[0] | bank[1] | bank[2], 0);
	assert_int_equal(bank[3], ~0ull);
}

static void corrupt_is_the_end(void **state)
{
	(void)state;
	bank[2] = VALID | UC | PCC;
	if (!setjmp(end))
		mce_take();
	assert_string_equal(logged, "machine check in a guest, mcg status 0x0, bank 2 status 0xa200000000000000");
	assert_int_equal(bank[2], VALID | UC | PCC);
	assert_true(panicked);
}

static void without_banks(void **state)
{
	(void)state;
	absent = true;
	assert_true(mce_describe(text, sizeof(text)));
	assert_string_equal(text, ", mcg status 0x0, bank 0 status 0x0");
	mce_take();
	/* whatever room there is */
	assert_true(mce_describe(text, 10));
	assert_int_equal(strlen(text), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(worst_error_is_told, setup),
		cmocka_unit_test_setup(corrupt_context_in_any_bank, setup),
		cmocka_unit_test_setup(told_and_forgotten, setup),
		cmocka_unit_test_setup(corrupt_is_the_end, setup),
		cmocka_unit_test_setup(without_banks, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
