/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Radix tables by recursion over their levels: 4 is the root, 1 holds the
 * 4 KiB leaves. A change first makes sure that it cannot fail half-way: map
 * looks whether the range is empty, unmap allocates the tables for its splits.
 */
#include "arch/pt.h"

#include "arch/lib/errno.h"
#include "arch/memory.h"

#define ENTRIES	  512u
#define ROOT	  4u
/* The two ends of a range can each lie in a 1 GiB page: two splits down to 4 KiB. */
#define SPLIT_MAX 4

static u64 span_of(unsigned level)
{
	return PAGE_SIZE << 9 * (level - 1);
}

static unsigned index_of(u64 addr, unsigned level)
{
	return addr >> (PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1);
}

/* The end of what the entry for addr covers, or end if that comes first. The
 * arithmetic is on distances, since the last span ends at 2^64. */
static u64 bytes_here(u64 addr, u64 size, unsigned level)
{
	u64 rest = span_of(level) - (addr & (span_of(level) - 1));

	return MIN(size, rest);
}

static bool is_present(const struct pt *pt, u64 entry)
{
	return (entry & pt->format->present) != 0;
}

static bool is_leaf(const struct pt *pt, u64 entry, unsigned level)
{
	return level == 1 || (entry & pt->format->large) != 0;
}

static u64 *table_at(u64 entry)
{
	return phys_to_virt(HPA(entry & PT_ADDRESS));
}

static void set_entry(u64 *entry, u64 value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static u64 *table_new(struct pt *pt)
{
	u64 *table = pages_alloc(1);

	if (table)
		pt->table_pages++;
	return table;
}

static void table_free(struct pt *pt, u64 *table)
{
	pages_free(table, 1);
	pt->table_pages--;
}

static bool table_is_empty(const struct pt *pt, const u64 *table)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		if (is_present(pt, table[i]))
			return false;
	return true;
}

int pt_create(struct pt *pt, const struct pt_format *format)
{
	*pt = (struct pt){.format = format, .keep_from = ENTRIES};
	pt->root = table_new(pt);
	return pt->root ? 0 : -ENOMEM;
}

static bool range_is_empty(const struct pt *pt, const u64 *table, unsigned level, u64 addr,
			   u64 size)
{
	while (size) {
		u64 here = bytes_here(addr, size, level);
		u64 entry = table[index_of(addr, level)];

		if (is_present(pt, entry) &&
		    (is_leaf(pt, entry, level) ||
		     !range_is_empty(pt, table_at(entry), level - 1, addr, here)))
			return false;
		addr += here;
		size -= here;
	}
	return true;
}

static int map_level(struct pt *pt, u64 *table, unsigned level, u64 addr, u64 hpa, u64 size,
		     u64 bits)
{
	while (size) {
		u64 here = bytes_here(addr, size, level);
		u64 *entry = &table[index_of(addr, level)];

		if (level <= pt->format->max_leaf && here == span_of(level) &&
		    IS_ALIGNED(hpa, here)) {
			set_entry(entry, hpa | bits | (level > 1 ? pt->format->large : 0));
		} else {
			if (!is_present(pt, *entry)) {
				u64 *child = table_new(pt);

				if (!child)
					return -ENOMEM;
				set_entry(entry, virt_to_phys(child).v | pt->format->table);
			}
			if (map_level(pt, table_at(*entry), level - 1, addr, hpa, here, bits))
				return -ENOMEM;
		}
		addr += here;
		hpa += here;
		size -= here;
	}
	return 0;
}

/* Leaves in the range lie wholly in it. */
static void unmap_level(struct pt *pt, u64 *table, unsigned level, u64 addr, u64 size)
{
	while (size) {
		u64 here = bytes_here(addr, size, level);
		unsigned index = index_of(addr, level);
		u64 entry = table[index];

		if (is_present(pt, entry) && is_leaf(pt, entry, level)) {
			set_entry(&table[index], 0);
		} else if (is_present(pt, entry)) {
			u64 *child = table_at(entry);

			unmap_level(pt, child, level - 1, addr, here);
			if ((level < ROOT || index < pt->keep_from) && table_is_empty(pt, child)) {
				set_entry(&table[index], 0);
				table_free(pt, child);
			}
		}
		addr += here;
		size -= here;
	}
}

void pt_destroy(struct pt *pt, unsigned first, unsigned last)
{
	u64 span = span_of(ROOT);

	pt->keep_from = ENTRIES;
	unmap_level(pt, pt->root, ROOT, first * span, (last - first + 1) * span);
	table_free(pt, pt->root);
	pt->root = NULL;
}

int pt_map(struct pt *pt, u64 addr, hpa_t hpa, u64 size, u64 bits)
{
	if (!range_is_empty(pt, pt->root, ROOT, addr, size))
		return -EEXIST;
	if (map_level(pt, pt->root, ROOT, addr, hpa.v, size, bits)) {
		unmap_level(pt, pt->root, ROOT, addr, size);
		return -ENOMEM;
	}
	return 0;
}

/* How many splits it takes until no leaf reaches across addr. */
static unsigned splits_at(const struct pt *pt, u64 addr)
{
	unsigned level, splits = 0;

	if (!pt_lookup(pt, addr, &level))
		return 0;
	for (; level > 1 && !IS_ALIGNED(addr, span_of(level)); level--)
		splits++;
	return splits;
}

static void split_at(struct pt *pt, u64 addr, u64 **spare)
{
	u64 *table = pt->root;

	for (unsigned level = ROOT; level > 1; level--) {
		u64 *entry = &table[index_of(addr, level)];
		u64 leaf = *entry;

		if (!is_present(pt, leaf) || IS_ALIGNED(addr, span_of(level)))
			return;
		table = table_at(leaf);
		if (!is_leaf(pt, leaf, level))
			continue;
		while (!*spare)
			spare++;
		table = *spare;
		*spare = NULL;
		if (level == 2)
			leaf &= ~pt->format->large;
		for (unsigned i = 0; i < ENTRIES; i++)
			table[i] = leaf + i * span_of(level - 1);
		set_entry(entry, virt_to_phys(table).v | pt->format->table);
	}
}

int pt_unmap(struct pt *pt, u64 addr, u64 size)
{
	u64 *spare[SPLIT_MAX + 1] = {NULL};
	unsigned needed = splits_at(pt, addr) + splits_at(pt, addr + size);

	for (unsigned i = 0; i < needed; i++) {
		spare[i] = table_new(pt);
		if (!spare[i]) {
			while (i--)
				table_free(pt, spare[i]);
			return -ENOMEM;
		}
	}
	split_at(pt, addr, spare);
	split_at(pt, addr + size, spare);
	/* Fewer than counted when both ends lay in one page. */
	for (unsigned i = 0; i < needed; i++)
		if (spare[i])
			table_free(pt, spare[i]);
	unmap_level(pt, pt->root, ROOT, addr, size);
	return 0;
}

u64 pt_lookup(const struct pt *pt, u64 addr, unsigned *level)
{
	const u64 *table = pt->root;

	for (*level = ROOT;; (*level)--) {
		u64 entry = table[index_of(addr, *level)];

		if (!is_present(pt, entry))
			return 0;
		if (is_leaf(pt, entry, *level))
			return entry;
		table = table_at(entry);
	}
}
