/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/vmx_dirty.c arch/ept.c arch/pt.c tests/unit/fake_pages.c */
/*
 * The dirty log's side of the nested tables, by each mechanism: what the tables
 * say while a log runs and afterwards, that every downgrade raises the generation
 * (which no emulator would miss), failed allocations, and the way from dirty flags
 * to write protection while another vCPU still has the flags on.
 */
#include "arch/vmx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/memory.h"
#include "arch/mitigate.h"
#include "tests/unit/fake_pages.h"

#define BASE  GIB(4)
#define SIZE  MIB(4)
#define PAGES (SIZE / PAGE_SIZE)
#define ROM   MIB(2)

struct vmx_caps vmx_caps;
struct mitigate_plan mitigate;

enum mechanism { PROTECT, FLAGS, PML, MECHANISMS };

static struct virt_vm *vm;
static struct vmx_vcpu vcpu;
static u64 bitmap[PAGES / 64], generation;

/* 4 MiB of RAM by large pages, with neighbours, and read-only memory. */
static void begin(enum mechanism mechanism)
{
	memset(&vmx_caps, 0, sizeof(vmx_caps));
	memset(bitmap, 0, sizeof(bitmap));
	vmx_caps.ept_vpid_use = EPT_CAP_2M | (mechanism == PROTECT ? 0 : EPT_CAP_AD);
	vmx_caps.use[VMX_PROC2] = mechanism == PML ? PROC2_PML : 0;
	fake_pages_fail_after = -1;
	assert_int_equal(ept_vm_create(&vm), 0);
	assert_int_equal(ept_vm_map(vm, GPA(BASE - MIB(2)), HPA(MIB(2)), MIB(8),
				    MAP_READ | MAP_WRITE | MAP_EXEC, MEMTYPE_RAM), 0);
	assert_int_equal(ept_vm_map(vm, GPA(ROM), HPA(MIB(64)), PAGE_SIZE, MAP_READ | MAP_EXEC,
				    MEMTYPE_RAM), 0);
	assert_int_equal(vm->ept_pointer & EPTP_AD, 0);
	vcpu = (struct vmx_vcpu){.vm = vm, .generation = vm->ept.generation};
	generation = vm->ept.generation;
}

static void end(void)
{
	assert_int_equal(vm->logs, 0);
	ept_vm_destroy(vm);
	assert_int_equal(fake_pages_out, 0);
}

static void raised(void)
{
	assert_true(vm->ept.generation > generation);
	generation = vm->ept.generation;
}

static u64 *leaf(u64 gpa, unsigned wanted)
{
	unsigned level = 0;
	u64 *entry = pt_leaf(&vm->ept, gpa, &level);

	assert_non_null(entry);
	assert_int_equal(level, wanted);
	return entry;
}

