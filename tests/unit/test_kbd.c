/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/kbd.c tests/unit/fake_ports.c */
/* The keyboard's driver over a simulated controller, and every key of the US layout in scan code set 1. */
#include "drivers/kbd.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "tests/unit/fake_ports.h"

static struct {
	bool absent, deaf, busy; /* no ports; answers no command; never takes one */
	u8 config, command, written;
	u8 data[64], aux[64];
	unsigned head, count, reads;
} chip;

static void push(u8 byte, bool aux)
{
	assert_true(chip.count < sizeof(chip.data));
	chip.aux[chip.count] = aux;
	chip.data[chip.count++] = byte;
}

static u32 in(u16 port, unsigned size)
{
	assert_int_equal(size, 1);
	chip.reads++;
	if (chip.absent)
		return 0xff;
	if (port == 0x64)
		return (chip.head < chip.count ? 1 | (chip.aux[chip.head] ? 0x20 : 0) : 0) |
		       (chip.busy ? 2 : 0) | 0x14;
	assert_int_equal(port, 0x60);
	assert_true(chip.head < chip.count);
	return chip.data[chip.head++];
}

static void out(u16 port, unsigned size, u32 value)
{
	assert_int_equal(size, 1);
	if (port == 0x64) {
		/* Neither a test of the controller nor its reset. */
		assert_true(value == 0x20 || value == 0x60);
		chip.command = (u8)value;
		if (value == 0x20 && !chip.deaf)
			push(chip.config, false);
		return;
	}
	assert_int_equal(port, 0x60);
	if (chip.command == 0x60) {
		chip.config = (u8)value;
	} else {
		assert_int_equal(value, 0xf4);
		push(0xfa, false);
	}
	chip.command = 0;
	chip.written++;
}

static bool start(void)
{
	static const struct fake_ports ports = {in, out};

	chip.head = chip.count = chip.reads = chip.written = 0;
	fake_ports_serve(&ports);
	return kbd_init();
}

static char text[128];

/* What these codes, up to the first 0, give. */
static const char *type(const char *codes)
{
	unsigned len = 0;

	chip.head = chip.count = 0;
	for (; *codes; codes++)
		push((u8)*codes, false);
	while (chip.head < chip.count)
		len += kbd_try_read((u8 *)text + len, sizeof(text) - 1 - len);
	text[len] = '\0';
	return text;
}

static int fresh(void **state)
{
	(void)state;
	memset(&chip, 0, sizeof(chip));
	chip.config = 0x30;
	return 0;
}

static void test_init(void **state)
{
	u8 byte[8];

	(void)state;
	assert_true(start());
	assert_int_equal(chip.config, 0x61); /* interrupt, clock on, translation; the mouse as it was */
	assert_int_equal(chip.written, 2);
	assert_string_equal(type(""), ""); /* the FAh that answers F4h is no key */
	push(0xfa, false);
	assert_int_equal(kbd_try_read(byte, 8), 0);
	/* what lies there since the firmware is no answer */
	fresh(NULL);
	push(0x1e, false);
	push(0x9e, false);
	chip.config = 0x47;
	assert_true(start());
	assert_int_equal(chip.config, 0x47);
}

static void test_absent(void **state)
{
	u8 byte[8];

	(void)state;
	chip.absent = true;
	assert_false(start());
	assert_int_equal(kbd_try_read(byte, 8), 0);
	fresh(NULL);
	chip.deaf = true;
	assert_false(start());
	fresh(NULL);
	chip.busy = true;
	assert_false(start());
	assert_int_equal(chip.config, 0x30);
	/* one that goes later, and shows all ones, holds nobody up */
	fresh(NULL);
	assert_true(start());
	chip.absent = true;
	chip.reads = 0;
	assert_int_equal(kbd_try_read(byte, 8), 0);
	assert_in_range(chip.reads, 1, 100);
}

static const struct {
	u8 first;
	const char *plain, *shifted;
} rows[] = {
	{0x01, "\033", "\033"},
	{0x02, "1234567890-=\177\tqwertyuiop[]\r", "!@#$%^&*()_+\177\tQWERTYUIOP{}\r"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{0x37, "*", "*"},
	{0x39, " ", " "},
	{0x4a, "-", "-"},
	{0x4e, "+", "+"},
};

static void test_every_character(void **state)
{
	char codes[4], want[2] = "";
	bool seen[128] = {false};

	(void)state;
	assert_true(start());
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned k = 0; rows[i].plain[k]; k++) {
			u8 code = (u8)(rows[i].first + k);

			seen[code] = true;
			snprintf(codes, sizeof(codes), "%c%c", code, code | 0x80);
			*want = rows[i].plain[k];
			assert_string_equal(type(codes), want);
			type("\x2a");
			*want = rows[i].shifted[k];
			assert_string_equal(type(codes), want);
			type("\xaa\x36");
			assert_string_equal(type(codes), want);
			type("\xb6");
		}
	}
	/* all others, but the keypad, give nothing */
	for (u8 code = 1; code < 0x80; code++) {
		snprintf(codes, sizeof(codes), "%c%c", code, code | 0x80);
		if (!seen[code] && (code < 0x47 || code > 0x53 || code == 0x4c))
			assert_string_equal(type(codes), "");
	}
	type("\x3a\xba"); /* caps lock was among them */
}

