/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Word by word through a command line, undoing what GRUB 2.06 does to words
 * (measured: only a blank makes it quote; tabs stay as they are). An unescaped
 * quote in the middle of a word, which GRUB never sends, is taken as a shell
 * would.
 */
#include "boot/words.h"

#include "arch/lib/string.h"

bool words_next(const char **line, char word[WORD_MAX])
{
	const char *at = *line;
	size_t len = 0;
	bool quoted = false;

	while (*at == ' ')
		at++;
	if (*at == '\0') {
		*line = at;
		return false;
	}
	for (; *at != '\0' && (quoted || *at != ' '); at++) {
		if (*at == '"') {
			quoted = !quoted;
			continue;
		}
		if (*at == '\\' && at[1] != '\0')
			at++;
		if (len < WORD_MAX - 1)
			word[len] = *at;
		len++;
	}
	if (len >= WORD_MAX) {
		len = WORD_MAX - 1;
		memcpy(word + len - 3, "...", 3);
	}
	word[len] = '\0';
	*line = *at == ' ' ? at + 1 : at;
	return true;
}

char *words_split(char word[WORD_MAX])
{
	char *equals = strchr(word, '=');

	if (!equals)
		return NULL;
	*equals = '\0';
	return equals + 1;
}

void words_complain(struct words_report *report, const char *fmt, ...)
{
	char text[384];

	STR_FORMAT_REST(text, sizeof(text), fmt);
	for (char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	report->count++;
	report->line(report->arg, text);
}
