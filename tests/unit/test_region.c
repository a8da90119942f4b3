/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/region.c vmm/mem.c arch/virt.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Regions by KVM's rules (KVM_SET_USER_MEMORY_REGION): alignment, overlap,
 * wrap, deleting, moving, the dirty log; nested tables and window always show
 * the same; and a failure of any allocation leaves everything as it was.
 */
#include "vmm/region.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

/* Nothing else is to run. */
void job_yield(void)
{
}

static struct vm vm;
static struct mem_object *mem;

static int setup(void **state)
{
	(void)state;
	fake_host_init(MIB(64));
	fake_virt_init();
	memset(&vm, 0, sizeof(vm));
	assert_int_equal(space_create(&vm.space), 0);
	assert_int_equal(virt->vm_create(&vm.virt), 0);
	fake_host.frames_piece = MIB(2);
	assert_int_equal(mem_create(MIB(8), &mem), 0);
	assert_int_equal(mem->extent_count, 4);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (vm.regions.count)
		assert_int_equal(vm_set_memory_region(&vm, vm.regions.region[0].slot, 0, GPA(0), 0,
						      NULL, 0), 0);
	assert_int_equal(fake_host_maps(&vm.space), 0);
	assert_int_equal(vm.virt->count, 0);
	assert_int_equal(mem->users, 1);
	mem_put(mem);
	virt->vm_destroy(vm.virt);
	space_destroy(&vm.space);
	assert_int_equal(fake_host.pages_out, 0);
	assert_int_equal(fake_host.frames_out, 0);
	return 0;
}

static int set(unsigned slot, unsigned flags, u64 gpa, u64 size, u64 offset)
{
	return vm_set_memory_region(&vm, slot, flags, GPA(gpa), size, mem, offset);
}

/* All pages of all regions are mapped to their frames, on both sides, and nothing else is; what
 * has a log and can be written is watched. */
static void check(void)
{
	u64 in_regions = 0, nested = 0;
	unsigned logs = 0, pages = 0;

	for (unsigned i = 0; i < vm.regions.count; i++) {
		const struct region *r = &vm.regions.region[i];

		if (i)
			assert_true(r[-1].gpa + r[-1].size <= r->gpa);
		assert_int_equal(!!r->dirty, !!(r->flags & REGION_LOG_DIRTY));
		pages += r->dirty ? ALIGN_UP(r->size / PAGE_SIZE / 8, PAGE_SIZE) / PAGE_SIZE : 0;
		if (r->dirty && !(r->flags & REGION_READ_ONLY)) {
			const struct fake_virt_log *log = fake_virt_log(vm.virt, r->gpa);

			assert_non_null(log);
			assert_int_equal(log->gpa, r->gpa);
			assert_int_equal(log->size, r->size);
			assert_ptr_equal(log->bitmap, r->dirty);
			logs++;
		}
		in_regions += r->size;
		for (u64 done = 0; done < r->size; done += PAGE_SIZE) {
			const struct fake_virt_map *m = fake_virt_find(vm.virt, r->gpa + done);
			hpa_t hpa;

			mem_piece(r->mem, r->offset + done, PAGE_SIZE, &hpa);
			assert_non_null(m);
			assert_int_equal(m->hpa + (r->gpa + done - m->gpa), hpa.v);
			assert_int_equal(m->rights, r->flags & REGION_READ_ONLY
							    ? MAP_READ | MAP_EXEC
							    : MAP_READ | MAP_WRITE | MAP_EXEC);
			assert_ptr_equal(fake_host_at(&vm.space, WINDOW_BASE + r->gpa + done, true),
					 fake_host_ram(hpa.v));
		}
	}
	for (unsigned i = 0; i < vm.virt->count; i++)
		nested += vm.virt->map[i].size;
	assert_int_equal(nested, in_regions);
	assert_int_equal(vm.virt->logs, logs);
	/* the object is one */
	assert_int_equal(fake_host.pages_out, 1 + vm.regions.pages + pages);
	assert_int_equal(fake_host_maps(&vm.space), vm.virt->count);
	assert_int_equal(mem->users, 1 + vm.regions.count);
}

