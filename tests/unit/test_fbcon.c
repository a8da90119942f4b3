/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/fbcon.c */
/*
 * The framebuffer console painting into a buffer of exactly the screen's size,
 * in every pixel format, and into VGA text memory. What stands on a graphic
 * screen is read back by comparing each cell with the font file.
 */
#include "drivers/fbcon.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "arch/memory.h"

static u8 font[4 + 4096];
static u8 *screen;
static enum phys_cache cache_asked;
static bool refuse_map;
bool log_broken;

void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	assert_int_equal(hpa.v, 0xfd000000);
	if (refuse_map)
		return NULL;
	cache_asked = cache;
	free(screen);
	screen = malloc(size);
	memset(screen, 0x55, size);
	return screen;
}

static const struct fbcon_mode rgb32 = {
	.addr = {0xfd000000}, .pitch = 200 * 4 + 64, .width = 200, .height = 100, .bpp = 32,
	.type = FBCON_RGB,
	.red = {16, 8}, .green = {8, 8}, .blue = {0, 8},
};
static const struct fbcon_mode text = {
	.addr = {0xfd000000}, .pitch = 160, .width = 80, .height = 25, .bpp = 16, .type = FBCON_TEXT,
};

static int load_font(void **state)
{
	FILE *f = fopen("drivers/fbcon.psf", "rb");
	size_t n;

	(void)state;
	if (!f)
		return -1;
	n = fread(font, 1, sizeof(font), f);
	fclose(f);
	/* PSF 1: magic 36h 04h, mode, bytes a glyph */
	return n == sizeof(font) && font[0] == 0x36 && font[1] == 0x04 && font[3] == 16 ? 0 : -1;
}

static int release(void **state)
{
	(void)state;
	free(screen);
	screen = NULL;
	return 0;
}

static u32 pixel(const struct fbcon_mode *m, u32 x, u32 y)
{
	unsigned n = (m->bpp + 7u) / 8;
	u32 value = 0;

	memcpy(&value, screen + (size_t)y * m->pitch + x * n, n);
	return value;
}

/* The character of a cell: its pixels are all white or black and one glyph's. */
static char cell(const struct fbcon_mode *m, unsigned column, unsigned row, u32 white)
{
	u8 glyph[16] = {0};

	if (m->type == FBCON_TEXT) {
		assert_int_equal(screen[row * m->pitch + column * 2 + 1], 7);
		return (char)screen[row * m->pitch + column * 2];
	}
	for (unsigned y = 0; y < 16; y++) {
		for (unsigned x = 0; x < 8; x++) {
			u32 p = pixel(m, column * 8 + x, row * 16 + y);

			assert_true(p == 0 || p == white);
			glyph[y] |= (u8)((p != 0) << (7 - x));
		}
	}
	for (int c = ' '; c <= '~'; c++)
		if (memcmp(font + 4 + 16 * c, glyph, 16) == 0)
			return (char)c;
	return 0;
}

static void expect(const struct fbcon_mode *m, u32 white, const char *const *lines)
{
	bool chars = m->type == FBCON_TEXT;
	unsigned columns = m->width / (chars ? 1 : 8), rows = m->height / (chars ? 1 : 16);

	for (unsigned row = 0; row < rows; row++) {
		const char *want = *lines ? *lines++ : "";
		size_t len = strlen(want);

		for (unsigned column = 0; column < columns; column++)
			assert_int_equal(cell(m, column, row, white),
					 column < len ? want[column] : ' ');
	}
}

#define EXPECT(m, white, ...) expect(m, white, (const char *const[]){__VA_ARGS__, NULL})

static void type(const char *s)
{
	fbcon_write(s, strlen(s));
}

static void nothing_before_init(void **state)
{
	(void)state;
	type("lost");
	assert_null(screen);
}

static void writes_and_moves(void **state)
{
	(void)state;
	assert_int_equal(fbcon_init(&rgb32), 0);
	assert_int_equal(cache_asked, PHYS_WRITE_COMBINING);
	EXPECT(&rgb32, 0xffffff, "");
	type("Trivet {0}\nab\bc\rX\n\tT\ta\aend");
	EXPECT(&rgb32, 0xffffff, "Trivet {0}", "Xc", "        T       aend");
	fbcon_write("\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b.", 23);
	EXPECT(&rgb32, 0xffffff, "Trivet {0}", "Xc", ".       T       aend");
	/* nothing beyond the visible pixels of a line */
	assert_int_equal(screen[rgb32.pitch - 1], 0x55);
}

static void wraps_and_scrolls(void **state)
{
	(void)state;
	assert_int_equal(fbcon_init(&rgb32), 0); /* 25 columns, 6 rows */
	type("1234567890123456789012345\nnext");
	EXPECT(&rgb32, 0xffffff, "1234567890123456789012345", "next");
	type("567890123456789012345W\n3\n4\n5\n6\n7");
	EXPECT(&rgb32, 0xffffff, "W", "3", "4", "5", "6", "7");
	for (unsigned i = 0; i < 100; i++)
		type("\n");
	EXPECT(&rgb32, 0xffffff, "");
	type("\t\t\t\t\t!"); /* a tab stays in the line */
	EXPECT(&rgb32, 0xffffff, "", "", "", "", "", "                        !");
}

static void sequences_are_swallowed(void **state)
{
	(void)state;
	assert_int_equal(fbcon_init(&rgb32), 0);
	type("a\033[1;31mb\033[2Jc\033]0;title\ad\033(Be\033cf\033]x\033\\g\n");
	type("\033]never closed\nh\xc3\xa4i\x7f\xe2\x82\xacj\033Pq\ak");
	EXPECT(&rgb32, 0xffffff, "abcdefg", "", "h?i?jk");
	assert_int_equal(cell(&rgb32, 1, 2, 0xffffff), '?');
}

