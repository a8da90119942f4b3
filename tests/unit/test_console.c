/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/console.c vmm/console_input.c vmm/console_queue.c arch/lib/format.c tests/unit/fake_host.c */
/*
 * The console: no byte lost whatever the port takes at a time, back pressure
 * and its end, the log's own room, lines that do not mix and that no guest can
 * forge, the debug console, who has the keyboard, and the monitor's side.
 * The console is one object, so the tests run in this order.
 */
#include "vmm/console.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/lib/string.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define BURST_TICKS 1000
#define POLL_TICKS  50000
#define GUEST_LEVEL 2048
#define MONITOR_LEVEL (GUEST_LEVEL + CONSOLE_PRINT_MAX)
#define RING_SIZE   32768
#define COLUMNS	    152

static struct vm web, db;
static char out[1 << 20], screen[1 << 20], input[512];
static unsigned out_len, screen_len, at_once, input_len, waited;
static unsigned shows, to_show;
static unsigned tx_calls, rx_calls, wakes;
static struct vm *locked;

static bool threads; /* there are several, in which no assertion may fail */

void vm_device_lock(struct vm *of)
{
	if (!threads)
		assert_null(locked);
	spin_lock(&of->device_lock);
	locked = of;
}

void vm_device_unlock(struct vm *of)
{
	if (!threads)
		assert_ptr_equal(locked, of);
	locked = NULL;
	spin_unlock(&of->device_lock);
}

static void take(const u8 *data, unsigned len)
{
	assert_true(out_len + len < sizeof(out));
	memcpy(out + out_len, data, len);
	out_len += len;
	out[out_len] = 0;
}

static unsigned try_write(const u8 *data, unsigned len)
{
	assert_in_range(len, 1, 16); /* the port's FIFO */
	len = MIN(len, at_once);
	take(data, len);
	return len;
}

static void write_waiting(const u8 *data, unsigned len)
{
	take(data, len);
	waited += len;
}

static unsigned try_read(u8 *data, unsigned len)
{
	len = MIN(len, input_len);
	memcpy(data, input, len);
	memmove(input, input + len, input_len - len);
	input_len -= len;
	return len;
}

static void show(const char *text, size_t len)
{
	assert_true(screen_len + len < sizeof(screen));
	memcpy(screen + screen_len, text, len);
	screen_len += len;
	screen[screen_len] = 0;
}

static bool show_some(bool all)
{
	bool more = !all && to_show > 1;

	shows++;
	to_show = more ? to_show - 1 : 0;
	return more;
}

static const struct console_backend backend = {
	.try_write = try_write,
	.write = write_waiting,
	.try_read = try_read,
	.screen = show,
	.screen_show = show_some,
	.screen_shows_guest = true,
	.burst_ticks = BURST_TICKS,
	.poll_ticks = POLL_TICKS,
};

static struct vdev web_port = {.vm = &web}, db_port = {.vm = &db};

static void tx_ready(struct vdev *of)
{
	if (!threads)
		assert_ptr_equal(locked, of->vm);
	tx_calls++;
}

static void rx_ready(struct vdev *of)
{
	assert_ptr_equal(locked, of->vm);
	rx_calls++;
}

static const struct console_port_ops port_ops = {tx_ready, rx_ready};

static void wake(void)
{
	assert_null(locked);
	wakes++;
}

static void forget_output(void)
{
	memset(out, 0, out_len + 1);
	memset(screen, 0, screen_len + 1);
	out_len = screen_len = 0;
}

static void begin_vm(struct vm *vm, const char *name, struct vdev *port)
{
	memset(vm, 0, sizeof(*vm));
	strcpy(vm->name, name);
	vm->console = console_open(name);
	assert_non_null(vm->console);
	console_attach(vm, 0, port, &port_ops);
}

static int setup(void **state)
{
	(void)state;
	begin_vm(&web, "web", &web_port); /* the streams outlive the test, and are not counted */
	begin_vm(&db, "db", &db_port);
	fake_host_init(0);
	console_set_backend(&backend);
	console_focus(web.console);
	console_write_log("\n", 1); /* an end for what an earlier test left in mid line */
	console_flush();
	console_disturbed();
	forget_output();
	waited = input_len = tx_calls = rx_calls = wakes = 0;
	at_once = 16;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	console_set_monitor(NULL);
	while (console_key() >= 0)
		;
	console_set_backend(&backend);
	console_flush();
	console_detach(&web);
	console_detach(&db);
	console_flush();
	assert_int_equal(fake_host.pages_out, 0);
	return 0;
}

static void put(struct vm *vm, const char *text)
{
	while (*text)
		assert_true(console_put(vm, 0, (u8)*text++));
}