static void shows_an_object(void **state)
{
	(void)state;
	assert_int_equal(set(0, 0, 0, MIB(8), 0), 0);
	check();
	assert_int_equal(vm.virt->count, 4); /* piece by piece */
	assert_int_equal(set(0, 0, 0, 0, 0), 0);
	check();
	/* from the middle of one piece to that of another, sorted whatever the order */
	assert_int_equal(set(7, 0, GIB(4), MIB(3), MIB(1)), 0);
	assert_int_equal(set(3, REGION_READ_ONLY, 0xe0000, 0x20000, 0xe0000), 0);
	assert_int_equal(set(5, 0, MIB(1), MIB(2), MIB(6)), 0);
	check();
	assert_int_equal(vm.regions.region[0].slot, 3);
	assert_int_equal(vm.regions.region[1].slot, 5);
	assert_int_equal(vm.regions.region[2].slot, 7);
	assert_int_equal(set(5, 0, 0, 0, 0), 0);
	check();
	assert_int_equal(vm.regions.count, 2);
}

static void two_regions_may_show_one_object(void **state)
{
	(void)state;
	assert_int_equal(set(0, 0, 0, MIB(2), 0), 0);
	assert_int_equal(set(1, REGION_READ_ONLY, 0xffe00000, MIB(2), 0), 0);
	check();
	assert_ptr_equal(fake_host_at(&vm.space, WINDOW_BASE, true),
			 fake_host_at(&vm.space, WINDOW_BASE + 0xffe00000, true));
}

static void refused(int error, unsigned slot, u64 gpa, u64 size, u64 offset)
{
	struct region_table before = vm.regions;

	assert_int_equal(set(slot, 0, gpa, size, offset), error);
	assert_memory_equal(&vm.regions, &before, sizeof(before));
	check();
}

static void alignment_and_bounds(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 12; bit++) {
		refused(-EINVAL, 0, BIT(bit), MIB(1), 0);
		refused(-EINVAL, 0, 0, MIB(1) + BIT(bit), 0);
		refused(-EINVAL, 0, 0, MIB(1), BIT(bit));
	}
	refused(-EINVAL, 0, 0, MIB(8) + PAGE_SIZE, 0);	  /* beyond the object */
	refused(-EINVAL, 0, 0, MIB(4), MIB(4) + PAGE_SIZE);
	refused(-EINVAL, 0, 0, PAGE_SIZE, MIB(8));
	refused(-EINVAL, 0, 0, PAGE_SIZE, ~(PAGE_SIZE - 1)); /* offset wraps */
	refused(-EINVAL, 0, 0, ~(PAGE_SIZE - 1), 0);
	refused(-EINVAL, 0, ~(PAGE_SIZE - 1), 2 * PAGE_SIZE, 0); /* address wraps */
	refused(-EINVAL, 0, ~(PAGE_SIZE - 1), PAGE_SIZE, 0);	 /* beyond the window */
	refused(-EINVAL, 0, WINDOW_SIZE - PAGE_SIZE, 2 * PAGE_SIZE, 0);
	assert_int_equal(vm_set_memory_region(&vm, 0, 0, GPA(0), PAGE_SIZE, NULL, 0), -EINVAL);
	assert_int_equal(set(0, 0, WINDOW_SIZE - PAGE_SIZE, PAGE_SIZE, MIB(8) - PAGE_SIZE), 0);
	check();
}

static void overlap(void **state)
{
	(void)state;
	assert_int_equal(set(0, 0, MIB(4), MIB(2), 0), 0);
	refused(-EEXIST, 1, MIB(4), MIB(2), 0);
	refused(-EEXIST, 1, MIB(4) - PAGE_SIZE, 2 * PAGE_SIZE, 0);
	refused(-EEXIST, 1, MIB(6) - PAGE_SIZE, 2 * PAGE_SIZE, 0);
	refused(-EEXIST, 1, MIB(5), PAGE_SIZE, 0);
	refused(-EEXIST, 1, MIB(3), MIB(4), 0);
	refused(-EINVAL, 0, MIB(16), MIB(1), 0); /* the slot is taken: its size stays */
	/* neighbours touch */
	assert_int_equal(set(1, 0, MIB(2), MIB(2), 0), 0);
	assert_int_equal(set(2, 0, MIB(6), MIB(2), 0), 0);
	check();
}

