/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/pt.c tests/unit/fake_pages.c */
/*
 * Radix tables: largest pages, splits, refusals, the give-back of tables, a
 * failed allocation at each place, and random maps and unmaps against an array
 * with one entry for each 4 KiB page.
 */
#include "arch/pt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "tests/unit/fake_pages.h"

#define BITS_RW 3ull

/* Entries as the host's page tables have them, and as the nested ones. */
static const struct pt_format host[4] = {
	[1] = {.present = 1, .table = 7, .large = 0x80, .max_leaf = 1},
	[2] = {.present = 1, .table = 7, .large = 0x80, .max_leaf = 2},
	[3] = {.present = 1, .table = 7, .large = 0x80, .max_leaf = 3},
};
static const struct pt_format nested = {.present = 7, .table = 7, .large = 0x80, .max_leaf = 3};

static struct pt pt;

static int setup(void **state)
{
	(void)state;
	fake_pages_fail_after = -1;
	assert_int_equal(pt_create(&pt, &host[3]), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pt_destroy(&pt, 0, 511);
	assert_int_equal(pt.table_pages, 0);
	assert_int_equal(fake_pages_out, 0);
	return 0;
}

/* The leaf entry that maps addr and its level, or 0. */
static u64 lookup(const struct pt *table, u64 addr, unsigned *level)
{
	const u64 *leaf = pt_leaf(table, addr, level);

	return leaf ? *leaf : 0;
}

static void expect(u64 addr, u64 hpa, unsigned level)
{
	unsigned got = 0;
	u64 entry = lookup(&pt, addr, &got);
	u64 mask = (PAGE_SIZE << 9 * (level - 1)) - 1;

	assert_int_equal(got, level);
	assert_int_equal(entry & PT_ADDRESS, hpa & ~mask);
	assert_int_equal(entry & 0xf, BITS_RW);
	assert_int_equal(!!(entry & 0x80), level > 1);
}

/* Where addr leads to, whatever the size of the page. */
static u64 address(u64 addr)
{
	unsigned level;
	u64 entry = lookup(&pt, addr, &level);

	assert_int_not_equal(entry, 0);
	return (entry & PT_ADDRESS) + (addr & ((PAGE_SIZE << 9 * (level - 1)) - 1));
}

static void expect_hole(u64 addr)
{
	unsigned level;

	assert_int_equal(lookup(&pt, addr, &level), 0);
}

static void test_largest_pages(void **state)
{
	(void)state;
	/* From 4 KiB below 1 GiB to 4 KiB above 2 GiB + 2 MiB. */
	assert_int_equal(pt_map(&pt, GIB(1) - PAGE_SIZE, HPA(GIB(5) - PAGE_SIZE),
				GIB(1) + MIB(2) + 2 * PAGE_SIZE, BITS_RW),
			 0);
	expect_hole(GIB(1) - 2 * PAGE_SIZE);
	expect(GIB(1) - PAGE_SIZE, GIB(5) - PAGE_SIZE, 1);
	expect(GIB(1), GIB(5), 3);
	expect(GIB(2) - 1, GIB(5), 3);
	expect(GIB(2), GIB(6), 2);
	expect(GIB(2) + MIB(2), GIB(6) + MIB(2), 1);
	expect_hole(GIB(2) + MIB(2) + PAGE_SIZE);
	/* root; one table of level 3; two of level 2; two of level 1 */
	assert_int_equal(pt.table_pages, 6);
}

static void test_alignment_of_target(void **state)
{
	(void)state;
	assert_int_equal(pt_map(&pt, 0, HPA(MIB(1)), MIB(2), BITS_RW), 0);
	expect(0, MIB(1), 1);
	expect(MIB(1), MIB(2), 1);
}

static void test_max_leaf(void **state)
{
	(void)state;
	for (unsigned max = 1; max <= 3; max++) {
		teardown(NULL);
		assert_int_equal(pt_create(&pt, &host[max]), 0);
		assert_int_equal(pt_map(&pt, GIB(3), HPA(GIB(1)), GIB(1), BITS_RW), 0);
		expect(GIB(3) + MIB(6), GIB(1) + MIB(6), max);
		assert_int_equal(pt_unmap(&pt, GIB(3), GIB(1)), 0);
		assert_int_equal(pt.table_pages, 1);
	}
}

static void test_top_of_the_address_space(void **state)
{
	(void)state;
	assert_int_equal(pt_map(&pt, 0xffffffff80000000, HPA(GIB(2)), GIB(2), BITS_RW), 0);
	expect(0xffffffffffffffff, GIB(3), 3);
	assert_int_equal(pt_unmap(&pt, 0xffffffffffe00000, MIB(2)), 0);
	expect_hole(0xffffffffffffffff);
	expect(0xffffffffffdfffff, GIB(4) - MIB(4), 2);
}

static void test_refuses_what_is_mapped(void **state)
{
	unsigned tables;

	(void)state;
	assert_int_equal(pt_map(&pt, GIB(1), HPA(0), GIB(1), BITS_RW), 0);
	assert_int_equal(pt_map(&pt, GIB(4) + PAGE_SIZE, HPA(0), PAGE_SIZE, BITS_RW), 0);
	tables = pt.table_pages;
	assert_int_equal(pt_map(&pt, GIB(1) + MIB(5), HPA(0), PAGE_SIZE, BITS_RW), -EEXIST);
	assert_int_equal(pt_map(&pt, 0, HPA(0), GIB(1) + PAGE_SIZE, BITS_RW), -EEXIST);
	assert_int_equal(pt_map(&pt, GIB(4), HPA(0), MIB(4), BITS_RW), -EEXIST);
	assert_int_equal(pt.table_pages, tables);
	expect_hole(0);
	/* Beside it there is room. */
	assert_int_equal(pt_map(&pt, GIB(4), HPA(0), PAGE_SIZE, BITS_RW), 0);
}

static void test_split(void **state)
{
	(void)state;
	assert_int_equal(pt_map(&pt, GIB(1), HPA(GIB(7)), GIB(1), BITS_RW), 0);
	assert_int_equal(pt_unmap(&pt, GIB(1) + MIB(4) + PAGE_SIZE, PAGE_SIZE), 0);
	expect(GIB(1), GIB(7), 2);
	expect(GIB(1) + MIB(4), GIB(7) + MIB(4), 1);
	expect_hole(GIB(1) + MIB(4) + PAGE_SIZE);
	expect(GIB(1) + MIB(4) + 2 * PAGE_SIZE, GIB(7) + MIB(4) + 2 * PAGE_SIZE, 1);
	expect(GIB(2) - 1, GIB(8) - MIB(2), 2);
	/* root, level 3, level 2, level 1: nothing allocated beyond need */
	assert_int_equal(pt.table_pages, 4);
	assert_int_equal(fake_pages_out, 4);
}

static void test_split_and_merge(void **state)
{
	unsigned before;

	(void)state;
	/* 1 GiB and more, and a neighbour that would go with it, as one page of 2 MiB */
	assert_int_equal(pt_map(&pt, GIB(1), HPA(GIB(7)), GIB(1) + MIB(3), BITS_RW), 0);
	assert_int_equal(pt_map(&pt, GIB(2) + MIB(3), HPA(GIB(8) + MIB(3)), MIB(1), BITS_RW), 0);
	before = pt.table_pages;
	assert_int_equal(pt_split(&pt, GIB(1), GIB(1) + MIB(3)), 0);
	for (u64 addr = GIB(1); addr < GIB(2) + MIB(3); addr += MIB(1) - PAGE_SIZE)
		expect(addr, GIB(6) + addr, 1);
	assert_int_equal(pt.table_pages, before + 514);
	/* one page differs: its 2 MiB stay split, and so does the GiB */
	*pt_leaf(&pt, GIB(1) + MIB(5), &(unsigned){0}) ^= BIT(5);
	pt_merge(&pt, GIB(1), GIB(1) + MIB(3));
	expect(GIB(1), GIB(7), 2);
	expect(GIB(1) + MIB(4), GIB(7) + MIB(4), 1);
	*pt_leaf(&pt, GIB(1) + MIB(5), &(unsigned){0}) ^= BIT(5);
	pt_merge(&pt, GIB(1), GIB(1) + MIB(3));
	expect(GIB(1), GIB(7), 3);
	expect(GIB(2), GIB(8), 2);
	expect(GIB(2) + MIB(2), GIB(8) + MIB(2), 1); /* not with the neighbour */
	assert_int_equal(pt.table_pages, before);
	/* holes, and ranges without anything, are no trouble */
	assert_int_equal(pt_unmap(&pt, GIB(1) + MIB(2), PAGE_SIZE), 0);
	pt_merge(&pt, 0, GIB(4));
	assert_int_equal(pt_split(&pt, 0, GIB(1)), 0);
	expect_hole(GIB(1) + MIB(2));
	expect(GIB(1) + MIB(4), GIB(7) + MIB(4), 2);
	expect(GIB(2) + MIB(2), GIB(8) + MIB(2), 2);
	assert_null(pt_leaf(&pt, GIB(1) + MIB(2), &(unsigned){0}));
}

static void test_merge_needs_alignment_and_the_format(void **state)
{
	(void)state;
	assert_int_equal(pt_map(&pt, 0, HPA(MIB(1)), MIB(4), BITS_RW), 0);
	pt_merge(&pt, 0, MIB(4));
	expect(MIB(2), MIB(3), 1);
	teardown(NULL);
	assert_int_equal(pt_create(&pt, &host[1]), 0);
	assert_int_equal(pt_map(&pt, 0, HPA(0), MIB(4), BITS_RW), 0);
	pt_merge(&pt, 0, MIB(4));
	expect(MIB(2), MIB(2), 1);
}

static void test_split_fails_at_each_allocation(void **state)
{
	unsigned failures = 0, before;
	int error;

	(void)state;
	assert_int_equal(pt_map(&pt, GIB(1), HPA(GIB(1)), GIB(1), BITS_RW), 0);
	before = pt.table_pages;
	do {
		fake_pages_fail_after = (int)failures;
		error = pt_split(&pt, GIB(1), GIB(1));
		fake_pages_fail_after = -1;
		for (u64 addr = GIB(1); addr < GIB(2); addr += MIB(1) - PAGE_SIZE)
			assert_int_equal(address(addr), addr);
		pt_merge(&pt, GIB(1), GIB(1));
		assert_int_equal(pt.table_pages, before);
		expect(GIB(1), GIB(1), 3);
		failures += error ? 64 : 0; /* not each of 513 */
	} while (error);
	assert_int_equal(failures, 576);
}

static void test_unmap_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(pt_unmap(&pt, 0, GIB(1)), 0);
	assert_int_equal(pt.table_pages, 1);
}

