/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/console.c arch/lib/format.c tests/unit/fake_host.c */
/*
 * The console: no byte lost whatever the port takes at a time, back pressure
 * and its end, the log's own room, lines that do not mix, the debug console.
 * The console is one object, so the tests run in this order.
 */
#include "vmm/console.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "tests/unit/fake_host.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define BURST_TICKS 1000
#define POLL_TICKS  50000

static struct vm vm, other;
static char out[1 << 18], screen[1 << 18], input[64];
static unsigned out_len, screen_len, at_once, input_len, waited;
static unsigned tx_calls, rx_calls;
static bool locked;

void vm_device_lock(struct vm *of)
{
	(void)of;
	assert_false(locked);
	locked = true;
}

void vm_device_unlock(struct vm *of)
{
	(void)of;
	assert_true(locked);
	locked = false;
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

static const struct console_backend backend = {
	.try_write = try_write,
	.write = write_waiting,
	.try_read = try_read,
	.screen = show,
	.screen_shows_guest = true,
	.burst_ticks = BURST_TICKS,
	.poll_ticks = POLL_TICKS,
};

static struct vdev dev;

static void tx_ready(struct vdev *of)
{
	assert_ptr_equal(of, &dev);
	assert_true(locked);
	tx_calls++;
}

static void rx_ready(struct vdev *of)
{
	assert_ptr_equal(of, &dev);
	assert_true(locked);
	rx_calls++;
}

static const struct console_port_ops port_ops = {tx_ready, rx_ready};

static int setup(void **state)
{
	(void)state;
	fake_host_init(0);
	memset(&vm, 0, sizeof(vm));
	strcpy(vm.name, "web");
	console_set_backend(&backend);
	/* a line's end, for what an earlier test left in the middle of one */
	console_put(&vm, 0, '\n');
	console_flush();
	console_attach(&vm, 0, &dev, &port_ops);
	console_connect(&vm);
	memset(&vm.console.written, 0, sizeof(vm.console.written));
	memset(out, 0, sizeof(out));
	memset(screen, 0, sizeof(screen));
	out_len = screen_len = waited = input_len = tx_calls = rx_calls = 0;
	at_once = 16;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	console_flush();
	console_detach(&vm);
	assert_int_equal(fake_host.pages_out, 0);
	return 0;
}

static void put_text(const char *text)
{
	while (*text)
		assert_true(console_put(&vm, 0, *text++));
}

/* Polls until the ring is empty. */
static void drain(void)
{
	unsigned last;

	do {
		last = out_len;
		console_poll(0);
	} while (out_len != last);
}

static void before_the_start_the_log_waits_for_the_port(void **state)
{
	(void)state;
	at_once = 0;
	console_write_log("early\nlines\n", 12);
	assert_string_equal(out, "early\r\nlines\r\n");
	assert_string_equal(screen, "early\nlines\n");
	assert_int_equal(waited, 14);
	console_start();
	console_write_log("later\n", 6);
	assert_int_equal(waited, 14); /* in the ring */
	at_once = 16;
	drain();
	assert_string_equal(out, "early\r\nlines\r\nlater\r\n");
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
		vm.console.written = 0;
		while (sent < sizeof(text) || out_len < sizeof(text)) {
			while (sent < sizeof(text) && console_put(&vm, 0, text[sent]))
				sent++;
			at_once = turn++ % 3 ? speeds[s] : 0;
			console_poll(turn);
		}
		assert_int_equal(out_len, sizeof(text));
		assert_memory_equal(out, text, sizeof(text));
		assert_int_equal(vm.console.written, sizeof(text));
	}
}

static void back_pressure_and_its_end(void **state)
{
	unsigned taken = 0;

	(void)state;
	at_once = 0;
	while (console_put(&vm, 0, 'x'))
		taken++;
	assert_int_equal(taken, 16384 - 4096);
	assert_int_equal(vm.console.written, taken);
	assert_false(console_put(&vm, 0, 'y'));
	console_poll(0);
	assert_int_equal(tx_calls, 0);
	/* told once, when half of the ring is free */
	at_once = 16;
	while (tx_calls == 0)
		console_poll(0);
	assert_in_range(out_len, taken - 8192, taken - 8192 + 15);
	assert_false(vm.console.blocked);
	drain();
	assert_int_equal(tx_calls, 1);
	assert_int_equal(out_len, taken);
	assert_null(strchr(out, 'y')); /* the guest's port keeps it, and tries again */
}

