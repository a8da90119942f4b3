/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The multiboot2 information that the boot loader leaves in memory, copied
 * once, with every length checked, into a structure of fixed size. Nothing
 * here points back into the loader's memory, which may be reused afterwards.
 */
#pragma once

#include "drivers/fbcon.h"

#define BOOT_MODULES_MAX 64
#define BOOT_MEMORY_MAX	 256
#define BOOT_LINE_MAX	 4096  /* bytes of one string, its NUL included */
#define BOOT_TEXT_SIZE	 65536 /* all strings together */

/* Types of struct boot_memory, as multiboot2 and E820 number them. */
enum boot_memory_type {
	BOOT_MEMORY_RAM = 1,
	BOOT_MEMORY_RESERVED = 2,
	BOOT_MEMORY_ACPI = 3, /* usable once the ACPI tables have been read */
	BOOT_MEMORY_NVS = 4,
	BOOT_MEMORY_BAD = 5,
};

struct boot_memory {
	hpa_t base;
	u64 length; /* never 0; base + length does not wrap */
	u32 type;
};

struct boot_module {
	hpa_t start; /* start == end for an empty file */
	hpa_t end;   /* one past the last byte */
	const char *words;
	bool bad;	/* the tag made no sense: start and end are 0 */
	bool words_cut; /* the words were longer than Trivet keeps */
};

/* A copy of the RSDP; size is 0 where the loader gave none. */
struct boot_rsdp {
	u8 data[36];
	u32 size;
};

/* What was wrong, as bits of boot_info.notes; mb2_note_text has the words. */
enum mb2_note {
	MB2_NOTE_NO_END,
	MB2_NOTE_BROKEN_TAG,
	MB2_NOTE_SHORT_TAG,
	MB2_NOTE_BAD_MODULE,
	MB2_NOTE_MEMORY_CUT,
	MB2_NOTE_MODULES_CUT,
	MB2_NOTE_TEXT_CUT,
	MB2_NOTES
};

/* Not to be copied: the strings point into text. */
struct boot_info {
	const char *cmdline; /* Trivet's own; "" when there is none */
	const char *loader;
	struct boot_module modules[BOOT_MODULES_MAX]; /* [0] is module 1 */
	unsigned module_count;
	unsigned modules_left_out; /* beyond BOOT_MODULES_MAX */
	struct boot_memory memory[BOOT_MEMORY_MAX]; /* ascending by base */
	unsigned memory_count;
	struct fbcon_mode framebuffer; /* address 0 where there is none */
	struct boot_rsdp rsdp_old; /* ACPI 1.0, 20 bytes */
	struct boot_rsdp rsdp_new; /* ACPI 2.0 and later, 36 bytes */
	bool efi;  /* the firmware is UEFI */
	u32 notes; /* BIT(enum mb2_note) */
	u32 text_used;
	char text[BOOT_TEXT_SIZE];
};

extern const char *const mb2_note_text[MB2_NOTES];

/*
 * Reads the information at mbi, of which `available` bytes may be touched,
 * into *out. Returns 0, or -EINVAL where the total size is impossible or
 * beyond `available`; out is then empty. A tag that makes no sense is left out
 * and leaves a note; one whose length does not fit ends the reading. Multiboot2
 * Specification 2.0, "Boot information format".
 */
int mb2_parse(const void *mbi, size_t available, struct boot_info *out);
