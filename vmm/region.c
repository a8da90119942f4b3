/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions. A region is mapped piece by piece as the frames of its object lie;
 * when a piece fails, what was done is taken back. The bitmap of a dirty log is
 * written by the back end for the guest and by vmm/gmem.c for Trivet.
 */
#include "vmm/region.h"

#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "vmm/job.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

#define IN_PAGES(pages) ((pages) * PAGE_SIZE / sizeof(struct region))
_Static_assert(IN_PAGES(PAGES_RUN_MAX) > REGIONS_MAX, "the table is one run of pages");

const struct region *region_find(const struct region_table *table, gpa_t gpa)
{
	unsigned low = 0, high = table->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct region *r = &table->region[middle];

		if (gpa.v < r->gpa)
			high = middle;
		else if (gpa.v - r->gpa < r->size)
			return r;
		else
			low = middle + 1;
	}
	return NULL;
}

static struct region *find_slot(struct vm *vm, unsigned slot)
{
	for (unsigned i = 0; i < vm->regions.count; i++)
		if (vm->regions.region[i].slot == slot)
			return &vm->regions.region[i];
	return NULL;
}

/* How much of `left` at gpa is done before others run; it keeps large pages whole. */
static u64 step(u64 gpa, u64 left)
{
	return MIN(left, gpa ? MIN(gpa & -gpa, GIB(1)) : GIB(1));
}

/* What goes is what map_piece has mapped: no page is split, nothing can fail. Pages that were
 * split since are many: up to a page of 1 GiB, which cannot be told, little is done at once. */
static void unmap(struct vm *vm, u64 gpa, u64 size)
{
	for (u64 end = gpa + size, part; gpa < end; gpa += part) {
		part = step(gpa, end - gpa);
		part = part < GIB(1) ? MIN(part, MIB(64)) : part;
		virt->vm_unmap(vm->virt, GPA(gpa), part);
		space_unmap(&vm->space, WINDOW_BASE + gpa, part);
		job_yield();
	}
}

static int map_piece(struct vm *vm, const struct region *r, u64 done, hpa_t hpa, u64 size)
{
	unsigned rights = MAP_READ | MAP_EXEC | (r->flags & REGION_READ_ONLY ? 0 : MAP_WRITE);
	bool uncached = r->mem->uncached;
	int error = virt->vm_map(vm->virt, GPA(r->gpa + done), hpa, size, rights,
				 uncached ? MEMTYPE_DEVICE : MEMTYPE_RAM);

	job_yield();
	if (error)
		return error;
	/* Trivet itself may write what the guest may only read. */
	error = space_map(&vm->space, WINDOW_BASE + r->gpa + done, hpa, size,
			  SPACE_WRITE | SPACE_USER | (uncached ? SPACE_UNCACHED : 0));
	if (error)
		virt->vm_unmap(vm->virt, GPA(r->gpa + done), size);
	return error;
}

static int map(struct vm *vm, const struct region *r)
{
	u64 done = 0;

	while (done < r->size) {
		hpa_t hpa;
		u64 left = step(r->gpa + done, r->size - done);
		u64 size = mem_piece(r->mem, r->offset + done, left, &hpa);
		int error = size ? map_piece(vm, r, done, hpa, size) : -EINVAL;

		if (error) {
			unmap(vm, r->gpa, done);
			return error;
		}
		done += size;
		job_yield();
	}
	return 0;
}

/* Tells the back end where to note what the guest writes, NULL to stop. There is
 * nothing to note where it cannot write. */
static int watch(struct vm *vm, const struct region *r, u64 *bitmap)
{
	if (r->flags & REGION_READ_ONLY)
		return 0;
	return virt->vm_dirty_log(vm->virt, GPA(r->gpa), r->size, bitmap);
}

static int show(struct vm *vm, const struct region *r)
{
	int error = map(vm, r);

	if (error || !r->dirty)
		return error;
	error = watch(vm, r, r->dirty);
	if (error)
		unmap(vm, r->gpa, r->size);
	return error;
}

static void hide(struct vm *vm, const struct region *r)
{
	if (r->dirty)
		watch(vm, r, NULL);
	unmap(vm, r->gpa, r->size);
}

/* Onto a part of itself a region can move only after the old place is free. */
static int move(struct vm *vm, const struct region *old, const struct region *new)
{
	bool apart = new->gpa - old->gpa >= old->size && old->gpa - new->gpa >= old->size;
	int error;

	if (!apart)
		hide(vm, old);
	error = show(vm, new);
	if (apart && !error)
		hide(vm, old);
	if (!apart && error && show(vm, old))
		log_error("[%s] no memory to move region %u, nor to leave it where it was",
			  vm->name, old->slot);
	return error;
}

static u64 bitmap_words(const struct region *r)
{
	return (r->size / PAGE_SIZE + 63) / 64;
}

static unsigned bitmap_pages(const struct region *r)
{
	return ALIGN_UP(bitmap_words(r) * sizeof(u64), PAGE_SIZE) / PAGE_SIZE;
}

