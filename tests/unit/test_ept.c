/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/ept.c arch/vmx_dirty.c arch/pt.c tests/unit/fake_pages.c */
/*
 * Nested tables on CPUs open to iTLB multihit: a guest may fetch from any page of a
 * mapping with that right, and at no moment is there an entry that maps more than
 * 4 KiB and can be executed; failed allocations, dirty logs that split and join,
 * and that other CPUs are as before.
 */
#include "arch/vmx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/mitigate.h"
#include "tests/unit/fake_pages.h"

#define RIGHTS (MAP_READ | MAP_WRITE | MAP_EXEC)
#define RAM    GIB(1) /* 1 GiB leaf, 2 MiB leaves, 4 KiB leaves */
#define SIZE   (GIB(1) + MIB(6) + KIB(12))
#define DATA   GIB(8)
#define HPA_OF(gpa) ((gpa) + GIB(16))

struct vmx_caps vmx_caps;
struct mitigate_plan mitigate;

static struct virt_vm *vm;

static void begin(bool mitigated, u64 largest)
{
	memset(&vmx_caps, 0, sizeof(vmx_caps));
	vmx_caps.ept_vpid_use = largest | EPT_CAP_AD;
	mitigate.on = mitigated ? BIT(MITIGATE_MULTIHIT) : 0;
	fake_pages_fail_after = -1;
	assert_int_equal(ept_vm_create(&vm), 0);
	assert_int_equal(ept_vm_map(vm, GPA(RAM), HPA(HPA_OF(RAM)), SIZE, RIGHTS, MEMTYPE_RAM), 0);
	assert_int_equal(ept_vm_map(vm, GPA(DATA), HPA(HPA_OF(DATA)), MIB(4), MAP_READ | MAP_WRITE,
				    MEMTYPE_DEVICE), 0);
}

static void end(void)
{
	ept_vm_destroy(vm);
	assert_int_equal(fake_pages_out, 0);
}

/* Checks the leaf at gpa by the manual's format; its size. */
static u64 check_leaf(u64 gpa, bool mitigated)
{
	unsigned level = 0;
	const u64 *leaf = pt_leaf(&vm->ept, gpa, &level);
	u64 size = PAGE_SIZE << 9 * (level - 1), entry;
	bool ram = gpa - RAM < SIZE;

	assert_non_null(leaf);
	entry = *leaf;
	assert_int_equal(entry & PT_ADDRESS & ~(size - 1), HPA_OF(gpa) & ~(size - 1));
	assert_int_equal(entry & PT_ADDRESS & (size - 1), 0);
	assert_int_equal(entry & 3, 3);
	assert_int_equal(!!(entry & BIT(7)), level > 1);
	assert_int_equal(FIELD_GET(BITS(5, 3), entry), ram ? 6 : 0);
	assert_int_equal(!!(entry & BIT(2)), ram && (level == 1 || !mitigated));
	assert_int_equal(entry & BITS(63, 52), 0);
	return size;
}

/* Every leaf; how many there are. */
static unsigned check_all(bool mitigated)
{
	unsigned leaves = 0;

	for (u64 done = 0; done < SIZE; leaves++)
		done += check_leaf(RAM + done, mitigated);
	for (u64 done = 0; done < MIB(4); leaves++)
		done += check_leaf(DATA + done, mitigated);
	return leaves;
}

