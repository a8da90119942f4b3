/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each stream has a queue of its own; from these, a line or a piece of one a
 * turn, all output comes into one ring, and from that to the port. Guests get
 * little of the ring, so that what is typed is echoed soon, and the log the
 * rest, so that a guest that floods its port cannot silence Trivet.
 */
#include "vmm/console.h"

#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "vmm/console_input.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define RING_SIZE    32768u
#define GUEST_LEVEL  2048u  /* guests' turns end when the ring holds this much */
#define MONITOR_LEVEL (GUEST_LEVEL + CONSOLE_PRINT_MAX)
#define BACKLOG	     16384u /* ... but this when a line is to stand behind what led to it */
#define MOVED_AT_ONCE 1024u
#define BURST	     16u    /* what a 16550's FIFO takes at once */
#define READY_ROOM   64u    /* a guest that waits gets THRE back with so much room */
#define PARTIAL	     (tsc_hz / 2) /* after so long, the beginning of a line is shown */
#define STREAM_PAGES 7
#define OUT_SIZE     (STREAM_PAGES * PAGE_SIZE - sizeof(struct console_stream))

/* How something is printed. */
enum { ON_SCREEN = 1, RAW = 2, WAITS = 4 };

/* Who prints, besides a stream that has the keyboard; NULL: who always prints whole lines. */
static const char the_monitor;

static struct console_backend backend;
static struct spinlock walk; /* outermost: no stream gets or loses its VM meanwhile */
static struct spinlock lock; /* guards all below */
static struct console_stream *streams, *focused, *focused_last;
static struct console_stream *turn; /* whose turn it is to move a line */
static u64 queued;		    /* bytes in all output queues */
static u8 ring_data[RING_SIZE];
static struct console_queue ring = {.data = ring_data, .size = RING_SIZE};
static bool started;
static const void *line_of; /* who printed the unfinished line; NULL: there is none */
static bool line_on_screen, disturbed;
static u64 dropped_log; /* bytes of the log that found no room */
static u64 next_poll;
static bool woken; /* atomic: an interrupt handler sets it */

void console_lock(void)
{
	if (!log_broken)
		spin_lock(&lock);
}

void console_unlock(void)
{
	if (!log_broken)
		spin_unlock(&lock);
}

void console_set_backend(const struct console_backend *with)
{
	backend = *with;
}

/* Has console_poll called by then. */
static void due_by(u64 when)
{
	if (!started || log_broken || next_poll <= when)
		return;
	__atomic_store_n(&next_poll, when, __ATOMIC_RELAXED);
	if (this_pcpu()->id == 0)
		this_pcpu()->attention = 1;
	smp_kick(0);
}

/* ---- the ring */

/* Sends up to `max` bytes of those at the ring's head that do not wrap. */
static void send(unsigned (*write)(const u8 *data, unsigned len), unsigned max)
{
	unsigned run = MIN(MIN(ring.count, RING_SIZE - ring.head), max);

	if (run && write)
		run = write(&ring_data[ring.head], run);
	ring.head = (ring.head + run) % RING_SIZE;
	ring.count -= run;
}

static unsigned write_waiting(const u8 *data, unsigned len)
{
	if (backend.write)
		backend.write(data, len);
	return len;
}

static void send_waiting(void)
{
	while (ring.count)
		send(write_waiting, RING_SIZE);
}

static bool show(bool all)
{
	return backend.screen_show && backend.screen_show(all);
}

/*
 * Another's unfinished line ends before `who` prints. CR before LF, as a terminal
 * wants it. Text that may not wait and finds no room is lost as a whole.
 */
static void print(const void *who, const char *text, size_t len, unsigned how)
{
	bool screen = backend.screen && (how & ON_SCREEN);

	if (line_of && line_of != who) {
		line_of = NULL;
		if (line_on_screen)
			backend.screen("\n", 1);
		print(NULL, "\n", 1, how & WAITS);
	}
	if (screen)
		backend.screen(text, len);
	disturbed |= who != &the_monitor;
	if (!(how & WAITS) && ring.count + 2 * len > RING_SIZE) {
		dropped_log += len;
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (ring.count + 2 > RING_SIZE)
			send_waiting();
		if (text[i] == '\n' && !(how & RAW))
			console_queue_put(&ring, '\r');
		console_queue_put(&ring, (u8)text[i]);
	}
	line_of = len && text[len - 1] == '\n' ? NULL : who;
	line_on_screen = screen;
}

/* ---- from the streams to the ring */

