/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: boot/words.c arch/lib/format.c arch/lib/log.c */
/* Words of a command line with GRUB's quoting undone, and the report of mistakes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/log.h"
#include "boot/words.h"

static void expect_words(const char *line, ...)
{
	char word[WORD_MAX];
	const char *want;
	va_list ap;

	va_start(ap, line);
	while ((want = va_arg(ap, const char *))) {
		assert_true(words_next(&line, word));
		assert_string_equal(word, want);
	}
	va_end(ap);
	assert_false(words_next(&line, word));
	assert_int_equal(*line, '\0');
}

static void test_plain(void **state)
{
	(void)state;
	expect_words("", NULL);
	expect_words("   ", NULL);
	expect_words("one", "one", NULL);
	expect_words("one two", "one", "two", NULL);
	expect_words("  one   two  ", "one", "two", NULL);
}

/* The third row of the measured GRUB table, right side, and what the user wrote. */
static void test_quoting(void **state)
{
	(void)state;
	expect_words("\"two words\" \"single $x\" a\\\"b c\\\\d \"dyndbg=file foo +p\" \"x=y z\"",
		     "two words", "single $x", "a\"b", "c\\d", "dyndbg=file foo +p", "x=y z", NULL);
	expect_words("it\\'s", "it's", NULL);
	expect_words("\"a \\\"b\\\" \\\\ c\" d", "a \"b\" \\ c", "d", NULL);
	expect_words("a\tb", "a\tb", NULL);
	/* what GRUB never sends */
	expect_words("\"open end", "open end", NULL);
	expect_words("x=\"y z\" end\\", "x=y z", "end\\", NULL);
	expect_words("\"\" b", "", "b", NULL);
}

static void test_rest_of_line(void **state)
{
	const char *line = "a -- \"b c\"  d";
	char word[WORD_MAX];

	(void)state;
	assert_true(words_next(&line, word));
	assert_true(words_next(&line, word));
	assert_string_equal(word, "--");
	assert_string_equal(line, "\"b c\"  d");
}

static void test_long_word(void **state)
{
	char line[WORD_MAX + 8], word[WORD_MAX];
	const char *at = line;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[WORD_MAX - 1] = '\0';
	assert_true(words_next(&at, word));
	assert_string_equal(word, line);
	line[WORD_MAX - 1] = 'x';
	line[WORD_MAX] = '\0';
	at = line;
	assert_true(words_next(&at, word));
	assert_int_equal(strlen(word), WORD_MAX - 1);
	assert_string_equal(word + WORD_MAX - 5, "x...");
	assert_false(words_next(&at, word));
}

static void test_split(void **state)
{
	char word[WORD_MAX] = "a=b=c", none[WORD_MAX] = "a", empty[WORD_MAX] = "=";
	const char *value = words_split(word);

	(void)state;
	assert_string_equal(word, "a");
	assert_string_equal(value, "b=c");
	assert_null(words_split(none));
	assert_string_equal(words_split(empty), "");
	assert_string_equal(empty, "");
}

static char last[512];

static void keep(const char *text, size_t len)
{
	memcpy(last, text, len);
	last[len] = '\0';
}

static void test_complain(void **state)
{
	static struct log_sink sink = {.write = keep};
	char longer[600];

	(void)state;
	log_add_sink(&sink);
	words_complain("word '%s' %u", "\x1b[2J\xff", 5);
	assert_string_equal(last, "error: word '?[2J?' 5\n");
	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	words_complain("%s", longer);
	assert_int_equal(strlen(last), LOG_LINE_MAX);
}

struct target {
	u8 before, number, after;
	char text[4];
	u32 choice;
	bool flag;
};

static const char *const names[] = {"zero", "one", "two"};

#define PLACE(member) WORD_PLACE(struct target, member)
static const struct word table[] = {
	{"number", "wrong number", PLACE(number), words_number, .max = 200},
	{"text", "wrong text", PLACE(text), words_text},
	{"choice", "wrong choice", PLACE(choice), words_choice, ARRAY_SIZE(names), names},
	{"flag", "wrong flag", PLACE(flag)},
};

/* "" when the word is taken, else what is wrong with it. */
static const char *take(const char *name, const char *value, struct target *to)
{
	const struct word *word = words_find(table, ARRAY_SIZE(table), name);
	const char *wrong = words_take(word, value, (char *)to + word->offset);

	return wrong ? wrong : "";
}

static void test_tables(void **state)
{
	static const struct target zero;
	struct target to = zero;

	(void)state;
	assert_null(words_find(table, ARRAY_SIZE(table), "numbers"));
	assert_null(words_find(table, ARRAY_SIZE(table), "numbe"));
	assert_null(words_find(table, ARRAY_SIZE(table), ""));
	assert_string_equal(take("number", "", &to), "wrong number");
	assert_string_equal(take("number", NULL, &to), "wrong number");
	assert_string_equal(take("number", "0", &to), "wrong number");
	assert_string_equal(take("number", "201", &to), "wrong number");
	assert_string_equal(take("number", "18446744073709551617", &to), "wrong number");
	assert_string_equal(take("text", "", &to), "wrong text");
	assert_string_equal(take("text", "long", &to), "wrong text");
	assert_string_equal(take("choice", "", &to), "wrong choice");
	assert_string_equal(take("choice", "tw", &to), "wrong choice");
	assert_string_equal(take("choice", "twos", &to), "wrong choice");
	assert_string_equal(take("flag", "", &to), "wrong flag");
	assert_memory_equal(&to, &zero, sizeof(to));
	assert_string_equal(take("number", "200", &to), "");
	assert_string_equal(take("text", "abc", &to), "");
	assert_string_equal(take("choice", "two", &to), "");
	assert_string_equal(take("flag", NULL, &to), "");
	assert_int_equal(to.number, 200);
	assert_int_equal(to.before | to.after, 0);
	assert_string_equal(to.text, "abc");
	assert_int_equal(to.choice, 2);
	assert_true(to.flag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_rest_of_line),
		cmocka_unit_test(test_long_word),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_complain),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