static void deleting(void **state)
{
	(void)state;
	refused(-ENOENT, 0, 0, 0, 0);
	assert_int_equal(set(4, 0, 0, MIB(2), 0), 0);
	refused(-ENOENT, 0, 0, 0, 0);
	/* address, flags and object do not matter */
	assert_int_equal(vm_set_memory_region(&vm, 4, ~0u, GPA(12345), 0, NULL, 9), 0);
	check();
	refused(-ENOENT, 4, 0, 0, 0);
	/* read-only is changed by deleting and setting again; contents stay */
	assert_int_equal(set(4, 0, 0, MIB(2), 0), 0);
	memset(fake_host_at(&vm.space, WINDOW_BASE, true), 0x77, 16);
	assert_int_equal(set(4, 0, 0, 0, 0), 0);
	assert_int_equal(set(4, REGION_READ_ONLY, 0, MIB(2), 0), 0);
	check();
	assert_int_equal(*(u8 *)fake_host_at(&vm.space, WINDOW_BASE + 15, false), 0x77);
	memset(fake_host_at(&vm.space, WINDOW_BASE, true), 0, 16);
}

static void table_can_be_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < REGIONS_MAX; i++)
		assert_int_equal(set(i, 0, MIB(REGIONS_MAX - i), PAGE_SIZE, i * PAGE_SIZE), 0);
	check();
	for (unsigned i = 0; i < REGIONS_MAX; i++) {
		u64 gpa = MIB(REGIONS_MAX - i);

		assert_int_equal(region_find(&vm.regions, GPA(gpa))->slot, i);
		assert_int_equal(region_find(&vm.regions, GPA(gpa + PAGE_SIZE - 1))->slot, i);
		assert_null(region_find(&vm.regions, GPA(gpa + PAGE_SIZE)));
		assert_null(region_find(&vm.regions, GPA(gpa - 1)));
	}
	refused(-ENOSPC, REGIONS_MAX, GIB(1), PAGE_SIZE, 0);
	assert_int_equal(set(5, 0, 0, 0, 0), 0);
	assert_int_equal(set(REGIONS_MAX, 0, GIB(1), PAGE_SIZE, 0), 0);
	check();
}

/* The table grows by pages: none for the next one leaves all as it is. */
static void no_page_for_the_table(void **state)
{
	unsigned pages = 0;

	(void)state;
	for (unsigned i = 0; i < REGIONS_MAX; i++) {
		bool grows = i >= REGIONS_FEW && (i + 1) * sizeof(struct region) > pages * PAGE_SIZE;

		fake_host.fail_at = grows ? 1 : 0;
		if (grows)
			refused(-ENOMEM, i, MIB(i), PAGE_SIZE, 0);
		fake_host.fail_at = 0;
		assert_int_equal(set(i, 0, MIB(i), PAGE_SIZE, 0), 0);
		pages += grows;
		assert_int_equal(vm.regions.pages, pages);
	}
	assert_in_range(pages, REGIONS_MAX * sizeof(struct region) / PAGE_SIZE,
			REGIONS_MAX * sizeof(struct region) / PAGE_SIZE + 1);
}

/* Of a first region that fails no table stays behind; teardown counts pages. */
static void the_first_region_fails(void **state)
{
	unsigned n = 0;
	int error;

	(void)state;
	do {
		fake_host.fail_at = ++n;
		error = set(0, REGION_LOG_DIRTY, MIB(16), MIB(8), 0);
		fake_host.fail_at = 0;
		if (error) {
			assert_int_equal(error, -ENOMEM);
			assert_null(vm.regions.region);
		}
		check();
	} while (error);
	assert_int_equal(n, 1 + 2 * 4 + 1 + 1); /* bitmap, pieces on both sides, log */
}

/* A log more than the back end keeps, and one that is to move beside so many, are refused. */
static void too_many_logs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VIRT_LOGS_MAX; i++)
		assert_int_equal(set(i, REGION_LOG_DIRTY, MIB(i), KIB(64), i * KIB(64)), 0);
	assert_int_equal(set(VIRT_LOGS_MAX, REGION_LOG_DIRTY, GIB(1), KIB(64), 0), -ENOSPC);
	check();
	assert_int_equal(set(0, REGION_LOG_DIRTY, GIB(1), KIB(64), 0), -ENOSPC);
	check();
	assert_int_equal(set(1, 0, MIB(1), KIB(64), KIB(64)), 0);
	assert_int_equal(set(0, REGION_LOG_DIRTY, GIB(1), KIB(64), 0), 0);
	check();
}

