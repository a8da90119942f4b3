/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text console on the screen that the boot loader set up: a linear framebuffer
 * or VGA text memory. White on black; newline, carriage return, backspace and
 * tab move, terminal sequences are swallowed, the text scrolls.
 */
#pragma once

#include "arch/lib/types.h"

struct fbcon_field {
	u8 position; /* lowest bit in a pixel */
	u8 size;     /* bits */
};

enum fbcon_type { FBCON_INDEXED, FBCON_RGB, FBCON_TEXT };

/* A mode as multiboot2's framebuffer tag describes it, in the tag's layout. */
struct fbcon_mode {
	hpa_t addr;
	u32 pitch;	   /* bytes from one line to the next */
	u32 width, height; /* pixels, or characters for text */
	u8 bpp;		   /* bits a pixel */
	u8 type;	   /* enum fbcon_type; text has 16 bits a character */
	u16 reserved;
	struct fbcon_field red, green, blue; /* for RGB */
};

/*
 * Maps and clears the screen. Returns 0, -EINVAL for a mode that makes no
 * sense or is neither text nor RGB with 15, 16, 24 or 32 bits a pixel, -ENOMEM
 * without room to map.
 * Boot CPU, before the sink is added.
 */
int fbcon_init(const struct fbcon_mode *mode);

/* Writes len bytes, any CPU. Does nothing before a successful fbcon_init; nor do the next two. */
void fbcon_write(const char *text, size_t len);
/* Takes them only: fbcon_show shows them, some thousand instructions' worth at once or all that
 * there is. Whether there is more to show. */
void fbcon_take(const char *text, size_t len);
bool fbcon_show(bool all);
