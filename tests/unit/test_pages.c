/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/pages.c arch/frames.c arch/lib/extents.c arch/lib/log.c arch/lib/format.c */
/*
 * Trivet's own pages and the frames that they come from, over a piece of host
 * memory that stands for the machine's: zeroed pages, runs, growth by chunks
 * and their page tables, the end of memory, wrong frees, and a random load in
 * which every page is marked by its owner. The tests build on each other.
 */
#include "arch/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "arch/frames.h"
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/log.h"
#include "arch/memory.h"
#include "arch/space.h"

#define CHUNKS	   8
#define RAM_START  MIB(4)
#define RAM_SIZE   (CHUNKS * CHUNK_SIZE)
#define HIGH_START GIB(600) /* the direct area does not reach there */
#define HIGH_SIZE  MIB(16)
#define CHUNK_USE  511u

static u8 *arena; /* physical address 0 */
static jmp_buf panicked;
static bool panic_expected;
static unsigned tables_used;
static void *tables[CHUNKS];

_Noreturn void panic(const char *fmt, ...)
{
	(void)fmt;
	assert_true(panic_expected);
	longjmp(panicked, 1);
}

void *phys_to_virt(hpa_t hpa)
{
	assert_true(hpa.v >= RAM_START && hpa.v < RAM_START + RAM_SIZE);
	return arena + hpa.v;
}

/* Every chunk needs a table of its own: the worst case. */
bool space_map_chunk(hpa_t chunk, u64 *table)
{
	assert_true(IS_ALIGNED(chunk.v, CHUNK_SIZE));
	assert_non_null(table);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(table[i], 0);
	for (unsigned i = 0; i < tables_used; i++)
		assert_ptr_not_equal(tables[i], table);
	tables[tables_used++] = table;
	return true;
}

#define EXPECT_PANIC(statement)                                                                   \
	do {                                                                                      \
		panic_expected = true;                                                            \
		if (!setjmp(panicked)) {                                                          \
			statement;                                                                \
			fail_msg("no panic: " #statement);                                        \
		}                                                                                 \
		panic_expected = false;                                                           \
	} while (0)

static int setup(void **state)
{
	size_t size = RAM_START + RAM_SIZE + CHUNK_SIZE;
	u8 *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	arena = (u8 *)ALIGN_UP(map, CHUNK_SIZE);
	/* RAM after power-on is not zeroed. */
	memset(arena + RAM_START, 0xa5, RAM_SIZE);
	return 0;
}

static void test_no_memory(void **state)
{
	(void)state;
	assert_int_equal(pages_init().v, 0);
	assert_int_equal(frames_add(HIGH_START, HIGH_START + HIGH_SIZE), 0);
	assert_int_equal(pages_init().v, 0);
}

static void test_init(void **state)
{
	(void)state;
	assert_int_equal(frames_add(RAM_START, RAM_START + RAM_SIZE), 0);
	/* Overlapping ranges count once. */
	assert_int_equal(frames_add(RAM_START, RAM_START + MIB(1)), 0);
	assert_int_equal(frames_available(), RAM_SIZE + HIGH_SIZE);
	assert_int_equal(pages_init().v, RAM_START);
	assert_int_equal(frames_available(), RAM_SIZE + HIGH_SIZE - CHUNK_SIZE);
	/* The chunk's own page and the spare table. */
	assert_int_equal(pages_in_use(), 2);
}

static bool is_zero(const u8 *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static void test_zeroed(void **state)
{
	u8 *page;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		page = pages_alloc(3);
		assert_true(IS_ALIGNED(page, PAGE_SIZE));
		assert_true(is_zero(page, 3 * PAGE_SIZE));
		assert_int_equal(pages_in_use(), 5);
		memset(page, 0xff, 3 * PAGE_SIZE);
		pages_free(page, 3);
	}
	assert_int_equal(pages_in_use(), 2);
}

static void test_wrong_counts(void **state)
{
	(void)state;
	assert_null(pages_alloc(0));
	assert_null(pages_alloc(PAGES_RUN_MAX + 1));
	assert_int_equal(tables_used, 0);
	pages_free(NULL, 1);
}

static void test_growth(void **state)
{
	/* All that the first chunk has left. */
	void *run = pages_alloc(PAGES_RUN_MAX), *page;

	(void)state;
	assert_non_null(run);
	assert_int_equal(tables_used, 0);
	/* The spare page becomes a table, the new chunk gives the next one. */
	page = pages_alloc(1);
	assert_non_null(page);
	assert_int_equal(tables_used, 1);
	assert_int_equal(pages_in_use(), 4 + PAGES_RUN_MAX + 1);
	pages_free(run, PAGES_RUN_MAX);
	pages_free(page, 1);
}

static void *taken[CHUNKS * CHUNK_USE];

static unsigned take_all(void)
{
	unsigned count = 0;

	while ((taken[count] = pages_alloc(1)))
		count++;
	return count;
}

static void test_end_of_memory(void **state)
{
	/* A page of each chunk has become a table or is spare. */
	const unsigned all = CHUNKS * (CHUNK_USE - 1);

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(take_all(), all);
		for (unsigned i = 0; i < all; i++)
			for (unsigned k = 0; k < tables_used; k++)
				assert_ptr_not_equal(taken[i], tables[k]);
		assert_int_equal(frames_available(), HIGH_SIZE);
		for (unsigned i = 0; i < all; i++)
			pages_free(taken[i], 1);
		assert_int_equal(pages_in_use(), 2 * CHUNKS);
	}
	assert_int_equal(tables_used, CHUNKS - 1);
}

