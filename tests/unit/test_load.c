/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/load.c vmm/load_flat.c vmm/load_linux.c vmm/load_multiboot.c vmm/load_pvh.c vmm/elf.c arch/lib/format.c tests/unit/fake_gmem.c tests/unit/fake_guest.c */
/* Which module is what, the memory map, room for tables, and messages. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_guest.h"

enum sample { BZIMAGE, ELF32_MB, ELF32_PVH, ELF32_BOTH, ELF64_MB, ELF64_BOTH, ADDRESSES, MB_FLAGS, OTHER };

/* The least that detection looks at. */
static u64 make(enum sample sample, u8 image[1024])
{
	bool is64 = sample == ELF64_MB || sample == ELF64_BOTH;
	u32 flags = sample == ADDRESSES ? 0x10000 : 0;

	memset(image, 0, 1024);
	if (sample == BZIMAGE) {
		put(image, 0x1fe, 2, 0xaa55);
		put(image, 0x202, 4, 0x53726448);
		return 1024;
	}
	if (sample == OTHER)
		return 1024;
	if (sample != ADDRESSES && sample != MB_FLAGS) {
		put(image, 0, 4, 0x464c457f);
		put(image, 4, 2, is64 ? 0x102 : 0x101);
		put(image, 18, 2, is64 ? 62 : 3);
		put(image, is64 ? 32 : 28, 4, 64);
		put(image, is64 ? 54 : 42, 2, is64 ? 56 : 32);
		put(image, is64 ? 56 : 44, 2, 1);
		put(image, 64, 4, 4);
		put(image, is64 ? 72 : 68, 4, 256);
		put(image, is64 ? 96 : 80, 4, 20);
	}
	if (sample == ELF32_PVH || sample == ELF32_BOTH || sample == ELF64_BOTH) {
		put(image, 256, 4, 4);
		put(image, 260, 4, 4);
		put(image, 264, 4, 18);
		memcpy(image + 268, "Xen", 4);
	}
	if (sample != ELF32_PVH) {
		put(image, 512, 4, 0x1badb002);
		put(image, 516, 4, flags);
		put(image, 520, 4, -(0x1badb002 + flags));
	}
	return 1024;
}

static int identify(struct fake_guest *g)
{
	memset(&g->err, 0, sizeof(g->err));
	return load_identify(g->vm, g->modules, g->in.module_count, &g->err);
}

static void expect_refusal(struct fake_guest *g, const char *text)
{
	assert_int_equal(identify(g), -ENOEXEC);
	if (!strstr(g->err.text, text))
		fail_msg("'%s' lacks '%s'", g->err.text, text);
}

static void test_detection(void **state)
{
	static const struct {
		enum sample sample;
		enum module_kind kind, companion;
	} rows[] = {
		{BZIMAGE, MODULE_LINUX, MODULE_INITRD},
		{ELF32_MB, MODULE_MULTIBOOT, MODULE_DATA},
		{ELF32_PVH, MODULE_PVH, MODULE_DATA},
		{ELF32_BOTH, MODULE_MULTIBOOT, MODULE_DATA},
		{ELF64_MB, MODULE_MULTIBOOT, MODULE_DATA}, /* to be refused as such */
		{ELF64_BOTH, MODULE_PVH, MODULE_DATA},
		{ADDRESSES, MODULE_MULTIBOOT, MODULE_DATA},
	};
	u8 image[1024];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 size = make(rows[i].sample, image);
		struct fake_guest g;

		guest_begin(&g, MIB(1), 0);
		guest_add(&g, MODULE_AUTO, "", image, size);
		guest_add(&g, MODULE_AUTO, "", image, size); /* not looked at */
		guest_add(&g, MODULE_AUTO, "", "", 0);
		assert_int_equal(identify(&g), 0);
		assert_int_equal(g.modules[0].kind, rows[i].kind);
		assert_int_equal(g.modules[1].kind, rows[i].companion);
		assert_int_equal(g.modules[2].kind, rows[i].companion);
		guest_end(&g);
	}
}

