/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/gmem.c vmm/region.c vmm/mem.c arch/virt.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * The checked door: what lies in RAM regions, across them, past their end,
 * read-only, or nowhere; and modules. The window of the fake host ends the
 * test where anything is touched that is not mapped.
 */
#include "vmm/gmem.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

static struct vm vm;
static struct mem_object *mem;
static unsigned yields;

void job_yield(void)
{
	yields++;
}

/* RAM that ends at FFFFFh and RAM from 100000h as two regions, a read-only copy of the first
 * pages at 300000h, and RAM right behind it. */
static int setup(void **state)
{
	(void)state;
	fake_host_init(MIB(64));
	fake_virt_init();
	memset(&vm, 0, sizeof(vm));
	assert_int_equal(space_create(&vm.space), 0);
	assert_int_equal(virt->vm_create(&vm.virt), 0);
	fake_host.frames_piece = 3 * PAGE_SIZE;
	assert_int_equal(mem_create(16 * PAGE_SIZE, &mem), 0);
	assert_int_equal(vm_set_memory_region(&vm, 0, 0, GPA(0xfc000), 0x4000, mem, 0), 0);
	assert_int_equal(vm_set_memory_region(&vm, 1, 0, GPA(0x100000), 0x8000, mem, 0x8000), 0);
	assert_int_equal(vm_set_memory_region(&vm, 2, REGION_READ_ONLY, GPA(0x300000), 0x2000, mem,
					      0), 0);
	assert_int_equal(vm_set_memory_region(&vm, 3, 0, GPA(0x302000), 0x2000, mem, 0x4000), 0);
	space_enter(&vm.space);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	space_leave();
	while (vm.regions.count)
		vm_set_memory_region(&vm, vm.regions.region[0].slot, 0, GPA(0), 0, NULL, 0);
	mem_put(mem);
	virt->vm_destroy(vm.virt);
	space_destroy(&vm.space);
	assert_int_equal(fake_host.pages_out, 0);
	return 0;
}

static u8 *at(u64 gpa)
{
	return fake_host_at(&vm.space, WINDOW_BASE + gpa, false);
}

static void across_two_adjacent_regions(void **state)
{
	u8 in[0x3000], out[0x3000];

	(void)state;
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = i * 7 + (i >> 8);
	assert_int_equal(guest_write(&vm, GPA(0xfe801), in, sizeof(in)), 0);
	assert_int_equal(*at(0xfe801), in[0]);
	assert_int_equal(*at(0xfffff), in[0x17fe]);
	assert_int_equal(*at(0x100000), in[0x17ff]);
	assert_int_equal(*at(0x101800), in[0x2fff]);
	assert_int_equal(*at(0xfe800), 0);
	assert_int_equal(*at(0x101801), 0);
	assert_int_equal(guest_read(&vm, GPA(0xfe801), out, sizeof(out)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(guest_zero(&vm, GPA(0xfff00), 0x200), 0);
	assert_int_equal(*at(0xffeff), in[0xffeff - 0xfe801]);
	assert_int_equal(*at(0xfff00) | *at(0x1000ff), 0);
	assert_int_equal(*at(0x100100), in[0x100100 - 0xfe801]);
}

static void past_the_end(void **state)
{
	static const struct {
		u64 gpa, len;
		int error;
	} rows[] = {
		{0x107fff, 1, 0},	{0x107fff, 2, -EFAULT},	 {0x108000, 1, -EFAULT},
		{0xfbfff, 1, -EFAULT},	{0xfbfff, 2, -EFAULT},	 {0xfc000, 0xc000, 0},
		{0xfc000, 0xc001, -EFAULT}, {0, 8, -EFAULT},	 {~0ull, 1, -EFAULT},
		{~0ull, 2, -EFAULT},	{0xfffffffffffff000, 0x2000, -EFAULT},
		{WINDOW_SIZE, 1, -EFAULT}, {0 - WINDOW_BASE, 8, -EFAULT},
		{0x303ffc, 8, -EFAULT}, {0x303ffc, 4, 0},
	};
	u8 buffer[0xd000];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(buffer, 0, sizeof(buffer));
		assert_int_equal(guest_read(&vm, GPA(rows[i].gpa), buffer, rows[i].len),
				 rows[i].error);
		assert_int_equal(guest_write(&vm, GPA(rows[i].gpa), buffer, rows[i].len),
				 rows[i].error);
		assert_int_equal(guest_zero(&vm, GPA(rows[i].gpa), rows[i].len), rows[i].error);
	}
	/* the longest length from anywhere */
	assert_int_equal(guest_zero(&vm, GPA(0x302000), ~0ull), -EFAULT);
}

static void nothing_is_always_possible(void **state)
{
	(void)state;
	assert_int_equal(guest_read(&vm, GPA(5), NULL, 0), 0);
	assert_int_equal(guest_write(&vm, GPA(~0ull), NULL, 0), 0);
	assert_int_equal(guest_zero(&vm, GPA(5), 0), 0);
}

static void read_only_regions(void **state)
{
	u64 value = 0x1122334455667788;

	(void)state;
	assert_int_equal(guest_write(&vm, GPA(0xfc000), &value, 8), 0);
	value = 0;
	assert_int_equal(guest_read(&vm, GPA(0x300000), &value, 8), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(guest_write(&vm, GPA(0x300000), "x", 1), -EFAULT);
	assert_int_equal(guest_zero(&vm, GPA(0x300000), 1), -EFAULT);
	assert_int_equal(guest_zero(&vm, GPA(0x301fff), 2), -EFAULT);
	assert_int_equal(*at(0x300000), 0x88);
	/* reading on into RAM is fine */
	assert_int_equal(guest_read(&vm, GPA(0x301ffc), &value, 8), 0);
}

static void compare_and_exchange(void **state)
{
	u64 value = 0x1122334455667788;

	(void)state;
	assert_int_equal(guest_write(&vm, GPA(0xfc008), &value, 8), 0);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc008), 8, value, 0x99), 0);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc008), 8, value, 0x98), -EAGAIN);
	assert_int_equal(*(u64 *)at(0xfc008), 0x99);
	/* four bytes leave the next four alone, and are compared alone */
	assert_int_equal(guest_write(&vm, GPA(0xfc008), &value, 8), 0);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc008), 4, 0x55667788, 0xaabbccdd), 0);
	assert_int_equal(*(u64 *)at(0xfc008), 0x11223344aabbccdd);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc00c), 4, 0x11223345, 1), -EAGAIN);
	/* where there is no RAM, none to be written, or across two operands */
	assert_int_equal(guest_cmpxchg(&vm, GPA(0x50000), 8, 0, 1), -EFAULT);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0x300000), 4, 0, 1), -EFAULT);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc00c), 8, 0, 1), -EFAULT);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc00e), 4, 0, 1), -EFAULT);
	assert_int_equal(guest_zero(&vm, GPA(0xfc008), 8), 0);
}

