/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Radix tables by recursion over their levels: 4 is the root, 1 holds the
 * 4 KiB leaves. A change first makes sure that it cannot fail half-way: map
 * looks whether the range is empty, unmap splits before it removes.
 */
#include "arch/pt.h"

#include "arch/lib/string.h"
#include "arch/memory.h"

#define ENTRIES	  512u
#define ROOT	  4u

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

/* Each entry that [addr, addr+size) touches, with the bytes of the range below it. */
#define FOR_EACH_ENTRY(entry, here, table, level, addr, size)                                     \
	for (u64 here; (size) && (here = bytes_here(addr, size, level),                           \
				  entry = &(table)[index_of(addr, level)]);                       \
	     (addr) += here, (size) -= here)

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

/* The bits of a leaf as they stand at a level. */
static u64 leaf_at(const struct pt_format *f, u64 leaf, unsigned level)
{
	u64 from = level > 1 ? f->small : f->held, to = level > 1 ? f->held : f->small;

	leaf = level > 1 ? leaf | f->large : leaf & ~f->large;
	return leaf & from ? (leaf & ~from) | to : leaf;
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
	u64 any = 0;

	for (unsigned i = 0; i < ENTRIES; i++)
		any |= table[i];
	return !is_present(pt, any);
}

/* Tables that lie where others have been are told from them, too. */
void pt_downgraded(struct pt *pt)
{
	static u64 last;
	u64 next = __atomic_add_fetch(&last, 1, __ATOMIC_ACQ_REL);

	__atomic_store_n(&pt->generation, next, __ATOMIC_RELEASE);
}

int pt_create(struct pt *pt, const struct pt_format *format)
{
	*pt = (struct pt){.format = format, .keep_from = ENTRIES};
	pt_downgraded(pt);
	pt->root = table_new(pt);
	return pt->root ? 0 : -ENOMEM;
}

static bool range_is_empty(const struct pt *pt, const u64 *table, unsigned level, u64 addr,
			   u64 size)
{
	const u64 *entry;

	FOR_EACH_ENTRY(entry, here, table, level, addr, size)
		if (is_present(pt, *entry) &&
		    (is_leaf(pt, *entry, level) ||
		     !range_is_empty(pt, table_at(*entry), level - 1, addr, here)))
			return false;
	return true;
}