static void test_kept_tables(void **state)
{
	(void)state;
	pt.keep_from = 256;
	for (u64 addr = 0; addr < 2; addr++) {
		u64 at = addr ? 0xffff800000000000 : 0;

		assert_int_equal(pt_map(&pt, at, HPA(0), PAGE_SIZE, BITS_RW), 0);
		assert_int_equal(pt_unmap(&pt, at, PAGE_SIZE), 0);
	}
	/* The root and all tables of the upper half: other CPUs may be walking them. */
	assert_int_equal(pt.table_pages, 4);
	assert_int_equal(pt.root[0], 0);
	assert_int_not_equal(pt.root[256], 0);
}

/* What takes rights away, or frees a table, is to be seen by whoever has the tables in a TLB. */
static void test_generations(void **state)
{
	u64 generation = pt.generation, first = generation;
	struct pt other;

	(void)state;
	assert_int_not_equal(generation, 0);
	assert_int_equal(pt_map(&pt, 0, HPA(0), GIB(1), BITS_RW), 0);
	assert_int_equal(pt_map(&pt, 0, HPA(0), GIB(1), BITS_RW), -EEXIST);
	assert_int_equal(pt_split(&pt, 0, MIB(2)), 0);
	assert_int_equal(pt.generation, generation);
	pt_merge(&pt, 0, MIB(2));
	assert_true(pt.generation > generation);
	generation = pt.generation;
	assert_int_equal(pt_unmap(&pt, 0, PAGE_SIZE), 0);
	assert_true(pt.generation > generation);
	generation = pt.generation;
	fake_pages_fail_after = 1; /* one table is made, and freed again */
	assert_int_equal(pt_map(&pt, GIB(512) - PAGE_SIZE, HPA(0), MIB(4), BITS_RW), -ENOMEM);
	fake_pages_fail_after = -1;
	assert_true(pt.generation > generation);
	generation = pt.generation;
	pt_downgraded(&pt);
	assert_true(pt.generation > generation);
	generation = pt.generation;
	/* new tables, perhaps in the place of old ones */
	assert_int_equal(pt_create(&other, &host[3]), 0);
	assert_true(other.generation > generation);
	pt_destroy(&other, 0, 511);
	teardown(NULL);
	assert_int_equal(pt_create(&pt, &host[3]), 0);
	assert_true(pt.generation > generation && pt.generation > first);
}

