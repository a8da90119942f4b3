/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys are a table; an escape sequence is turned into the control key that
 * does the same. What a sequence may hold stands in ECMA-48, "Control
 * sequences"; the numbers before '~' are those of a VT220.
 */
#include "vmm/line.h"

#include "arch/lib/string.h"

#define CTRL(letter) ((letter) & 0x1f)
#define ESCAPE	     0x1b
#define DELETE	     0x7f

/* The cursor comes to its place by drawing what is left of it once more. */
void line_draw(struct line *line)
{
	line->print("\r%s%-*s", line->prompt, line->drawn, line->text);
	if (line->at < MAX(line->drawn, line->len))
		line->print("\r%s%.*s", line->prompt, line->at, line->text);
	line->drawn = line->len;
}

static void set(struct line *line, const char *text)
{
	line->len = line->at = str_format(line->text, sizeof(line->text), "%s", text);
}

void line_begin(struct line *line)
{
	line->back = line->drawn = 0;
	set(line, "");
	line_draw(line);
}

/* Takes [from, to) out; the cursor is there then. */
static void cut(struct line *line, unsigned from, unsigned to)
{
	memmove(line->text + from, line->text + to, line->len - to + 1);
	line->len -= to - from;
	line->at = from;
}

/* Puts in what finds room. */
static void insert(struct line *line, const char *text, size_t len)
{
	len = MIN(len, (size_t)(LINE_SIZE - 1 - line->len));
	memmove(line->text + line->at + len, line->text + line->at, line->len - line->at + 1);
	memcpy(line->text + line->at, text, len);
	line->len += len;
	line->at += len;
}

/* At the end of the line, the byte is all that has to be drawn. */
static void type(struct line *line, char byte)
{
	bool at_end = line->at == line->len && line->len < LINE_SIZE - 1;

	insert(line, &byte, 1);
	if (at_end)
		line->print("%c", byte);
	else
		line_draw(line);
	line->drawn = line->len;
}

/* Where the word before the cursor begins, from `at` on. */
static unsigned word_start(const struct line *line, unsigned at)
{
	while (at > 0 && line->text[at - 1] != ' ')
		at--;
	return at;
}

/* Goes through the history; the line that was being written waits at its end. */
static void show_history(struct line *line, unsigned back)
{
	if (back > line->remembered)
		return;
	if (line->back == 0)
		memcpy(line->history[0], line->text, LINE_SIZE);
	line->back = back;
	set(line, line->history[back]);
}

/* The last line comes first; one that was there before moves to that place. */
static void remember(struct line *line)
{
	unsigned place = 1;

	if (line->len == 0)
		return;
	while (place <= line->remembered && strcmp(line->history[place], line->text))
		place++;
	if (place > line->remembered)
		place = line->remembered = MIN(line->remembered + 1, LINE_HISTORY);
	memmove(line->history[2], line->history[1], (place - 1) * LINE_SIZE);
	memcpy(line->history[1], line->text, LINE_SIZE);
}

/* The next word from *index on that begins as what was typed; NULL: no more. */
static const char *match(struct line *line, size_t start, unsigned *index)
{
	const char *word;

	while ((word = line->words(line->text, start, (*index)++)))
		if (strncmp(word, line->text + start, line->at - start) == 0)
			return word;
	return NULL;
}

/* Puts in what all the words that fit have in common; lists them where that is nothing. */
static void complete(struct line *line)
{
	size_t start = word_start(line, line->at), typed = line->at - start, common;
	unsigned index = 0, count = 1;
	const char *first = match(line, start, &index), *word;

	if (!first)
		return;
	common = strlen(first);
	for (; (word = match(line, start, &index)); count++)
		for (size_t i = 0; i < common; i++)
			if (word[i] != first[i])
				common = i;
	insert(line, first + typed, common - typed);
	if (count == 1)
		insert(line, " ", 1);
	if (count == 1 || common > typed)
		return;
	line->print("\n");
	for (index = 0; (word = match(line, start, &index));)
		line->print("%s  ", word);
	line->print("\n");
}

/* A key goes to a place, or takes out all up to it. */
static const struct {
	u8 key;
	enum { START, LEFT, WORD, RIGHT, END } to;
	bool cuts;
} edits[] = {
	{CTRL('A'), START, false}, {CTRL('U'), START, true}, {CTRL('B'), LEFT, false},
	{CTRL('H'), LEFT, true},   {DELETE, LEFT, true},     {CTRL('W'), WORD, true},
	{CTRL('F'), RIGHT, false}, {CTRL('D'), RIGHT, true}, {CTRL('E'), END, false},
	{CTRL('K'), END, true},
};

static void edit(struct line *line, u8 key)
{
	unsigned at = line->at, places[] = {
		[LEFT] = at - (at > 0),
		[RIGHT] = at + (at < line->len),
		[END] = line->len,
	};

	while (at > 0 && line->text[at - 1] == ' ')
		at--;
	places[WORD] = word_start(line, at);
	for (unsigned i = 0; i < ARRAY_SIZE(edits); i++) {
		unsigned to = places[edits[i].to];

		if (edits[i].key != key)
			continue;
		if (edits[i].cuts)
			cut(line, MIN(to, line->at), MAX(to, line->at));
		else
			line->at = to;
	}
}

/* Keys that are more than an edit; the line is drawn anew after each. */
static void control(struct line *line, u8 key)
{
	if (key == CTRL('I'))
		complete(line);
	else if (key == CTRL('N'))
		show_history(line, line->back - 1);
	else if (key == CTRL('P'))
		show_history(line, line->back + 1);
	else if (key == CTRL('L'))
		line->print("\n");
	else
		edit(line, key);
	if (key == CTRL('C')) {
		line->print("^C\n");
		line_begin(line);
	} else {
		line_draw(line);
	}
}

/* What follows ESC [ or ESC O, and the control key that does the same. */
static const struct {
	const char *sequence;
	u8 key;
} sequences[] = {
	{"A", CTRL('P')}, {"B", CTRL('N')},  {"C", CTRL('F')},	{"D", CTRL('B')},
	{"H", CTRL('A')}, {"F", CTRL('E')},  {"1~", CTRL('A')}, {"7~", CTRL('A')},
	{"4~", CTRL('E')}, {"8~", CTRL('E')}, {"3~", CTRL('D')},
};

/* Takes a byte behind ESC: the control key that the whole sequence stands for, or 0. */
static u8 take_escape(struct line *line, u8 key)
{
	char *sequence = line->sequence;
	bool first = line->escape == 1;

	if (line->escape < sizeof(line->sequence))
		sequence[line->escape++ - 1] = key;
	if (first ? key == '[' || key == 'O' : key < '@')
		return 0;
	sequence[line->escape - 1] = '\0';
	line->escape = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++)
		if (!first && !strcmp(sequences[i].sequence, sequence + 1))
			return sequences[i].key;
	return 0;
}

bool line_key(struct line *line, u8 key)
{
	bool after_cr = line->after_cr;

	line->after_cr = key == '\r';
	if (key < ' ')
		line->escape = key == ESCAPE;
	else if (line->escape)
		key = take_escape(line, key);
	if (key == '\r' || (key == '\n' && !after_cr)) {
		if (line->at < line->len)
			control(line, CTRL('E'));
		line->print("\n");
		remember(line);
		return true;
	}
	if (key >= ' ' && key < DELETE)
		type(line, key);
	else if (key && key != ESCAPE)
		control(line, key);
	return false;
}