/* Polls until nothing more comes, in no time: the beginnings of lines stay. */
static void drain(void)
{
	unsigned idle = 0;

	while (idle < 4) {
		unsigned last = out_len;

		console_poll(0);
		idle = out_len == last ? idle + 1 : 0;
	}
}

/* Polls half a second later and more. */
static void drain_late(void)
{
	console_poll(rdtsc() + tsc_hz);
	drain();
}

static void type(const char *keys)
{
	assert_true(input_len + strlen(keys) <= sizeof(input));
	memcpy(input + input_len, keys, strlen(keys));
	input_len += strlen(keys);
	console_poll(0);
}

static void expect(const char *text)
{
	drain();
	assert_string_equal(out, text);
	forget_output();
}

static void expect_input(struct vm *vm, const char *text)
{
	for (; *text; text++)
		assert_int_equal(console_get(vm, 0), *text);
	assert_int_equal(console_get(vm, 0), -1);
}

/* ---- one VM, which has the terminal to itself */

static void before_the_start_the_log_waits_for_the_port(void **state)
{
	(void)state;
	at_once = 0;
	console_write_log("early\nlines\n", 12);
	assert_string_equal(out, "early\r\nlines\r\n");
	assert_string_equal(screen, "early\nlines\n");
	assert_int_equal(waited, 14);
	assert_int_not_equal(shows, 0);
	shows = 0;
	console_start();
	console_write_log("later\n", 6);
	assert_int_equal(waited, 14); /* in the ring */
	assert_int_equal(shows, 0);   /* by the polls */
	at_once = 16;
	expect("early\r\nlines\r\nlater\r\n");
}

static void the_first_stream_has_the_keyboard(void **state)
{
	(void)state;
	/* setup of the first test gave it to nobody else, and says so if it does */
	assert_ptr_equal(console_streams(), web.console);
	assert_ptr_equal(console_streams()->next, db.console);
	assert_null(db.console->next);
	assert_int_equal(web.console->key, '1');
	assert_int_equal(db.console->key, '2');
	assert_ptr_equal(console_open("web"), web.console);
	console_focus(web.console);
	expect("");
	fake_host.fail_at = 1;
	assert_null(console_open("third"));
	assert_null(db.console->next);
}

static void no_byte_lost_at_any_speed(void **state)
{
	static const unsigned speeds[] = {1, 3, 15, 16};
	static char text[40000];

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = ' ' + i % 90;
	for (unsigned s = 0; s < ARRAY_SIZE(speeds); s++) {
		unsigned sent = 0, turn = 0;

		out_len = 0;
		web.console->written = 0;
		while (sent < sizeof(text) || out_len < sizeof(text)) {
			while (sent < sizeof(text) && console_put(&web, 0, text[sent]))
				sent++;
			at_once = turn++ % 3 ? speeds[s] : 0;
			console_poll(turn);
		}
		assert_int_equal(out_len, sizeof(text));
		assert_memory_equal(out, text, sizeof(text));
		assert_int_equal(web.console->written, sizeof(text));
	}
}

static void raw_is_raw(void **state)
{
	(void)state;
	put(&web, "\x1b[2J[db] \t\x80\xff\r\n");
	console_put(&web, 0, 0);
	drain();
	assert_int_equal(out_len, 15);
	assert_memory_equal(out, "\x1b[2J[db] \t\x80\xff\r\n", 16);
	assert_memory_equal(screen, out, out_len);
}

static void back_pressure_and_its_end(void **state)
{
	unsigned taken = 0, before;

	(void)state;
	at_once = 0;
	while (console_put(&web, 0, 'x'))
		taken++;
	assert_in_range(taken, 8192, 16384);
	assert_int_equal(web.console->written, taken);
	assert_true(web.console->blocked);
	for (unsigned i = 0; i < 100; i++) {
		console_poll(0);
		before = tx_calls;
		while (console_put(&web, 0, 'x'))
			taken++;
	}
	/* the ring's part is full too now: nothing moves, nobody is told */
	console_poll(0);
	assert_int_equal(tx_calls, before);
	at_once = 16;
	for (unsigned i = 0; i < GUEST_LEVEL / 16 && tx_calls == before; i++)
		console_poll(0);
	assert_int_equal(tx_calls, before + 1);
	assert_true(web.console->out.size - web.console->out.count >= 64);
	assert_true(console_put(&web, 0, 'x'));
	assert_false(web.console->blocked);
	drain();
	assert_int_equal(tx_calls, before + 1);
	assert_int_equal(out_len, taken + 1);
}