static void stays_but_for_address_and_log(void **state)
{
	struct mem_object *other;

	(void)state;
	assert_int_equal(mem_create(MIB(2), &other), 0);
	assert_int_equal(set(0, 0, MIB(4), MIB(2), 0), 0);
	assert_int_equal(set(1, REGION_READ_ONLY, MIB(8), MIB(2), 0), 0);
	fake_host.pages_out--; /* `other` is none of check's */
	refused(-EINVAL, 0, MIB(4), MIB(1), 0);
	refused(-EINVAL, 0, MIB(4), MIB(4), 0);
	refused(-EINVAL, 0, MIB(4), MIB(2), PAGE_SIZE);
	refused(-EINVAL, 1, MIB(8), MIB(2), 0); /* read-only goes by deleting */
	assert_int_equal(set(0, REGION_READ_ONLY, MIB(4), MIB(2), 0), -EINVAL);
	assert_int_equal(set(0, 4, MIB(4), MIB(2), 0), -EINVAL);
	assert_int_equal(set(2, 1u << 31, MIB(16), MIB(2), 0), -EINVAL);
	assert_int_equal(vm_set_memory_region(&vm, 0, 0, GPA(MIB(4)), MIB(2), other, 0), -EINVAL);
	check();
	/* the same again is nothing */
	assert_int_equal(set(0, 0, MIB(4), MIB(2), 0), 0);
	check();
	fake_host.pages_out++;
	mem_put(other);
}

static void moving(void **state)
{
	static const u64 places[] = {GIB(1), 0, MIB(4), MIB(2), MIB(2) + PAGE_SIZE, MIB(3), MIB(1),
				     WINDOW_SIZE - MIB(4), MIB(8), 0};

	(void)state;
	assert_int_equal(set(3, 0, MIB(12), MIB(2), MIB(4)), 0);
	assert_int_equal(set(0, 0, MIB(4), MIB(4), 0), 0);
	memset(fake_host_at(&vm.space, WINDOW_BASE + MIB(5), true), 0x77, 16);
	/* to where there is room, also onto a part of itself */
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(set(0, 0, places[i], MIB(4), 0), 0);
		check();
		assert_int_equal(region_find(&vm.regions, GPA(places[i]))->slot, 0);
		assert_int_equal(
			*(u8 *)fake_host_at(&vm.space, WINDOW_BASE + places[i] + MIB(1) + 15, false),
			0x77);
		assert_int_equal(vm.regions.count, 2);
	}
	refused(-EEXIST, 0, MIB(10), MIB(4), 0);
	refused(-EEXIST, 0, MIB(14) - PAGE_SIZE, MIB(4), 0);
	refused(-EINVAL, 0, WINDOW_SIZE - MIB(2), MIB(4), 0);
	refused(-EINVAL, 0, ~0ull << 12, MIB(4), 0);
	memset(fake_host_at(&vm.space, WINDOW_BASE + MIB(1), true), 0, 16);
}

/* Bits of a bitmap of 16 pages that are set. */
static u64 taken(unsigned slot)
{
	u64 bitmap[1] = {~0ull};

	assert_int_equal(vm_get_dirty_log(&vm, slot, bitmap, sizeof(bitmap)), 0);
	return bitmap[0];
}