static void fetches_split_what_they_need(void **state)
{
	u64 generation;

	(void)state;
	begin(true, EPT_CAP_2M | EPT_CAP_1G);
	assert_int_equal(check_all(true), 1 + 3 + 3 + 2);
	generation = vm->ept.generation;
	/* A 1 GiB leaf becomes 512 of 2 MiB, one of these 512 pages. */
	assert_int_equal(ept_fetch(vm, GPA(RAM + MIB(10) + 0x1234)), 0);
	assert_int_equal(check_all(true), 511 + 512 + 3 + 3 + 2);
	assert_int_equal(check_leaf(RAM + MIB(10), true), PAGE_SIZE);
	assert_int_equal(check_leaf(RAM + MIB(12), true), MIB(2));
	/* Another vCPU whose violation is by an old translation; the next page, likewise. */
	assert_int_equal(ept_fetch(vm, GPA(RAM + MIB(10) + 0x1234)), 0);
	assert_int_equal(ept_fetch(vm, GPA(RAM + MIB(12) - 1)), 0);
	assert_int_equal(check_all(true), 511 + 512 + 3 + 3 + 2);
	assert_int_equal(ept_fetch(vm, GPA(RAM + GIB(1) + MIB(4))), 0);
	assert_int_equal(ept_fetch(vm, GPA(RAM + SIZE - 1)), 0);
	assert_int_equal(check_all(true), 511 + 512 + 2 + 512 + 3 + 2);
	/* Rights were given, none taken. */
	assert_int_equal(vm->ept.generation, generation);
	/* What must not be executed stays so, and as it is. */
	assert_int_equal(ept_fetch(vm, GPA(DATA)), -EFAULT);
	assert_int_equal(ept_fetch(vm, GPA(GIB(5))), -EFAULT);
	/* Nor is there anything beyond what four levels translate, where a wide CPU's guest can go. */
	for (unsigned bit = 48; bit < 52; bit++)
		assert_int_equal(ept_fetch(vm, GPA(BIT(bit) + RAM + MIB(10))), -EFAULT);
	assert_int_equal(check_leaf(DATA, true), MIB(2));
	assert_int_equal(ept_vm_unmap(vm, GPA(RAM), SIZE), 0);
	end();
}

static void not_without_the_erratum(void **state)
{
	(void)state;
	begin(false, EPT_CAP_2M | EPT_CAP_1G);
	assert_int_equal(check_all(false), 1 + 3 + 3 + 2);
	assert_int_equal(ept_fetch(vm, GPA(RAM)), 0); /* the violation was of old */
	assert_int_equal(ept_fetch(vm, GPA(DATA)), -EFAULT);
	assert_int_equal(check_all(false), 1 + 3 + 3 + 2);
	end();
}

static void no_memory_to_split(void **state)
{
	(void)state;
	for (int n = 0; n < 2; n++) {
		begin(true, EPT_CAP_2M | EPT_CAP_1G);
		fake_pages_fail_after = n;
		assert_int_equal(ept_fetch(vm, GPA(RAM)), -ENOMEM);
		fake_pages_fail_after = -1;
		assert_int_equal(check_all(true), n * 511 + 1 + 3 + 3 + 2);
		assert_int_equal(ept_fetch(vm, GPA(RAM)), 0);
		assert_int_equal(check_all(true), 511 + 512 + 3 + 3 + 2);
		end();
	}
}

/* A log splits pages, which then can be executed; its end joins them, which then cannot. */
static void dirty_logs(void **state)
{
	static u64 bitmap[MIB(4) / PAGE_SIZE / 64];
	unsigned tables;

	(void)state;
	begin(true, EPT_CAP_2M);
	tables = vm->ept.table_pages;
	assert_int_equal(ept_fetch(vm, GPA(RAM + MIB(2))), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vmx_dirty_log(vm, GPA(RAM), MIB(4), bitmap), 0);
		for (u64 gpa = RAM; gpa < RAM + MIB(4); gpa += PAGE_SIZE)
			assert_int_equal(check_leaf(gpa, true), PAGE_SIZE);
		check_all(true);
		assert_int_equal(ept_fetch(vm, GPA(RAM)), 0);
		assert_int_equal(vmx_dirty_log(vm, GPA(RAM), MIB(4), NULL), 0);
		check_all(true);
		assert_int_equal(check_leaf(RAM, true), MIB(2));
		assert_int_equal(check_leaf(RAM + MIB(2), true), MIB(2));
		assert_int_equal(vm->ept.table_pages, tables);
	}
	assert_int_equal(ept_fetch(vm, GPA(RAM)), 0);
	/* A log that cannot begin leaves nothing behind. */
	fake_pages_fail_after = 0;
	assert_int_equal(vmx_dirty_log(vm, GPA(RAM), MIB(4), bitmap), -ENOMEM);
	fake_pages_fail_after = -1;
	check_all(true);
	assert_int_equal(check_leaf(RAM, true), MIB(2));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetches_split_what_they_need),
		cmocka_unit_test(not_without_the_erratum),
		cmocka_unit_test(no_memory_to_split),
		cmocka_unit_test(dirty_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