static void the_log_has_room_of_its_own(void **state)
{
	char line[102];
	unsigned taken = 0, pieces;

	(void)state;
	memset(line, 'l', sizeof(line));
	line[100] = '\n';
	line[101] = 0;
	at_once = 0;
	while (console_put(&web, 0, 'x'))
		taken++;
	/* in pieces of 1 KiB, and of a line more */
	for (pieces = 1; !console_settle(); pieces++)
		;
	assert_in_range(pieces, taken / (1024 + CONSOLE_LINE_MAX), taken / 1024 + 1);
	for (unsigned i = 0; i < 16384 / 102 - 2; i++)
		console_write_log(line, 101);
	at_once = 16;
	drain();
	/* the log stands behind what was said before it, on a line of its own */
	assert_int_equal(out_len, taken + 2 + (16384 / 102 - 2) * 102);
	for (unsigned i = 0; i < taken; i++)
		assert_int_equal(out[i], 'x');
	assert_memory_equal(out + taken, "\r\nlll", 5);
	/* a full ring drops log, never waits */
	forget_output();
	at_once = 0;
	for (unsigned i = 0; i < 1000; i++)
		console_write_log(line, 101);
	at_once = 16;
	drain();
	assert_int_equal(waited, 0);
	/* ... and tells how much, on a line of its own */
	char *note = strstr(out, "\n(");
	unsigned long lost;

	assert_non_null(note);
	assert_in_range(note - out, RING_SIZE - 2 * 102, RING_SIZE); /* no line was cut */
	assert_int_equal((note - out - 1) % 102, 100);
	assert_int_equal(sscanf(note, "\n(%lu bytes of the log were lost)\r\n", &lost), 1);
	/* whole lines, each newline of which took a carriage return with it */
	assert_int_equal(lost, (1000 - (note - out + 1) / 102) * 101);
}

static void lines_do_not_mix(void **state)
{
	(void)state;
	put(&web, "login: ");
	console_write_log("[web] reset\n", 12);
	put(&web, "next\r\n");
	console_write_log("again\n", 6);
	drain();
	assert_string_equal(screen, "login: \n[web] reset\nnext\r\nagain\n");
	expect("login: \r\n[web] reset\r\nnext\r\nagain\r\n");
}

static void screen_for_the_log_alone(void **state)
{
	struct console_backend log_only = backend;

	(void)state;
	log_only.screen_shows_guest = false;
	console_set_backend(&log_only);
	put(&web, "half a line");
	console_write_log("log\n", 4);
	put(&db, "db\n");
	console_focus(NULL);
	console_print("trivet> ");
	drain();
	assert_string_equal(screen, "log\n[console] keyboard to the monitor\ntrivet> ");
	expect("half a line\r\nlog\r\n[db] db\r\n[console] keyboard to the monitor\r\ntrivet> ");
}

static void polls_when_there_is_something_to_do(void **state)
{
	u64 before;

	(void)state;
	console_poll(1000000);
	assert_int_equal(console_next(), 1000000 + POLL_TICKS);
	before = rdtsc();
	console_poll(before + (1ull << 40));
	fake_host.kicks = 0;
	assert_true(console_put(&web, 0, 'a')); /* at once */
	assert_in_range(console_next(), before, rdtsc());
	assert_int_equal(fake_host.kicks, 1);
	put(&web, "bcd"); /* it knows already */
	assert_int_equal(fake_host.kicks, 1);
	drain();
	console_poll(1000000);
	assert_int_equal(console_next(), 1000000 + POLL_TICKS);
	put(&web, "more than sixteen bytes");
	console_poll(1000000);
	assert_int_equal(console_next(), 1000000 + BURST_TICKS);
	drain();
	console_poll(2000000);
	assert_int_equal(console_next(), 2000000 + POLL_TICKS);
	to_show = 2; /* the screen wants another look */
	console_poll(3000000);
	assert_int_equal(console_next(), 3000000 + BURST_TICKS);
	console_poll(3000000);
	assert_int_equal(console_next(), 3000000 + POLL_TICKS);
	console_write_log("x\n", 2);
	assert_int_equal(console_next(), 0);
	console_poll(3000000);
	console_wake();
	assert_int_equal(console_next(), 0);
	console_poll(3000000);
	assert_int_equal(console_next(), 3000000 + POLL_TICKS);
	/* the beginning of a line is due in half a second, the line at once */
	before = rdtsc();
	console_poll(before + (1ull << 40));
	put(&db, "part");
	assert_in_range(console_next(), before + tsc_hz / 2, rdtsc() + tsc_hz / 2);
	put(&db, "\n");
	assert_in_range(console_next(), before, rdtsc());
	expect("abcdmore than sixteen bytes\r\nx\r\n[db] part\r\n");
}

static void input_in_order_and_bounded(void **state)
{
	(void)state;
	assert_int_equal(console_get(&web, 0), -1);
	type("ls -l\r");
	assert_int_equal(rx_calls, 1);
	expect_input(&web, "ls -l\r");
	/* what finds no room stays in the physical port, as long as the guest reads */
	type("x");
	expect_input(&web, "x");
	for (unsigned i = 0; i < 40; i++) {
		memset(input, 'a' + i % 26, 16);
		input_len = input_len ? input_len : 16;
		console_poll(rdtsc());
	}
	assert_int_equal(web.console->in.count, 256);
	assert_int_equal(input_len, 16);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(console_get(&web, 0), 'a' + i / 16 % 26);
	assert_int_equal(console_get(&web, 0), -1);
	input_len = 0;
	type("\xff"); /* a byte above 7Fh is a byte */
	assert_int_equal(console_get(&web, 0), 0xff);
}

