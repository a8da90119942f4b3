/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions. A region is mapped piece by piece as the frames of its object lie;
 * when a piece fails, what was done is taken back.
 */
#include "vmm/region.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

const struct region *region_find(const struct region_table *table, gpa_t gpa)
{
	unsigned low = 0, high = table->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct region *r = &table->region[middle];

		if (gpa.v < r->gpa)
			high = middle;
		else if (gpa.v - r->gpa >= r->size)
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

static int unmap(struct vm *vm, u64 gpa, u64 size)
{
	int error;

	if (size == 0)
		return 0;
	error = virt->vm_unmap(vm->virt, GPA(gpa), size);
	if (!error)
		error = space_unmap(&vm->space, WINDOW_BASE + gpa, size);
	return error;
}

static int map_piece(struct vm *vm, const struct region *r, u64 done, hpa_t hpa, u64 size)
{
	unsigned rights = MAP_READ | MAP_EXEC | (r->flags & REGION_READ_ONLY ? 0 : MAP_WRITE);
	int error = virt->vm_map(vm->virt, GPA(r->gpa + done), hpa, size, rights, MEMTYPE_RAM);

	if (error)
		return error;
	/* Trivet itself may write what the guest may only read. */
	error = space_map(&vm->space, WINDOW_BASE + r->gpa + done, hpa, size,
			  SPACE_WRITE | SPACE_USER);
	if (error)
		virt->vm_unmap(vm->virt, GPA(r->gpa + done), size);
	return error;
}

static int map(struct vm *vm, const struct region *r)
{
	u64 done = 0;

	while (done < r->size) {
		hpa_t hpa;
		u64 size = mem_piece(r->mem, r->offset + done, r->size - done, &hpa);
		int error = size ? map_piece(vm, r, done, hpa, size) : -EINVAL;

		if (error) {
			unmap(vm, r->gpa, done);
			return error;
		}
		done += size;
	}
	return 0;
}

static int delete_region(struct vm *vm, unsigned slot)
{
	struct region_table *t = &vm->regions;

	for (unsigned i = 0; i < t->count; i++) {
		struct region *r = &t->region[i];
		int error;

		if (r->slot != slot)
			continue;
		error = unmap(vm, r->gpa, r->size);
		if (error)
			return error;
		mem_put(r->mem);
		memmove(r, r + 1, (t->count - i - 1) * sizeof(*r));
		t->count--;
		return 0;
	}
	return -ENOENT;
}

static int check(const struct vm *vm, const struct region *new)
{
	u64 last = new->gpa + new->size - 1;

	if ((new->flags & ~REGION_READ_ONLY) ||
	    !IS_ALIGNED(new->gpa | new->size | new->offset, PAGE_SIZE) || last < new->gpa ||
	    last >= WINDOW_SIZE || !new->mem || new->offset + new->size < new->offset ||
	    new->offset + new->size > ALIGN_UP(new->mem->size, PAGE_SIZE))
		return -EINVAL;
	for (unsigned i = 0; i < vm->regions.count; i++) {
		const struct region *r = &vm->regions.region[i];

		if (r->slot == new->slot)
			return -EINVAL;
		if (new->gpa < r->gpa + r->size && r->gpa <= last)
			return -EEXIST;
	}
	return vm->regions.count == REGIONS_MAX ? -ENOSPC : 0;
}

int vm_set_memory_region(struct vm *vm, unsigned slot, unsigned flags, gpa_t gpa, u64 size,
			 struct mem_object *mem, u64 offset)
{
	struct region new = {gpa.v, size, mem, offset, flags, slot};
	struct region_table *t = &vm->regions;
	unsigned place = 0;
	int error;

	if (size == 0)
		return delete_region(vm, slot);
	error = check(vm, &new);
	if (!error)
		error = map(vm, &new);
	if (error)
		return error;
	mem_get(mem);
	while (place < t->count && t->region[place].gpa < gpa.v)
		place++;
	memmove(&t->region[place + 1], &t->region[place],
		(t->count - place) * sizeof(t->region[0]));
	t->region[place] = new;
	t->count++;
	return 0;
}
