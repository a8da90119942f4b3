/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line editor: bytes of a keyboard or terminal in, a line out, with history
 * and completion. A line is no longer than a row, and is drawn with carriage
 * return and blanks only, so that any terminal and the screen can show it.
 */
#pragma once

#include "arch/lib/types.h"

#define LINE_SIZE    68 /* with the NUL; beside the prompt in a row of 80 */
#define LINE_HISTORY 16

struct line {
	/* Set once, the rest zeroed: */
	const char *prompt;
	void (*print)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
	/* The index-th word that may stand at text[start], or NULL for no more; asked for from 0
	 * on, one behind the other. */
	const char *(*words)(const char *text, size_t start, unsigned index);

	char text[LINE_SIZE]; /* always with a NUL */
	/* line.c's own: */
	u8 len, at;	 /* at: the cursor's place */
	u8 drawn;	 /* bytes of a line that may stand in the row */
	u8 escape;	 /* 0: in no escape sequence; else one more than bytes of it */
	char sequence[8];
	bool after_cr;	 /* a line feed that follows belongs to it */
	u8 back;	 /* how many lines back in the history; 0: the line that is new */
	u8 remembered;
	char history[LINE_HISTORY + 1][LINE_SIZE]; /* the new line, the last one, the one before */
};

/* Begins an empty line and draws it. */
void line_begin(struct line *line);
/* Draws it on a row of which nothing is left, after something else came between. */
void line_draw(struct line *line);
/* Takes one byte. True: the line is whole, in line->text, and remembered. */
bool line_key(struct line *line, u8 key);