/* An empty log, or the one that there is. */
static int prepare_log(struct region *new, const struct region *old)
{
	if (!(new->flags & REGION_LOG_DIRTY))
		return 0;
	new->dirty = old ? old->dirty : NULL;
	if (new->dirty)
		return 0;
	if (bitmap_words(new) > PAGES_RUN_MAX * PAGE_SIZE / sizeof(u64))
		return -E2BIG;
	new->dirty = pages_alloc(bitmap_pages(new));
	return new->dirty ? 0 : -ENOMEM;
}

/* Makes room for one region more. */
static int grow(struct region_table *t)
{
	struct region *bigger;

	if (!t->region)
		t->region = t->few;
	if (t->count < (t->pages ? IN_PAGES(t->pages) : REGIONS_FEW))
		return 0;
	bigger = pages_alloc(t->pages + 1);
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger, t->region, t->count * sizeof(*bigger));
	if (t->pages)
		pages_free(t->region, t->pages);
	t->region = bigger;
	t->pages++;
	return 0;
}

static void take_out(struct vm *vm, struct region *r, const u64 *kept_log)
{
	struct region_table *t = &vm->regions;

	if (r->dirty != kept_log)
		pages_free(r->dirty, bitmap_pages(r));
	mem_put(r->mem);
	t->count--;
	memmove(r, r + 1, (u64)(&t->region[t->count] - r) * sizeof(*r));
}

/* Without regions no table stays. Returns the error. */
static int tidy(struct region_table *t, int error)
{
	if (t->count)
		return error;
	if (t->pages)
		pages_free(t->region, t->pages);
	t->pages = 0;
	t->region = NULL;
	return error;
}

static void put_in(struct vm *vm, const struct region *new)
{
	struct region_table *t = &vm->regions;
	unsigned place = t->count++;

	for (; place && t->region[place - 1].gpa > new->gpa; place--)
		t->region[place] = t->region[place - 1];
	t->region[place] = *new;
}

static int check(const struct vm *vm, const struct region *new, const struct region *old)
{
	u64 last = new->gpa + new->size - 1;

	if ((new->flags & ~(REGION_READ_ONLY | REGION_LOG_DIRTY)) ||
	    !IS_ALIGNED(new->gpa | new->size | new->offset, PAGE_SIZE) || last < new->gpa ||
	    last >= WINDOW_SIZE || !new->mem || new->offset + new->size < new->offset ||
	    new->offset + new->size > ALIGN_UP(new->mem->size, PAGE_SIZE))
		return -EINVAL;
	if (old && (new->size != old->size || new->mem != old->mem || new->offset != old->offset ||
		    ((new->flags ^ old->flags) & REGION_READ_ONLY)))
		return -EINVAL;
	for (unsigned i = 0; i < vm->regions.count; i++) {
		const struct region *r = &vm->regions.region[i];

		if (r != old && new->gpa < r->gpa + r->size && r->gpa <= last)
			return -EEXIST;
	}
	return !old && vm->regions.count == REGIONS_MAX ? -ENOSPC : 0;
}

static int delete_region(struct vm *vm, struct region *r)
{
	if (!r)
		return -ENOENT;
	hide(vm, r);
	take_out(vm, r, NULL);
	return tidy(&vm->regions, 0);
}

int vm_set_memory_region(struct vm *vm, unsigned slot, unsigned flags, gpa_t gpa, u64 size,
			 struct mem_object *mem, u64 offset)
{
	struct region new = {gpa.v, size, mem, offset, NULL, flags, slot};
	struct region *old = find_slot(vm, slot);
	int error;

	if (size == 0)
		return delete_region(vm, old);
	error = check(vm, &new, old);
	if (!error && !old)
		error = grow(&vm->regions);
	if (!error)
		error = prepare_log(&new, old);
	if (error)
		return tidy(&vm->regions, error);
	if (!old)
		error = show(vm, &new);
	else if (old->gpa != new.gpa)
		error = move(vm, old, &new);
	else if (old->dirty != new.dirty)
		error = watch(vm, &new, new.dirty);
	if (error) {
		if (!old || old->dirty != new.dirty)
			pages_free(new.dirty, bitmap_pages(&new));
		return tidy(&vm->regions, error);
	}
	mem_get(mem);
	if (old)
		take_out(vm, old, new.dirty);
	put_in(vm, &new);
	return 0;
}

int vm_get_dirty_log(struct vm *vm, unsigned slot, u64 *bitmap, size_t size)
{
	const struct region *r = find_slot(vm, slot);

	if (!r || !r->dirty)
		return -ENOENT;
	if (size < bitmap_words(r) * sizeof(u64))
		return -EINVAL;
	if (!(r->flags & REGION_READ_ONLY))
		virt->vm_dirty_take(vm->virt, GPA(r->gpa));
	for (u64 i = 0; i < bitmap_words(r); i++)
		bitmap[i] = __atomic_exchange_n(&r->dirty[i], 0, __ATOMIC_ACQ_REL);
	return 0;
}

void region_mark_dirty(const struct region *r, u64 gpa, u64 len)
{
	u64 first = (gpa - r->gpa) / PAGE_SIZE, last = (gpa - r->gpa + len - 1) / PAGE_SIZE;

	if (!r->dirty)
		return;
	for (u64 page = first; page <= last; page++)
		bit_set_atomic(r->dirty, page);
}