static void dirty_log(void **state)
{
	static u64 bitmap[MIB(8) / PAGE_SIZE / 64];
	const struct region *r;

	(void)state;
	assert_int_equal(set(0, 0, 0, KIB(64), 0), 0);
	assert_int_equal(vm_get_dirty_log(&vm, 0, bitmap, sizeof(bitmap)), -ENOENT);
	assert_int_equal(vm_get_dirty_log(&vm, 1, bitmap, sizeof(bitmap)), -ENOENT);
	/* on in place, empty; it notes the guest's writes and Trivet's */
	assert_int_equal(set(0, REGION_LOG_DIRTY, 0, KIB(64), 0), 0);
	check();
	assert_int_equal(taken(0), 0);
	r = region_find(&vm.regions, GPA(0));
	fake_virt_guest_writes(vm.virt, 0x3000);
	fake_virt_guest_writes(vm.virt, 0xffff);
	region_mark_dirty(r, 0x5fff, 2);
	region_mark_dirty(r, 0x8000, 0x1000);
	assert_int_equal(taken(0), 0x8168);
	assert_int_equal(fake_virt_log(vm.virt, 0)->takes, 2);
	assert_int_equal(taken(0), 0); /* what was got is cleared */
	assert_int_equal(vm_get_dirty_log(&vm, 0, bitmap, 7), -EINVAL);
	/* it moves with the region, onto itself too */
	fake_virt_guest_writes(vm.virt, 0x3000);
	assert_int_equal(set(0, REGION_LOG_DIRTY, GIB(1), KIB(64), 0), 0);
	check();
	fake_virt_guest_writes(vm.virt, GIB(1) + 0x4000);
	assert_int_equal(set(0, REGION_LOG_DIRTY, GIB(1) + 0x8000, KIB(64), 0), 0);
	check();
	fake_virt_guest_writes(vm.virt, GIB(1) + 0x8000);
	assert_int_equal(taken(0), 0x19);
	/* off, on again: empty. On and off with a move as well. */
	fake_virt_guest_writes(vm.virt, GIB(1) + 0x9000);
	assert_int_equal(set(0, 0, GIB(1) + 0x8000, KIB(64), 0), 0);
	check();
	assert_int_equal(set(0, REGION_LOG_DIRTY, 0, KIB(64), 0), 0);
	check();
	assert_int_equal(taken(0), 0);
	assert_int_equal(set(0, 0, GIB(2), KIB(64), 0), 0);
	check();
	/* one that is read-only has a log, of Trivet's writes only */
	assert_int_equal(set(1, REGION_READ_ONLY | REGION_LOG_DIRTY, 0, MIB(8), 0), 0);
	check();
	region_mark_dirty(region_find(&vm.regions, GPA(0)), MIB(8) - 1, 1);
	assert_int_equal(vm_get_dirty_log(&vm, 1, bitmap, sizeof(bitmap)), 0);
	assert_int_equal(bitmap[31], BIT(63));
	assert_int_equal(bitmap[30] | bitmap[0], 0);
	assert_int_equal(set(1, REGION_READ_ONLY, 0, MIB(8), 0), 0);
	check();
	/* without a log there is nothing to mark */
	region_mark_dirty(region_find(&vm.regions, GPA(0)), 0, MIB(8));
}

static void log_too_long(void **state)
{
	struct mem_object *huge;

	(void)state;
	assert_int_equal(mem_create_physical(HPA(GIB(8)), GIB(64), false, &huge), 0);
	assert_int_equal(vm_set_memory_region(&vm, 0, REGION_LOG_DIRTY, GPA(0), GIB(64), huge, 0),
			 -E2BIG);
	assert_int_equal(vm.regions.count, 0);
	assert_int_equal(huge->users, 1);
	assert_int_equal(vm_set_memory_region(&vm, 0, REGION_LOG_DIRTY, GPA(0), GIB(63), huge, 0), 0);
	assert_int_equal(set(0, 0, 0, 0, 0), 0);
	mem_put(huge);
}

static void memory_types(void **state)
{
	struct mem_object *device;

	(void)state;
	assert_int_equal(mem_create_physical(HPA(0xfebc0000), 0x2000, true, &device), 0);
	assert_int_equal(vm_set_memory_region(&vm, 0, 0, GPA(0xf0000000), 0x2000, device, 0), 0);
	assert_int_equal(fake_virt_find(vm.virt, 0xf0000000)->type, MEMTYPE_DEVICE);
	assert_int_equal(fake_virt_find(vm.virt, 0xf0001000)->hpa, 0xfebc0000);
	assert_int_equal(set(0, 0, 0, 0, 0), 0);
	mem_put(device);
	assert_int_equal(set(0, 0, 0, PAGE_SIZE, 0), 0);
	assert_int_equal(fake_virt_find(vm.virt, 0)->type, MEMTYPE_RAM);
}

