/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four-level radix tables of 512 entries, shared by the host's page tables and
 * the nested ones, which differ in their bits only. Entries are written with
 * one store each, so that a walker on another core never sees half an edit.
 * Every downgrade gives the tables a new generation: who uses them compares it
 * with that of its last flush. Table pages come from pages_alloc.
 */
#pragma once

#include "arch/lib/bits.h"

struct pt_format {
	u64 present;	   /* an entry is present when any of these bits is set */
	u64 table;	   /* bits of an entry that points to a table */
	u64 large;	   /* marks a leaf above level 1 */
	unsigned max_leaf; /* highest level that may be a leaf: 1, 2 (2 MiB) or 3 (1 GiB) */
	u64 small, held;   /* a right that larger leaves do not give, and what stands for it there */
};

struct pt {
	const struct pt_format *format;
	u64 *root;
	unsigned keep_from;   /* tables below root entries from here on stay when empty; 512: none */
	unsigned table_pages; /* tables allocated, the root included */
	u64 generation;	      /* never 0, and no two tables ever have the same; read atomically */
};

#define PT_ADDRESS BITS(51, 12)

/* Allocates the root. 0 or -ENOMEM. */
int pt_create(struct pt *pt, const struct pt_format *format);

/* Frees all tables below root entries [first, last], then the root. */
void pt_destroy(struct pt *pt, unsigned first, unsigned last);

/*
 * Maps [addr, addr+size) to [hpa, hpa+size) with `bits` in each leaf, by the
 * largest pages that alignment and the format allow. All page-aligned, nothing
 * may be mapped there yet. 0; -EEXIST or -ENOMEM with the tables as before, in
 * the latter case of a new generation.
 */
int pt_map(struct pt *pt, u64 addr, hpa_t hpa, u64 size, u64 bits);

/* Removes what is mapped in the range, splitting large pages; empty tables are
 * freed, so other CPUs flush before they walk them again. 0, or -ENOMEM
 * from a split, every address then mapped as before. A range that one or more
 * pt_map have mapped, all of each, needs no split and cannot fail. */
int pt_unmap(struct pt *pt, u64 addr, u64 size);

/* Maps the range, whose ends lie on boundaries of leaves, by 4 KiB pages. 0 or
 * -ENOMEM with a part of it done; pt_merge takes it back. */
int pt_split(struct pt *pt, u64 addr, u64 size);
/* Replaces the leaf at addr, which is above level 1, by those of the next level, with one store:
 * other CPUs may be walking. 0 or -ENOMEM. */
int pt_split_leaf(struct pt *pt, u64 addr);
/* Joins pages wholly in the range to the largest leaves that can stand for them.
 * It frees tables, as pt_unmap does. */
void pt_merge(struct pt *pt, u64 addr, u64 size);

/* The entry of the leaf that maps addr, to be changed by atomic operations, and
 * its level (1 to 3); NULL where nothing is mapped. */
u64 *pt_leaf(const struct pt *pt, u64 addr, unsigned *level);

/* Gives the tables a new generation, behind a downgrade of an entry that pt_leaf gave. */
void pt_downgraded(struct pt *pt);
