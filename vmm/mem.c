/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory objects. Pieces are taken aligned to the largest page that fits at
 * their offset, so that regions with the same alignment map with large pages.
 */
#include "vmm/mem.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/memory.h"

_Static_assert(sizeof(struct mem_object) <= PAGE_SIZE, "an object is one page");

static struct mem_object *object_alloc(u64 size)
{
	struct mem_object *mem = pages_alloc(1);

	if (mem) {
		mem->size = size;
		mem->users = 1;
	}
	return mem;
}

/* Takes one piece at the end of the object, aligned to `page`. */
static int add_piece(struct mem_object *mem, u64 offset, u64 left, u64 page)
{
	struct mem_extent *e = &mem->extent[mem->extent_count];
	u64 got;

	if (mem->extent_count == MEM_EXTENTS_MAX)
		return -ENOMEM;
	if (frames_alloc(left, page, &e->hpa, &got))
		return -ENOMEM;
	/* What comes next has to be aligned again: an odd tail goes back. */
	if (got < left && !IS_ALIGNED(got, page)) {
		u64 keep = ALIGN_DOWN(got, page);

		frames_free(HPA(e->hpa.v + keep), got - keep);
		got = keep;
		if (got == 0)
			return -ENOMEM;
	}
	e->offset = offset;
	e->size = got;
	mem->extent_count++;
	return 0;
}

static int fill(struct mem_object *mem)
{
	static const u64 pages[] = {GIB(1), MIB(2), PAGE_SIZE};
	bool scattered = false;

	for (u64 offset = 0; offset < mem->size; offset += mem->extent[mem->extent_count - 1].size) {
		u64 left = mem->size - offset;
		int error = -ENOMEM;

		for (unsigned i = 0; i < ARRAY_SIZE(pages) && error; i++)
			if (IS_ALIGNED(offset, pages[i]) && left >= pages[i]) {
				error = add_piece(mem, offset, left, pages[i]);
				scattered |= error && pages[i] == MIB(2);
			}
		if (error)
			return error;
	}
	if (scattered)
		log_warn("no room for all of %lu KiB in large pages: some is slower", mem->size >> 10);
	return 0;
}

int mem_create(u64 size, struct mem_object **out)
{
	struct mem_object *mem = object_alloc(size);

	if (!mem)
		return -ENOMEM;
	if (fill(mem)) {
		mem_put(mem);
		return -ENOMEM;
	}
	*out = mem;
	return 0;
}

static int create_at(enum mem_kind kind, hpa_t hpa, u64 size, bool uncached,
		     struct mem_object **out)
{
	struct mem_object *mem = object_alloc(size);

	if (!mem)
		return -ENOMEM;
	mem->kind = kind;
	mem->uncached = uncached;
	mem->extent_count = 1;
	mem->extent[0] = (struct mem_extent){0, hpa, ALIGN_UP(size, PAGE_SIZE)};
	*out = mem;
	return 0;
}

int mem_create_module(hpa_t hpa, u64 size, struct mem_object **out)
{
	return create_at(MEM_MODULE, hpa, size, false, out);
}

int mem_create_physical(hpa_t hpa, u64 size, bool uncached, struct mem_object **out)
{
	u64 limit = cpu_physical_limit();

	if (!size || !IS_ALIGNED(hpa.v | size, PAGE_SIZE) || hpa.v >= limit || size > limit - hpa.v)
		return -EINVAL;
	return create_at(MEM_PHYSICAL, hpa, size, uncached, out);
}

void mem_get(struct mem_object *mem)
{
	mem->users++;
}

void mem_put(struct mem_object *mem)
{
	if (--mem->users)
		return;
	if (mem->kind == MEM_ANONYMOUS)
		for (unsigned i = 0; i < mem->extent_count; i++)
			frames_free(mem->extent[i].hpa, mem->extent[i].size);
	pages_free(mem, 1);
}

u64 mem_piece(const struct mem_object *mem, u64 offset, u64 size, hpa_t *hpa)
{
	for (unsigned i = 0; i < mem->extent_count; i++) {
		const struct mem_extent *e = &mem->extent[i];

		if (offset - e->offset >= e->size)
			continue;
		*hpa = HPA(e->hpa.v + (offset - e->offset));
		return MIN(size, e->size - (offset - e->offset));
	}
	return 0;
}