static void test_nested_format(void **state)
{
	unsigned level;

	(void)state;
	teardown(NULL);
	assert_int_equal(pt_create(&pt, &nested), 0);
	/* Execute-only is present too. */
	assert_int_equal(pt_map(&pt, 0, HPA(MIB(2)), MIB(2), 4), 0);
	assert_int_equal(lookup(&pt, 0, &level), MIB(2) | 4 | 0x80);
	assert_int_equal(pt_map(&pt, 0, HPA(0), PAGE_SIZE, 4), -EEXIST);
}

static void test_destroy_part(void **state)
{
	struct pt half;

	(void)state;
	assert_int_equal(pt_map(&pt, 0xffff800000000000, HPA(0), PAGE_SIZE, BITS_RW), 0);
	assert_int_equal(pt_create(&half, &host[3]), 0);
	half.root[256] = pt.root[256];
	assert_int_equal(pt_map(&half, 0, HPA(0), PAGE_SIZE, BITS_RW), 0);
	pt_destroy(&half, 0, 255);
	assert_int_equal(half.table_pages, 0);
	expect(0xffff800000000000, 0, 1);
}

static void test_create_fails(void **state)
{
	struct pt other;

	(void)state;
	fake_pages_fail_after = 0;
	assert_int_equal(pt_create(&other, &host[3]), -ENOMEM);
	fake_pages_fail_after = -1;
}

