/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Word by word through a command line, undoing what GRUB 2.06 does to words
 * (measured: only a blank makes it quote; tabs stay as they are). An unescaped
 * quote in the middle of a word, which GRUB never sends, is taken as a shell
 * would.
 */
#include "boot/words.h"

#include "arch/lib/log.h"
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

const struct word *words_find(const struct word *table, unsigned count, const char *name)
{
	for (const struct word *word = table; word < table + count; word++)
		if (strcmp(word->name, name) == 0)
			return word;
	return NULL;
}

const char *words_take(const struct word *word, const char *value, void *to)
{
	if (word->take && value)
		return word->take(word, value, to);
	if (word->take || value)
		return word->allowed;
	*(bool *)to = true;
	return NULL;
}

const char *words_number(const struct word *word, const char *value, void *to)
{
	u64 number;

	if (str_to_u64(value, strlen(value), &number) || number == 0 || number > word->max)
		return word->allowed;
	memcpy(to, &number, word->size);
	return NULL;
}

int words_index(const char *const *names, u64 count, const char *text, size_t len)
{
	for (u64 i = 0; i < count; i++)
		if (len > 0 && strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
			return (int)i;
	return -1;
}

const char *words_choice(const struct word *word, const char *value, void *to)
{
	int index = words_index(word->names, word->max, value, strlen(value));

	if (index < 0)
		return word->allowed;
	memcpy(to, &index, word->size);
	return NULL;
}

const char *words_text(const struct word *word, const char *value, void *to)
{
	size_t len = strlen(value);

	if (len == 0 || len >= word->size)
		return word->allowed;
	memcpy(to, value, len + 1);
	return NULL;
}

void words_complain(const char *fmt, ...)
{
	char text[LOG_LINE_MAX];

	STR_FORMAT_REST(text, sizeof(text), fmt);
	for (char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	log_error("%s", text);
}
