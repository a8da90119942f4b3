/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for addresses in Trivet's text. The table is made from a first link of
 * the image (the Makefile says how) and is empty in that one.
 */
#pragma once

#include "arch/lib/types.h"

struct ksym {
	u32 offset; /* from IMAGE_BASE; the table is sorted by it */
	u32 name;   /* index into ksyms_names */
};

extern const u32 ksyms_count;
extern const struct ksym ksyms_table[];
extern const char ksyms_names[];

/* The function that holds addr, and how far in; NULL where none is known. */
const char *ksyms_lookup(u64 addr, u64 *offset);