static int map_level(struct pt *pt, u64 *table, unsigned level, u64 addr, u64 hpa, u64 size,
		     u64 bits)
{
	u64 *entry;

	FOR_EACH_ENTRY(entry, here, table, level, addr, size) {
		if (level <= pt->format->max_leaf && here == span_of(level) &&
		    IS_ALIGNED(hpa, here)) {
			set_entry(entry, leaf_at(pt->format, hpa | bits, level));
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
		hpa += here;
	}
	return 0;
}

/* Without a look at the leaves, which are many. */
static void destroy_level(struct pt *pt, u64 *table, unsigned level, unsigned first, unsigned last)
{
	for (unsigned i = first; level > 1 && i <= last; i++)
		if (is_present(pt, table[i]) && !is_leaf(pt, table[i], level))
			destroy_level(pt, table_at(table[i]), level - 1, 0, ENTRIES - 1);
	table_free(pt, table);
}

/* Leaves in the range lie wholly in it. */
static void unmap_level(struct pt *pt, u64 *table, unsigned level, u64 addr, u64 size, bool keep)
{
	u64 *entry;

	/* Whole words are written, so that a walk of the CPU's sees one or the other. */
	if (level == 1) {
		memset(&table[index_of(addr, level)], 0, size / PAGE_SIZE * sizeof(*table));
		return;
	}
	FOR_EACH_ENTRY(entry, here, table, level, addr, size) {
		if (is_present(pt, *entry) && is_leaf(pt, *entry, level)) {
			set_entry(entry, 0);
		} else if (is_present(pt, *entry)) {
			bool kept = keep || (level == ROOT && entry >= &table[pt->keep_from]);
			u64 *child = table_at(*entry);
			bool all = !kept && here == span_of(level);

			if (!all)
				unmap_level(pt, child, level - 1, addr, here, kept);
			if (all || (!kept && table_is_empty(pt, child))) {
				set_entry(entry, 0);
				destroy_level(pt, child, all ? level - 1 : 1, 0, ENTRIES - 1);
			}
		}
	}
}

static void unmap(struct pt *pt, u64 addr, u64 size)
{
	unmap_level(pt, pt->root, ROOT, addr, size, false);
	pt_downgraded(pt);
}

void pt_destroy(struct pt *pt, unsigned first, unsigned last)
{
	destroy_level(pt, pt->root, ROOT, first, last);
	pt->root = NULL;
	pt_downgraded(pt);
}

int pt_map(struct pt *pt, u64 addr, hpa_t hpa, u64 size, u64 bits)
{
	if (!range_is_empty(pt, pt->root, ROOT, addr, size))
		return -EEXIST;
	if (map_level(pt, pt->root, ROOT, addr, hpa.v, size, bits)) {
		unmap(pt, addr, size);
		return -ENOMEM;
	}
	return 0;
}

/* Puts a table of smaller leaves in the place of a leaf above level 1. */
static int split(struct pt *pt, u64 *entry, unsigned level)
{
	u64 *table = table_new(pt), leaf = leaf_at(pt->format, *entry, level - 1);

	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = leaf + i * span_of(level - 1);
	set_entry(entry, virt_to_phys(table).v | pt->format->table);
	return 0;
}

/* Splits leaves in the range down to 4 KiB, or only those that reach beyond it. */
static int split_level(struct pt *pt, u64 *table, unsigned level, u64 addr, u64 size, bool all)
{
	u64 *entry;

	if (level == 1)
		return 0;
	FOR_EACH_ENTRY(entry, here, table, level, addr, size) {
		bool leaf = is_leaf(pt, *entry, level), fits = here == span_of(level);

		if (is_present(pt, *entry) && (all || !fits) &&
		    ((leaf && split(pt, entry, level)) ||
		     split_level(pt, table_at(*entry), level - 1, addr, here, all)))
			return -ENOMEM;
	}
	return 0;
}

int pt_unmap(struct pt *pt, u64 addr, u64 size)
{
	if (split_level(pt, pt->root, ROOT, addr, size, false))
		return -ENOMEM;
	unmap(pt, addr, size);
	return 0;
}

int pt_split(struct pt *pt, u64 addr, u64 size)
{
	return split_level(pt, pt->root, ROOT, addr, size, true);
}

int pt_split_leaf(struct pt *pt, u64 addr)
{
	unsigned level;
	u64 *entry = pt_leaf(pt, addr, &level);

	return split(pt, entry, level);
}

/* Whether a table of this level maps what one leaf above it would map. */
static bool is_whole(const struct pt *pt, const u64 *table, unsigned level)
{
	u64 first = table[0];

	for (unsigned i = 0; i < ENTRIES; i++)
		if (table[i] != first + i * span_of(level))
			return false;
	return is_present(pt, first) && is_leaf(pt, first, level) &&
	       IS_ALIGNED(first & PT_ADDRESS, span_of(level + 1));
}

static void merge_level(struct pt *pt, u64 *table, unsigned level, u64 addr, u64 size)
{
	u64 *entry;

	FOR_EACH_ENTRY(entry, here, table, level, addr, size) {
		u64 *child;

		if (!is_present(pt, *entry) || is_leaf(pt, *entry, level))
			continue;
		child = table_at(*entry);
		if (level > 2)
			merge_level(pt, child, level - 1, addr, here);
		if (level <= pt->format->max_leaf && here == span_of(level) &&
		    is_whole(pt, child, level - 1)) {
			set_entry(entry, leaf_at(pt->format, child[0], level));
			table_free(pt, child);
		}
	}
}

void pt_merge(struct pt *pt, u64 addr, u64 size)
{
	merge_level(pt, pt->root, ROOT, addr, size);
	pt_downgraded(pt);
}

u64 *pt_leaf(const struct pt *pt, u64 addr, unsigned *level)
{
	u64 *table = pt->root;

	for (*level = ROOT;; (*level)--) {
		u64 *entry = &table[index_of(addr, *level)];

		if (!is_present(pt, *entry))
			return NULL;
		if (is_leaf(pt, *entry, *level))
			return entry;
		table = table_at(*entry);
	}
}