static void a_guest_that_never_reads_does_not_lock_the_keyboard(void **state)
{
	(void)state;
	type("x");
	expect_input(&web, "x");
	for (unsigned i = 0; i < 256 / 16; i++)
		type("0123456789abcdef");
	type("lost\x1d" "2to db");
	assert_int_equal(input_len, 11);
	console_poll(rdtsc() + 2 * tsc_hz);
	assert_ptr_equal(console_focused(), db.console);
	expect_input(&db, "to db");
	assert_int_equal(web.console->in.count, 256);
	expect("[console] keyboard to db\r\n");
}

static void what_is_pasted_after_a_pause_waits_for_the_guest(void **state)
{
	(void)state;
	web.console->in.touched = rdtsc() - 60 * tsc_hz;
	for (unsigned i = 0; i < 256 / 16; i++)
		type("0123456789abcdef");
	type("and more");
	console_poll(rdtsc());
	assert_int_equal(input_len, 8);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(console_get(&web, 0), "0123456789abcdef"[i % 16]);
	console_poll(rdtsc());
	expect_input(&web, "and more");
}

static void ctrl_and_bracket_work_without_a_monitor(void **state)
{
	(void)state;
	console_focus(NULL);
	for (unsigned i = 0; i < 300 / 10; i++)
		type("0123456789");
	type("\x1d" "2");
	assert_ptr_equal(console_focused(), db.console);
}

static void other_ports_are_swallowed(void **state)
{
	(void)state;
	assert_true(console_put(&web, 1, 'x'));
	assert_int_equal(console_get(&web, 1), -1);
	console_attach(&web, 1, &db_port, NULL);
	assert_ptr_equal(web.console->port, &web_port);
	expect("");
}

/* ---- several VMs */

static void others_come_in_lines_behind_their_names(void **state)
{
	(void)state;
	put(&web, "$ ");
	drain();
	put(&db, "hello\r\nwor");
	expect("$ \r\n[db] hello\r\n");
	put(&db, "ld\n\n");
	expect("[db] world\r\n[db] \r\n");
	put(&db, "a\tb\r\r\nabcdefg\th\n\t.\n");
	expect("[db] a       b\r\n[db] abcdefg h\r\n[db]         .\r\n");
	assert_non_null(web.console);
}

/* Whatever a guest without the keyboard writes, it stays behind its name. */
static void nothing_can_be_forged(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
		{"\r[other] x\n", "[db] ^M[other] x\r\n"},
		{"a\r[other] x\r\n", "[db] a^M[other] x\r\n"},
		{"\x1b[1A\x1b[2K[web] ok\n", "[db] ^[[1A^[[2K[web] ok\r\n"},
		{"\x1b]0;title\x07\n", "[db] ^[]0;title^G\r\n"},
		{"\b\b\b\b\b[web] x\n", "[db] ^H^H^H^H^H[web] x\r\n"},
		{"\v\f[web] x\n", "[db] ^K^L[web] x\r\n"},
		{"\x85[web]\x9b" "1A\x7f\xff\n", "[db] .[web].1A..\r\n"},
		{"\x0e\x0f\x11\x13\x05\x18\x1a\x1f\n", "[db] ^N^O^Q^S^E^X^Z^_\r\n"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		put(&db, rows[i].text);
		expect(rows[i].shown);
	}
}

static void no_byte_moves_a_terminal(void **state)
{
	u64 seed = 1;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		console_put(&db, 0, (u8)(seed >> 33));
		console_poll(seed >> 60 ? 0 : rdtsc() + tsc_hz);
	}
	put(&db, "\n");
	drain();
	for (char *line = out, *end; *line; line = end + 2) {
		end = strstr(line, "\r\n");
		assert_non_null(end);
		assert_memory_equal(line, "[db] ", 5);
		assert_true(end - line < COLUMNS);
		for (char *c = line; c < end; c++)
			assert_in_range(*c, ' ', '~');
	}
	assert_true(out_len > 100000);
}

static void the_beginning_of_a_line_is_shown_after_a_while(void **state)
{
	(void)state;
	put(&db, "login: ");
	console_poll(rdtsc());
	expect("");
	drain_late();
	expect("[db] login: \r\n");
	drain_late();
	expect(""); /* once */
	put(&db, "root\n");
	expect("[db] root\r\n");
	put(&db, "password: ");
	drain_late();
	put(&db, "\r\n"); /* belongs to what was shown */
	put(&db, "\r\n");
	expect("[db] password: \r\n[db] \r\n");
	put(&db, "\r\r\r");
	drain_late();
	put(&db, "\n");
	expect("[db] \r\n");
}

