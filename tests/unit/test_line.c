/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/line.c arch/lib/format.c */
/*
 * The line editor: keys in, the line and what a terminal shows of it out. The
 * terminal here knows what the editor may use: text, CR and LF.
 */
#include "vmm/line.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>


#define ROWS	8
#define COLUMNS 80

int str_vformat(char *buf, size_t size, const char *fmt, va_list ap);

static char screen[ROWS][COLUMNS + 1];
static unsigned row, column;
static size_t sent;

static void print(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = str_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	sent += len;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\r') {
			column = 0;
		} else if (c == '\n') {
			column = 0;
			if (++row == ROWS) {
				memmove(screen[0], screen[1], sizeof(screen) - sizeof(screen[0]));
				memset(screen[--row], ' ', COLUMNS);
			}
		} else {
			assert_in_range(c, 0x20, 0x7e);
			assert_true(column < COLUMNS); /* it must never wrap */
			screen[row][column++] = c;
		}
	}
}

static const char *const commands[] = {"pause", "poweroff", "reset", "resume", "vm", "vms"};
static const char *const names[] = {"web", "web-2", "lab"};

static const char *words(const char *text, size_t start, unsigned index)
{
	(void)text;
	if (start == 0)
		return index < ARRAY_SIZE(commands) ? commands[index] : NULL;
	return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

static struct line line;

static int setup(void **state)
{
	(void)state;
	memset(screen, ' ', sizeof(screen));
	row = column = 0;
	line = (struct line){.prompt = "> ", .print = print, .words = words};
	line_begin(&line);
	return 0;
}

/* True when the last byte ended a line. */
static bool keys(const char *bytes)
{
	bool done = false;

	for (; *bytes; bytes++) {
		if (done)
			line_begin(&line);
		done = line_key(&line, *bytes);
	}
	return done;
}

static void shows(unsigned at, const char *text)
{
	char padded[COLUMNS + 1];

	memset(padded, ' ', COLUMNS);
	memcpy(padded, text, strlen(text));
	assert_memory_equal(screen[at], padded, COLUMNS);
}

/* The prompt's row shows the line, its cursor where the line's is. */
static void check(const char *text, unsigned at)
{
	char shown[COLUMNS + 1] = "> ";

	assert_string_equal(line.text, text);
	assert_int_equal(line.len, strlen(text));
	assert_int_equal(line.at, at);
	strcat(shown, text);
	shows(row, shown);
	assert_int_equal(column, 2 + at);
}

/* Each ends with the cursor where '|' stands. */
static const struct {
	const char *typed, *line;
} edits[] = {
	{"abc", "abc|"},
	{"abc\x02\x02X", "aX|bc"},
	{"abc\x02\x08", "a|c"},
	{"abc\x7f\x7f\x7f\x7f", "|"},
	{"abc\x01\x04", "|bc"},
	{"abc\x04", "abc|"},
	{"abc\x01\x02x\x05y", "xabcy|"},
	{"abc\x06", "abc|"},
	{"abc\x01\x06\x0b", "a|"},
	{"abc def\x02\x02\x15", "|ef"},
	{"one two  \x17", "one |"},
	{"one two\x17\x17\x17", "|"},
	{"one two\x02\x17", "one |o"},
	{"abc\x1b[D\x1b[DX", "aX|bc"},
	{"abc\x1bOD\x1bODX\x1b[C", "aXb|c"},
	{"abc\x1b[H1\x1b[F2", "1abc2|"},
	{"abc\x1b[1~1\x1b[4~2\x1b[7~3\x1b[8~4", "31abc24|"},
	{"abc\x1bOH\x1b[3~", "|bc"},
	/* What is no key, or not a known one, changes nothing. */
	{"a\x1b[24~b\x1b[Zc\x1b[<0;1;2Mde\x1bx", "abcde|"},
	{"a\x1b[99999999999993~b", "ab|"},
	{"a\x1b[\x02x", "x|a"}, /* a control key ends a sequence */
	{"a\x1b\x1b[Db", "b|a"},
	{"a\x80\xff\x1d\x1e\x1f\x07z", "az|"},
	{"a\x03" "b", "b|"}, /* Ctrl-C begins anew */
	{"ab\x02\x0c" "c", "ac|b"},
	/* Completion. */
	{"\t", "|"},
	{"po\t", "poweroff |"},
	{"p\t", "p|"},
	{"re\t", "res|"},
	{"re\te\t", "reset |"},
	{"v\t", "vm|"},
	{"vm\t", "vm|"},
	{"vms\t", "vms |"},
	{"x\t", "x|"},
	{"vm l\t", "vm lab |"},
	{"vm w\t", "vm web|"},
	{"vm web-\t", "vm web-2 |"},
	{"vm l x\x02\x02\t", "vm lab | x"},
	/* The same lines, from the history. */
	{"\x10", "|"},
	{"\x0e", "|"},
	{"one\rtwo\r\x10", "two|"},
	{"one\rtwo\r\x10\x10\x10", "one|"},
	{"one\rtwo\rnew\x10\x10\x0e\x0e\x0e", "new|"},
	{"one\rtwo\r\x1b[A\x1b[A\x1b[B!", "two!|"},
	{"one\rtwo\rone\r\x10\x10\x10", "two|"}, /* without doubles */
	{"one\r\r\r\x10\x10", "one|"},		 /* nor empty ones */
	{"one\r\nx", "x|"},
};

static void each_key(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(edits); i++) {
		char want[LINE_SIZE];
		const char *cursor = strchr(edits[i].line, '|');
		unsigned at = cursor - edits[i].line;

		setup(state);
		print_message("%u: %s\n", i, edits[i].line);
		assert_false(keys(edits[i].typed));
		memcpy(want, edits[i].line, at);
		strcpy(want + at, cursor + 1);
		check(want, at);
	}
}

