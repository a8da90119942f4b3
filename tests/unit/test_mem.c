/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/mem.c tests/unit/fake_host.c */
/*
 * Memory objects: pieces that fit large pages, odd and scattered memory, the
 * count of users, and each allocation failing in turn.
 */
#include "vmm/mem.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "tests/unit/fake_host.h"

static int setup(void **state)
{
	(void)state;
	fake_host_init(MIB(64));
	return 0;
}

/* Pieces follow each other without gaps, and start as aligned as their offset needs. */
static void check(const struct mem_object *mem, u64 size)
{
	u64 offset = 0;

	assert_int_equal(mem->size, size);
	for (unsigned i = 0; i < mem->extent_count; i++) {
		const struct mem_extent *e = &mem->extent[i];

		assert_int_equal(e->offset, offset);
		assert_true(e->size && IS_ALIGNED(e->size | e->hpa.v, PAGE_SIZE));
		offset += e->size;
	}
	assert_int_equal(offset, size);
	assert_int_equal(fake_host.frames_out, size);
}

static void gone(struct mem_object *mem)
{
	mem_put(mem);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.pages_out, 0);
}

static void one_piece_where_there_is_one(void **state)
{
	static const u64 sizes[] = {PAGE_SIZE, MIB(2), MIB(2) + PAGE_SIZE, MIB(64)};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mem_object *mem;

		assert_int_equal(mem_create(sizes[i], &mem), 0);
		check(mem, sizes[i]);
		assert_int_equal(mem->extent_count, 1);
		assert_int_equal(mem->kind, MEM_ANONYMOUS);
		gone(mem);
	}
}

static void large_pages_where_they_fit(void **state)
{
	struct mem_object *mem;

	(void)state;
	fake_host_init(GIB(3));
	fake_host_reserve(FAKE_FRAMES_BASE, PAGE_SIZE);
	assert_int_equal(mem_create(GIB(1) + MIB(512), &mem), 0);
	check(mem, GIB(1) + MIB(512));
	assert_true(IS_ALIGNED(mem->extent[0].hpa.v, GIB(1)));
	gone(mem);
	/* no whole GiB, but just as many pages of 2 MiB: every one is found */
	fake_host_init(MIB(64));
	fake_host_reserve(FAKE_FRAMES_BASE + MIB(3), PAGE_SIZE);
	fake_host_reserve(FAKE_FRAMES_BASE + MIB(9), MIB(1));
	assert_int_equal(mem_create(MIB(60), &mem), 0);
	check(mem, MIB(60));
	for (u64 offset = 0; offset < mem->size; offset += MIB(2)) {
		hpa_t hpa;

		assert_int_equal(mem_piece(mem, offset, MIB(2), &hpa), MIB(2));
		assert_true(IS_ALIGNED(hpa.v, MIB(2)));
	}
	gone(mem);
}

static void every_frame_can_be_had(void **state)
{
	struct mem_object *mem;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		fake_host_reserve(FAKE_FRAMES_BASE + i * (MIB(8) + PAGE_SIZE),
				  (i + 1) * PAGE_SIZE);
	assert_int_equal(mem_create(frames_available(), &mem), 0);
	assert_int_equal(frames_available(), 0);
	check(mem, MIB(64) - 36 * PAGE_SIZE);
	gone(mem);
	assert_int_equal(mem_create(frames_available() + PAGE_SIZE, &mem), -ENOMEM);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.pages_out, 0);
}

static void too_many_pieces_are_no_memory(void **state)
{
	struct mem_object *mem;

	(void)state;
	fake_host.frames_piece = PAGE_SIZE;
	assert_int_equal(mem_create(MEM_EXTENTS_MAX * PAGE_SIZE, &mem), 0);
	check(mem, MEM_EXTENTS_MAX * PAGE_SIZE);
	gone(mem);
	assert_int_equal(mem_create((MEM_EXTENTS_MAX + 1) * PAGE_SIZE, &mem), -ENOMEM);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.pages_out, 0);
}

static void each_allocation_failing(void **state)
{
	unsigned failed = 0;
	int error;

	(void)state;
	fake_host.frames_piece = MIB(2);
	do {
		struct mem_object *mem = NULL;

		fake_host.fail_at = ++failed;
		error = mem_create(MIB(8), &mem);
		if (error) {
			assert_int_equal(error, -ENOMEM);
			assert_int_equal(fake_host.frames_out, 0);
			assert_int_equal(fake_host.pages_out, 0);
		} else {
			check(mem, MIB(8));
			gone(mem);
			/* a refused large piece is made up for by smaller ones, and told */
			assert_int_equal(fake_host_logged("no room for all of 8192 KiB in large pages"),
					 fake_host.fail_at == 0);
			fake_host.log[0] = '\0';
		}
	} while (fake_host.fail_at == 0);
	assert_true(failed > 3);
}