static void test_not_detected(void **state)
{
	static const enum sample samples[] = {OTHER, MB_FLAGS};
	struct fake_guest g;
	u8 image[1024];

	(void)state;
	guest_begin(&g, MIB(1), 0);
	expect_refusal(&g, "none of the modules is a kernel");
	assert_int_equal(load_fake(&g), -ENOEXEC);
	guest_end(&g);
	for (unsigned i = 0; i < ARRAY_SIZE(samples); i++) {
		guest_begin(&g, MIB(1), 0);
		guest_add(&g, MODULE_AUTO, "", image, make(samples[i], image));
		expect_refusal(&g, "module 1 (1024 bytes): it is no Linux bzImage and no "
				   "multiboot or PVH ELF file; state another kind with kind=");
		guest_end(&g);
	}
	/* nothing is guessed of a file that ends before what is looked at */
	for (u64 size = 0; size < 0x206; size++) {
		make(BZIMAGE, image);
		guest_begin(&g, MIB(1), 0);
		guest_add(&g, MODULE_AUTO, "", image, size);
		expect_refusal(&g, "no Linux bzImage");
		guest_end(&g);
	}
}

static void test_stated_kinds(void **state)
{
	struct fake_guest g;
	u8 image[1024];

	(void)state;
	make(BZIMAGE, image);
	/* a stated kernel wins, wherever it stands; the others go with it */
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_AUTO, "", "initrd", 6);
	guest_add(&g, MODULE_LINUX, "", image, 1024);
	assert_int_equal(identify(&g), 0);
	assert_int_equal(g.modules[0].kind, MODULE_INITRD);
	guest_end(&g);
	/* the kernel is what is left when the others are stated */
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_INITRD, "", "initrd", 6);
	guest_add(&g, MODULE_AUTO, "", image, 1024);
	assert_int_equal(identify(&g), 0);
	assert_int_equal(g.modules[1].kind, MODULE_LINUX);
	guest_end(&g);
	/* only companions */
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_INITRD, "", "initrd", 6);
	expect_refusal(&g, "none of the modules is a kernel");
	guest_end(&g);
	/* two kernels */
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_LINUX, "", image, 1024);
	guest_add(&g, MODULE_PVH, "", image, 1024);
	expect_refusal(&g, "module 2 (1024 bytes): module 1 is the VM's kernel already");
	guest_end(&g);
	/* what has no use beside a kernel */
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_LINUX, "", image, 1024);
	guest_add(&g, MODULE_DATA, "", "d", 1);
	expect_refusal(&g, "has no use beside a kernel of kind=linux");
	guest_end(&g);
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_FLAT, "", image, 1024);
	guest_add(&g, MODULE_AUTO, "", "d", 1);
	expect_refusal(&g, "module 2 (1 bytes): a module like this has no use beside a kernel of "
			   "kind=flat");
	guest_end(&g);
}

static void test_memory_map(void **state)
{
	struct load_range map[LOAD_RANGES_MAX];
	struct load_input in = {.ram_below_4g = MIB(512)};

	(void)state;
	assert_int_equal(load_memory_map(&in, map), 4);
	assert_int_equal(map[0].size, 0xa0000);
	assert_int_equal(map[2].base, MIB(1));
	assert_int_equal(map[2].size, MIB(511));
	assert_int_equal(map[3].base, 0xe0000000); /* ECAM */
	assert_int_equal(map[3].size, 0x10000000);
	assert_int_equal(map[3].type, 2);
	in.ram_above_4g = GIB(5);
	assert_int_equal(load_memory_map(&in, map), 5);
	assert_int_equal(map[4].base, GIB(4));
	assert_int_equal(map[4].size, GIB(5));
	in = (struct load_input){.ram_below_4g = MIB(1)};
	assert_int_equal(load_memory_map(&in, map), 3);
}

static void test_in_ram(void **state)
{
	const struct load_input in = {.ram_below_4g = MIB(4), .ram_above_4g = MIB(4)};

	(void)state;
	assert_true(load_in_ram(&in, 0, 0xa0000));
	assert_false(load_in_ram(&in, 0, 0xa0001));
	assert_false(load_in_ram(&in, 0x9ffff, 2));
	assert_false(load_in_ram(&in, 0xfffff, 2));
	assert_true(load_in_ram(&in, MIB(1), MIB(3)));
	assert_false(load_in_ram(&in, MIB(1), MIB(3) + 1));
	assert_false(load_in_ram(&in, MIB(1), ~0ull));
	assert_false(load_in_ram(&in, ~0ull, 2));
	assert_false(load_in_ram(&in, GIB(4), 1));
	assert_true(load_in_ram(&in, MIB(4), 0));
}

static void test_long_message(void **state)
{
	struct load_error err;

	(void)state;
	assert_int_equal(load_fail(&err, NULL, -ENOEXEC, "%0200u", 1), -ENOEXEC);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detection),
		cmocka_unit_test(test_not_detected),
		cmocka_unit_test(test_stated_kinds),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_in_ram),
		cmocka_unit_test(test_long_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
