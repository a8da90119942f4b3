/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: boot/mb2.c tests/unit/fake_gmem.c */
/*
 * The multiboot2 information parser: each tag as the specification lays it
 * out, each way in which a tag can lie, and random damage.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/errno.h"
#include "boot/mb2.h"
#include "tests/unit/fake_gmem.h"

static struct boot_info info;

/* The information under construction. */
static u8 mbi[1u << 20];
static u32 mbi_size;

static void begin(void)
{
	memset(mbi, 0xee, sizeof(mbi));
	mbi_size = 8;
}

static u8 *tag(u32 type, const void *data, u32 len)
{
	u8 *at = mbi + mbi_size;
	u32 header[2] = {type, 8 + len};

	memcpy(at, header, 8);
	if (len > 0)
		memcpy(at + 8, data, len);
	mbi_size += ALIGN_UP(8 + len, 8);
	return at;
}

static void finish(void)
{
	tag(0, NULL, 0);
	memcpy(mbi, &mbi_size, 4);
	memset(mbi + 4, 0, 4);
}

/* Parses a copy that ends where it says, so that the sanitizer sees any byte too much. */
static int parse_exactly(u32 size)
{
	u8 *copy = malloc(size);
	int rc;

	memcpy(copy, mbi, size);
	rc = mb2_parse(copy, size, &info);
	memset(copy, 0xdd, size);
	free(copy);
	return rc;
}

static void module_tag(u32 start, u32 end, const char *words)
{
	u8 data[8192];

	memcpy(data, &start, 4);
	memcpy(data + 4, &end, 4);
	memcpy(data + 8, words, strlen(words) + 1);
	tag(3, data, 8 + strlen(words) + 1);
}

struct mmap_entry {
	u64 base, length;
	u32 type, zero;
};

static void mmap_tag(const struct mmap_entry *entries, unsigned count, u32 stride)
{
	u8 *data = calloc(1, 8 + count * stride);
	u32 header[2] = {stride, 0};

	memcpy(data, header, 8);
	for (unsigned i = 0; i < count; i++)
		memcpy(data + 8 + i * stride, &entries[i], sizeof(entries[i]));
	tag(6, data, 8 + count * stride);
	free(data);
}

/* Everything that GRUB sends, in the layout of its multiboot2.h. */
static void typical(void)
{
	static const struct mmap_entry map[] = {
		{0x100000, 0x1ff00000, 1, 0}, {0, 0x9fc00, 1, 0}, {0x9fc00, 0x400, 2, 0}};
	static const u8 framebuffer[] = {0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 16, 0, 0, 0, 4, 0, 0,
					 0, 3, 0, 0, 32, 1, 0, 0, 16, 8, 8, 7, 0, 6};
	static const u32 meminfo[] = {639, 523264}, base = 0x1200000;
	u8 rsdp[36];

	for (unsigned i = 0; i < sizeof(rsdp); i++)
		rsdp[i] = i + 1;
	begin();
	tag(21, &base, 4);
	tag(1, "console=com1 log=debug", 23);
	tag(2, "GRUB 2.06", 10);
	module_tag(0x1000, 0x2345, "vm=web -- root=/dev/vda1");
	module_tag(0x3000, 0x3000, "");
	tag(4, meminfo, 8);
	mmap_tag(map, 3, 24);
	tag(8, framebuffer, sizeof(framebuffer));
	tag(14, rsdp, 20);
	tag(15, rsdp, 36);
	tag(7, "vbe is not read", 16);
	finish();
}

