/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console: Trivet's log, the first serial port of the VM and the lines of
 * its debug console share one ring, which goes out to the physical serial port
 * as fast as that takes it, and to the screen. No byte is lost and no exit
 * waits: a guest whose output finds no room keeps its byte until there is.
 */
#pragma once

#include "arch/lib/types.h"

struct vm;
struct vdev;

/* How the console tells a serial port about news; device lock held. */
struct console_port_ops {
	void (*tx_ready)(struct vdev *dev); /* there is room again */
	void (*rx_ready)(struct vdev *dev); /* a byte can be read */
};

/*
 * Connects serial port `dev` to the console's stream `index`. Only index 0
 * reaches the physical console; the output of others is dropped.
 */
void console_attach(struct vm *vm, unsigned index, struct vdev *dev,
		    const struct console_port_ops *ops);
/* Takes one byte of output. False when the ring is full: keep it, wait for tx_ready. */
bool console_put(struct vm *vm, unsigned index, u8 byte);
/* One byte of input, or -1 for none. */
int console_get(struct vm *vm, unsigned index);

/* One byte of the debug console; beyond 64 KiB unread it is dropped and counted. */
void console_debug_put(struct vm *vm, u8 byte);

/* A VM's part of the console; embedded in struct vm. */
struct console_stream {
	struct vdev *port;
	const struct console_port_ops *ops;
	bool blocked;	/* console_put was refused: tx_ready is due */
	u64 written;	/* bytes of the serial port */
	u8 input[256];
	u32 input_head, input_count;
	u8 *debug;	/* ring of CONSOLE_DEBUG_SIZE, allocated at the first byte */
	u32 debug_head, debug_count;
	u64 debug_dropped;
};

#define CONSOLE_DEBUG_SIZE 65536u

/* The physical side, from the composition root. Any of the calls may be NULL. */
struct console_backend {
	unsigned (*try_write)(const u8 *data, unsigned len); /* what goes without waiting */
	void (*write)(const u8 *data, unsigned len);	     /* waits */
	unsigned (*try_read)(u8 *data, unsigned len);
	void (*screen)(const char *text, size_t len); /* takes everything at once */
	bool screen_shows_guest; /* else the screen has the log only */
	u64 burst_ticks; /* TSC ticks in which the port sends 16 bytes */
	u64 poll_ticks;	 /* how often to look for input */
};
void console_set_backend(const struct console_backend *backend);

/* The log's way to the console; until console_start it waits for the port. */
void console_write_log(const char *text, size_t len);
/* From now on console_poll moves the ring. */
void console_start(void);
/* Sends what is in the ring, waiting for the port. */
void console_flush(void);
/* After a bug: the ring is sent without its lock, and all that comes waits. */
void console_break(void);

/* Gives keyboard and serial output to this VM, or to none (NULL). */
void console_connect(struct vm *vm);
/*
 * Moves bytes both ways as far as the physical port goes along; no device lock
 * held. To be called when the TSC reaches console_next.
 */
void console_poll(u64 now);
/* TSC at which console_poll has something to do. */
u64 console_next(void);

/* Frees what the stream holds; its VM is going. */
void console_detach(struct vm *vm);