static void the_log_has_room_of_its_own(void **state)
{
	char line[102];

	(void)state;
	memset(line, 'l', sizeof(line));
	line[100] = '\n';
	line[101] = 0;
	at_once = 0;
	while (console_put(&vm, 0, 'x'))
		;
	for (unsigned i = 0; i < 4096 / 102; i++)
		console_write_log(line, 101);
	at_once = 16;
	drain();
	assert_int_equal(out_len, 16384 - 4096 + 2 + 40 * 102);
	assert_string_equal(out + out_len - 2, "\r\n");
	/* a full ring drops log, never waits */
	out_len = 0;
	at_once = 0;
	for (unsigned i = 0; i < 1000; i++)
		console_write_log(line, 101);
	at_once = 16;
	drain();
	assert_int_equal(waited, 0);
	/* ... and tells how much, on a line of its own */
	out[out_len] = 0;
	char *note = strstr(out, "\n(");
	unsigned long lost;

	assert_non_null(note);
	assert_in_range(note - out, 16384 - 102, 16384);
	assert_int_equal(sscanf(note, "\n(%lu bytes of the log were lost)\r\n", &lost), 1);
	/* each newline that went out took a carriage return with it */
	assert_in_range(lost, 1000 * 101 - 16384, 1000 * 101 - 16384 + 16384 / 100);
	put_text("\n");
}

static void lines_do_not_mix(void **state)
{
	(void)state;
	put_text("login: ");
	console_write_log("[web] reset\n", 12);
	put_text("next\r\n");
	console_write_log("again\n", 6);
	drain();
	assert_string_equal(out, "login: \r\n[web] reset\r\nnext\r\nagain\r\n");
	assert_string_equal(screen, "login: \n[web] reset\nnext\r\nagain\n");
}

static void screen_for_the_log_alone(void **state)
{
	struct console_backend log_only = backend;

	(void)state;
	log_only.screen_shows_guest = false;
	console_set_backend(&log_only);
	put_text("half a line");
	console_write_log("log\n", 4);
	drain();
	assert_string_equal(screen, "log\n");
	assert_string_equal(out, "half a line\r\nlog\r\n");
}

static void polls_when_there_is_something_to_do(void **state)
{
	u64 before;

	(void)state;
	console_poll(1000000);
	assert_int_equal(console_next(), 1000000 + POLL_TICKS);
	before = rdtsc();
	console_poll(before + (1ull << 40));
	assert_true(console_put(&vm, 0, 'a')); /* at once */
	assert_in_range(console_next(), before, rdtsc());
	console_poll(1000000);
	assert_int_equal(console_next(), 1000000 + POLL_TICKS);
	put_text("more than sixteen bytes");
	console_poll(1000000);
	assert_int_equal(console_next(), 1000000 + BURST_TICKS);
	console_poll(2000000);
	assert_int_equal(console_next(), 2000000 + POLL_TICKS);
	console_write_log("x\n", 2);
	assert_int_equal(console_next(), 0);
	drain();
	assert_string_equal(out, "amore than sixteen bytes\r\nx\r\n");
}

static void input_in_order_and_bounded(void **state)
{
	(void)state;
	assert_int_equal(console_get(&vm, 0), -1);
	strcpy(input, "ls -l\r");
	input_len = 6;
	console_poll(0);
	assert_int_equal(rx_calls, 1);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(console_get(&vm, 0), "ls -l\r"[i]);
	assert_int_equal(console_get(&vm, 0), -1);
	/* what finds no room stays in the physical port */
	for (unsigned i = 0; i < 40; i++) {
		memset(input, 'a' + i % 26, 16);
		input_len = input_len ? input_len : 16;
		console_poll(0);
	}
	assert_int_equal(vm.console.input_count, sizeof(vm.console.input));
	assert_int_equal(input_len, 16);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(console_get(&vm, 0), 'a' + i / 16 % 26);
	assert_int_equal(console_get(&vm, 0), -1);
	/* a byte above 7Fh is a byte */
	input[0] = (char)0xff;
	input_len = 1;
	console_poll(0);
	assert_int_equal(console_get(&vm, 0), 0xff);
}

static void only_port_0_of_the_connected_vm(void **state)
{
	(void)state;
	assert_true(console_put(&vm, 1, 'x'));
	assert_int_equal(console_get(&vm, 1), -1);
	console_attach(&vm, 1, NULL, NULL);
	assert_ptr_equal(vm.console.port, &dev);
	console_connect(&other);
	input[0] = 'k';
	input_len = 1;
	console_poll(0);
	assert_int_equal(input_len, 1); /* it has no port */
	console_connect(NULL);
	console_poll(0);
	assert_int_equal(input_len, 1);
	assert_int_equal(console_get(&vm, 0), -1);
	assert_int_equal(out_len, 0);
	console_connect(&vm);
	console_poll(0);
	assert_int_equal(console_get(&vm, 0), 'k');
}

static void debug(const char *text)
{
	while (*text)
		console_debug_put(&vm, *text++);
}

