/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ranges in a sorted array.
 */
#include "arch/lib/extents.h"

#include "arch/lib/string.h"

/* The first range that ends behind addr. */
static unsigned find(const struct extents *set, u64 addr)
{
	unsigned i = 0;

	while (i < set->count && set->at[i].end <= addr)
		i++;
	return i;
}

static void insert(struct extents *set, unsigned i, u64 start, u64 end)
{
	memmove(&set->at[i + 1], &set->at[i], (set->count - i) * sizeof(set->at[0]));
	set->at[i] = (struct extent){start, end};
	set->count++;
}

static void delete (struct extents *set, unsigned i)
{
	set->count--;
	memmove(&set->at[i], &set->at[i + 1], (set->count - i) * sizeof(set->at[0]));
}

int extents_add(struct extents *set, u64 start, u64 size)
{
	struct extent new = {start, start + size};
	unsigned i = find(set, start);

	if (size == 0)
		return 0;
	if (i < set->count && set->at[i].start < new.end)
		return -EEXIST;
	if (i < set->count && set->at[i].start == new.end) {
		new.end = set->at[i].end;
		delete (set, i);
	}
	if (i > 0 && set->at[i - 1].end == start) {
		new.start = set->at[--i].start;
		delete (set, i);
	}
	if (set->count == EXTENTS_MAX)
		return -ENOSPC;
	insert(set, i, new.start, new.end);
	set->total += size;
	return 0;
}

int extents_remove(struct extents *set, u64 start, u64 size)
{
	u64 end = start + size;
	unsigned i = find(set, start);

	while (i < set->count && set->at[i].start < end) {
		const struct extent e = set->at[i];

		/* Only one that holds the whole range leaves two pieces. */
		if (e.start < start && e.end > end && set->count == EXTENTS_MAX)
			return -ENOSPC;
		set->total -= MIN(e.end, end) - MAX(e.start, start);
		delete (set, i);
		if (e.start < start)
			insert(set, i++, e.start, start);
		if (e.end > end)
			insert(set, i++, end, e.end);
	}
	return 0;
}

/* What of a range can be taken; empty (end <= start) when nothing. */
static struct extent usable(const struct extent *e, u64 align, u64 unit, u64 limit)
{
	struct extent part = {ALIGN_UP(e->start, align), MIN(e->end, limit)};

	/* Aligning up near 2^64 wraps. */
	if (part.start < e->start || part.end < part.start)
		return (struct extent){0, 0};
	part.end = part.start + ALIGN_DOWN(part.end - part.start, unit);
	return part;
}

int extents_take(struct extents *set, u64 size, u64 align, u64 unit, u64 limit,
		 struct extent *taken)
{
	u64 best_range = 0;
	struct extent best = {0, 0};

	for (unsigned i = 0; i < set->count; i++) {
		struct extent part = usable(&set->at[i], align, unit, limit);
		u64 get = MIN(part.end - part.start, ALIGN_DOWN(size, unit));
		u64 range = set->at[i].end - set->at[i].start, most = best.end - best.start;

		if (get > most || (get == most && get && range < best_range)) {
			best_range = range;
			best = (struct extent){part.start, part.start + get};
		}
	}
	if (best.end == best.start)
		return -ENOSPC;
	*taken = best;
	return extents_remove(set, best.start, best.end - best.start);
}
