/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bus of a VM: which device answers at which port or guest physical
 * address. The port space and the MMIO space are one struct bus each. This
 * is the one place that cuts values to the access's width, splits accesses
 * that no single range covers and answers for addresses without a device.
 * All calls with the VM's device lock held.
 */
#pragma once

#include "arch/lib/types.h"

struct vdev;
struct bus_ops;

#define BUS_RANGES_MAX 64
#define BUS_PORT_TOP   0xffffull
#define BUS_MMIO_TOP   ~0ull

struct bus_range {
	u64 first, last; /* inclusive */
	struct vdev *dev;
	const struct bus_ops *ops;
};

/* Ranges sorted by first address, an exact range behind one that starts with it. */
struct bus {
	u64 top; /* the highest address of this space */
	unsigned count;
	struct bus_range range[BUS_RANGES_MAX];
};

/* Empties the table; `top` is BUS_PORT_TOP or BUS_MMIO_TOP. */
void bus_init(struct bus *bus, u64 top);

/*
 * Gives [first, first+count) to a device. Returns 0, -EINVAL for an empty or
 * wrapping range or one beyond the top, -EEXIST for an overlap (an exact range
 * collides with exact ones only), -ENOSPC when the table is full.
 */
int bus_claim(struct bus *bus, u64 first, u64 count, struct vdev *dev, const struct bus_ops *ops);

/*
 * Reads `size` (1, 2, 4 or 8) bytes at an address. An access that no range
 * covers wholly is done byte by byte, lowest address first; bytes without a
 * device, and those beyond the top, read FFh. The value is zero above `size`
 * bytes. *claimed, unless NULL, tells whether any byte met a device.
 */
u64 bus_read(const struct bus *bus, u64 addr, unsigned size, bool *claimed);

/*
 * Writes likewise; bytes without a device are dropped. Returns whether any
 * byte met a device.
 */
bool bus_write(const struct bus *bus, u64 addr, unsigned size, u64 value);

/* `count` reads (`in`) into a buffer or writes from it, of size bytes each, all of one address. Returns
 * whether any byte met a device. */
bool bus_string(const struct bus *bus, u64 addr, unsigned size, bool in, u8 *buffer, unsigned count);