static void a_long_line_in_pieces(void **state)
{
	char text[1001];
	unsigned letters = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		text[i] = "dx\x01\t"[i % 7 == 0 ? 2 : i % 2];
	text[1000] = 0;
	put(&db, text);
	put(&db, "\n");
	drain();
	for (char *line = strtok(out, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		assert_memory_equal(line, "[db] ", 5);
		assert_in_range(strlen(line), 1 + 5, COLUMNS - 1);
		for (char *c = line + 5; *c; c++)
			letters += *c == 'd' || *c == 'x' || *c == '^';
	}
	assert_int_equal(letters, 1000);
}

static void focus_changes_in_mid_line(void **state)
{
	(void)state;
	put(&web, "web's li");
	put(&db, "\x1b[1mdb$ ");
	console_focus(db.console);
	put(&db, "date\r\n");
	drain();
	put(&web, "ne\n");
	/* what it had begun comes raw to the one who has the keyboard now */
	expect("web's li\r\n[console] keyboard to db\r\n\x1b[1mdb$ date\r\n[web] ne\r\n");
	console_focus(db.console);
	expect("");
	put(&db, "db$ ");
	console_focus(NULL);
	assert_null(console_focused());
	put(&db, "\x1b[m\n");
	drain();
	put(&web, "both\n");
	expect("db$ \r\n[console] keyboard to the monitor\r\n[db] ^[[m\r\n[web] both\r\n");
}

static void keys_choose(void **state)
{
	(void)state;
	console_set_monitor(wake);
	type("a\x1d" "2b\x1d" "mhelp\x1d" "1c");
	expect("[console] keyboard to db\r\n[console] keyboard to the monitor\r\n"
	       "[console] keyboard to web\r\n");
	expect_input(&web, "ac");
	expect_input(&db, "b");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(console_key(), "help"[i]);
	assert_int_equal(console_key(), -1);
	/* the key itself, by pressing it twice */
	type("\x1d");
	type("\x1d");
	type("2\x1d\x1d\x1d");
	type("2");
	expect_input(&web, "\x1d" "2\x1d");
	assert_ptr_equal(console_focused(), db.console);
	type("\x1d" "1");
	drain();
	forget_output();
	/* anything else says which keys there are */
	type("\x1d" "9x");
	expect("[console] behind Ctrl-]: 1 web, 2 db, m the monitor, Ctrl-] itself\r\n");
	expect_input(&web, "x");
	console_set_monitor(NULL);
	type("\x1dm");
	expect("[console] behind Ctrl-]: 1 web, 2 db, Ctrl-] itself\r\n");
	type("\x1d");
	input[0] = 0; /* NUL is no stream's key */
	input_len = 1;
	expect("[console] behind Ctrl-]: 1 web, 2 db, Ctrl-] itself\r\n");
}

static void a_flood_does_not_starve_the_others(void **state)
{
	for (unsigned flood = 0; flood < 2; flood++) {
		struct vm *loud = flood ? &db : &web, *quiet = flood ? &web : &db;
		unsigned start;

		setup(state);
		for (unsigned i = 0; i < 2000; i++) {
			while (console_put(loud, 0, i % 20 ? 'z' : '\n'))
				;
			console_poll(0);
		}
		start = out_len;
		put(quiet, "here\n");
		while (!strstr(out + start, "here\n") && !strstr(out + start, "here\r\n")) {
			while (console_put(loud, 0, 'z'))
				;
			console_poll(0);
		}
		/* the ring's part of guests, and a line or two */
		assert_in_range(out_len - start, 5, GUEST_LEVEL + 3 * COLUMNS);
		forget_output();
		drain();
	}
}

static void two_floods_share(void **state)
{
	unsigned webs = 0, dbs = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		while (console_put(&web, 0, 'w'))
			;
		while (console_put(&db, 0, 'd'))
			;
		console_poll(0);
	}
	for (unsigned i = 0; i < out_len; i++) {
		webs += out[i] == 'w';
		dbs += out[i] == 'd';
	}
	assert_in_range(webs, dbs, dbs + dbs / 5);
	assert_true(dbs > 50000);
}

/* Random amounts written by two VMs, to a port that takes random amounts, with the
 * keyboard going to and fro: all comes out, in order. */
