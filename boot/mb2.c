/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot2 information parser: walks the tags, of which each may lie about
 * its size, and copies what Trivet uses. No access goes beyond the total size;
 * every value is read once. The framebuffer's colour fields stand at offset 32
 * of the tag, where GRUB's header file and GRUB itself put them (the text of
 * the specification counts one reserved byte less).
 */
#include "boot/mb2.h"

#include "arch/lib/string.h"

#define TAG_HEADER  8u
#define TAG_ALIGN   8u
#define MMAP_HEADER 16u
#define MMAP_ENTRY  24u
#define COLORS_END  (offsetof(struct fbcon_mode, blue) + sizeof(struct fbcon_field))
#define RSDP_OLD    20u
#define RSDP_NEW    36u

enum { TAG_END = 0, TAG_CMDLINE = 1, TAG_LOADER = 2, TAG_MODULE = 3, TAG_MMAP = 6,
       TAG_FRAMEBUFFER = 8, TAG_EFI32 = 11, TAG_EFI64 = 12, TAG_RSDP_OLD = 14, TAG_RSDP_NEW = 15,
       TAG_EFI_MMAP = 17, TAG_EFI_SERVICES = 18 };

_Static_assert(offsetof(struct fbcon_mode, red) == 24, "a framebuffer's tag, behind the header");

const char *const mb2_note_text[MB2_NOTES] = {
	[MB2_NOTE_NO_END] = "the boot information has no end tag",
	[MB2_NOTE_BROKEN_TAG] = "a boot information tag has an impossible size",
	[MB2_NOTE_SHORT_TAG] = "a boot information tag is too short and was left out",
	[MB2_NOTE_BAD_MODULE] = "a module ends before it starts",
	[MB2_NOTE_MEMORY_CUT] = "the memory map has more than 256 entries: the highest were left out",
	[MB2_NOTE_MODULES_CUT] = "there are more than 64 modules: the last were left out",
	[MB2_NOTE_TEXT_CUT] = "a command line is longer than Trivet keeps (4095 bytes, 64 KiB in all)",
};

/* One tag: data follows the header, len bytes of it are there. */
struct tag {
	u32 type;
	u32 len;
	const u8 *data;
};

static u64 fetch(const struct tag *tag, u32 offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, tag->data + offset, size);
	return value;
}

static void note(struct boot_info *out, enum mb2_note what)
{
	out->notes |= BIT(what);
}

/* Copies the string at the end of a tag; *cut tells that not all of it was kept. */
static const char *copy_text(struct boot_info *out, const struct tag *tag, u32 offset, bool *cut)
{
	const char *from = (const char *)tag->data + offset;
	size_t len = strnlen(from, tag->len - offset);
	size_t room = MIN(BOOT_TEXT_SIZE - out->text_used, BOOT_LINE_MAX);
	char *to = out->text + out->text_used;

	*cut = len >= room;
	if (*cut)
		note(out, MB2_NOTE_TEXT_CUT);
	if (room == 0)
		return "";
	len = MIN(len, room - 1);
	memcpy(to, from, len);
	to[len] = '\0';
	out->text_used += len + 1;
	return to;
}

static void read_text(struct boot_info *out, const struct tag *tag)
{
	bool cut;
	const char *text = copy_text(out, tag, 0, &cut);

	if (tag->type == TAG_CMDLINE)
		out->cmdline = text;
	else
		out->loader = text;
}

static void read_module(struct boot_info *out, const struct tag *tag)
{
	struct boot_module *module;

	if (out->module_count == BOOT_MODULES_MAX) {
		out->modules_left_out++;
		note(out, MB2_NOTE_MODULES_CUT);
		return;
	}
	/* A bad one keeps its place, so that the others keep their numbers. */
	module = &out->modules[out->module_count++];
	module->start = HPA(fetch(tag, 0, 4));
	module->end = HPA(fetch(tag, 4, 4));
	module->words = copy_text(out, tag, 8, &module->words_cut);
	if (module->end.v < module->start.v) {
		module->start = module->end = HPA(0);
		module->bad = true;
		note(out, MB2_NOTE_BAD_MODULE);
	}
}