static void move_line(struct console_stream *s, struct console_queue *q, u64 now)
{
	char line[CONSOLE_LINE_MAX];
	u32 before = q->count;
	unsigned len = console_queue_line(q, s->name, line,
					  (s64)(now - q->touched) >= (s64)PARTIAL);

	queued -= before - q->count;
	if (len)
		print(NULL, line, len, backend.screen_shows_guest ? ON_SCREEN : 0);
}

static void move_raw(struct console_stream *s)
{
	char text[CONSOLE_LINE_MAX];
	unsigned len = 0;

	while (s->out.count && len < sizeof(text))
		text[len++] = (char)console_queue_get(&s->out);
	if (!len)
		return;
	queued -= len;
	s->out.cr = false;
	s->out.cut = text[len - 1] != '\n';
	print(s, text, len, RAW | (backend.screen_shows_guest ? ON_SCREEN : 0));
}

/* Gives the streams turns until the ring is that full, nothing more can be moved, or enough was
 * for one piece of work; false then. */
static bool move_streams(u64 now, u32 level)
{
	struct console_stream *last = turn; /* the last one that had something */

	for (u64 start = queued; queued && ring.count < level;) {
		u64 before = queued;

		turn = turn->next ? turn->next : streams;
		if (turn == focused)
			move_raw(turn);
		else
			move_line(turn, &turn->out, now);
		move_line(turn, &turn->debug, now);
		if (queued != before)
			last = turn;
		else if (turn == last)
			break;
		if (start - queued >= MOVED_AT_ONCE)
			return false;
	}
	return true;
}

static void say(const void *who, const char *text, size_t len, unsigned how)
{
	bool later = started && !log_broken;

	console_lock();
	if (later && !who) /* what was said just before stands before it */
		move_streams(rdtsc(), BACKLOG);
	print(who, text, len, how | ON_SCREEN | (later ? 0 : WAITS));
	if (!later) {
		send_waiting();
		show(true);
	}
	due_by(0);
	console_unlock();
}

void console_write_log(const char *text, size_t len)
{
	say(NULL, text, len, 0);
}

bool console_settle(void)
{
	bool all;

	console_lock();
	all = move_streams(rdtsc(), BACKLOG);
	due_by(0);
	console_unlock();
	return all;
}

void console_start(void)
{
	started = true;
}

void console_flush(void)
{
	u64 late = rdtsc() + tsc_hz; /* the beginnings of lines too */

	console_lock();
	do {
		if (!log_broken)
			move_streams(late, BACKLOG);
		send_waiting();
	} while (queued && !log_broken);
	show(true);
	console_unlock();
}

/* ---- the streams */

static struct console_stream *make_stream(const char *name, unsigned index)
{
	struct console_stream *s = pages_alloc(STREAM_PAGES);

	if (!s)
		return NULL;
	str_format(s->name, sizeof(s->name), "%s", name);
	s->key = console_input_name(index);
	s->out = (struct console_queue){.data = s->out_data, .size = OUT_SIZE};
	s->in = (struct console_queue){.data = s->in_data, .size = sizeof(s->in_data)};
	s->debug = (struct console_queue){.data = s->debug_data, .size = CONSOLE_DEBUG_SIZE};
	return s;
}

struct console_stream *console_open(const char *name)
{
	struct console_stream **link = &streams, *s;
	unsigned count = 0;

	spin_lock(&walk);
	for (; *link && strcmp((*link)->name, name); link = &(*link)->next)
		count++;
	s = *link ? *link : make_stream(name, count);
	if (!streams)
		turn = focused = s;
	__atomic_store_n(link, s, __ATOMIC_RELEASE);
	spin_unlock(&walk);
	return s;
}

struct console_stream *console_streams(void)
{
	return streams;
}

void console_attach(struct vm *vm, unsigned index, struct vdev *dev,
		    const struct console_port_ops *ops)
{
	struct console_stream *s = vm->console;

	if (index)
		return;
	console_lock();
	s->vm = vm;
	s->port = dev;
	s->ops = ops;
	s->written = 0;
	console_unlock();
}

void console_detach(struct vm *vm)
{
	struct console_stream *s = vm->console;
	u64 dropped;

	spin_lock(&walk);
	console_lock();
	if (s->vm == vm) {
		s->vm = NULL;
		s->port = NULL;
		s->blocked = false;
		s->in.count = 0;
	}
	s->out.touched = s->debug.touched = 0; /* no more is to come of its line */
	dropped = s->debug_dropped;
	s->debug_dropped = 0;
	console_unlock();
	spin_unlock(&walk);
	if (dropped)
		log_info("[%s] %lu bytes of its debug console were dropped", vm->name, dropped);
}

