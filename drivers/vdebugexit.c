/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug exit: a write of 1, 2 or 4 bytes to port F4h ends the VM with that
 * value as its exit code. The dword's other ports belong to it so that the
 * wide writes arrive in one piece; on their own they do nothing. A VM has it
 * only where its configuration asks for it. It has no state.
 */
#include "vmm/abi.h"
#include "vmm/vdev.h"

static u64 debugexit_read(struct vdev *dev, u64 offset, unsigned size)
{
	return ~0ull; /* write-only: as if nothing were there */
}

static void debugexit_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	if (offset == 0)
		vm_request_exit(dev->vm, (u32)value);
}

DEFINE_VDEV(vdebugexit, .name = "debug-exit", .ports = {{ABI_PORT_DEBUG_EXIT, 4}},
	    .port_ops = {.read = debugexit_read, .write = debugexit_write});
