/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's side of the physical console: the stream of its first serial port,
 * both ways, and its debug console, which becomes lines of Trivet's console
 * behind a `[name] ` prefix.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

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

#endif
