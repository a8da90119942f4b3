/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One ring for all output. A part of it is kept for the log, so that a guest
 * that floods its port cannot silence Trivet.
 */
#include "vmm/console.h"

#include "arch/lib/bits.h"
#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define RING_SIZE  16384u /* a power of two */
#define LOG_ROOM   4096u  /* of which guests cannot have this much */
#define BURST	   16u	  /* what a 16550's FIFO takes at once */
#define DEBUG_LINES 8 /* at one poll: each may scroll a screen */
#define READY_ROOM (RING_SIZE / 2)
#define DEBUG_PAGES (CONSOLE_DEBUG_SIZE / PAGE_SIZE)

static struct console_backend backend;
static struct spinlock lock; /* guards all below */
static u8 ring[RING_SIZE];
static u32 ring_head, ring_count;
static bool started, broken;
static bool mid_line;	/* the last byte out of the ring's producers was no newline */
static u64 dropped_log; /* bytes of the log that found no room */
static u64 next_poll;
static struct vm *connected;

static void acquire(void)
{
	if (!broken)
		spin_lock(&lock);
}

static void release(void)
{
	if (!broken)
		spin_unlock(&lock);
}

void console_set_backend(const struct console_backend *with)
{
	backend = *with;
}

static void push(u8 byte)
{
	ring[(ring_head + ring_count++) % RING_SIZE] = byte;
	mid_line = byte != '\n';
}

/* The longest run of bytes at the ring's head that does not wrap. */
static unsigned head_run(unsigned max)
{
	return MIN(MIN(ring_count, RING_SIZE - ring_head), max);
}

static void pop(unsigned count)
{
	ring_head = (ring_head + count) % RING_SIZE;
	ring_count -= count;
}

static void send_waiting(void)
{
	while (ring_count) {
		unsigned run = head_run(RING_SIZE);

		if (backend.write)
			backend.write(&ring[ring_head], run);
		pop(run);
	}
}

/* A line's bytes; CR before LF, as a terminal wants it. */
static void push_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (ring_count + 2 > RING_SIZE) {
			if (started && !broken) {
				dropped_log += len - i;
				return;
			}
			send_waiting();
		}
		if (text[i] == '\n')
			push('\r');
		push(text[i]);
	}
}

static void push_log(const char *text, size_t len)
{
	if (backend.screen) {
		if (mid_line && backend.screen_shows_guest)
			backend.screen("\n", 1);
		backend.screen(text, len);
	}
	if (mid_line && ring_count + 2 <= RING_SIZE)
		push_text("\n", 1);
	push_text(text, len);
	next_poll = 0;
}

void console_write_log(const char *text, size_t len)
{
	acquire();
	push_log(text, len);
	if (!started || broken)
		send_waiting();
	release();
}

void console_start(void)
{
	started = true;
}

void console_flush(void)
{
	acquire();
	send_waiting();
	release();
}

void console_break(void)
{
	broken = true;
}

void console_connect(struct vm *vm)
{
	acquire();
	connected = vm;
	release();
}

void console_attach(struct vm *vm, unsigned index, struct vdev *dev,
		    const struct console_port_ops *ops)
{
	if (index)
		return;
	vm->console.port = dev;
	vm->console.ops = ops;
}

bool console_put(struct vm *vm, unsigned index, u8 byte)
{
	bool taken;

	if (index)
		return true;
	acquire();
	taken = ring_count + LOG_ROOM < RING_SIZE;
	if (taken) {
		if (ring_count == 0)
			next_poll = MIN(next_poll, rdtsc());
		push(byte);
		if (backend.screen_shows_guest)
			backend.screen((const char *)&byte, 1);
		vm->console.written++;
	} else {
		vm->console.blocked = true;
	}
	release();
	return taken;
}

int console_get(struct vm *vm, unsigned index)
{
	struct console_stream *s = &vm->console;
	int byte;

	if (index || s->input_count == 0)
		return -1;
	byte = s->input[s->input_head];
	s->input_head = (s->input_head + 1) % sizeof(s->input);
	s->input_count--;
	return byte;
}

void console_debug_put(struct vm *vm, u8 byte)
{
	struct console_stream *s = &vm->console;

	if (!s->debug)
		s->debug = pages_alloc(DEBUG_PAGES);
	if (!s->debug || s->debug_count == CONSOLE_DEBUG_SIZE) {
		s->debug_dropped++;
		return;
	}
	s->debug[(s->debug_head + s->debug_count++) % CONSOLE_DEBUG_SIZE] = byte;
}