static void test_typical(void **state)
{
	(void)state;
	typical();
	assert_int_equal(parse_exactly(mbi_size), 0);
	assert_int_equal(info.notes, 0);
	assert_string_equal(info.cmdline, "console=com1 log=debug");
	assert_string_equal(info.loader, "GRUB 2.06");
	assert_int_equal(info.module_count, 2);
	assert_int_equal(info.modules[0].start.v, 0x1000);
	assert_int_equal(info.modules[0].end.v, 0x2345);
	assert_string_equal(info.modules[0].words, "vm=web -- root=/dev/vda1");
	assert_int_equal(info.modules[1].start.v, 0x3000);
	assert_int_equal(info.modules[1].end.v, 0x3000);
	assert_false(info.modules[1].bad);
	assert_string_equal(info.modules[1].words, "");
	assert_int_equal(info.memory_count, 3);
	assert_int_equal(info.memory[0].base.v, 0);
	assert_int_equal(info.memory[0].length, 0x9fc00);
	assert_int_equal(info.memory[1].base.v, 0x9fc00);
	assert_int_equal(info.memory[1].type, BOOT_MEMORY_RESERVED);
	assert_int_equal(info.memory[2].base.v, 0x100000);
	assert_int_equal(info.memory[2].length, 0x1ff00000);
	assert_int_equal(info.memory[2].type, BOOT_MEMORY_RAM);
	assert_false(info.efi);
	assert_int_equal(info.rsdp_old.size, 20);
	assert_int_equal(info.rsdp_old.data[19], 20);
	assert_int_equal(info.rsdp_new.size, 36);
	assert_int_equal(info.rsdp_new.data[35], 36);
}

static void test_framebuffer(void **state)
{
	u8 text[] = {0, 0x80, 0xb, 0, 0, 0, 0, 0, 160, 0, 0, 0, 80, 0, 0, 0, 25, 0, 0, 0, 16, 2, 0, 0};

	(void)state;
	typical();
	parse_exactly(mbi_size);
	assert_true(info.framebuffer.addr.v);
	assert_int_equal(info.framebuffer.addr.v, 0xfd000000);
	assert_int_equal(info.framebuffer.pitch, 4096);
	assert_int_equal(info.framebuffer.width, 1024);
	assert_int_equal(info.framebuffer.height, 768);
	assert_int_equal(info.framebuffer.bpp, 32);
	assert_int_equal(info.framebuffer.type, FBCON_RGB);
	assert_int_equal(info.framebuffer.red.position, 16);
	assert_int_equal(info.framebuffer.red.size, 8);
	assert_int_equal(info.framebuffer.green.position, 8);
	assert_int_equal(info.framebuffer.green.size, 7);
	assert_int_equal(info.framebuffer.blue.position, 0);
	assert_int_equal(info.framebuffer.blue.size, 6);

	begin();
	tag(8, text, sizeof(text));
	finish();
	parse_exactly(mbi_size);
	assert_true(info.framebuffer.addr.v);
	assert_int_equal(info.framebuffer.type, FBCON_TEXT);
	assert_int_equal(info.framebuffer.addr.v, 0xb8000);

	/* RGB without its colour fields is of no use */
	text[21] = 1;
	begin();
	tag(8, text, sizeof(text));
	finish();
	parse_exactly(mbi_size);
	assert_false(info.framebuffer.addr.v);
	assert_int_equal(info.notes, BIT(MB2_NOTE_SHORT_TAG));
}

static void test_efi(void **state)
{
	static const u32 types[] = {11, 12, 17, 18};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		begin();
		tag(types[i], "12345678", 8);
		finish();
		assert_int_equal(parse_exactly(mbi_size), 0);
		assert_true(info.efi);
	}
}

static void test_impossible_total(void **state)
{
	u32 zero = 0, seven = 7;

	(void)state;
	typical();
	assert_int_equal(mb2_parse(mbi, 0, &info), -EINVAL);
	assert_int_equal(mb2_parse(mbi, 7, &info), -EINVAL);
	assert_int_equal(mb2_parse(mbi, mbi_size - 1, &info), -EINVAL);
	assert_string_equal(info.cmdline, "");
	assert_string_equal(info.loader, "");
	memcpy(mbi, &zero, 4);
	assert_int_equal(mb2_parse(mbi, sizeof(mbi), &info), -EINVAL);
	memcpy(mbi, &seven, 4);
	assert_int_equal(mb2_parse(mbi, sizeof(mbi), &info), -EINVAL);
}

static void test_no_end_tag(void **state)
{
	(void)state;
	begin();
	tag(1, "a", 2);
	memcpy(mbi, &mbi_size, 4);
	assert_int_equal(parse_exactly(mbi_size), 0);
	assert_int_equal(info.notes, BIT(MB2_NOTE_NO_END));
	assert_string_equal(info.cmdline, "a");
}