static void loads_of_entries(void **state)
{
	const struct region *near = NULL;
	u64 in = 0x1122334455667788, value;

	(void)state;
	assert_int_equal(guest_write(&vm, GPA(0xffff8), &in, 8), 0);
	assert_int_equal(guest_write(&vm, GPA(0x100000), "\1\2\3\4\5", 5), 0);
	assert_int_equal(guest_load(&vm, GPA(0xffff8), 8, &value, &near), 0);
	assert_int_equal(value, in);
	/* on from the region that was used last, back to it, and where there is none */
	assert_int_equal(guest_load(&vm, GPA(0x100000), 4, &value, &near), 0);
	assert_int_equal(value, 0x04030201);
	assert_int_equal(guest_load(&vm, GPA(0xffffc), 4, &value, &near), 0);
	assert_int_equal(value, 0x11223344);
	assert_int_equal(guest_load(&vm, GPA(0xfbff8), 8, &value, &near), -EFAULT);
	assert_int_equal(guest_load(&vm, GPA(0x108000), 8, &value, &near), -EFAULT);
	assert_int_equal(guest_load(&vm, GPA(~7ull), 8, &value, &near), -EFAULT);
	/* behind a failure, and from a region that is read-only */
	assert_int_equal(guest_load(&vm, GPA(0x107ff8), 8, &value, &near), 0);
	assert_int_equal(guest_load(&vm, GPA(0x300000), 8, &value, &near), 0);
	assert_int_equal(guest_load(&vm, GPA(0x302000), 8, &value, &near), 0);
	assert_int_equal(guest_zero(&vm, GPA(0xffff8), 16), 0);
}

static u64 logged(unsigned slot)
{
	u64 bitmap = 0;

	assert_int_equal(vm_get_dirty_log(&vm, slot, &bitmap, sizeof(bitmap)), 0);
	return bitmap;
}

static void writes_are_logged(void **state)
{
	struct mem_object *module;
	hpa_t hpa = fake_host_module("text", 4);
	u8 buffer[0x3000] = {0};

	(void)state;
	assert_int_equal(mem_create_module(hpa, 4, &module), 0);
	assert_int_equal(space_map(&vm.space, MODULE_WINDOW_BASE + hpa.v, hpa, PAGE_SIZE,
				   SPACE_USER), 0);
	assert_int_equal(vm_set_memory_region(&vm, 0, REGION_LOG_DIRTY, GPA(0xfc000), 0x4000, mem,
					      0), 0);
	assert_int_equal(vm_set_memory_region(&vm, 1, REGION_LOG_DIRTY, GPA(0x100000), 0x8000, mem,
					      0x8000), 0);
	assert_int_equal(guest_read(&vm, GPA(0xfc000), buffer, 0x3000), 0);
	assert_int_equal(guest_write(&vm, GPA(0xfc000), buffer, 0), 0);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0xfc000), 4, 1, 2), -EAGAIN);
	assert_int_equal(logged(0) | logged(1), 0);
	assert_int_equal(guest_write(&vm, GPA(0xfefff), buffer, 0x1002), 0);
	assert_int_equal(logged(0), 0xc);
	assert_int_equal(logged(1), 1);
	assert_int_equal(guest_zero(&vm, GPA(0x101ffe), 3), 0);
	assert_int_equal(logged(1), 6);
	assert_int_equal(guest_copy_from(&vm, GPA(0x107000), module, 0, 4), 0);
	assert_int_equal(guest_cmpxchg(&vm, GPA(0x104008), 8, 0, 2), 0);
	assert_int_equal(logged(1), 0x90);
	/* what was written before a hole counts */
	assert_int_equal(guest_write(&vm, GPA(0x107fff), buffer, 2), -EFAULT);
	assert_int_equal(logged(1), 0x80);
	assert_int_equal(guest_zero(&vm, GPA(0x100000), 0x9000), -EFAULT);
	assert_int_equal(logged(1), 0xff);
	mem_put(module);
}

