/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/lib/extents.c */
/*
 * Sets of ranges: joining, cutting, the choice of a piece, a full array, and
 * random operations against a bitmap of units.
 */
#include "arch/lib/extents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

#define NO_LIMIT ~0ull

static struct extents set;

static int setup(void **state)
{
	(void)state;
	memset(&set, 0, sizeof(set));
	return 0;
}

static void expect(unsigned i, u64 start, u64 end)
{
	assert_true(i < set.count);
	assert_int_equal(set.at[i].start, start);
	assert_int_equal(set.at[i].end, end);
}

static void test_add_joins(void **state)
{
	(void)state;
	assert_int_equal(extents_add(&set, 0x3000, 0x1000), 0);
	assert_int_equal(extents_add(&set, 0x1000, 0x1000), 0);
	assert_int_equal(set.count, 2);
	expect(0, 0x1000, 0x2000);
	expect(1, 0x3000, 0x4000);
	assert_int_equal(extents_add(&set, 0x2000, 0x1000), 0);
	assert_int_equal(set.count, 1);
	expect(0, 0x1000, 0x4000);
	assert_int_equal(extents_add(&set, 0x4000, 0x1000), 0);
	assert_int_equal(extents_add(&set, 0, 0x1000), 0);
	assert_int_equal(set.count, 1);
	expect(0, 0, 0x5000);
	assert_int_equal(set.total, 0x5000);
}

static void test_add_refuses_overlap(void **state)
{
	(void)state;
	extents_add(&set, 0x2000, 0x2000);
	assert_int_equal(extents_add(&set, 0x1000, 0x1001), -EEXIST);
	assert_int_equal(extents_add(&set, 0x3fff, 0x1000), -EEXIST);
	assert_int_equal(extents_add(&set, 0x2800, 1), -EEXIST);
	assert_int_equal(extents_add(&set, 0, 0x10000), -EEXIST);
	assert_int_equal(extents_add(&set, 0x2800, 0), 0);
	assert_int_equal(set.total, 0x2000);
	assert_int_equal(set.count, 1);
}

static void test_remove(void **state)
{
	(void)state;
	extents_add(&set, 0x1000, 0x9000);
	assert_int_equal(extents_remove(&set, 0x3000, 0x1000), 0);
	expect(0, 0x1000, 0x3000);
	expect(1, 0x4000, 0xa000);
	/* Across a hole, off one and off the other. */
	assert_int_equal(extents_remove(&set, 0x2000, 0x3000), 0);
	expect(0, 0x1000, 0x2000);
	expect(1, 0x5000, 0xa000);
	/* A whole range with what is not there around it. */
	assert_int_equal(extents_remove(&set, 0, 0x5000), 0);
	assert_int_equal(set.count, 1);
	expect(0, 0x5000, 0xa000);
	assert_int_equal(extents_remove(&set, 0x20000, 0x1000), 0);
	assert_int_equal(set.total, 0x5000);
}

static void test_full(void **state)
{
	struct extent taken;

	(void)state;
	for (u64 i = 0; i < EXTENTS_MAX; i++)
		assert_int_equal(extents_add(&set, i * 0x10000, 0x8000), 0);
	assert_int_equal(extents_add(&set, 0x9000, 0x1000), -ENOSPC);
	assert_int_equal(extents_remove(&set, 0x1000, 0x1000), -ENOSPC);
	assert_int_equal(extents_take(&set, 0x1000, 0x4000, 0x1000, NO_LIMIT, &taken), 0);
	assert_int_equal(set.total, EXTENTS_MAX * 0x8000 - 0x1000);
	/* The piece would be cut out of the middle: nothing changes. */
	memset(&set, 0, sizeof(set));
	for (u64 i = 0; i < EXTENTS_MAX; i++)
		assert_int_equal(extents_add(&set, i * 0x10000 + 0x1000, 0x6000), 0);
	assert_int_equal(extents_take(&set, 0x1000, 0x4000, 0x1000, NO_LIMIT, &taken), -ENOSPC);
	assert_int_equal(set.total, EXTENTS_MAX * 0x6000);
	assert_int_equal(set.count, EXTENTS_MAX);
}

static void test_take_best_fit(void **state)
{
	struct extent taken;

	(void)state;
	extents_add(&set, 0x100000, 0x80000);
	extents_add(&set, 0x200000, 0x4000);
	extents_add(&set, 0x300000, 0x4000);
	assert_int_equal(extents_take(&set, 0x3000, 0x1000, 0x1000, NO_LIMIT, &taken), 0);
	assert_int_equal(taken.start, 0x200000);
	assert_int_equal(taken.end, 0x203000);
	/* Too big for the small ones. */
	assert_int_equal(extents_take(&set, 0x5000, 0x1000, 0x1000, NO_LIMIT, &taken), 0);
	assert_int_equal(taken.start, 0x100000);
}