static void pieces_by_offset(void **state)
{
	struct mem_object *mem;
	hpa_t hpa;

	(void)state;
	fake_host.frames_piece = MIB(2);
	fake_host_reserve(FAKE_FRAMES_BASE + MIB(2), PAGE_SIZE);
	assert_int_equal(mem_create(MIB(6), &mem), 0);
	assert_int_equal(mem->extent_count, 3);
	assert_int_equal(mem_piece(mem, 0, MIB(6), &hpa), MIB(2));
	assert_int_equal(hpa.v, mem->extent[0].hpa.v);
	assert_int_equal(mem_piece(mem, MIB(2) - PAGE_SIZE, MIB(6), &hpa), PAGE_SIZE);
	assert_int_equal(hpa.v, mem->extent[0].hpa.v + MIB(2) - PAGE_SIZE);
	assert_int_equal(mem_piece(mem, MIB(4) + PAGE_SIZE, 100, &hpa), 100);
	assert_int_equal(hpa.v, mem->extent[2].hpa.v + PAGE_SIZE);
	assert_int_equal(mem_piece(mem, MIB(6), 1, &hpa), 0);
	assert_int_equal(mem_piece(mem, ~0ull, 1, &hpa), 0);
	gone(mem);
}

static void last_user_frees(void **state)
{
	struct mem_object *mem;

	(void)state;
	assert_int_equal(mem_create(MIB(2), &mem), 0);
	mem_get(mem);
	mem_put(mem);
	check(mem, MIB(2));
	gone(mem);
}

static void module_keeps_its_frames(void **state)
{
	struct mem_object *mem;
	hpa_t hpa = fake_host_module("image", 5), at;

	(void)state;
	assert_int_equal(mem_create_module(hpa, 5, &mem), 0);
	assert_int_equal(mem->kind, MEM_MODULE);
	assert_int_equal(mem->size, 5);
	assert_int_equal(mem_piece(mem, 0, PAGE_SIZE, &at), PAGE_SIZE);
	assert_int_equal(at.v, hpa.v);
	gone(mem);
	fake_host.fail_at = 1;
	assert_int_equal(mem_create_module(hpa, 5, &mem), -ENOMEM);
	fake_host.fail_at = 1;
	assert_int_equal(mem_create(PAGE_SIZE, &mem), -ENOMEM);
}

static void physical_ranges(void **state)
{
	static const struct {
		u64 hpa, size;
		int error;
	} rows[] = {
		{0xfebc0000, 0x20000, 0},    {0xfebc0800, 0x1000, -EINVAL}, {0xfebc0000, 0x800, -EINVAL},
		{0xfebc0000, 0, -EINVAL},    {~0xfffull, 0x1000, -EINVAL},  {~0xfffull, 0x2000, -EINVAL},
		{0xfebc0000, ~0xfffull, -EINVAL}, {BIT(52), 0x1000, -EINVAL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mem_object *mem;
		hpa_t at;

		assert_int_equal(mem_create_physical(HPA(rows[i].hpa), rows[i].size, i % 2 == 0, &mem),
				 rows[i].error);
		if (rows[i].error)
			continue;
		assert_int_equal(mem->kind, MEM_PHYSICAL);
		assert_int_equal(mem->uncached, i % 2 == 0);
		assert_int_equal(mem_piece(mem, 0x1000, ~0xfffull, &at), rows[i].size - 0x1000);
		assert_int_equal(at.v, rows[i].hpa + 0x1000);
		gone(mem); /* nothing is given to the free frames */
	}
	fake_host.fail_at = 1;
	assert_int_equal(mem_create_physical(HPA(0xfebc0000), 0x1000, true, &(struct mem_object *){0}),
			 -ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_piece_where_there_is_one),
		TEST(large_pages_where_they_fit),
		TEST(every_frame_can_be_had),
		TEST(too_many_pieces_are_no_memory),
		TEST(each_allocation_failing),
		TEST(pieces_by_offset),
		TEST(last_user_frees),
		TEST(module_keeps_its_frames),
		TEST(physical_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
