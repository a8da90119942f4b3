/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that wait on their way to or from a guest, and lines made of what a
 * guest wrote: behind its name, and with nothing in them that a terminal obeys.
 * The lock of the queue's owner is held by all who call.
 */
#pragma once

#include "arch/lib/types.h"

struct console_queue {
	u8 *data;
	u32 size, head, count;
	u64 touched; /* TSC, the owner's: of the last byte in (output); out, or in when empty (input) */
	bool cr;     /* the last byte of the lines so far was a CR that may end one */
	bool cut;    /* the last line so far was only the beginning of one */
};

/* False when the queue is full. */
static inline bool console_queue_put(struct console_queue *q, u8 byte)
{
	if (q->count == q->size)
		return false;
	q->data[(q->head + q->count++) % q->size] = byte;
	return true;
}

/* The oldest byte, or -1 for none. */
static inline int console_queue_get(struct console_queue *q)
{
	u8 byte;

	if (q->count == 0)
		return -1;
	byte = q->data[q->head];
	q->head = (q->head + 1) % q->size;
	q->count--;
	return byte;
}

#define CONSOLE_LINE_MAX 152 /* bytes of a line with its newline, and columns */

/*
 * Takes one line off the queue, or a piece of a long one, or with `flush` what
 * there is: "[name] text\n" in line[CONSOLE_LINE_MAX], no NUL. Returns its
 * length; 0 when there is nothing to show, though bytes may be gone. Control
 * characters come as a caret and a letter, TAB as blanks, anything above 7Eh as
 * a dot; of CR LF nothing is shown.
 */
unsigned console_queue_line(struct console_queue *q, const char *name, char *line, bool flush);
