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

struct fbcon_mode {
	hpa_t addr;
	u32 pitch;	   /* bytes from one line to the next */
	u32 width, height; /* pixels, or characters for text */
	u8 bpp;
	bool text; /* VGA text memory, 16 bits a character */
	struct fbcon_field red, green, blue;
};

/*
 * Maps and clears the screen. Returns 0, -EINVAL for a mode that makes no
 * sense or has no 15, 16, 24 or 32 bits a pixel, -ENOMEM without room to map.
 * Boot CPU, before the sink is added.
 */
int fbcon_init(const struct fbcon_mode *mode);

/* Writes len bytes, any CPU. Does nothing before a successful fbcon_init. */
void fbcon_write(const char *text, size_t len);
