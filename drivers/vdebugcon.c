/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug console: every byte written to port E9h or 402h becomes text of the
 * VM's debug log. Reads give E9h at both, by which firmware and test programs
 * know that the port is there. It has no state.
 */
#include "arch/lib/errno.h"
#include "vmm/console.h"
#include "vmm/vdev.h"

#define DEBUGCON_PRESENT 0xe9

static u64 debugcon_read(struct vdev *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return DEBUGCON_PRESENT;
}

static void debugcon_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	(void)offset;
	(void)size;
	console_debug_put(dev->vm, (u8)value);
}

static const struct bus_ops debugcon_ops = {
	.read = debugcon_read, .write = debugcon_write, .max_size = 1};

static void debugcon_reset(struct vdev *dev)
{
	(void)dev;
}

static int debugcon_create(struct vdev *dev)
{
	int err = bus_claim_ports(dev, 0xe9, 1, &debugcon_ops);

	return err ? err : bus_claim_ports(dev, 0x402, 1, &debugcon_ops);
}

static size_t debugcon_save(const struct vdev *dev, void *blob)
{
	(void)dev;
	(void)blob;
	return 0;
}

static int debugcon_restore(struct vdev *dev, const void *blob, size_t size)
{
	(void)dev;
	(void)blob;
	return size ? -EINVAL : 0;
}

DEFINE_VDEV(vdebugcon_type, .name = "debugcon", .create = debugcon_create,
	    .reset = debugcon_reset, .save = debugcon_save, .restore = debugcon_restore);
