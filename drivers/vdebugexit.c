/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug exit: a write of 1, 2 or 4 bytes to port F4h ends the VM with that
 * value as its exit code. The dword's other ports belong to it so that the
 * wide writes arrive in one piece; on their own they do nothing. A VM has it
 * only where its configuration asks for it. It has no state.
 */
#include "arch/lib/errno.h"
#include "vmm/vdev.h"

#define DEBUG_EXIT_PORT	 0xf4
#define DEBUG_EXIT_COUNT 4

static u64 debugexit_read(struct vdev *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return ~0ull; /* write-only: as if nothing were there */
}

static void debugexit_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	(void)size;
	if (offset == 0)
		vm_request_exit(dev->vm, (u32)value);
}

static const struct bus_ops debugexit_ops = {.read = debugexit_read, .write = debugexit_write};

static void debugexit_reset(struct vdev *dev)
{
	(void)dev;
}

static int debugexit_create(struct vdev *dev)
{
	return bus_claim_ports(dev, DEBUG_EXIT_PORT, DEBUG_EXIT_COUNT, &debugexit_ops);
}

static size_t debugexit_save(const struct vdev *dev, void *blob)
{
	(void)dev;
	(void)blob;
	return 0;
}

static int debugexit_restore(struct vdev *dev, const void *blob, size_t size)
{
	(void)dev;
	(void)blob;
	return size ? -EINVAL : 0;
}

DEFINE_VDEV(vdebugexit_type, .name = "debug-exit", .create = debugexit_create,
	    .reset = debugexit_reset, .save = debugexit_save, .restore = debugexit_restore);