static void whole_lines(void **state)
{
	(void)state;
	assert_true(keys("vms\r"));
	assert_string_equal(line.text, "vms");
	line_begin(&line);
	assert_false(keys("\n")); /* of the same end */
	assert_true(keys("\n"));
	assert_string_equal(line.text, "");
	line_begin(&line);
	assert_true(keys("abc\x01\r"));
	assert_string_equal(line.text, "abc");
	shows(row - 1, "> abc");
	assert_int_equal(column, 0);
}

/* A byte at the end is all that goes out: a terminal sees what is typed once. */
static void echo_is_short(void **state)
{
	(void)state;
	sent = 0;
	keys("status");
	assert_int_equal(sent, 6);
	keys("\r");
	assert_int_equal(sent, 7);
}

static void choices_are_listed(void **state)
{
	(void)state;
	keys("re\tx\x7f\t");
	shows(row - 1, "reset  resume");
	check("res", 3);
}

static void other_output_between(void **state)
{
	(void)state;
	keys("vms\x02");
	print("\nsomething\n");
	line_draw(&line);
	check("vms", 2);
	keys("x");
	check("vmxs", 3);
}

static void sixteen_are_remembered(void **state)
{
	char text[2] = {0};

	(void)state;
	for (char c = 'a'; c <= 'z'; c++) {
		text[0] = c;
		keys(text);
		keys("\r");
		line_begin(&line);
	}
	for (unsigned i = 0; i < LINE_HISTORY; i++)
		keys("\x10");
	check("k", 1);
	keys("\x10");
	check("k", 1);
}

/* What has no room in the row is not taken. */
static void long_lines(void **state)
{
	char text[LINE_SIZE] = "";

	(void)state;
	for (unsigned i = 0; i < LINE_SIZE + 20; i++) {
		char c[2] = {'a' + i % 26};

		keys(c);
		if (i < LINE_SIZE - 1)
			strcat(text, c);
		check(text, strlen(text));
	}
	keys("\x17" "34567890123456789012345678901234567890123456789012345678901 w\t");
	check("34567890123456789012345678901234567890123456789012345678901 web", 63);
	keys("1234 w\t");
	assert_int_equal(line.len, LINE_SIZE - 1);
	assert_int_equal(strlen(line.text), line.len);
}

/* Whatever is typed, the line stays a line and the row shows it. */
static void noise(void **state)
{
	u64 seed = 0x1234567;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		u8 key;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		key = seed >> 33;
		if (seed >> 62 == 0)
			key = "\x1b[\t\r\x10\x0e\x02\x17"[key & 7];
		else if (seed >> 62 == 1)
			key = 'a' + key % 4;
		if (line_key(&line, key))
			line_begin(&line);
		assert_int_equal(strlen(line.text), line.len);
		assert_in_range(line.at, 0, line.len);
		assert_in_range(line.remembered, 0, LINE_HISTORY);
		if (line.escape == 0 && line.at < line.len)
			assert_int_equal(screen[row][column], line.text[line.at]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_key, setup),
		cmocka_unit_test_setup(whole_lines, setup),
		cmocka_unit_test_setup(echo_is_short, setup),
		cmocka_unit_test_setup(choices_are_listed, setup),
		cmocka_unit_test_setup(other_output_between, setup),
		cmocka_unit_test_setup(sixteen_are_remembered, setup),
		cmocka_unit_test_setup(long_lines, setup),
		cmocka_unit_test_setup(noise, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