static void modules(void **state)
{
	static const char text[] = "a module of some bytes";
	struct mem_object *module;
	char buffer[64] = {0};
	hpa_t hpa = fake_host_module(text, sizeof(text));
	u64 size = sizeof(text);

	(void)state;
	assert_int_equal(mem_create_module(hpa, size, &module), 0);
	assert_int_equal(space_map(&vm.space, MODULE_WINDOW_BASE + hpa.v, hpa, PAGE_SIZE,
				   SPACE_USER), 0);
	assert_int_equal(mem_read(&vm, module, 0, buffer, size), 0);
	assert_string_equal(buffer, text);
	assert_int_equal(mem_read(&vm, module, 2, buffer, 6), 0);
	assert_memory_equal(buffer, "module", 6);
	/* its end is that of its bytes, not of the page */
	assert_int_equal(mem_read(&vm, module, size - 1, buffer, 1), 0);
	assert_int_equal(mem_read(&vm, module, size - 1, buffer, 2), -EFAULT);
	assert_int_equal(mem_read(&vm, module, size, buffer, 1), -EFAULT);
	assert_int_equal(mem_read(&vm, module, size, buffer, 0), 0);
	assert_int_equal(mem_read(&vm, module, ~0ull, buffer, 2), -EFAULT);
	assert_int_equal(mem_read(&vm, module, 1, buffer, ~0ull), -EFAULT);
	/* into RAM, across regions */
	assert_int_equal(guest_copy_from(&vm, GPA(0xffffc), module, 2, 10), 0);
	assert_memory_equal(at(0xffffc), "modu", 4);
	assert_memory_equal(at(0x100000), "le of ", 6);
	assert_int_equal(guest_copy_from(&vm, GPA(0x100000), module, 2, size), -EFAULT);
	assert_int_equal(guest_copy_from(&vm, GPA(0x107ffc), module, 0, 5), -EFAULT);
	assert_int_equal(guest_copy_from(&vm, GPA(0x300000), module, 0, 5), -EFAULT);
	/* frames of RAM are no module's */
	assert_int_equal(mem_read(&vm, mem, 0, buffer, 1), -EFAULT);
	assert_int_equal(guest_copy_from(&vm, GPA(0x100000), mem, 0, 1), -EFAULT);
	mem_put(module);
}

static void others_run_while_much_is_copied(void **state)
{
	static u8 bytes[MIB(1)];
	struct mem_object *module, *big;
	hpa_t hpa;

	(void)state;
	fake_host.frames_piece = 0;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 7 + (i >> 8);
	hpa = fake_host_module(bytes, sizeof(bytes));
	assert_int_equal(mem_create(MIB(2), &big), 0);
	assert_int_equal(vm_set_memory_region(&vm, 4, 0, GPA(MIB(8)), MIB(2), big, 0), 0);
	assert_int_equal(mem_create_module(hpa, sizeof(bytes), &module), 0);
	assert_int_equal(space_map(&vm.space, MODULE_WINDOW_BASE + hpa.v, hpa, sizeof(bytes),
				   SPACE_USER), 0);
	yields = 0;
	assert_int_equal(guest_copy_from(&vm, GPA(MIB(8) + 0x123), module, 5, MIB(1) - 5), 0);
	assert_int_equal(yields, 8);
	assert_memory_equal(at(MIB(8) + 0x123), bytes + 5, MIB(1) - 5);
	assert_int_equal(guest_zero(&vm, GPA(MIB(8) + 0x123), MIB(1)), 0);
	assert_int_equal(yields, 16);
	for (unsigned i = 0; i < MIB(1); i++)
		assert_int_equal(*at(MIB(8) + 0x123 + i), 0);
	mem_put(module);
	mem_put(big);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(across_two_adjacent_regions),
		TEST(past_the_end),
		TEST(nothing_is_always_possible),
		TEST(read_only_regions),
		TEST(compare_and_exchange),
		TEST(loads_of_entries),
		TEST(writes_are_logged),
		TEST(modules),
		TEST(others_run_while_much_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