static void no_byte_lost_under_random_pressure(void **state)
{
	unsigned sent[2] = {0}, seen[2] = {0};
	u64 seed = 42;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		struct vm *vm = i & 1 ? &db : &web;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		for (unsigned n = seed >> 60; n; n--) {
			u8 byte = (i & 1 ? 'a' : 'A') + sent[i & 1] % 26;

			if (console_put(vm, 0, byte))
				sent[i & 1]++;
		}
		at_once = (seed >> 50) % 17;
		if ((seed >> 40) % 512 == 0)
			console_focus(seed >> 39 & 1 ? web.console : db.console);
		console_poll((seed >> 30) % 64 ? 0 : rdtsc() + tsc_hz);
	}
	at_once = 16;
	console_flush();
	/* without what is not the guests' */
	for (char *line = out; *line;) {
		char *end = strstr(line, "\r\n") ? strstr(line, "\r\n") : line + strlen(line);
		bool prefixed = !strncmp(line, "[web] ", 6) || !strncmp(line, "[db] ", 5);
		char *c = prefixed ? strchr(line, ' ') : line;

		for (; strncmp(line, "[console]", 9) && c < end; c++) {
			unsigned who = *c >= 'a';

			if (*c == ' ')
				continue;
			assert_int_equal(*c, (who ? 'a' : 'A') + seen[who] % 26);
			seen[who]++;
		}
		line = *end ? end + 2 : end;
	}
	assert_int_equal(seen[0], sent[0]);
	assert_int_equal(seen[1], sent[1]);
	assert_true(sent[0] > 100000 && sent[1] > 100000);
}

/* A CPU of its own: lines with a number, waiting for room; now and then its VM goes, and the
 * next one comes. */
#define THREAD_LINES 300
#define VM_LINES     50