static void test_take_as_much_as_there_is(void **state)
{
	struct extent taken;

	(void)state;
	extents_add(&set, 0x1800, 0x4000);
	extents_add(&set, 0x10000, 0x2000);
	assert_int_equal(extents_take(&set, 0x100000, 0x1000, 0x1000, NO_LIMIT, &taken), 0);
	/* 2000h to 5800h, in whole units. */
	assert_int_equal(taken.start, 0x2000);
	assert_int_equal(taken.end, 0x5000);
	assert_int_equal(set.total, 0x3000);
	/* All or nothing where the unit is the size. */
	assert_int_equal(extents_take(&set, 0x4000, 0x1000, 0x4000, NO_LIMIT, &taken), -ENOSPC);
}

static void test_take_alignment_and_limit(void **state)
{
	struct extent taken;

	(void)state;
	extents_add(&set, 0x1000, 0x5000);
	extents_add(&set, 0x100000, 0x100000);
	assert_int_equal(extents_take(&set, 0x2000, 0x4000, 0x1000, NO_LIMIT, &taken), 0);
	assert_int_equal(taken.start, 0x4000);
	assert_int_equal(extents_take(&set, 0x10000, 0x1000, 0x10000, 0x100000, &taken), -ENOSPC);
	assert_int_equal(extents_take(&set, 0x10000, 0x10000, 0x10000, 0x120000, &taken), 0);
	assert_int_equal(taken.start, 0x100000);
	assert_int_equal(extents_take(&set, 0, 0x1000, 0x1000, NO_LIMIT, &taken), -ENOSPC);
}

static void test_take_near_the_top(void **state)
{
	struct extent taken;

	(void)state;
	extents_add(&set, 0xfffffffffffff000, 0xf00);
	assert_int_equal(extents_take(&set, 0x1000, 0x40000000, 0x1000, NO_LIMIT, &taken), -ENOSPC);
	assert_int_equal(extents_take(&set, 0x1000, 0x1000, 0x1000, NO_LIMIT, &taken), -ENOSPC);
	assert_int_equal(set.total, 0xf00);
}

/* ---- random operations against a bitmap */

#define UNITS 512u
#define UNIT  0x1000ull

static bool model[UNITS];

static void check_against_model(void)
{
	u64 total = 0;
	unsigned unit = 0;

	for (unsigned i = 0; i < set.count; i++) {
		for (; unit < set.at[i].start / UNIT; unit++)
			assert_false(model[unit]);
		for (; unit < set.at[i].end / UNIT; unit++, total++)
			assert_true(model[unit]);
		if (i)
			assert_true(set.at[i - 1].end < set.at[i].start);
	}
	for (; unit < UNITS; unit++)
		assert_false(model[unit]);
	assert_int_equal(set.total, total * UNIT);
}

static unsigned count_units(unsigned first, unsigned count)
{
	unsigned set_units = 0;

	for (unsigned i = first; i < first + count; i++)
		set_units += model[i];
	return set_units;
}

static void mark(unsigned first, unsigned count, bool value)
{
	for (unsigned i = first; i < first + count; i++)
		model[i] = value;
}

/* The longest piece from an aligned start, at most `limit` units. */
static unsigned model_largest(unsigned align, unsigned limit)
{
	unsigned best = 0;

	for (unsigned first = 0; first < UNITS; first += align) {
		unsigned run = 0;

		while (first + run < UNITS && model[first + run] && run < limit)
			run++;
		best = MAX(best, run);
	}
	return best;
}

static void test_random(void **state)
{
	(void)state;
	srand(2);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned first = (unsigned)rand() % UNITS;
		unsigned count = 1 + (unsigned)rand() % MIN(16u, UNITS - first);
		unsigned align = 1u << rand() % 5;
		struct extent taken;

		switch (rand() % 4) {
		case 0:
			assert_int_equal(extents_remove(&set, first * UNIT, count * UNIT), 0);
			mark(first, count, false);
			break;
		case 1:
			count = model_largest(align, count);
			if (!count)
				break;
			assert_int_equal(extents_take(&set, count * UNIT, align * UNIT, UNIT,
						      NO_LIMIT, &taken),
					 0);
			assert_int_equal(taken.end - taken.start, count * UNIT);
			assert_true(IS_ALIGNED(taken.start, align * UNIT));
			first = (unsigned)(taken.start / UNIT);
			assert_int_equal(count_units(first, count), count);
			mark(first, count, false);
			break;
		default:
			assert_int_equal(extents_add(&set, first * UNIT, count * UNIT),
					 count_units(first, count) ? -EEXIST : 0);
			if (!count_units(first, count))
				mark(first, count, true);
		}
		check_against_model();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_add_joins, setup),
		cmocka_unit_test_setup(test_add_refuses_overlap, setup),
		cmocka_unit_test_setup(test_remove, setup),
		cmocka_unit_test_setup(test_full, setup),
		cmocka_unit_test_setup(test_take_best_fit, setup),
		cmocka_unit_test_setup(test_take_as_much_as_there_is, setup),
		cmocka_unit_test_setup(test_take_alignment_and_limit, setup),
		cmocka_unit_test_setup(test_take_near_the_top, setup),
		cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
