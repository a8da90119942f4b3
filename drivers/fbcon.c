/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framebuffer and text-mode console. What the screen should show is kept as
 * characters; later, a few at a time, the cells that differ from what it does
 * show are painted. So the screen is never read (write-combining memory is
 * very slow to read), and a write scrolls once however many lines it has.
 *
 * The font is Lat15-VGA16.psf of Debian's console-setup-linux 1.221, unpacked;
 * console fonts are public domain, as that package's copyright file states. A
 * PSF 1 file has a header of 4 bytes, then 256 glyphs of 16 lines of 8 pixels,
 * here in the order of ASCII.
 */
#include "drivers/fbcon.h"

#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"

#define GLYPH_WIDTH  8
#define GLYPH_HEIGHT 16
#define COLUMNS_MAX  256
#define ROWS_MAX     100
#define TAB	     8

#define VGA_WHITE   0x07
#define SCREEN_MAX  MIB(256)

/* What painting a cell costs, beside looking at it, and what is done at once. */
enum { PAINT_TEXT = 3, PAINT_PIXELS = 128, PAINT_AT_ONCE = 300 };
#define PAINT_ALL INT64_MAX

__asm__(".pushsection .rodata.fbcon_font, \"a\"\n"
	".type fbcon_font, @object\n"
	"fbcon_font: .incbin \"drivers/fbcon.psf\", 4, 4096\n"
	".popsection");
extern const u8 fbcon_font[256][GLYPH_HEIGHT] __attribute__((visibility("hidden")));

/* A terminal sequence that is being swallowed. */
enum escape { ESCAPE_NONE, ESCAPE_START, ESCAPE_CSI, ESCAPE_STRING, ESCAPE_CHARSET };

static struct {
	u8 *screen; /* NULL: no console */
	u32 pitch;
	unsigned pixel_bytes; /* 0 for text */
	u32 white;
	unsigned columns, rows;
	unsigned column, row;	     /* where the next character goes; column may be = columns */
	unsigned dirty_from, dirty_to; /* rows that may differ: from <= row < to */
	enum escape escape;
	u32 busy; /* guards all of this */
	u8 wanted[ROWS_MAX][COLUMNS_MAX];
	u8 shown[ROWS_MAX][COLUMNS_MAX];
} con;

static void paint_pixel(u8 *at, u32 value)
{
	__builtin_memcpy(at, &value, 2);
	if (con.pixel_bytes == 3)
		at[2] = (u8)(value >> 16);
	else if (con.pixel_bytes == 4)
		__builtin_memcpy(at, &value, 4);
}

static void paint_cell(unsigned row, unsigned column, u8 c)
{
	u8 *line = con.screen;

	if (!con.pixel_bytes) {
		line += (size_t)row * con.pitch + column * 2;
		line[0] = c;
		line[1] = VGA_WHITE;
		return;
	}
	line += (size_t)row * GLYPH_HEIGHT * con.pitch + column * GLYPH_WIDTH * con.pixel_bytes;
	for (unsigned y = 0; y < GLYPH_HEIGHT; y++, line += con.pitch) {
		u8 bits = fbcon_font[c][y];

		for (unsigned x = 0; x < GLYPH_WIDTH; x++, bits = (u8)(bits << 1))
			paint_pixel(line + x * con.pixel_bytes, bits & 0x80 ? con.white : 0);
	}
}

/* Stops once that much was done, where a look at a cell counts 1; whether there is more to do. */
static bool paint_differences(s64 effort)
{
	s64 paint = con.pixel_bytes ? PAINT_PIXELS : PAINT_TEXT;

	for (; con.dirty_from < con.dirty_to; con.dirty_from++) {
		unsigned row = con.dirty_from;

		for (unsigned column = 0; column < con.columns; column++) {
			u8 c = con.wanted[row][column];

			if (effort-- <= 0)
				return true;
			if (con.shown[row][column] == c)
				continue;
			con.shown[row][column] = c;
			paint_cell(row, column, c);
			effort -= paint;
		}
	}
	con.dirty_from = con.rows;
	con.dirty_to = 0;
	return false;
}

static void new_line(void)
{
	con.column = 0;
	if (++con.row < con.rows)
		return;
	con.row = con.rows - 1;
	memmove(con.wanted[0], con.wanted[1], (size_t)con.row * COLUMNS_MAX);
	memset(con.wanted[con.row], ' ', COLUMNS_MAX);
	con.dirty_from = 0;
	con.dirty_to = con.rows;
}

static void put_char(u8 c)
{
	/* The line breaks only when one more character comes, as terminals do. */
	if (con.column >= con.columns)
		new_line();
	con.wanted[con.row][con.column++] = c;
	con.dirty_from = MIN(con.dirty_from, con.row);
	con.dirty_to = MAX(con.dirty_to, con.row + 1);
}