static void test_wrong_frees(void **state)
{
	void *page = pages_alloc(1);

	(void)state;
	EXPECT_PANIC(pages_free(arena + RAM_START, 1)); /* the chunk's own page */
	EXPECT_PANIC(pages_free((u8 *)page, CHUNK_USE + 1));
	EXPECT_PANIC(pages_free(arena + RAM_START - PAGE_SIZE, 1)); /* no chunk */
	pages_free(page, 1);
	EXPECT_PANIC(pages_free(page, 1));
}

/* ---- random load; each page holds its owner's number */

#define OWNERS 200

static struct {
	u64 *pages;
	unsigned count;
} owners[OWNERS];

static void test_random(void **state)
{
	(void)state;
	srand(3);
	for (unsigned round = 1; round < 20000; round++) {
		unsigned o = (unsigned)rand() % OWNERS;
		unsigned count = 1 + (unsigned)rand() % (rand() % 8 ? 4 : 100);

		if (owners[o].pages) {
			for (unsigned i = 0; i < owners[o].count; i++)
				assert_int_equal(owners[o].pages[i * 512], o + 1);
			pages_free(owners[o].pages, owners[o].count);
			owners[o].pages = NULL;
			continue;
		}
		owners[o].pages = pages_alloc(count);
		owners[o].count = count;
		for (unsigned i = 0; owners[o].pages && i < count; i++) {
			assert_true(is_zero((u8 *)&owners[o].pages[i * 512], 16));
			owners[o].pages[i * 512] = o + 1;
		}
	}
	for (unsigned o = 0; o < OWNERS; o++)
		pages_free(owners[o].pages, owners[o].count);
	assert_int_equal(pages_in_use(), 2 * CHUNKS);
}

static void test_frames(void **state)
{
	hpa_t hpa;
	u64 got, start;

	(void)state;
	assert_int_equal(frames_alloc(MIB(6), MIB(2), &hpa, &got), 0);
	assert_int_equal(hpa.v, HIGH_START);
	assert_int_equal(got, MIB(6));
	/* More than there is: what there is. */
	assert_int_equal(frames_alloc(GIB(1), MIB(4), &hpa, &got), 0);
	assert_int_equal(hpa.v, HIGH_START + MIB(8));
	assert_int_equal(got, MIB(8));
	assert_int_equal(frames_take(MIB(4), MIB(2), ~0ull, &start), -ENOMEM);
	assert_int_equal(frames_take(MIB(2), MIB(2), ~0ull, &start), 0);
	assert_int_equal(start, HIGH_START + MIB(6));
	assert_int_equal(frames_alloc(PAGE_SIZE, PAGE_SIZE, &hpa, &got), -ENOMEM);
	frames_free(HPA(HIGH_START), HIGH_SIZE);
	assert_int_equal(frames_available(), HIGH_SIZE);
	EXPECT_PANIC(frames_free(HPA(HIGH_START + MIB(1)), PAGE_SIZE));
}

static void test_too_many_pieces(void **state)
{
	u64 before = frames_available();

	(void)state;
	for (u64 i = 0; i < 300; i++)
		frames_free(HPA(GIB(700) + i * MIB(2)), PAGE_SIZE);
	/* The set holds 256 pieces, one is the high RAM; the rest is lost with a warning. */
	assert_int_equal(frames_available(), before + 255 * PAGE_SIZE);
	assert_int_equal(frames_add(GIB(900), GIB(901)), -ENOSPC);
	assert_int_equal(frames_keep(HIGH_START + MIB(1), HIGH_START + MIB(2)), -ENOSPC);
	assert_int_equal(frames_add(HIGH_START + MIB(1), HIGH_START + MIB(2)), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_wrong_counts),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_end_of_memory),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_too_many_pieces),
		cmocka_unit_test(test_wrong_frees),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
