/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames: all RAM that nothing uses, which goes to guests by frames_alloc and
 * to Trivet's own pages (arch/pages.c) in chunks of 2 MiB.
 */
#include "arch/frames.h"

#include "arch/lib/extents.h"
#include "arch/lib/lock.h"
#include "arch/lib/log.h"
#include "arch/memory.h"

static struct spinlock lock; /* guards the set */
static struct extents set;

int frames_add(u64 start, u64 end)
{
	/* Overlapping ranges of a firmware's map count once. */
	int error = extents_remove(&set, start, end - start);

	return error ? error : extents_add(&set, start, end - start);
}

int frames_keep(u64 start, u64 end)
{
	return extents_remove(&set, start, end - start);
}

static int take(u64 size, u64 align, u64 unit, u64 limit, struct extent *taken)
{
	int error;

	spin_lock(&lock);
	error = extents_take(&set, size, align, unit, limit, taken);
	spin_unlock(&lock);
	return error ? -ENOMEM : 0;
}

int frames_take(u64 size, u64 align, u64 limit, u64 *start)
{
	struct extent taken = {0, 0};
	int error = take(size, align, size, limit, &taken);

	*start = taken.start;
	return error;
}

int frames_alloc(u64 size, u64 align, hpa_t *hpa, u64 *got)
{
	struct extent taken = {0, 0};
	int error = take(size, align, PAGE_SIZE, ~0ull, &taken);

	*hpa = HPA(taken.start);
	*got = taken.end - taken.start;
	return error;
}

void frames_free(hpa_t hpa, u64 size)
{
	int error;

	spin_lock(&lock);
	error = extents_add(&set, hpa.v, size);
	spin_unlock(&lock);
	if (error == -EEXIST)
		panic("frames_free: 0x%lx is free already", hpa.v);
	if (error)
		log_warn("memory is in too many pieces: %lu KiB at 0x%lx are lost", size >> 10,
			 hpa.v);
}

u64 frames_available(void)
{
	return __atomic_load_n(&set.total, __ATOMIC_RELAXED);
}
