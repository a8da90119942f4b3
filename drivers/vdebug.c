/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two debug devices; neither has a state.
 *
 * Debug console: every byte written to port E9h or 402h becomes text of the
 * VM's debug log. Reads give E9h at both, by which firmware and test programs
 * know that the port is there.
 *
 * Debug exit: a write of 1, 2 or 4 bytes to port F4h ends the VM with that
 * value as its exit code. The dword's other ports belong to it so that the
 * wide writes arrive in one piece; on their own they do nothing. A VM has it
 * only where its configuration asks for it.
 */
#include "vmm/abi.h"
#include "vmm/console.h"
#include "vmm/vdev.h"

static u8 console_in(struct vdev *dev, u16 port)
{
	return ABI_DEBUG_READS;
}

static void console_out(struct vdev *dev, u16 port, u8 value)
{
	console_debug_put(dev->vm, value);
}

static u64 exit_read(struct vdev *dev, u64 offset, unsigned size)
{
	return ~0ull; /* write-only: as if nothing were there */
}

static void exit_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	if (offset == 0)
		vm_request_exit(dev->vm, (u32)value);
}

DEFINE_VDEV(vdebugcon, .name = "debugcon", .ports = {{ABI_PORT_DEBUG_E9, 1}, {ABI_PORT_DEBUG_402, 1}},
	    .port_ops = {.in = console_in, .out = console_out});
DEFINE_VDEV(vdebugexit, .name = "debug-exit", .ports = {{ABI_PORT_DEBUG_EXIT, 4}},
	    .port_ops = {.read = exit_read, .write = exit_write});