static void debug_lines_with_the_name_in_front(void **state)
{
	(void)state;
	debug("hello\nwor");
	console_poll(0);
	debug("ld\r\n\n");
	drain();
	assert_string_equal(out, "[web] hello\r\n[web] world\r\n[web] \r\n");
	/* what would move a terminal's cursor, or more, is escaped */
	out_len = 0;
	debug("\x1b[2Ja\tb\x07\x80\xff\x7f~\n");
	console_debug_put(&vm, 0);
	debug("\n");
	drain();
	assert_string_equal(out, "[web] ^[[2Ja^Ib^G...~\r\n[web] ^@\r\n");
}

static void a_long_debug_line_in_pieces(void **state)
{
	char text[1001];
	unsigned letters = 0;

	(void)state;
	memset(text, 'd', 1000);
	text[1000] = 0;
	debug(text);
	drain();
	debug("\n");
	drain();
	for (char *line = strtok(out, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		assert_memory_equal(line, "[web] ", 6);
		assert_true(strlen(line) < 160);
		letters += strlen(line) - 6;
	}
	assert_int_equal(letters, 1000);
}

static void debug_ring_holds_64k_and_counts_the_rest(void **state)
{
	unsigned lines = 0;

	(void)state;
	console_connect(NULL); /* nobody reads */
	for (unsigned i = 0; i < CONSOLE_DEBUG_SIZE; i++)
		console_debug_put(&vm, i % 64 == 63 ? '\n' : '.');
	assert_int_equal(vm.console.debug_dropped, 0);
	for (unsigned i = 0; i < 1000; i++)
		console_debug_put(&vm, 'x');
	assert_int_equal(vm.console.debug_dropped, 1000);
	assert_int_equal(vm.console.debug_count, CONSOLE_DEBUG_SIZE);
	console_connect(&vm);
	drain();
	for (unsigned i = 0; i < out_len; i++)
		lines += out[i] == '\n';
	assert_int_equal(lines, 1024);
	assert_null(strchr(out, 'x'));
	assert_int_equal(vm.console.debug_count, 0);
	/* full without a line's end: it comes in pieces all the same */
	console_connect(NULL);
	out_len = 0;
	for (unsigned i = 0; i < CONSOLE_DEBUG_SIZE; i++)
		console_debug_put(&vm, 'z');
	console_connect(&vm);
	drain();
	debug("\n");
	drain();
	lines = 0;
	for (unsigned i = 0; i < out_len; i++)
		lines += out[i] == 'z';
	assert_int_equal(lines, CONSOLE_DEBUG_SIZE);
}

static void debug_without_memory_is_dropped(void **state)
{
	(void)state;
	fake_host.fail_at = 1;
	console_debug_put(&vm, 'a');
	assert_int_equal(vm.console.debug_dropped, 1);
	console_debug_put(&vm, 'b');
	debug("\n");
	drain();
	assert_string_equal(out, "[web] b\r\n");
}

static void what_a_vm_said_last_is_shown(void **state)
{
	(void)state;
	debug("line\nno newline before the end");
	vm.console.debug_dropped = 77;
	console_detach(&vm);
	assert_true(fake_host_logged("77 bytes"));
	vm.console.debug_dropped = 0;
	assert_int_equal(fake_host.pages_out, 0);
	drain();
	assert_string_equal(out, "[web] line\r\n[web] no newline before the end\r\n");
	console_detach(&vm); /* nothing more */
}

static void without_any_backend(void **state)
{
	static const struct console_backend none;

	(void)state;
	console_set_backend(&none);
	put_text("abc");
	console_write_log("log\n", 4);
	console_poll(0);
	console_flush();
	assert_int_equal(out_len, 0);
	assert_int_equal(console_get(&vm, 0), -1);
}

/* After a bug of Trivet's own: whoever held the lock is dead. */
static void broken_console_waits(void **state)
{
	(void)state;
	put_text("kernel output");
	console_break();
	at_once = 0;
	console_write_log("panic: x\n", 9);
	assert_string_equal(out, "kernel output\r\npanic: x\r\n");
	assert_int_equal(waited, out_len);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_the_start_the_log_waits_for_the_port),
		TEST(no_byte_lost_at_any_speed),
		TEST(back_pressure_and_its_end),
		TEST(the_log_has_room_of_its_own),
		TEST(lines_do_not_mix),
		TEST(screen_for_the_log_alone),
		TEST(polls_when_there_is_something_to_do),
		TEST(input_in_order_and_bounded),
		TEST(only_port_0_of_the_connected_vm),
		TEST(debug_lines_with_the_name_in_front),
		TEST(a_long_debug_line_in_pieces),
		TEST(debug_ring_holds_64k_and_counts_the_rest),
		TEST(debug_without_memory_is_dropped),
		TEST(what_a_vm_said_last_is_shown),
		TEST(without_any_backend),
		TEST(broken_console_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