static bool noted(u64 page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

/* A write as the CPU does it; `flags`: this vCPU entered with the dirty flags on. */
static void write_with(enum mechanism mechanism, u64 page, bool flags)
{
	u64 gpa = BASE + page * PAGE_SIZE, *entry = leaf(gpa, 1);

	if (!(*entry & EPT_WRITE))
		assert_true(vmx_dirty_fault(&vcpu, GPA(gpa + 8), BIT(1) | BIT(7) | BIT(8)));
	assert_true(*entry & EPT_WRITE);
	if (!flags)
		return;
	if (mechanism == PML && !(*entry & EPT_DIRTY))
		bit_set_atomic(bitmap, page); /* what vmx_dirty_drain does */
	*entry |= EPT_DIRTY | EPT_ACCESSED;
}

static void take(void)
{
	vmx_dirty_take(vm, GPA(BASE));
	raised();
}

static void a_log_from_start_to_end(void **state)
{
	(void)state;
	for (enum mechanism m = 0; m < MECHANISMS; m++) {
		unsigned tables;

		begin(m);
		tables = vm->ept.table_pages;
		*leaf(BASE, 2) |= EPT_ACCESSED | EPT_DIRTY; /* of old */
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, bitmap), 0);
		raised();
		assert_int_equal(!!(vm->ept_pointer & EPTP_AD), m != PROTECT);
		for (u64 page = 0; page < PAGES; page++)
			assert_int_equal(*leaf(BASE + page * PAGE_SIZE, 1) & 0x3ff &
					 ~(BITS(6, 3)), m == PROTECT ? 5 : 7);
		assert_int_equal(*leaf(BASE - PAGE_SIZE, 2) & 7, 7); /* the neighbours */
		assert_int_equal(*leaf(BASE + SIZE, 2) & 7, 7);
		take();
		assert_false(noted(0));
		for (unsigned round = 0; round < 3; round++) {
			for (u64 page = round; page < PAGES; page += 61)
				write_with(m, page, m != PROTECT);
			take();
			for (u64 page = 0; page < PAGES; page++) {
				assert_int_equal(noted(page), page >= round && (page - round) % 61 == 0);
				assert_int_equal(*leaf(BASE + page * PAGE_SIZE, 1) &
						 (EPT_WRITE | EPT_DIRTY), m == PROTECT ? 0 : 2);
			}
			memset(bitmap, 0, sizeof(bitmap));
		}
		/* the last writes are noted at the end */
		write_with(m, 700, m != PROTECT);
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
		raised();
		assert_true(noted(700));
		assert_int_equal(vm->ept_pointer & EPTP_AD, 0);
		assert_int_equal(*leaf(BASE, 2), *leaf(BASE - MIB(2), 2) + MIB(2));
		assert_int_equal(*leaf(BASE + MIB(2), 2), *leaf(BASE, 2) + MIB(2));
		assert_int_equal(vm->ept.table_pages, tables);
		/* what has no log can be read and ended all the same */
		vmx_dirty_take(vm, GPA(BASE));
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
		end();
	}
}

static void two_logs(void **state)
{
	u64 other = 0;

	(void)state;
	begin(FLAGS);
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, bitmap), 0);
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE - MIB(2)), KIB(64), &other), 0);
	write_with(FLAGS, 3, true);
	*pt_leaf(&vm->ept, BASE - MIB(2) + PAGE_SIZE, &(unsigned){0}) |= EPT_DIRTY;
	vmx_dirty_take(vm, GPA(BASE - MIB(2)));
	assert_int_equal(other, 2);
	assert_false(noted(3));
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE - MIB(2)), KIB(64), NULL), 0);
	assert_true(vm->ept_pointer & EPTP_AD);
	take();
	assert_true(noted(3));
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
	end();
}

static void no_more_logs_than_there_are(void **state)
{
	static u64 words[VIRT_LOGS_MAX];
	unsigned tables;

	(void)state;
	begin(PROTECT);
	for (unsigned i = 0; i < VIRT_LOGS_MAX; i++)
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE + i * 2 * PAGE_SIZE), PAGE_SIZE,
					       &words[i]), 0);
	tables = vm->ept.table_pages;
	generation = vm->ept.generation;
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE + MIB(2)), SIZE / 2, bitmap), -ENOSPC);
	assert_int_equal(vm->logs, VIRT_LOGS_MAX);
	assert_int_equal(vm->ept.table_pages, tables);
	assert_int_equal(vm->ept.generation, generation);
	assert_int_equal(*leaf(BASE + MIB(2), 2) & 7, 7);
	for (unsigned i = 0; i < VIRT_LOGS_MAX; i++)
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE + i * 2 * PAGE_SIZE), PAGE_SIZE, NULL), 0);
	end();
}

static void each_allocation_failing(void **state)
{
	unsigned failures = 0, tables;
	int error;

	(void)state;
	begin(PROTECT);
	tables = vm->ept.table_pages;
	do {
		fake_pages_fail_after = (int)failures;
		error = vmx_dirty_log(vm, GPA(BASE), SIZE, bitmap);
		fake_pages_fail_after = -1;
		if (error) {
			failures++;
			raised();
			assert_int_equal(error, -ENOMEM);
			assert_int_equal(vm->ept.table_pages, tables);
			assert_int_equal(*leaf(BASE, 2) & 7, 7);
			assert_int_equal(vm->logs, 0);
		}
	} while (error);
	assert_int_equal(failures, 2);
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
	end();
}