/* Sizes that would loop for ever, run past the end or wrap. */
static void test_broken_tag(void **state)
{
	static const u32 sizes[] = {0, 1, 7, 0x80000000, 0xfffffff8, 0xffffffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *at;

		begin();
		tag(2, "kept", 5);
		at = tag(1, "lost", 5);
		finish();
		memcpy(at + 4, &sizes[i], 4);
		assert_int_equal(parse_exactly(mbi_size), 0);
		assert_int_equal(info.notes, BIT(MB2_NOTE_BROKEN_TAG));
		assert_string_equal(info.loader, "kept");
		assert_string_equal(info.cmdline, "");
	}
}

static void test_short_tags(void **state)
{
	static const struct {
		u32 type, len;
	} tags[] = {{3, 7}, {6, 7}, {8, 21}, {14, 19}, {15, 35}};
	u8 data[64] = {0};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(tags); i++) {
		begin();
		tag(tags[i].type, data, tags[i].len);
		tag(1, "next", 5);
		finish();
		assert_int_equal(parse_exactly(mbi_size), 0);
		assert_int_equal(info.notes, BIT(MB2_NOTE_SHORT_TAG));
		assert_string_equal(info.cmdline, "next");
		assert_int_equal(info.module_count + info.memory_count, 0);
		assert_int_equal(info.rsdp_old.size + info.rsdp_new.size, 0);
		assert_false(info.framebuffer.addr.v);
	}
}

static void test_strings(void **state)
{
	char line[BOOT_LINE_MAX + 8];

	(void)state;
	/* without its NUL: ends with the tag */
	begin();
	tag(1, "abc", 3);
	tag(2, "", 0);
	finish();
	parse_exactly(mbi_size);
	assert_string_equal(info.cmdline, "abc");
	assert_string_equal(info.loader, "");
	assert_int_equal(info.notes, 0);

	/* the longest, and one more */
	memset(line, 'x', sizeof(line));
	for (unsigned len = BOOT_LINE_MAX - 1; len <= BOOT_LINE_MAX; len++) {
		begin();
		tag(1, line, len);
		finish();
		parse_exactly(mbi_size);
		assert_int_equal(strlen(info.cmdline), BOOT_LINE_MAX - 1);
		assert_int_equal(info.notes, len == BOOT_LINE_MAX ? BIT(MB2_NOTE_TEXT_CUT) : 0);
	}
}

static void test_text_pool(void **state)
{
	char line[BOOT_LINE_MAX];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	begin();
	for (unsigned i = 0; i < 20; i++)
		module_tag(i, i, line);
	finish();
	assert_int_equal(parse_exactly(mbi_size), 0);
	assert_int_equal(info.module_count, 20);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(strlen(info.modules[i].words), BOOT_LINE_MAX - 1);
		assert_false(info.modules[i].words_cut);
	}
	for (unsigned i = 16; i < 20; i++) {
		assert_string_equal(info.modules[i].words, "");
		assert_true(info.modules[i].words_cut);
	}
	assert_int_equal(info.notes, BIT(MB2_NOTE_TEXT_CUT));
	assert_int_equal(info.text_used, BOOT_TEXT_SIZE);
}

static void test_modules(void **state)
{
	(void)state;
	begin();
	module_tag(0x2000, 0x1fff, "backwards");
	for (unsigned i = 1; i < BOOT_MODULES_MAX + 3; i++)
		module_tag(i << 12, (i << 12) + i, "m");
	finish();
	assert_int_equal(parse_exactly(mbi_size), 0);
	assert_int_equal(info.module_count, BOOT_MODULES_MAX);
	assert_int_equal(info.modules_left_out, 3);
	assert_true(info.modules[0].bad);
	assert_int_equal(info.modules[0].start.v, info.modules[0].end.v);
	assert_string_equal(info.modules[0].words, "backwards");
	assert_int_equal(info.modules[BOOT_MODULES_MAX - 1].start.v, (BOOT_MODULES_MAX - 1) << 12);
	assert_int_equal(info.notes, BIT(MB2_NOTE_MODULES_CUT) | BIT(MB2_NOTE_BAD_MODULE));
}