static void *write_lines(void *arg)
{
	struct vm *vm = arg;
	char line[16];

	for (unsigned i = 0; i < THREAD_LINES; i++) {
		snprintf(line, sizeof(line), "%05u\r\n", i);
		for (char *c = line; *c;) {
			bool taken;

			vm_device_lock(vm);
			taken = console_put(vm, 0, (u8)*c);
			vm_device_unlock(vm);
			c += taken;
			if (!taken)
				sched_yield(); /* the host may have fewer CPUs than threads */
		}
		if (i % VM_LINES == VM_LINES - 1) {
			console_detach(vm);
			console_attach(vm, 0, vm == &web ? &web_port : &db_port, &port_ops);
		}
	}
	__atomic_fetch_add(&waited, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void several_cpus(void **state)
{
	pthread_t thread[2];
	unsigned next[2] = {0}, turn = 0;

	(void)state;
	threads = true;
	assert_int_equal(pthread_create(&thread[0], NULL, write_lines, &web), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, write_lines, &db), 0);
	while (__atomic_load_n(&waited, __ATOMIC_ACQUIRE) < 2) {
		console_poll(0);
		if (++turn % 1000 == 0)
			console_write_log("log\n", 4);
		sched_yield();
	}
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	threads = false;
	console_flush();
	for (char *line = strtok(out, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		bool other = !strncmp(line, "[db] ", 5);

		if (!strcmp(line, "log"))
			continue;
		/* the one with the terminal may be cut where another's line comes between */
		if (other)
			assert_int_equal(atoi(line + 5), next[1]++);
		else if (strlen(line) == 5)
			next[0] = (unsigned)atoi(line) + 1;
	}
	assert_int_equal(next[0], THREAD_LINES);
	assert_int_equal(next[1], THREAD_LINES);
}

/* ---- a stream outlives its VM */

static void detached_in_mid_flight(void **state)
{
	char text[20];

	(void)state;
	at_once = 0;
	for (unsigned i = 0; i < 12000; i++)
		if (!console_put(&db, 0, i % 100 ? 'v' : '\n'))
			break;
	put(&web, "half");
	type("keys");
	console_detach(&db);
	console_detach(&web);
	tx_calls = rx_calls = 0;
	at_once = 16;
	drain();
	assert_int_equal(tx_calls + rx_calls, 0); /* nobody is called any more */
	assert_non_null(strstr(out, "half"));
	assert_ptr_equal(console_focused(), web.console);
	type("lost, as there is nobody");
	assert_int_equal(input_len, 0);
	/* the next VM of that name has its name, key and keyboard, and nothing of the old input */
	forget_output();
	begin_vm(&web, "web", &web_port);
	assert_int_equal(console_get(&web, 0), -1);
	assert_int_equal(web.console->written, 0);
	put(&web, "raw\x1b");
	type("k");
	expect_input(&web, "k");
	drain();
	str_format(text, sizeof(text), "raw\x1b");
	assert_string_equal(out + out_len - 4, text);
}

static void the_old_vm_does_not_detach_the_new_one(void **state)
{
	static struct vm again;

	(void)state;
	begin_vm(&again, "web", &web_port);
	console_detach(&web);
	assert_ptr_equal(again.console->vm, &again);
	console_detach(&again);
	assert_null(again.console->vm);
}

static void debug(const char *text)
{
	while (*text)
		console_debug_put(&web, (u8)*text++);
}

static void debug_lines_with_the_name_in_front(void **state)
{
	(void)state;
	debug("hello\nwor");
	console_poll(0);
	debug("ld\r\n\n");
	expect("[web] hello\r\n[web] world\r\n[web] \r\n");
	/* what would move a terminal's cursor, or more, is escaped */
	debug("\x1b[2Ja\tb\x07\x80\xff\x7f~\n");
	console_debug_put(&web, 0);
	debug("\n");
	expect("[web] ^[[2Ja  b^G...~\r\n[web] ^@\r\n");
	put(&web, "raw, ");
	debug("debug\n");
	put(&web, "raw");
	expect("raw, raw\r\n[web] debug\r\n");
}

/* Bare CRs make no output, but are work all the same. */
static void what_shows_nothing_is_moved_in_pieces_too(void **state)
{
	unsigned taken = 0, pieces;

	(void)state;
	while (console_put(&db, 0, '\r'))
		taken++;
	for (pieces = 1; !console_settle(); pieces++)
		;
	assert_in_range(pieces, taken / (1024 + CONSOLE_LINE_MAX), taken / 1024 + 1);
	put(&db, "\n");
	drain();
}

static void debug_ring_holds_16k_and_counts_the_rest(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < CONSOLE_DEBUG_SIZE; i++)
		console_debug_put(&web, i % 64 == 63 ? '\n' : '.');
	assert_int_equal(web.console->debug_dropped, 0);
	for (unsigned i = 0; i < 1000; i++)
		console_debug_put(&web, 'x');
	assert_int_equal(web.console->debug_dropped, 1000);
	drain();
	for (unsigned i = 0; i < out_len; i++)
		lines += out[i] == '\n';
	assert_int_equal(lines, CONSOLE_DEBUG_SIZE / 64);
	assert_null(strchr(out, 'x'));
	console_detach(&web);
	assert_true(fake_host_logged("[web] 1000 bytes of its debug console were dropped"));
	console_detach(&web);
	assert_int_equal(fake_host.log_lines, 1);
}

static void what_a_vm_said_last_is_shown(void **state)
{
	(void)state;
	debug("line\nno newline before the end");
	put(&db, "nor here");
	console_detach(&web);
	assert_true(console_settle());
	console_detach(&db);
	assert_true(console_settle());
	drain();
	console_poll(rdtsc());
	drain();
	assert_non_null(strstr(out, "[web] line\r\n[web] no newline before the end\r\n"));
	assert_non_null(strstr(out, "[db] nor here\r\n"));
}

static void flush_takes_all(void **state)
{
	unsigned taken = 0;

	(void)state;
	at_once = 0;
	while (console_put(&web, 0, 'w'))
		taken++;
	while (console_put(&db, 0, 'd'))
		taken++;
	debug("in mid line");
	console_flush();
	for (unsigned i = 0; i < out_len; i++)
		taken -= out[i] == 'w' || (out[i] == 'd' && out[i + 1] != 'b');
	assert_non_null(strstr(out, "[web] in mid line\r\n"));
	assert_in_range(taken + 2, 0, 4); /* "[web] in mid line" has a w and a d */
}

/* ---- the monitor */

static void monitor_gets_keys_and_news(void **state)
{
	(void)state;
	console_set_monitor(wake);
	console_poll(0);
	assert_int_equal(wakes, 0);
	type("\x1dm");
	assert_int_equal(wakes, 1); /* the line about the keyboard stands over its own */
	assert_true(console_disturbed());
	assert_false(console_disturbed());
	console_print("trivet> %s", "vm");
	drain();
	assert_int_equal(wakes, 1); /* its own output is no news */
	assert_false(console_disturbed());
	type("s\r");
	assert_int_equal(wakes, 2);
	assert_int_equal(console_key(), 's');
	assert_int_equal(console_key(), '\r');
	assert_int_equal(console_key(), -1);
	console_poll(0);
	assert_int_equal(wakes, 2);
	put(&web, "news\n");
	drain();
	assert_true(wakes > 2);
	assert_true(console_disturbed());
	console_print("trivet> vms\n");
	console_write_log("log\n", 4);
	assert_true(console_disturbed());
	expect("[console] keyboard to the monitor\r\ntrivet> vm\r\n[web] news\r\ntrivet> vms\r\nlog\r\n");
	/* without the keyboard it sleeps */
	type("\x1d" "1");
	wakes = 0;
	put(&db, "news\n");
	type("x");
	drain();
	assert_int_equal(wakes, 0);
}

static void monitor_keys_are_bounded(void **state)
{
	(void)state;
	console_set_monitor(wake);
	console_focus(NULL);
	for (unsigned i = 0; i < 300 / 10; i++)
		type("0123456789");
	assert_int_equal(input_len, 300 - 256);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(console_key(), "0123456789"[i % 10]);
		console_poll(0);
	}
	assert_int_equal(console_key(), -1);
}