/* Inserts by base; of too many the highest goes. */
static void add_memory(struct boot_info *out, u64 base, u64 length, u32 type)
{
	unsigned i = out->memory_count;

	if (length == 0)
		return;
	length = MIN(length, ~0ull - base);
	if (i == BOOT_MEMORY_MAX) {
		note(out, MB2_NOTE_MEMORY_CUT);
		if (out->memory[--i].base.v <= base)
			return;
		out->memory_count--;
	}
	for (; i > 0 && out->memory[i - 1].base.v > base; i--)
		out->memory[i] = out->memory[i - 1];
	out->memory[i] = (struct boot_memory){HPA(base), length, type};
	out->memory_count++;
}

static void read_mmap(struct boot_info *out, const struct tag *tag)
{
	u32 stride = fetch(tag, 0, 4);

	if (stride < MMAP_ENTRY) {
		note(out, MB2_NOTE_SHORT_TAG);
		return;
	}
	for (u32 at = 8; tag->len - at >= MMAP_ENTRY;) {
		add_memory(out, fetch(tag, at, 8), fetch(tag, at + 8, 8), fetch(tag, at + 16, 4));
		if (tag->len - at < stride)
			break;
		at += stride;
	}
}

static void read_framebuffer(struct boot_info *out, const struct tag *tag)
{
	struct fbcon_mode *fb = &out->framebuffer;

	memcpy(fb, tag->data, MIN(tag->len, COLORS_END));
	if (fb->type == FBCON_RGB && tag->len < COLORS_END) {
		memset(fb, 0, sizeof(*fb));
		note(out, MB2_NOTE_SHORT_TAG);
	}
}

static void read_rsdp(struct boot_info *out, const struct tag *tag)
{
	struct boot_rsdp *rsdp = tag->type == TAG_RSDP_OLD ? &out->rsdp_old : &out->rsdp_new;

	rsdp->size = tag->type == TAG_RSDP_OLD ? RSDP_OLD : RSDP_NEW;
	memcpy(rsdp->data, tag->data, rsdp->size);
}

static void read_efi(struct boot_info *out, const struct tag *tag)
{
	out->efi = true;
}

/* The tags that are read, with the least that must follow their header. */
static const struct {
	u32 type;
	u32 min_len;
	void (*read)(struct boot_info *out, const struct tag *tag);
} readers[] = {
	{TAG_CMDLINE, 0, read_text},
	{TAG_LOADER, 0, read_text},
	{TAG_MODULE, 8, read_module},
	{TAG_MMAP, MMAP_HEADER - TAG_HEADER, read_mmap},
	{TAG_FRAMEBUFFER, 22, read_framebuffer},
	{TAG_EFI32, 0, read_efi},
	{TAG_EFI64, 0, read_efi},
	{TAG_RSDP_OLD, RSDP_OLD, read_rsdp},
	{TAG_RSDP_NEW, RSDP_NEW, read_rsdp},
	{TAG_EFI_MMAP, 0, read_efi},
	{TAG_EFI_SERVICES, 0, read_efi},
};

static void read_tag(struct boot_info *out, const struct tag *tag)
{
	for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
		if (readers[i].type == tag->type && tag->len < readers[i].min_len)
			note(out, MB2_NOTE_SHORT_TAG);
		else if (readers[i].type == tag->type)
			readers[i].read(out, tag);
}

int mb2_parse(const void *mbi, size_t available, struct boot_info *out)
{
	u32 total, header[2];

	memset(out, 0, sizeof(*out));
	out->cmdline = out->loader = "";
	if (available < TAG_HEADER)
		return -EINVAL;
	memcpy(&total, mbi, sizeof(total));
	if (total < TAG_HEADER || total > available)
		return -EINVAL;

	/* 64 bits wide, so that no sum of 32-bit sizes wraps. */
	for (u64 at = TAG_HEADER; total >= at + TAG_HEADER;) {
		const u8 *tag = (const u8 *)mbi + at;

		memcpy(header, tag, sizeof(header));
		if (header[1] < TAG_HEADER || header[1] > total - at) {
			note(out, MB2_NOTE_BROKEN_TAG);
			return 0;
		}
		if (header[0] == TAG_END)
			return 0;
		read_tag(out, &(struct tag){header[0], header[1] - TAG_HEADER, tag + TAG_HEADER});
		at += ALIGN_UP(header[1], TAG_ALIGN);
	}
	note(out, MB2_NOTE_NO_END);
	return 0;
}