static void test_memory_map(void **state)
{
	static const struct mmap_entry odd[] = {
		{0x5000, 0, 1, 0}, {~0xfffull, 0x2000, 2, 0}, {0x1000, ~0ull, 1, 0}};
	struct mmap_entry *many = calloc(300, sizeof(*many));

	(void)state;
	/* larger entries of a later version; empty ones; ends that wrap */
	begin();
	mmap_tag(odd, 3, 40);
	finish();
	assert_int_equal(parse_exactly(mbi_size), 0);
	assert_int_equal(info.memory_count, 2);
	for (unsigned i = 0; i < info.memory_count; i++)
		assert_true(info.memory[i].base.v + info.memory[i].length > info.memory[i].base.v);
	assert_int_equal(info.memory[0].base.v, 0x1000);
	assert_int_equal(info.memory[1].base.v, ~0xfffull);

	/* an entry size that is too small */
	begin();
	mmap_tag(odd, 3, 24);
	memcpy(mbi + 16, &(u32){23}, 4);
	finish();
	parse_exactly(mbi_size);
	assert_int_equal(info.memory_count, 0);
	assert_int_equal(info.notes, BIT(MB2_NOTE_SHORT_TAG));

	/* too many, from the highest down: the lowest stay, in order */
	for (unsigned i = 0; i < 300; i++)
		many[i] = (struct mmap_entry){(300 - i) * 0x1000ull, 0x1000, 1, 0};
	for (unsigned turn = 0; turn < 2; turn++) {
		begin();
		mmap_tag(many, 300, 24);
		finish();
		parse_exactly(mbi_size);
		assert_int_equal(info.memory_count, BOOT_MEMORY_MAX);
		assert_int_equal(info.notes, BIT(MB2_NOTE_MEMORY_CUT));
		for (unsigned i = 0; i < BOOT_MEMORY_MAX; i++)
			assert_int_equal(info.memory[i].base.v, (i + 1) * 0x1000ull);
		for (unsigned i = 0; i < 300; i++)
			many[i].base = (i + 1) * 0x1000ull;
	}
	free(many);
}

static void test_note_texts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MB2_NOTES; i++)
		assert_non_null(mb2_note_text[i]);
}

/* What must hold after any input at all. */
static void check_sane(void)
{
	assert_true(info.module_count <= BOOT_MODULES_MAX);
	assert_true(info.memory_count <= BOOT_MEMORY_MAX);
	assert_true(info.text_used <= BOOT_TEXT_SIZE);
	for (unsigned i = 0; i < info.memory_count; i++) {
		assert_true(info.memory[i].length <= ~0ull - info.memory[i].base.v);
		assert_true(i == 0 || info.memory[i - 1].base.v <= info.memory[i].base.v);
	}
	for (unsigned i = 0; i < info.module_count; i++) {
		const char *words = info.modules[i].words;

		assert_true(info.modules[i].start.v <= info.modules[i].end.v);
		assert_true(strlen(words) < BOOT_LINE_MAX);
	}
}

static void test_every_prefix(void **state)
{
	u32 full;

	(void)state;
	typical();
	full = mbi_size;
	for (u32 size = 8; size < full; size++) {
		memcpy(mbi, &size, 4);
		assert_int_equal(parse_exactly(size), 0);
		assert_int_not_equal(info.notes & (BIT(MB2_NOTE_NO_END) | BIT(MB2_NOTE_BROKEN_TAG)),
				     0);
		check_sane();
	}
}

static void test_mutations(void **state)
{
	u64 seed = 0x7472697665740001ull;

	(void)state;
	typical();
	for (unsigned n = 0; n < 100000; n++) {
		static u8 saved[4096];
		u32 size = mbi_size;

		memcpy(saved, mbi, size);
		for (u64 k = fake_random(&seed) % 4 + 1; k > 0; k--) {
			u64 r = fake_random(&seed);

			mbi[8 + r % (size - 8)] = r >> 32 & 1 ? (r >> 40 & 0x80 ? 0xff : 0) : r >> 40;
		}
		assert_int_equal(mb2_parse(mbi, size, &info), 0);
		check_sane();
		memcpy(mbi, saved, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typical),
		cmocka_unit_test(test_framebuffer),
		cmocka_unit_test(test_efi),
		cmocka_unit_test(test_impossible_total),
		cmocka_unit_test(test_no_end_tag),
		cmocka_unit_test(test_broken_tag),
		cmocka_unit_test(test_short_tags),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_text_pool),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_note_texts),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