static void monitor_output_waits_where_it_must(void **state)
{
	unsigned sent = 0;

	(void)state;
	console_focus(NULL);
	drain();
	forget_output();
	at_once = 0;
	assert_true(console_room());
	while (console_room()) {
		console_print("%05u\n", sent++);
		console_poll(0);
	}
	assert_int_equal(sent, (MONITOR_LEVEL + 6) / 7);
	assert_int_equal(waited, 0);
	while (sent < 20000)
		console_print("%05u\n", sent++);
	console_flush();
	assert_int_equal(out_len, 20000 * 7);
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(atoi(out + 7 * i), i);
}

static void a_flood_leaves_room_for_the_monitor(void **state)
{
	(void)state;
	console_focus(NULL);
	for (unsigned i = 0; i < 2000; i++) {
		while (console_put(&web, 0, i % 20 ? 'z' : '\n') &&
		       console_put(&db, 0, i % 20 ? '\n' : 'z'))
			;
		console_poll(0);
		assert_true(console_room());
	}
	drain();
}

static void many_streams_have_keys(void **state)
{
	static const char keys[] = "34567890abcdefghijklnopqrstuvwxyz";
	char name[8], text[700];

	(void)state;
	for (unsigned i = 0; i < sizeof(keys) + 2; i++) {
		struct console_stream *s;

		snprintf(name, sizeof(name), "vm%u", i);
		s = console_open(name);
		assert_non_null(s);
		assert_string_equal(s->name, name);
		assert_int_equal(s->key, i < sizeof(keys) ? keys[i] : 0);
	}
	fake_host.pages_out = 0;
	type("\x1dz");
	expect("[console] keyboard to vm32\r\n");
	type("\x1d?");
	drain();
	assert_in_range(out_len, 300, 512);
	strcpy(text, out);
	assert_non_null(strstr(text, " 1 web, 2 db, 3 vm0, "));
	assert_non_null(strstr(text, ", Ctrl-] itself\r\n"));
}

/* ---- ends */

static void without_any_backend(void **state)
{
	static const struct console_backend none;

	(void)state;
	console_set_backend(&none);
	put(&web, "abc");
	console_write_log("log\n", 4);
	console_poll(0);
	console_flush();
	assert_int_equal(out_len, 0);
	assert_int_equal(console_get(&web, 0), -1);
}

/* After a bug of Trivet's own: whoever held the lock is dead. */
static void broken_console_waits(void **state)
{
	(void)state;
	put(&web, "kernel output");
	at_once = 0;
	console_poll(0);
	log_broken = true;
	console_write_log("panic: x\n", 9);
	console_flush();
	assert_string_equal(out, "kernel output\r\npanic: x\r\n");
	assert_int_equal(waited, out_len);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_the_start_the_log_waits_for_the_port),
		TEST(the_first_stream_has_the_keyboard),
		TEST(no_byte_lost_at_any_speed),
		TEST(raw_is_raw),
		TEST(back_pressure_and_its_end),
		TEST(the_log_has_room_of_its_own),
		TEST(lines_do_not_mix),
		TEST(screen_for_the_log_alone),
		TEST(polls_when_there_is_something_to_do),
		TEST(input_in_order_and_bounded),
		TEST(a_guest_that_never_reads_does_not_lock_the_keyboard),
		TEST(what_is_pasted_after_a_pause_waits_for_the_guest),
		TEST(ctrl_and_bracket_work_without_a_monitor),
		TEST(other_ports_are_swallowed),
		TEST(others_come_in_lines_behind_their_names),
		TEST(nothing_can_be_forged),
		TEST(no_byte_moves_a_terminal),
		TEST(the_beginning_of_a_line_is_shown_after_a_while),
		TEST(a_long_line_in_pieces),
		TEST(focus_changes_in_mid_line),
		TEST(keys_choose),
		TEST(a_flood_does_not_starve_the_others),
		TEST(two_floods_share),
		TEST(no_byte_lost_under_random_pressure),
		TEST(several_cpus),
		TEST(detached_in_mid_flight),
		TEST(the_old_vm_does_not_detach_the_new_one),
		TEST(debug_lines_with_the_name_in_front),
		TEST(what_shows_nothing_is_moved_in_pieces_too),
		TEST(debug_ring_holds_16k_and_counts_the_rest),
		TEST(what_a_vm_said_last_is_shown),
		TEST(flush_takes_all),
		TEST(monitor_gets_keys_and_news),
		TEST(monitor_keys_are_bounded),
		TEST(monitor_output_waits_where_it_must),
		TEST(a_flood_leaves_room_for_the_monitor),
		TEST(many_streams_have_keys),
		TEST(without_any_backend),
		TEST(broken_console_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