/* Follows a sequence after ESC: CSI and its final byte, a string with its end, or one letter. */
static void swallow(u8 c)
{
	enum escape state = con.escape;

	if (state == ESCAPE_START && c == '[')
		con.escape = ESCAPE_CSI;
	else if (state == ESCAPE_START && c && strchr("]PX^_", c))
		con.escape = ESCAPE_STRING;
	else if (state == ESCAPE_START && c >= ' ' && c <= '/')
		con.escape = ESCAPE_CHARSET;
	else if (state == ESCAPE_START || state == ESCAPE_CHARSET ||
		 (state == ESCAPE_CSI && c >= '@' && c <= '~') ||
		 (state == ESCAPE_STRING && c == '\a'))
		con.escape = ESCAPE_NONE;
}

static void take_char(u8 c)
{
	if (c == '\n') {
		con.escape = ESCAPE_NONE; /* ends a sequence that was never closed, too */
		new_line();
	} else if (c == '\r') {
		con.column = 0;
	} else if (c == '\033') {
		con.escape = ESCAPE_START;
	} else if (con.escape != ESCAPE_NONE) {
		swallow(c);
	} else if (c == '\b') {
		con.column -= con.column > 0;
	} else if (c == '\t') {
		con.column = MIN((con.column / TAB + 1) * TAB, con.columns - 1);
	} else if (c >= ' ' && c <= '~') {
		put_char(c);
	} else if (c >= 0xc0) {
		put_char('?'); /* one for each character of UTF-8 outside ASCII */
	}
}

static bool serve(const char *text, size_t len, s64 effort)
{
	bool more;

	if (!con.screen)
		return false;
	/* After a bug its holder stands, or is the caller. */
	while (__atomic_exchange_n(&con.busy, 1, __ATOMIC_ACQUIRE) && !log_broken)
		__builtin_ia32_pause();
	while (len--)
		take_char((u8)*text++);
	more = paint_differences(effort);
	__atomic_store_n(&con.busy, 0, __ATOMIC_RELEASE);
	return more;
}

void fbcon_write(const char *text, size_t len)
{
	serve(text, len, PAINT_ALL);
}

void fbcon_take(const char *text, size_t len)
{
	serve(text, len, 0);
}

bool fbcon_show(bool all)
{
	return serve(NULL, 0, all ? PAINT_ALL : PAINT_AT_ONCE);
}

static u32 field_ones(struct fbcon_field field)
{
	return field.size && field.position < 32 ?
		       (u32)(size_mask(4) & (BIT(MIN(field.size, 16)) - 1) << field.position) :
		       0;
}

int fbcon_init(const struct fbcon_mode *mode)
{
	bool text = mode->type == FBCON_TEXT, rgb = mode->type == FBCON_RGB;
	bool known = mode->bpp == 15 || mode->bpp == 16 || mode->bpp == 24 || mode->bpp == 32;
	u32 cell_width = text ? 1 : GLYPH_WIDTH, cell_height = text ? 1 : GLYPH_HEIGHT;
	unsigned pixel_bytes = text ? 0 : (mode->bpp + 7u) / 8;
	u64 line_bytes = (u64)mode->width * (text ? 2 : pixel_bytes);
	u64 size = (u64)mode->pitch * mode->height;
	u8 *screen;

	con.screen = NULL;
	if (!mode->addr.v || !(text || (rgb && known)) || mode->width < cell_width ||
	    mode->height < cell_height || mode->pitch < line_bytes || size > SCREEN_MAX)
		return -EINVAL;
	screen = phys_map(mode->addr, size, text ? PHYS_UNCACHED : PHYS_WRITE_COMBINING);
	if (!screen)
		return -ENOMEM;

	memset(&con, 0, sizeof(con));
	con.pitch = mode->pitch;
	con.pixel_bytes = pixel_bytes;
	con.white = field_ones(mode->red) | field_ones(mode->green) | field_ones(mode->blue);
	con.columns = MIN(mode->width / cell_width, COLUMNS_MAX);
	con.rows = MIN(mode->height / cell_height, ROWS_MAX);
	memset(con.wanted, ' ', sizeof(con.wanted));
	if (!text)
		memset(con.shown, ' ', sizeof(con.shown));
	for (u32 y = 0; y < mode->height && !text; y++)
		memset(screen + (size_t)y * mode->pitch, 0, line_bytes);
	con.screen = screen;
	con.dirty_from = 0;
	con.dirty_to = con.rows;
	paint_differences(PAINT_ALL);
	return 0;
}
