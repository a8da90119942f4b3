/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line editor: bytes of a keyboard or terminal in, a line out, with history
 * and completion. It draws with carriage return, backspace and blanks only, so
 * that any terminal and the screen can show it; of a line that is too long for
 * a row, the part around the cursor is drawn.
 */
#pragma once

#include "arch/lib/types.h"

#define LINE_SIZE    128 /* with the NUL */
#define LINE_HISTORY 16
#define LINE_COLUMNS 78

struct line {
	/* Set once, the rest zeroed: */
	const char *prompt; /* shorter than half a row */
	void (*put)(const char *text, size_t len);
	/* The index-th word that may stand at text[start], or NULL for no more. */
	const char *(*words)(const char *text, size_t start, unsigned index);

	char text[LINE_SIZE]; /* always with a NUL */
	/* line.c's own: */
	u8 len, at;    /* at: the cursor's place */
	u8 first;      /* what is drawn begins with this byte ... */
	u8 drawn;      /* ... and is as long as this */
	u8 escape;     /* how far into an escape sequence */
	u8 parameter;  /* its number */
	bool after_cr; /* a line feed that follows belongs to it */
	u8 back;       /* how many lines back in the history; 0: the line that is new */
	u8 remembered;
	char history[LINE_HISTORY + 1][LINE_SIZE]; /* the new line, the last one, the one before */
};

/* Begins an empty line and draws it. */
void line_begin(struct line *line);
/* Draws it on a row of which nothing is left, after something else came between. */
void line_draw(struct line *line);
/* Takes one byte. True: the line is whole, in line->text, and remembered. */
bool line_key(struct line *line, u8 key);

