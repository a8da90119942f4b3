/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the multiboot1 loader handed over, copied before anything else writes
 * to memory: "Multiboot Specification version 0.6.96", Boot information format.
 */
#ifndef GUEST_LIB_BOOT_H
#define GUEST_LIB_BOOT_H

#include "guest/lib/types.h"

#define BOOT_RANGES  32
#define BOOT_CMDLINE 2048
#define BOOT_MAGIC   0x2badb002

struct boot_range {
	u64 base, size;
	u32 type; /* 1: RAM */
};

struct boot_module {
	u32 first, end; /* end is one past the last byte */
	char cmdline[128];
};

struct boot {
	u32 magic, flags, info_address;
	u32 mem_lower, mem_upper; /* KiB */
	char loader[64];
	char cmdline[BOOT_CMDLINE];
	unsigned range_count;
	struct boot_range range[BOOT_RANGES];
	unsigned module_count;
	struct boot_module module[8];
};

extern struct boot boot;

/* Fills `boot` from the information block; called by the start code's C part. */
void boot_copy(u32 magic, u32 info);
/*
 * The value of a word `name=value` of the command line, or of a bare word
 * `name`: points behind the `=`, else at the empty string; NULL without it.
 */
const char *boot_word(const char *name);
/* A number behind `name=`, decimal or 0x, with K, M or G; or the default. */
u64 boot_number(const char *name, u64 otherwise);

#endif
