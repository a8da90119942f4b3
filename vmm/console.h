/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console: Trivet's log, the monitor, each VM's first serial port and the
 * lines of its debug console share the physical serial port and the screen.
 * One VM or the monitor has the keyboard. That VM's output goes out as it is;
 * that of others in lines behind their names, with nothing in them that a
 * terminal obeys. No byte is lost and no exit waits: a guest whose output finds
 * no room keeps its byte until there is.
 *
 * Locks: the walk lock (inside console.c; held by console_poll and whatever
 * changes which VMs there are), then a VM's device lock, then the console's own
 * lock. Nobody logs with the console's lock held.
 */
#pragma once

#include "vmm/console_queue.h"
#include "vmm/load.h"

struct vm;
struct vdev;

/* How the console tells a serial port about news; device lock held. */
struct console_port_ops {
	void (*tx_ready)(struct vdev *dev); /* there is room again */
	void (*rx_ready)(struct vdev *dev); /* a byte can be read */
};

#define CONSOLE_DEBUG_SIZE 16384u

/*
 * What the console has of a VM by its name. It stays when the VM goes, for the
 * next one of that name. The console's lock guards all but name and key, which
 * stay, and `blocked`, which is the device lock's.
 */
struct console_stream {
	struct console_stream *next; /* in order of opening */
	char name[VM_NAME_MAX];
	char key;	/* behind Ctrl-]; 0: there were no more keys */
	struct vm *vm;	/* whose port that is; NULL: none */
	struct vdev *port;
	const struct console_port_ops *ops;
	bool blocked;	/* console_put was refused: tx_ready is due */
	u64 written;	/* bytes of the serial port since it was attached */
	struct console_queue out, in, debug;
	u64 debug_dropped;
	u8 in_data[256], debug_data[CONSOLE_DEBUG_SIZE];
	u8 out_data[]; /* to the end of the stream's pages */
};

/*
 * The stream of that name, made if there is none; NULL: no memory. The first of
 * all has the keyboard from the start. vm_create's; no locks held.
 */
struct console_stream *console_open(const char *name);
/*
 * The VM is going: its port is called no more, and what it said last is shown.
 * No locks held; any CPU.
 */
void console_detach(struct vm *vm);
/* Moves on what VMs wrote before, so that a line may stand behind it. A bounded piece of work;
 * false: there is more, and the port's queue has room for it. Any CPU, no lock held. */
bool console_settle(void);
/* The first stream; the others follow by `next`. They never go. */
struct console_stream *console_streams(void);

/*
 * Connects serial port `dev` to the VM's stream. Only index 0 is the console;
 * the output of others is swallowed.
 */
void console_attach(struct vm *vm, unsigned index, struct vdev *dev,
		    const struct console_port_ops *ops);
/* Takes one byte of output. False when there is no room: keep it, wait for
 * tx_ready. Device lock held, any CPU; so are the next two. */
bool console_put(struct vm *vm, unsigned index, u8 byte);
/* One byte of input, or -1 for none. */
int console_get(struct vm *vm, unsigned index);
/* One byte of the debug console; beyond CONSOLE_DEBUG_SIZE unread it is dropped and counted. */
void console_debug_put(struct vm *vm, u8 byte);

/* Gives the keyboard to a VM's stream, or to the monitor (NULL), and says so. Not from tx_ready or
 * rx_ready; any CPU. */
void console_focus(struct console_stream *stream);
/* Who has it; NULL: the monitor. */
struct console_stream *console_focused(void);
/* The stream that has it or had it last, NULL: none. For the monitor. */
struct console_stream *console_last(void);

/* The physical side, from the composition root. Any of the calls may be NULL. */
struct console_backend {
	unsigned (*try_write)(const u8 *data, unsigned len); /* what goes without waiting */
	void (*write)(const u8 *data, unsigned len);	     /* waits */
	unsigned (*try_read)(u8 *data, unsigned len); /* len 0: only looks after the port */
	void (*screen)(const char *text, size_t len); /* takes everything at once ... */
	bool (*screen_show)(bool all); /* ... and shows a part of it, or all: is there more? */
	bool screen_shows_guest; /* else the screen has the log and the monitor only */
	u64 burst_ticks; /* TSC ticks in which the port sends 16 bytes */
	u64 poll_ticks;	 /* how often to look for input */
};
void console_set_backend(const struct console_backend *backend);

/* The log's way to the console; until console_start it waits for the port. Any CPU. */
void console_write_log(const char *text, size_t len);
/* From now on console_poll moves the ring. */
void console_start(void);
/* Sends all that was said so far, waiting for the port. With log_broken no lock is taken, and all
 * that comes waits. */
void console_flush(void);

/*
 * Moves bytes both ways as far as the physical port goes along. The boot pCPU
 * only, no lock held; when the TSC reaches console_next, and in between at will.
 */
void console_poll(u64 now);
/* TSC at which console_poll has something to do. An earlier moment than it said
 * last comes with a kick of the boot pCPU. */
u64 console_next(void);
/* The physical port has news: console_next is now. The boot pCPU's interrupt handlers. */
void console_wake(void);

/*
 * The monitor is there from now on; NULL: it is not. While it has the keyboard,
 * wake is called by console_poll, no lock held, as long as there are keys for
 * console_key or console_disturbed would be true.
 */
void console_set_monitor(void (*wake)(void));
/* The monitor's next key, or -1 for none. */
int console_key(void);
/*
 * Whether anything else was printed since the last call: the monitor's line, if
 * it was in one, has been ended, and the cursor is at the start of a row.
 */
bool console_disturbed(void);
/* The monitor's output, at most CONSOLE_PRINT_MAX - 1 bytes a call. It is never lost: without
 * console_room it waits for the port. */
void console_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Whether one console_print would not wait; else come again after a console_poll. */
bool console_room(void);

#define CONSOLE_PRINT_MAX 512