/* Each change with each of its allocations failing: refused, nothing changed, until it succeeds. */
static void every_change_with_each_allocation_failing(void **state)
{
	static const struct {
		unsigned before, after;
		u64 from, to;
		unsigned allocations;
	} rows[] = {
		{0, 0, MIB(16), GIB(1), 8},
		{0, 0, MIB(16), MIB(18), 8},
		{0, REGION_LOG_DIRTY, MIB(16), MIB(16), 2},
		{REGION_LOG_DIRTY, 0, MIB(16), MIB(16), 0},
		{REGION_LOG_DIRTY, REGION_LOG_DIRTY, MIB(16), GIB(1), 9},
		{REGION_LOG_DIRTY, REGION_LOG_DIRTY, MIB(16), MIB(15), 17},
		{0, REGION_LOG_DIRTY, MIB(16), MIB(15), 18},
		{REGION_LOG_DIRTY, 0, MIB(16), MIB(17), 16},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned n = 0;
		int error;

		assert_int_equal(set(0, rows[i].before, rows[i].from, MIB(8), 0), 0);
		if (rows[i].before)
			fake_virt_guest_writes(vm.virt, rows[i].from + PAGE_SIZE);
		do {
			struct region_table old = vm.regions;

			fake_host.fail_at = ++n;
			error = set(0, rows[i].after, rows[i].to, MIB(8), 0);
			fake_host.fail_at = 0;
			if (error) {
				assert_int_equal(error, -ENOMEM);
				assert_memory_equal(&vm.regions, &old, sizeof(old));
			}
			check();
		} while (error);
		assert_int_equal(n, rows[i].allocations + 1);
		if (rows[i].before && rows[i].after)
			assert_int_equal(vm.regions.region[0].dirty[0], 2);
		assert_int_equal(set(0, 0, 0, 0, 0), 0);
	}
}

/* No memory for the new place and none for the way back: the region shows nothing, and can go. */
static void no_way_back(void **state)
{
	(void)state;
	assert_int_equal(set(0, 0, 0, MIB(8), 0), 0);
	fake_host.fail_again = 1;
	fake_host.fail_at = 2;
	assert_int_equal(set(0, 0, MIB(1), MIB(8), 0), -ENOMEM);
	assert_true(fake_host_logged("no memory to move region 0"));
	assert_int_equal(vm.virt->count, 0);
	assert_int_equal(fake_host_maps(&vm.space), 0);
	assert_int_equal(vm.regions.region[0].gpa, 0);
}

static void each_allocation_failing(void **state)
{
	unsigned n = 0;
	int error;

	(void)state;
	assert_int_equal(set(0, 0, 0, MIB(1), 0), 0);
	do {
		struct region_table before = vm.regions;

		fake_host.fail_at = ++n;
		error = set(1, 0, MIB(16), MIB(8), 0);
		fake_host.fail_at = 0;
		if (error) {
			assert_int_equal(error, -ENOMEM);
			assert_memory_equal(&vm.regions, &before, sizeof(before));
		}
		check();
	} while (error);
	assert_int_equal(n, 2 * 4 + 1); /* each piece on both sides */
}

static void find(void **state)
{
	static const struct {
		u64 gpa;
		int slot;
	} rows[] = {
		{0, 0}, {MIB(1) - 1, 0}, {MIB(1), 1}, {MIB(2) - 1, 1}, {MIB(2), -1},
		{MIB(4) - 1, -1}, {MIB(4), 2}, {MIB(5) - 1, 2}, {MIB(5), -1}, {~0ull, -1},
	};

	(void)state;
	assert_null(region_find(&vm.regions, GPA(0)));
	assert_int_equal(set(1, 0, MIB(1), MIB(1), 0), 0);
	assert_int_equal(set(0, 0, 0, MIB(1), 0), 0);
	assert_int_equal(set(2, 0, MIB(4), MIB(1), 0), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct region *r = region_find(&vm.regions, GPA(rows[i].gpa));

		assert_int_equal(r ? (int)r->slot : -1, rows[i].slot);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shows_an_object),
		TEST(two_regions_may_show_one_object),
		TEST(alignment_and_bounds),
		TEST(overlap),
		TEST(deleting),
		TEST(stays_but_for_address_and_log),
		TEST(moving),
		TEST(dirty_log),
		TEST(log_too_long),
		TEST(memory_types),
		TEST(every_change_with_each_allocation_failing),
		TEST(no_way_back),
		TEST(table_can_be_full),
		TEST(no_page_for_the_table),
		TEST(the_first_region_fails),
		TEST(too_many_logs),
		TEST(each_allocation_failing),
		TEST(find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