static void faults_of_others(void **state)
{
	(void)state;
	begin(PROTECT);
	assert_false(vmx_dirty_fault(&vcpu, GPA(BASE), BIT(1) | BIT(7) | BIT(8)));
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, bitmap), 0);
	vcpu.generation = vm->ept.generation;
	assert_false(vmx_dirty_fault(&vcpu, GPA(ROM), BIT(1) | BIT(7) | BIT(8)));
	assert_false(vmx_dirty_fault(&vcpu, GPA(ROM), BIT(1) | BIT(7))); /* sets a flag there */
	assert_false(vmx_dirty_fault(&vcpu, GPA(GIB(100)), BIT(1) | BIT(7)));
	assert_false(vmx_dirty_fault(&vcpu, GPA(GIB(100)), BIT(0) | BIT(7) | BIT(8)));
	assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
	end();
}

/* Tables in read-only memory: walks with the flags on cannot be, so they go off. */
static void from_flags_to_protection(void **state)
{
	(void)state;
	for (enum mechanism m = FLAGS; m < MECHANISMS; m++) {
		begin(m);
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, bitmap), 0);
		raised();
		vcpu.generation = vm->ept.generation;
		write_with(m, 1, true);
		/* a data write there is the guest's, a walk of nothing too */
		assert_false(vmx_dirty_fault(&vcpu, GPA(ROM), BIT(1) | BIT(7) | BIT(8)));
		assert_false(vmx_dirty_fault(&vcpu, GPA(GIB(100)), BIT(0) | BIT(1) | BIT(7)));
		assert_true(vm->ept_pointer & EPTP_AD);
		assert_true(vmx_dirty_fault(&vcpu, GPA(ROM), BIT(0) | BIT(1) | BIT(7)));
		raised();
		assert_int_equal(vm->ept_pointer & EPTP_AD, 0);
		/* another vCPU, whose walk was with the flags too, tries again; then it is real */
		assert_true(vmx_dirty_fault(&vcpu, GPA(ROM), BIT(0) | BIT(1) | BIT(7)));
		vcpu.generation = vm->ept.generation;
		assert_false(vmx_dirty_fault(&vcpu, GPA(ROM), BIT(0) | BIT(1) | BIT(7)));
		/* a page written already stays writable until it is taken */
		assert_true(*leaf(BASE + PAGE_SIZE, 1) & EPT_WRITE);
		assert_false(*leaf(BASE + 2 * PAGE_SIZE, 1) & EPT_WRITE);
		write_with(m, 2, false);
		/* one that still runs with the flags sets one where its TLB let it write */
		*leaf(BASE + 3 * PAGE_SIZE, 1) |= EPT_DIRTY;
		take();
		for (u64 page = 0; page < PAGES; page++) {
			assert_int_equal(noted(page), page >= 1 && page <= 3);
			assert_int_equal(*leaf(BASE + page * PAGE_SIZE, 1) & (EPT_WRITE | EPT_DIRTY),
					 0);
		}
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
		assert_int_equal(*leaf(BASE, 2) & 7, 7);
		/* the next log has the flags again */
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, bitmap), 0);
		assert_true(vm->ept_pointer & EPTP_AD);
		assert_true(*leaf(BASE, 1) & EPT_WRITE);
		assert_int_equal(vmx_dirty_log(vm, GPA(BASE), SIZE, NULL), 0);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_from_start_to_end),
		cmocka_unit_test(two_logs),
		cmocka_unit_test(no_more_logs_than_there_are),
		cmocka_unit_test(each_allocation_failing),
		cmocka_unit_test(faults_of_others),
		cmocka_unit_test(from_flags_to_protection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
