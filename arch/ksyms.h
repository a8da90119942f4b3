/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for addresses in Trivet's text. The table is made from a first link of
 * the image (the Makefile says how) and is empty in that one.
 */
#pragma once

#include "arch/lib/types.h"

extern const u32 ksyms_count;
extern const u32 ksyms_table[]; /* starts of functions from IMAGE_BASE, ascending */
extern const char ksyms_names[]; /* as many strings, in the same order */

/* The function that holds addr, and how far in; NULL where none is known. */
const char *ksyms_lookup(u64 addr, u64 *offset);