static void test_modifiers(void **state)
{
	(void)state;
	assert_true(start());
	/* two shifts: the second one still counts when the first goes */
	assert_string_equal(type("\x2a\x1e\x36\x1e\xaa\x1e\xb6\x1e"), "AAAa");
	/* caps lock: letters only, turned round by shift; held, it repeats */
	assert_string_equal(type("\x3a\x3a\x3a\xba\x1e\x02\x2a\x1e\x02\xaa\x3a\xba\x1e"), "A1a!a");
	/* control: letters, the console's own Ctrl-], and the signs that have a meaning */
	assert_string_equal(type("\x1d\x2e\x1b\x2b\x1a\x9d\x2e"), "\x03\x1d\x1c\x1b" "c");
	assert_string_equal(type("\xe0\x1d\x2e\x1d\xe0\x9d\x2e\x9d\x2e"), "\x03\x03" "c");
	assert_string_equal(type("\x1d\x2a\x07\x0c\xaa\x02\x1c\x0e\x9d"), "\x1e\x1f" "1\r\177");
	/* Ctrl-Space is NUL, and is a byte */
	type("\x1d");
	chip.head = chip.count = 0;
	push(0x39, false);
	text[0] = 'x';
	assert_int_equal(kbd_try_read((u8 *)text, 8), 1);
	assert_int_equal(text[0], 0);
	type("\x9d");
	assert_string_equal(type("\x38\x1e\xb8"), "a"); /* Alt */
}

static void test_keypad(void **state)
{
	static const struct {
		char code;
		const char *what;
	} keys[] = {
		{0x47, "\033[H"}, {0x48, "\033[A"}, {0x49, "\033[5~"}, {0x4b, "\033[D"},
		{0x4d, "\033[C"}, {0x4f, "\033[F"}, {0x50, "\033[B"}, {0x51, "\033[6~"},
		{0x52, "\033[2~"}, {0x53, "\033[3~"},
	};

	(void)state;
	assert_true(start());
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		char codes[8] = {keys[i].code, keys[i].code | (char)0x80, 0};

		assert_string_equal(type(codes), keys[i].what);
		snprintf(codes, sizeof(codes), "\xe0%c\xe0%c", keys[i].code, keys[i].code | (char)0x80);
		assert_string_equal(type(codes), keys[i].what);
		/* with the shifts that a keyboard puts around it while Num Lock is on */
		snprintf(codes, sizeof(codes), "\xe0\x2a\xe0%c\xe0%c", keys[i].code,
			 keys[i].code | (char)0x80);
		assert_string_equal(type(codes), keys[i].what);
		assert_string_equal(type("\xe0\xaa\x1e"), "a");
	}
	assert_string_equal(type("\xe0\x1c\xe0\x9c\xe0\x35\x2a\xe0\x35\xaa"), "\r//");
	assert_string_equal(type("\xe0\x5b\xe0\xdb\xe0\x1e\x1e"), "a"); /* the Windows key; none */
	/* Pause, PrintScreen */
	assert_string_equal(type("\xe1\x1d\x45\xe1\x9d\xc5\x1e"), "a");
	assert_string_equal(type("\xe0\x2a\xe0\x37\xe0\xb7\xe0\xaa\x1e"), "a");
}

static void test_mouse_and_room(void **state)
{
	u8 data[KBD_SEQUENCE + 3];

	(void)state;
	assert_true(start());
	chip.head = chip.count = 0;
	push(0x1e, true);
	push(0x30, false);
	push(0x08, true);
	assert_int_equal(kbd_try_read(data, sizeof(data)), 1);
	assert_int_equal(data[0], 'b');
	/* a sequence is never cut: what finds no room waits in the controller */
	push(0x51, false);
	push(0x51, false);
	assert_int_equal(kbd_try_read(data, KBD_SEQUENCE - 1), 0);
	assert_int_equal(kbd_try_read(data, sizeof(data)), 4);
	assert_int_equal(kbd_try_read(data, sizeof(data)), 4);
	assert_memory_equal(data, "\033[6~", 4);
}

static void test_random_codes(void **state)
{
	u64 seed = 1;
	u8 data[8];

	(void)state;
	assert_true(start());
	for (unsigned i = 0; i < 200000; i++) {
		unsigned count;

		chip.head = chip.count = 0;
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		push((u8)(seed >> 56), seed >> 55 & 1);
		memset(data, 0xee, sizeof(data));
		count = kbd_try_read(data, sizeof(data));
		assert_in_range(count, 0, KBD_SEQUENCE);
		for (unsigned k = 0; k < count; k++)
			assert_true(data[k] < 0x80);
		assert_int_equal(data[KBD_SEQUENCE], 0xee);
	}
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_init),
		TEST(test_absent),
		TEST(test_every_character),
		TEST(test_modifiers),
		TEST(test_keypad),
		TEST(test_mouse_and_room),
		TEST(test_random_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
