/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/memory.c arch/frames.c arch/lib/extents.c arch/lib/log.c arch/lib/format.c */
/*
 * Taking over memory: what becomes free of a firmware's list, what is kept, the
 * trampoline page, too little memory. The free frames are read back by taking
 * them all, so each test starts with none; the trampoline is found once, last.
 */
#include "arch/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/frames.h"
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/log.h"
#include "arch/pages.h"
#include "arch/space.h"

#define IMAGE_AT   MIB(2)
#define IMAGE_SIZE 0x12345ull

__asm__(".pushsection .data\n"
	".globl image_start, image_end\n"
	"image_start: .skip 0x12345\n"
	"image_end: .skip 1\n"
	".popsection");
extern const u8 image_start[];

static bool no_chunk;
static int space_error;
static u64 trampoline_given;

_Noreturn void panic(const char *fmt, ...)
{
	fail_msg("panic: %s", fmt);
	abort();
}

hpa_t virt_to_phys(const void *virt)
{
	return HPA((u64)virt - (u64)image_start + IMAGE_AT);
}

hpa_t pages_init(void)
{
	return HPA(no_chunk ? 0 : MIB(64));
}

int space_init(hpa_t first_chunk)
{
	assert_int_equal(first_chunk.v, MIB(64));
	return space_error;
}

int space_init_trampoline(hpa_t page)
{
	trampoline_given = page.v;
	return 0;
}

static int setup(void **state)
{
	hpa_t hpa;
	u64 got;

	(void)state;
	while (frames_alloc(GIB(4096), PAGE_SIZE, &hpa, &got) == 0)
		;
	no_chunk = false;
	space_error = 0;
	return 0;
}

/* Is the page free? Takes it. */
static bool take_page(u64 page)
{
	u64 before = frames_available();

	frames_keep(page, page + PAGE_SIZE);
	return frames_available() != before;
}

static void test_list(void **state)
{
	const struct memory_range ram[] = {
		{HPA(MIB(256) + 1), MIB(1)},		  /* not on pages */
		{HPA(0), KIB(640)},			  /* below 1 MiB */
		{HPA(MIB(1)), MIB(127)},		  /* the main one */
		{HPA(MIB(32)), MIB(8)},			  /* within it */
		{HPA(MIB(300)), 100},			  /* less than a page */
		{HPA(~0ull - MIB(1)), MIB(2)},		  /* wraps */
		{HPA(BIT(52)), MIB(2)},			  /* no CPU has it */
		{HPA(KIB(512)), MIB(1)},		  /* across 1 MiB */
	};
	/* A loader uses all low memory: no trampoline. */
	const struct memory_range kept[] = {
		{HPA(0), MIB(1)},
		{HPA(MIB(16) + 5), MIB(1)},
		{HPA(MIB(20)), 0},
		{HPA(MIB(127)), MIB(64)},
	};
	u64 image_pages = ALIGN_UP(IMAGE_SIZE, PAGE_SIZE);

	(void)state;
	assert_int_equal(memory_init(ram, ARRAY_SIZE(ram), kept, ARRAY_SIZE(kept)), 0);
	assert_int_equal(frames_available(), MIB(127) - image_pages - (MIB(1) + PAGE_SIZE) -
						     MIB(1) + MIB(1) - PAGE_SIZE);
	assert_false(take_page(KIB(512)));
	assert_true(take_page(MIB(1)));
	assert_false(take_page(IMAGE_AT));
	assert_false(take_page(IMAGE_AT + image_pages - PAGE_SIZE));
	assert_true(take_page(IMAGE_AT + image_pages));
	assert_false(take_page(MIB(16)));
	assert_false(take_page(MIB(17)));
	assert_true(take_page(MIB(17) + PAGE_SIZE));
	assert_true(take_page(MIB(20)));
	assert_true(take_page(MIB(127) - PAGE_SIZE));
	assert_false(take_page(MIB(127)));
	assert_false(take_page(MIB(256)));
	assert_true(take_page(MIB(256) + PAGE_SIZE));
	assert_false(take_page(MIB(257)));
	assert_false(take_page(MIB(300)));
	assert_int_equal(memory_trampoline().v, 0);
	assert_int_equal(trampoline_given, 0);
}

static void test_too_little(void **state)
{
	struct memory_range ram = {HPA(MIB(16)), MEMORY_LEAST - PAGE_SIZE};

	(void)state;
	assert_int_equal(memory_init(&ram, 1, NULL, 0), -ENOMEM);
	assert_int_equal(memory_init(NULL, 0, NULL, 0), -ENOMEM);
	setup(NULL);
	ram.size += PAGE_SIZE;
	assert_int_equal(memory_init(&ram, 1, NULL, 0), 0);
}

static void test_failures(void **state)
{
	const struct memory_range ram = {HPA(MIB(16)), MIB(64)};

	(void)state;
	no_chunk = true;
	assert_int_equal(memory_init(&ram, 1, NULL, 0), -ENOMEM);
	setup(NULL);
	space_error = -ENOMEM;
	assert_int_equal(memory_init(&ram, 1, NULL, 0), -ENOMEM);
}

static void test_too_many_pieces(void **state)
{
	const struct memory_range kept[] = {{HPA(GIB(1) + KIB(512)), PAGE_SIZE}};
	struct memory_range ram[300];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ram); i++)
		ram[i] = (struct memory_range){HPA(GIB(1) + i * MIB(2)), MIB(1)};

	/* What does not fit in the set stays unused. */
	assert_int_equal(memory_init(ram, ARRAY_SIZE(ram), NULL, 0), 0);
	assert_int_equal(frames_available(), 256 * MIB(1));
	/* But nothing that is in use may stay in it. */
	assert_int_equal(memory_init(NULL, 0, kept, 1), -ENOMEM);
}

static void test_trampoline(void **state)
{
	const struct memory_range ram[] = {
		{HPA(MIB(1)), MIB(64)},
		{HPA(0), 0x9fc00}, /* as a BIOS reports it, below its extended data area */
		{HPA(0xa0000), PAGE_SIZE},
	};
	const struct memory_range kept[] = {{HPA(0x9d800), 0x900}};

	(void)state;
	assert_int_equal(memory_init(ram, ARRAY_SIZE(ram), kept, ARRAY_SIZE(kept)), 0);
	/* 9F000h is cut short, 9E000h and 9D000h are in use. */
	assert_int_equal(memory_trampoline().v, 0x9c000);
	assert_int_equal(trampoline_given, 0x9c000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_list, setup),
		cmocka_unit_test_setup(test_too_little, setup),
		cmocka_unit_test_setup(test_failures, setup),
		cmocka_unit_test_setup(test_too_many_pieces, setup),
		cmocka_unit_test_setup(test_trampoline, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