/* Control characters as a caret and a letter; anything beyond ASCII as a dot. */
static unsigned escape(u8 byte, char *out)
{
	if (byte >= 0x20 && byte < 0x7f) {
		out[0] = byte;
		return 1;
	}
	if (byte >= 0x7f) {
		out[0] = '.';
		return 1;
	}
	out[0] = '^';
	out[1] = byte + 0x40;
	return 2;
}

/* Takes one line, or a piece of it, of the debug console; false when there is
 * no whole one yet. */
static bool take_debug_line(struct console_stream *s, char *line, unsigned size, unsigned *len,
			    bool last)
{
	bool whole = false;
	u32 used = 0;

	while (used < s->debug_count && *len + 3 < size) {
		u8 byte = s->debug[(s->debug_head + used++) % CONSOLE_DEBUG_SIZE];

		if (byte == '\n') {
			whole = true;
			break;
		}
		if (byte != '\r')
			*len += escape(byte, line + *len);
	}
	if (!whole && !last && *len + 3 < size && s->debug_count < CONSOLE_DEBUG_SIZE)
		return false;
	line[(*len)++] = '\n';
	s->debug_head = (s->debug_head + used) % CONSOLE_DEBUG_SIZE;
	s->debug_count -= used;
	return true;
}

/* Some of the debug console's whole lines behind the VM's name, as there is room. */
static void move_debug(struct vm *vm, bool last)
{
	struct console_stream *s = &vm->console;
	char line[160];

	for (unsigned i = 0; i < DEBUG_LINES && s->debug_count; i++) {
		unsigned len = str_format(line, sizeof(line), "[%s] ", vm->name);

		if (ring_count + LOG_ROOM >= RING_SIZE ||
		    !take_debug_line(s, line, sizeof(line), &len, last))
			return;
		push_log(line, len);
	}
}

static void move_input(struct vm *vm)
{
	struct console_stream *s = &vm->console;
	u8 data[BURST];
	unsigned count;

	if (!backend.try_read || !s->port)
		return;
	/* What finds no room stays in the physical port. */
	count = backend.try_read(data, MIN(BURST, sizeof(s->input) - s->input_count));
	for (unsigned i = 0; i < count; i++)
		s->input[(s->input_head + s->input_count++) % sizeof(s->input)] = data[i];
	if (s->input_count)
		s->ops->rx_ready(s->port);
}

/* What the log lost is told once there is room again. */
static void tell_dropped(void)
{
	char text[64];
	u64 bytes = dropped_log;

	if (bytes == 0 || ring_count)
		return;
	dropped_log = 0;
	push_log(text, str_format(text, sizeof(text), "(%lu bytes of the log were lost)\n",
				  bytes));
}

static void move_output(u64 now)
{
	unsigned run = head_run(BURST);

	next_poll = now + backend.poll_ticks;
	if (!run)
		return;
	if (backend.try_write)
		run = backend.try_write(&ring[ring_head], run);
	pop(run);
	if (ring_count)
		next_poll = now + backend.burst_ticks;
}

void console_poll(u64 now)
{
	struct vm *vm = connected;
	bool ready;

	if (vm)
		vm_device_lock(vm);
	acquire();
	if (vm)
		move_debug(vm, false);
	tell_dropped();
	move_output(now);
	ready = vm && vm->console.blocked && RING_SIZE - ring_count >= READY_ROOM;
	release();
	if (ready) {
		vm->console.blocked = false;
		vm->console.ops->tx_ready(vm->console.port);
	}
	if (vm) {
		move_input(vm);
		vm_device_unlock(vm);
	}
}

u64 console_next(void)
{
	return next_poll;
}

void console_detach(struct vm *vm)
{
	acquire();
	if (connected == vm)
		connected = NULL;
	while (vm->console.debug_count) {
		send_waiting();
		move_debug(vm, true);
	}
	release();
	if (vm->console.debug_dropped)
		log_info("[%s] %lu bytes of its debug console were dropped", vm->name,
			 vm->console.debug_dropped);
	if (vm->console.debug)
		pages_free(vm->console.debug, DEBUG_PAGES);
	vm->console.debug = NULL;
}