/* Console's lock held. A whole line is due at once, the beginning of one later. */
static bool put(struct console_stream *s, struct console_queue *q, u8 byte)
{
	bool part = byte != '\n' && q->count < CONSOLE_LINE_MAX && (s != focused || q != &s->out);

	if (!console_queue_put(q, byte))
		return false;
	q->touched = rdtsc();
	queued++;
	if (!ring.count) /* else the next poll is near */
		due_by(q->touched + (part ? PARTIAL : 0));
	return true;
}

bool console_put(struct vm *vm, unsigned index, u8 byte)
{
	struct console_stream *s = vm->console;
	bool taken;

	if (index)
		return true;
	console_lock();
	taken = put(s, &s->out, byte);
	s->written += taken;
	s->blocked |= !taken;
	console_unlock();
	return taken;
}

int console_get(struct vm *vm, unsigned index)
{
	struct console_stream *s = vm->console;
	int byte;

	if (index)
		return -1;
	console_lock();
	byte = console_queue_get(&s->in);
	if (byte >= 0)
		s->in.touched = rdtsc();
	console_unlock();
	return byte;
}

void console_debug_put(struct vm *vm, u8 byte)
{
	struct console_stream *s = vm->console;

	console_lock();
	if (!put(s, &s->debug, byte))
		s->debug_dropped++;
	console_unlock();
}

void console_focus(struct console_stream *s)
{
	char text[CONSOLE_LINE_MAX];
	size_t len = (size_t)str_format(text, sizeof(text), "[console] keyboard to %s\n",
					s ? s->name : "the monitor");

	if (s == console_focused())
		return;
	console_write_log(text, len);
	focused_last = focused ? focused : focused_last;
	__atomic_store_n(&focused, s, __ATOMIC_RELAXED);
}

struct console_stream *console_focused(void)
{
	return __atomic_load_n(&focused, __ATOMIC_RELAXED);
}

struct console_stream *console_last(void)
{
	return focused ? focused : focused_last;
}

/* ---- the monitor */

bool console_disturbed(void)
{
	return __atomic_exchange_n(&disturbed, false, __ATOMIC_RELAXED);
}

void console_print(const char *fmt, ...)
{
	char text[CONSOLE_PRINT_MAX];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = (size_t)str_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(&the_monitor, text, MIN(len, sizeof(text) - 1), WAITS);
}

bool console_room(void)
{
	/* More than guests may fill, or one that floods its port would keep it silent. */
	return __atomic_load_n(&ring.count, __ATOMIC_RELAXED) < MONITOR_LEVEL;
}

/* ---- the poll */

/* What the log lost is told once there is room again. */
static void tell_dropped(void)
{
	char text[64];
	u64 bytes = dropped_log;

	if (bytes == 0 || ring.count)
		return;
	dropped_log = 0;
	print(NULL, text,
	      (size_t)str_format(text, sizeof(text), "(%lu bytes of the log were lost)\n", bytes),
	      ON_SCREEN);
}

/* Tells a stream's port what there is for it. Walk lock held, which keeps its VM. */
static void deliver(struct console_stream *s)
{
	struct vm *vm = s->vm;
	bool tx = s->blocked && s->out.size - s->out.count >= READY_ROOM;

	if (!vm || (!tx && !s->in.count))
		return;
	vm_device_lock(vm);
	if (tx) {
		s->blocked = false;
		s->ops->tx_ready(s->port);
	}
	if (s->in.count)
		s->ops->rx_ready(s->port);
	vm_device_unlock(vm);
}

void console_poll(u64 now)
{
	u64 wait = backend.poll_ticks;
	bool more;

	__atomic_store_n(&woken, false, __ATOMIC_RELAXED);
	spin_lock(&walk);
	more = console_input_poll(backend.try_read, now);
	console_lock();
	move_streams(now, GUEST_LEVEL);
	tell_dropped();
	send(backend.try_write, BURST);
	more |= show(false);
	if (ring.count || more)
		wait = backend.burst_ticks;
	else if (queued)
		wait = MIN(wait, PARTIAL);
	__atomic_store_n(&next_poll, now + wait, __ATOMIC_RELAXED);
	console_unlock();
	for (struct console_stream *s = streams; s; s = s->next)
		deliver(s);
	spin_unlock(&walk);
	console_input_wake(disturbed);
}

u64 console_next(void)
{
	if (__atomic_load_n(&woken, __ATOMIC_RELAXED))
		return 0;
	return __atomic_load_n(&next_poll, __ATOMIC_RELAXED);
}

void console_wake(void)
{
	__atomic_store_n(&woken, true, __ATOMIC_RELAXED);
}
