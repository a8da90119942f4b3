/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trivet's own pages, out of chunks of 2 MiB that are mapped in the direct area
 * when they are taken from the frames. A chunk's first page describes it. One
 * page is always kept aside for the page table that mapping a chunk may need,
 * so that taking a chunk never waits for an allocation.
 */
#include "arch/pages.h"

#include "arch/frames.h"
#include "arch/lib/audit.h"
#include "arch/lib/lock.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/space.h"

#define CHUNK_PAGES  (CHUNK_SIZE / PAGE_SIZE)
#define DIRECT_SIZE  GIB(512) /* what one entry of the root table maps */
#define CHUNK_MAGIC  0x6b6e756863766972ull

struct chunk {
	u64 magic;
	struct chunk *next;
	u32 free;
	u64 used[CHUNK_PAGES / 64]; /* page 0, this one, is always used */
};

static struct spinlock lock; /* guards all below and what is in the chunks */
static struct chunk *chunks;
static u64 *spare_table;
static u64 in_use;

static bool page_used(const struct chunk *chunk, unsigned page)
{
	return chunk->used[page / 64] >> page % 64 & 1;
}

/* The first of `count` free pages in a row, or 0. */
static unsigned find_run(const struct chunk *chunk, unsigned count)
{
	unsigned run = 0;

	if (chunk->free < count)
		return 0;
	for (unsigned page = 1; page < CHUNK_PAGES; page++) {
		if (page % 64 == 0 && chunk->used[page / 64] == ~0ull) {
			run = 0;
			page += 63;
			continue;
		}
		run = page_used(chunk, page) ? 0 : run + 1;
		if (run == count)
			return page + 1 - count;
	}
	return 0;
}

static void *take_run(struct chunk *chunk, unsigned first, unsigned count)
{
	void *pages = (u8 *)chunk + first * PAGE_SIZE;

	for (unsigned page = first; page < first + count; page++)
		chunk->used[page / 64] |= BIT(page % 64);
	chunk->free -= count;
	in_use += count;
	AUDIT(AUDIT_PAGES_TAKE, &((struct audit_pages){pages, count}));
	memset(pages, 0, count * PAGE_SIZE);
	return pages;
}

static struct chunk *add_chunk(hpa_t hpa)
{
	struct chunk *chunk = phys_to_virt(hpa);

	*chunk = (struct chunk){.magic = CHUNK_MAGIC, .next = chunks, .free = CHUNK_PAGES - 1};
	chunk->used[0] = 1;
	chunks = chunk;
	in_use++;
	if (!spare_table)
		spare_table = take_run(chunk, 1, 1);
	return chunk;
}

static struct chunk *grow(void)
{
	u64 start;

	if (frames_take(CHUNK_SIZE, CHUNK_SIZE, DIRECT_SIZE, &start))
		return NULL;
	if (space_map_chunk(HPA(start), spare_table))
		spare_table = NULL;
	return add_chunk(HPA(start));
}

hpa_t pages_init(void)
{
	u64 start;

	if (frames_take(CHUNK_SIZE, CHUNK_SIZE, GIB(4), &start))
		return HPA(0);
	add_chunk(HPA(start));
	return HPA(start);
}

void *pages_alloc(unsigned count)
{
	void *pages = NULL;
	struct chunk *chunk;
	unsigned first;

	if (count == 0 || count > PAGES_RUN_MAX)
		return NULL;
	spin_lock(&lock);
	chunk = chunks;
	while (chunk && !find_run(chunk, count))
		chunk = chunk->next;
	if (!chunk)
		chunk = grow();
	/* A new chunk may have given its first free page to spare_table. */
	first = chunk ? find_run(chunk, count) : 0;
	if (first)
		pages = take_run(chunk, first, count);
	spin_unlock(&lock);
	return pages;
}

void pages_free(void *pages, unsigned count)
{
	struct chunk *chunk = (struct chunk *)ALIGN_DOWN(pages, CHUNK_SIZE);
	unsigned first = ((u64)pages & (CHUNK_SIZE - 1)) / PAGE_SIZE;
	bool was_used = true;

	if (!pages)
		return;
	if (chunk->magic != CHUNK_MAGIC || first == 0 || first + count > CHUNK_PAGES)
		panic("pages_free: %u at %p are not from pages_alloc", count, pages);
	AUDIT(AUDIT_PAGES_FREE, &((struct audit_pages){pages, count}));
	spin_lock(&lock);
	for (unsigned page = first; page < first + count; page++) {
		was_used &= page_used(chunk, page);
		chunk->used[page / 64] &= ~BIT(page % 64);
	}
	chunk->free += count;
	in_use -= count;
	spin_unlock(&lock);
	if (!was_used)
		panic("pages_free: %u at %p are free already", count, pages);
}

u64 pages_in_use(void)
{
	return __atomic_load_n(&in_use, __ATOMIC_RELAXED);
}
