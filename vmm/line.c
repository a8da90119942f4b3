/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys are a table; an escape sequence is turned into the control key that
 * does the same. What a sequence may hold stands in ECMA-48, "Control
 * sequences"; the numbers before '~' are those of a VT220.
 */
#include "vmm/line.h"

#include "arch/lib/bits.h"
#include "arch/lib/string.h"

#define CTRL(letter)  ((letter) & 0x1f)
#define ESCAPE	      0x1b
#define DELETE	      0x7f
#define PARAMETER_MAX 100

enum { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_SEQUENCE };

static void put_byte(struct line *line, char byte)
{
	line->put(&byte, 1);
}

static void put_many(struct line *line, char byte, unsigned count)
{
	while (count--)
		put_byte(line, byte);
}

static int room(const struct line *line)
{
	return LINE_COLUMNS - strlen(line->prompt);
}

static void draw(struct line *line)
{
	int half = room(line) / 2, shown, gone;

	if (line->at < line->first || line->at > line->first + room(line))
		line->first = line->at > half ? line->at - half : 0;
	shown = MIN(line->len - line->first, room(line));
	gone = line->drawn > shown ? line->drawn - shown : 0;
	put_byte(line, '\r');
	line->put(line->prompt, strlen(line->prompt));
	line->put(line->text + line->first, shown);
	put_many(line, ' ', gone);
	put_many(line, '\b', gone + shown - (line->at - line->first));
	line->drawn = shown;
}

void line_draw(struct line *line)
{
	line->drawn = 0;
	draw(line);
}

static void new_row(struct line *line)
{
	put_byte(line, '\n');
	line->drawn = 0;
}

static void set(struct line *line, const char *text)
{
	line->len = line->at = str_format(line->text, sizeof(line->text), "%s", text);
	line->first = 0;
}

void line_begin(struct line *line)
{
	line->back = 0;
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

/* Where the word before the cursor begins, blanks between passed over where wanted. */
static unsigned word_start(const struct line *line, bool pass_blanks)
{
	unsigned at = line->at;

	while (pass_blanks && at > 0 && line->text[at - 1] == ' ')
		at--;
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

/* The next word from *index on that begins with the len bytes at text; NULL: no more. */
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
	size_t start = word_start(line, false), typed = line->at - start, common;
	unsigned index = 0, count = 1;
	const char *first = match(line, start, &index), *word;

	if (!first)
		return;
	common = strlen(first);
	for (; (word = match(line, start, &index)); count++)
		for (size_t i = 0; i < common; i++)
			if (word[i] != first[i])
				common = i;
	if (common > typed || count == 1) {
		insert(line, first + typed, common - typed);
		if (count == 1)
			insert(line, " ", 1);
		return;
	}
	new_row(line);
	for (index = 0; (word = match(line, start, &index));) {
		line->put(word, strlen(word));
		put_many(line, ' ', 2);
	}
	new_row(line);
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
	const unsigned places[] = {
		[START] = 0,
		[LEFT] = line->at - (line->at > 0),
		[WORD] = word_start(line, true),
		[RIGHT] = line->at + (line->at < line->len),
		[END] = line->len,
	};

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

/* The final byte of a sequence, and its number before '~', as a control key. */
static const struct {
	char final;
	u8 parameter;
	u8 key;
} sequences[] = {
	{'A', 0, CTRL('P')}, {'B', 0, CTRL('N')}, {'C', 0, CTRL('F')}, {'D', 0, CTRL('B')},
	{'H', 0, CTRL('A')}, {'F', 0, CTRL('E')}, {'~', 1, CTRL('A')}, {'~', 7, CTRL('A')},
	{'~', 4, CTRL('E')}, {'~', 8, CTRL('E')}, {'~', 3, CTRL('D')},
};

/* Takes a byte that belongs to an escape sequence: the key that the whole one stands for, or 0. */
static u8 take_escape(struct line *line, u8 key)
{
	if (line->escape == ESCAPE_BEGUN) {
		line->escape = key == '[' || key == 'O' ? ESCAPE_SEQUENCE : ESCAPE_NONE;
		line->parameter = 0;
		return 0;
	}
	if (key >= '0' && key <= '9') {
		line->parameter = MIN(line->parameter, PARAMETER_MAX / 10) * 10 + key - '0';
		return 0;
	}
	if (key < '@')
		return 0;
	line->escape = ESCAPE_NONE;
	for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++)
		if (sequences[i].final == key &&
		    (key != '~' || sequences[i].parameter == line->parameter))
			return sequences[i].key;
	return 0;
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

/* At the end of a line that is drawn to its end, the byte is all that is new. */
static void type(struct line *line, char byte)
{
	bool append = line->at == line->len && line->drawn < room(line);

	insert(line, &byte, 1);
	if (append && line->first + line->drawn < line->len) {
		put_byte(line, byte);
		line->drawn++;
	} else {
		draw(line);
	}
}

static void control(struct line *line, u8 key)
{
	switch (key) {
	case CTRL('C'):
		line->put("^C", 2);
		new_row(line);
		line_begin(line);
		return;
	case CTRL('I'):
		complete(line);
		break;
	case CTRL('L'):
		new_row(line);
		break;
	case CTRL('N'):
		show_history(line, line->back - 1);
		break;
	case CTRL('P'):
		show_history(line, line->back + 1);
		break;
	default:
		edit(line, key);
	}
	draw(line);
}

/* The whole line is to be seen before what it does. */
static void finish(struct line *line)
{
	if (line->at < line->len)
		control(line, CTRL('E'));
	new_row(line);
	remember(line);
}

bool line_key(struct line *line, u8 key)
{
	bool after_cr = line->after_cr;

	line->after_cr = key == '\r';
	if (key < ' ')
		line->escape = key == ESCAPE ? ESCAPE_BEGUN : ESCAPE_NONE;
	else if (line->escape)
		key = take_escape(line, key);
	if (key == '\r' || (key == '\n' && !after_cr)) {
		finish(line);
		return true;
	}
	if (key >= ' ' && key < DELETE)
		type(line, key);
	else if (key)
		control(line, key);
	return false;
}