static void every_pixel_format(void **state)
{
	static const struct {
		u8 bpp;
		struct fbcon_field red, green, blue;
		u32 white;
	} rows[] = {
		{15, {10, 5}, {5, 5}, {0, 5}, 0x7fff},
		{16, {11, 5}, {5, 6}, {0, 5}, 0xffff},
		{24, {16, 8}, {8, 8}, {0, 8}, 0xffffff},
		{32, {0, 8}, {8, 8}, {16, 8}, 0xffffff},
		{32, {20, 10}, {10, 10}, {0, 10}, 0x3fffffff},
		{32, {24, 8}, {16, 8}, {8, 8}, 0xffffff00},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fbcon_mode m = {.addr = {0xfd000000}, .width = 81, .height = 33,
					 .type = FBCON_RGB};

		m.bpp = rows[i].bpp;
		m.pitch = m.width * ((m.bpp + 7u) / 8);
		m.red = rows[i].red;
		m.green = rows[i].green;
		m.blue = rows[i].blue;
		assert_int_equal(fbcon_init(&m), 0);
		type("|Mg%\nlast row!!");
		EXPECT(&m, rows[i].white, "|Mg%", "last row!!");
		assert_int_equal(pixel(&m, 80, 32), 0);
	}
}

/* What is only taken is shown bit by bit, in the end as if it had been written. */
static void taken_is_shown_later(void **state)
{
	unsigned calls = 1;

	(void)state;
	assert_int_equal(fbcon_init(&text), 0);
	assert_false(fbcon_show(false));
	for (unsigned i = 0; i < 25; i++)
		fbcon_take("0123456789012345678901234567890123456789012345678901234567890123456789\n", 71);
	assert_int_equal(cell(&text, 0, 0, 0), ' ');
	while (fbcon_show(false))
		calls++;
	/* 2,000 cells in pieces of some thousand instructions: neither at once nor each by itself. */
	assert_in_range(calls, 5, 100);
	for (unsigned row = 0; row < 25; row++)
		assert_int_equal(cell(&text, 69, row, 0), row < 24 ? '9' : ' ');
	assert_int_equal(fbcon_init(&rgb32), 0);
	fbcon_take("a\nb", 3);
	EXPECT(&rgb32, 0xffffff, "");
	assert_false(fbcon_show(true));
	EXPECT(&rgb32, 0xffffff, "a", "b");
}

static void text_mode(void **state)
{
	(void)state;
	assert_int_equal(fbcon_init(&text), 0);
	assert_int_equal(cache_asked, PHYS_UNCACHED);
	EXPECT(&text, 0, "");
	for (unsigned i = 0; i < 24; i++)
		type("line\n");
	type("second last\nlast");
	assert_int_equal(cell(&text, 0, 23, 0), 's');
	assert_int_equal(cell(&text, 0, 24, 0), 'l');
	assert_int_equal(cell(&text, 4, 24, 0), ' ');
}

static void modes_are_checked(void **state)
{
	struct fbcon_mode m;

	(void)state;
#define REFUSED(base, field, value)                                                               \
	do {                                                                                      \
		m = base;                                                                         \
		m.field = value;                                                                  \
		assert_int_equal(fbcon_init(&m), -EINVAL);                                        \
	} while (0)
	REFUSED(rgb32, bpp, 8);
	REFUSED(rgb32, bpp, 0);
	REFUSED(rgb32, pitch, 200 * 4 - 1);
	REFUSED(rgb32, width, 7);
	REFUSED(rgb32, height, 15);
	REFUSED(rgb32, height, 0xffffffff);
	REFUSED(rgb32, width, 0xffffffff);
	REFUSED(rgb32, addr.v, 0);
	REFUSED(text, width, 0);
	REFUSED(text, height, 0);
	REFUSED(text, pitch, 159);
	REFUSED(rgb32, type, FBCON_INDEXED);
	REFUSED(text, type, 3);
	refuse_map = true;
	assert_int_equal(fbcon_init(&rgb32), -ENOMEM);
	refuse_map = false;
	type("nowhere");
	/* a field that lies outside the pixel is ignored */
	m = rgb32;
	m.red.position = 40;
	m.blue.size = 0;
	assert_int_equal(fbcon_init(&m), 0);
	type("x");
	EXPECT(&m, 0xff00, "x");
}

static void large_screens_are_cut(void **state)
{
	struct fbcon_mode m = rgb32;

	(void)state;
	m.width = 3840;
	m.height = 2160;
	m.pitch = 3840 * 4;
	assert_int_equal(fbcon_init(&m), 0);
	for (unsigned i = 0; i < 300; i++)
		type("x");
	assert_int_equal(cell(&m, 255, 0, 0xffffff), 'x');
	assert_int_equal(cell(&m, 256, 0, 0xffffff), ' ');
	assert_int_equal(cell(&m, 43, 1, 0xffffff), 'x');
	for (unsigned i = 0; i < 200; i++)
		type("y\n");
	assert_int_equal(cell(&m, 0, 98, 0xffffff), 'y');
	assert_int_equal(cell(&m, 0, 99, 0xffffff), ' ');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_before_init),
		cmocka_unit_test(writes_and_moves),
		cmocka_unit_test(wraps_and_scrolls),
		cmocka_unit_test(sequences_are_swallowed),
		cmocka_unit_test(every_pixel_format),
		cmocka_unit_test(text_mode),
		cmocka_unit_test(taken_is_shown_later),
		cmocka_unit_test(modes_are_checked),
		cmocka_unit_test(large_screens_are_cut),
	};

	return cmocka_run_group_tests(tests, load_font, release);
}