static void test_map_fails_at_each_allocation(void **state)
{
	const u64 start = GIB(1) + MIB(2) + PAGE_SIZE;
	unsigned failures = 0, before;
	int error;

	(void)state;
	/* A neighbour on each side shares tables and must survive. */
	assert_int_equal(pt_map(&pt, GIB(1), HPA(0), PAGE_SIZE, BITS_RW), 0);
	assert_int_equal(pt_map(&pt, GIB(513), HPA(0), MIB(2), BITS_RW), 0);
	before = pt.table_pages;
	do {
		fake_pages_fail_after = (int)failures;
		error = pt_map(&pt, start, HPA(GIB(1) + start), GIB(511), BITS_RW);
		fake_pages_fail_after = -1;
		expect(GIB(1), 0, 1);
		expect(GIB(513), 0, 2);
		if (error) {
			failures++;
			assert_int_equal(error, -ENOMEM);
			assert_int_equal(pt.table_pages, before);
			assert_int_equal(fake_pages_out, before);
			for (u64 addr = start; addr < GIB(513); addr += GIB(1))
				expect_hole(addr);
		}
	} while (error);
	/* A table of level 1 at the start, of levels 2 and 1 at the end. */
	assert_int_equal(failures, 3);
}

static void test_unmap_fails_at_each_allocation(void **state)
{
	unsigned failures = 0, before;
	int error;

	(void)state;
	assert_int_equal(pt_map(&pt, GIB(1), HPA(GIB(1)), GIB(3), BITS_RW), 0);
	before = pt.table_pages;
	do {
		fake_pages_fail_after = (int)failures;
		error = pt_unmap(&pt, GIB(1) + PAGE_SIZE, GIB(3) - 2 * PAGE_SIZE);
		fake_pages_fail_after = -1;
		if (error) {
			failures++;
			assert_int_equal(error, -ENOMEM);
			/* All is mapped as before, if by smaller pages. */
			for (u64 addr = GIB(1); addr < GIB(4); addr += MIB(1) + PAGE_SIZE)
				assert_int_equal(address(addr), addr);
			pt_merge(&pt, GIB(1), GIB(3));
			assert_int_equal(pt.table_pages, before);
			for (u64 gib = 1; gib < 4; gib++)
				expect(GIB(gib), GIB(gib), 3);
		}
	} while (error);
	/* Two pages to split on each side. */
	assert_int_equal(failures, 4);
	expect(GIB(1), GIB(1), 1);
	expect_hole(GIB(1) + PAGE_SIZE);
	expect_hole(GIB(4) - PAGE_SIZE - 1);
	expect(GIB(4) - 1, GIB(4) - PAGE_SIZE, 1);
}

