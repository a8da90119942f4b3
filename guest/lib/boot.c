/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies the multiboot1 information and finds words in the command line.
 */
#include "guest/lib/boot.h"

#define FLAG_MEM     BIT(0)
#define FLAG_CMDLINE BIT(2)
#define FLAG_MODS    BIT(3)
#define FLAG_MMAP    BIT(6)
#define FLAG_LOADER  BIT(9)

struct boot boot;

static u32 word(u32 address)
{
	return *(volatile u32 *)phys(address);
}

static void copy_text(char *to, size_t room, u32 from)
{
	volatile const char *text = phys(from);
	size_t n;

	for (n = 0; n + 1 < room && text[n]; n++)
		to[n] = text[n];
	to[n] = '\0';
}

static void copy_ranges(u32 at, u32 length)
{
	u32 end = at + length;

	for (; at < end && boot.range_count < BOOT_RANGES; at += word(at) + 4) {
		struct boot_range *r = &boot.range[boot.range_count++];

		r->base = (u64)word(at + 8) << 32 | word(at + 4);
		r->size = (u64)word(at + 16) << 32 | word(at + 12);
		r->type = word(at + 20);
	}
}

static void copy_modules(u32 count, u32 at)
{
	for (; count-- && boot.module_count < ARRAY_SIZE(boot.module); at += 16) {
		struct boot_module *m = &boot.module[boot.module_count++];

		m->first = word(at);
		m->end = word(at + 4);
		if (word(at + 8))
			copy_text(m->cmdline, sizeof(m->cmdline), word(at + 8));
	}
}

void boot_copy(u32 magic, u32 info)
{
	boot.magic = magic;
	boot.info_address = info;
	if (magic != BOOT_MAGIC)
		return;
	boot.flags = word(info);
	if (boot.flags & FLAG_MEM) {
		boot.mem_lower = word(info + 4);
		boot.mem_upper = word(info + 8);
	}
	if (boot.flags & FLAG_CMDLINE)
		copy_text(boot.cmdline, sizeof(boot.cmdline), word(info + 16));
	if (boot.flags & FLAG_MODS)
		copy_modules(word(info + 20), word(info + 24));
	if (boot.flags & FLAG_MMAP)
		copy_ranges(word(info + 48), word(info + 44));
	if (boot.flags & FLAG_LOADER)
		copy_text(boot.loader, sizeof(boot.loader), word(info + 64));
}

const char *boot_word(const char *name)
{
	size_t n = strlen(name);
	const char *p = boot.cmdline;

	while (*p) {
		if (!strncmp(p, name, n) && (p[n] == '=' || p[n] == ' ' || !p[n]))
			return p[n] == '=' ? p + n + 1 : "";
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return NULL;
}

u64 boot_number(const char *name, u64 otherwise)
{
	const char *p = boot_word(name);
	u32 base = 10, digit;
	u64 value = 0;

	if (!p || !*p)
		return otherwise;
	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (;; p++) {
		digit = *p >= 'a' && *p <= 'f' ? (u32)*p - 'a' + 10 : (u32)*p - '0';
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	return *p == 'G' ? value << 30 : *p == 'M' ? value << 20 : *p == 'K' ? value << 10 : value;
}
