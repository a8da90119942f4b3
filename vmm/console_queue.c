/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of a guest that does not have the terminal to itself.
 */
#include "vmm/console_queue.h"

#include "arch/lib/string.h"

#define TAB_COLUMNS 8
#define WIDEST	    (TAB_COLUMNS + 2) /* what one byte may become, a CR before it included */

/* Returns how many characters the byte became; `column` counts from the text's start. */
static unsigned escape(u8 byte, char *out, unsigned column)
{
	unsigned len = 1;

	if (byte == '\t') {
		len = TAB_COLUMNS - column % TAB_COLUMNS;
		memset(out, ' ', len);
	} else if (byte < ' ') {
		out[0] = '^';
		out[len++] = (char)(byte + '@');
	} else {
		out[0] = byte < 0x7f ? (char)byte : '.';
	}
	return len;
}

unsigned console_queue_line(struct console_queue *q, const char *name, char *line, bool flush)
{
	unsigned start = (unsigned)str_format(line, CONSOLE_LINE_MAX, "[%s] ", name), len = start;
	u32 used = 0, most = MIN(q->count, CONSOLE_LINE_MAX); /* CRs alone make no columns */
	bool whole = false, cr = q->cr, show;

	while (!whole && used < most && len + WIDEST < CONSOLE_LINE_MAX) {
		u8 byte = q->data[(q->head + used++) % q->size];

		whole = byte == '\n';
		if (byte != '\n' && byte != '\r') {
			if (cr)
				len += escape('\r', line + len, len - start);
			len += escape(byte, line + len, len - start);
		}
		cr = byte == '\r';
	}
	if (used == 0 || (!whole && !flush && used == q->count))
		return 0;
	q->head = (q->head + used) % q->size;
	q->count -= used;
	q->cr = cr;
	/* The newline right behind a piece belongs to that. */
	show = len > start || (whole && !q->cut);
	q->cut = !whole && (q->cut || show);
	if (!show)
		return 0;
	line[len++] = '\n';
	return len;
}
