/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/lib/log.c arch/lib/format.c */
/*
 * The log: prefixes, levels, cutting of long lines, sinks that come late, and a
 * ring that has gone round.
 */
#include "arch/lib/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RING_SIZE 16384u

static char first_text[1 << 20], late_text[1 << 20];
static size_t first_len, late_len;

static void first_write(const char *text, size_t len)
{
	memcpy(first_text + first_len, text, len);
	first_len += len;
	first_text[first_len] = 0;
}

static void late_write(const char *text, size_t len)
{
	memcpy(late_text + late_len, text, len);
	late_len += len;
	late_text[late_len] = 0;
}

static void nowhere_write(const char *text, size_t len)
{
	(void)text;
	(void)len;
}

static struct log_sink first_sink = {.write = first_write};

/* The log is one for all, so the tests build on each other. */
static void add_late_sink(struct log_sink *sink)
{
	late_len = 0;
	late_text[0] = 0;
	*sink = (struct log_sink){.write = late_write};
	log_add_sink(sink);
}

static void test_nothing_yet(void **state)
{
	(void)state;
	log_add_sink(&first_sink);
	assert_int_equal(first_len, 0);
}

static void test_prefixes_and_levels(void **state)
{
	(void)state;
	log_info("one %d", 1);
	log_warn("two");
	log_error("three");
	log_debug("dropped");
	assert_string_equal(first_text, "one 1\nwarning: two\nerror: three\n");
	log_set_level(LOG_DEBUG);
	log_debug("four");
	log_set_level(LOG_ERROR);
	log_warn("dropped");
	log_set_level(LOG_INFO);
	assert_string_equal(first_text, "one 1\nwarning: two\nerror: three\ndebug: four\n");
}

static void test_late_sink(void **state)
{
	static struct log_sink sink;

	(void)state;
	add_late_sink(&sink);
	assert_string_equal(late_text, first_text);
	log_info("both");
	assert_string_equal(late_text, first_text);
	sink.write = nowhere_write;
}

static void test_long_line(void **state)
{
	char text[1000];
	size_t before = first_len;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_warn("%s", text);
	assert_int_equal(first_len - before, 256);
	assert_int_equal(first_text[first_len - 1], '\n');
	assert_memory_equal(first_text + before, "warning: xxx", 12);
}

static void test_ring_goes_round(void **state)
{
	static struct log_sink sinks[40];
	char dashes[200];

	(void)state;
	memset(dashes, '-', sizeof(dashes));
	for (unsigned i = 0; i < 40; i++) {
		size_t from;

		first_len = 0;
		for (unsigned k = 0; k < 700; k++)
			log_info("%u.%u %.*s", i, k, 60 + (int)(k * i % 140), dashes);
		add_late_sink(&sinks[i]);
		sinks[i].write = nowhere_write;
		/* The end of what was said, from the start of a line, as far as it goes back. */
		assert_true(late_len <= RING_SIZE && late_len > RING_SIZE - 257);
		from = first_len - late_len;
		assert_string_equal(late_text, first_text + from);
		assert_int_equal(first_text[from - 1], '\n');
	}
}

/* A reader that comes back goes on where it was, or where the ring begins by now. */
static void test_read(void **state)
{
	static struct log_sink sink;
	char line[LOG_LINE_MAX], text[RING_SIZE + 1];
	size_t len, total = 0;
	u64 at = 0, again;

	(void)state;
	add_late_sink(&sink);
	sink.write = nowhere_write;
	while ((len = log_read(&at, line))) {
		assert_int_equal(line[len - 1], '\n');
		memcpy(text + total, line, len);
		total += len;
	}
	text[total] = 0;
	assert_string_equal(text, late_text);
	log_info("new");
	again = at;
	assert_int_equal(log_read(&at, line), 4);
	assert_memory_equal(line, "new\n", 4);
	assert_int_equal(log_read(&at, line), 0);
	for (unsigned i = 0; i < 3000; i++)
		log_info("line %u", i);
	len = log_read(&again, line);
	assert_true(again > at);
	assert_memory_equal(line, "line ", 5);
	assert_int_equal(line[len - 1], '\n');
}

/* Breaks down in the middle of its line; the sink before it has not seen it yet. */
static void breaking_write(const char *text, size_t len)
{
	late_write(text, len < 3 ? len : 3);
	if (log_broken)
		return;
	log_break_lock();
	log_error("last words");
}

static void test_broken_lock(void **state)
{
	static struct log_sink sink;
	size_t before = first_len;

	(void)state;
	add_late_sink(&sink);
	sink.write = breaking_write;
	late_len = 0;
	assert_false(log_broken);
	log_error("first words");
	assert_true(log_broken);
	/* the line that was begun has ended first, with as many bytes as the sink takes */
	assert_memory_equal(late_text, "err\n", 4);
	assert_memory_equal(first_text + before, "\nerror: last words\n", 19);
	/* and a second time nothing is ended */
	before = first_len;
	log_break_lock();
	log_error("again");
	assert_string_equal(first_text + before, "error: again\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_prefixes_and_levels),
		cmocka_unit_test(test_late_sink),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_ring_goes_round),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_broken_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