/* ---- random operations against a model */

#define REGION	    0x7fc0000000ull /* reaches over a boundary of the root's entries */
#define PAGES_COUNT (GIB(3) / PAGE_SIZE)
#define UNMAPPED    ~0ull

static u64 *model; /* physical address of each page */

static void check_page(u64 page)
{
	unsigned level;
	u64 addr = REGION + page * PAGE_SIZE;
	u64 entry = lookup(&pt, addr, &level);
	u64 inside;

	if (model[page] == UNMAPPED) {
		assert_int_equal(entry, 0);
		return;
	}
	inside = addr & ((PAGE_SIZE << 9 * (level - 1)) - 1);
	assert_int_equal((entry & PT_ADDRESS) + inside, model[page]);
}

static u64 random_below(u64 limit)
{
	return ((u64)rand() << 31 ^ (u64)rand()) % limit;
}

/* A range of pages, its ends often on the boundaries of large pages. */
static void random_range(u64 *first, u64 *count)
{
	static const u64 grains[] = {1, 8, 512, 512, 512 * 512};
	u64 grain = grains[random_below(5)];

	*first = random_below(PAGES_COUNT / grain) * grain;
	*count = (1 + random_below(4)) * grain;
	*count = MIN(*count, PAGES_COUNT - *first);
}

static void random_operation(void)
{
	u64 first, count, hpa;
	bool is_free = true;

	random_range(&first, &count);
	if (random_below(3) == 0) {
		assert_int_equal(pt_unmap(&pt, REGION + first * PAGE_SIZE, count * PAGE_SIZE), 0);
		for (u64 i = first; i < first + count; i++)
			model[i] = UNMAPPED;
		return;
	}
	hpa = REGION + first * PAGE_SIZE + (count > 2048 || random_below(4) ? GIB(1024) : random_below(99) << 12);
	for (u64 i = first; i < first + count; i++)
		is_free &= model[i] == UNMAPPED;
	assert_int_equal(pt_map(&pt, REGION + first * PAGE_SIZE, HPA(hpa), count * PAGE_SIZE,
				BITS_RW),
			 is_free ? 0 : -EEXIST);
	for (u64 i = 0; is_free && i < count; i++)
		model[first + i] = hpa + i * PAGE_SIZE;
}

static void test_random(void **state)
{
	(void)state;
	model = malloc(PAGES_COUNT * sizeof(*model));
	memset(model, 0xff, PAGES_COUNT * sizeof(*model));
	srand(1);
	for (unsigned round = 0; round < 400; round++) {
		random_operation();
		for (unsigned i = 0; i < 200; i++)
			check_page(random_below(PAGES_COUNT));
	}
	for (u64 page = 0; page < PAGES_COUNT; page++)
		check_page(page);
	assert_int_equal(pt.table_pages, fake_pages_out);
	assert_int_equal(pt_unmap(&pt, REGION, GIB(3)), 0);
	assert_int_equal(pt.table_pages, 1);
	free(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_largest_pages),
		TEST(test_alignment_of_target),
		TEST(test_max_leaf),
		TEST(test_top_of_the_address_space),
		TEST(test_refuses_what_is_mapped),
		TEST(test_split),
		TEST(test_split_and_merge),
		TEST(test_merge_needs_alignment_and_the_format),
		TEST(test_split_fails_at_each_allocation),
		TEST(test_unmap_of_nothing),
		TEST(test_kept_tables),
		TEST(test_generations),
		TEST(test_nested_format),
		TEST(test_destroy_part),
		TEST(test_create_fails),
		TEST(test_map_fails_at_each_allocation),
		TEST(test_unmap_fails_at_each_allocation),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
