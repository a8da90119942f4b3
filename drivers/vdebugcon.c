/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug console: every byte written to port E9h or 402h becomes text of the
 * VM's debug log. Reads give E9h at both, by which firmware and test programs
 * know that the port is there. It has no state.
 */
#include "vmm/abi.h"
#include "vmm/console.h"
#include "vmm/vdev.h"

static u8 debugcon_in(struct vdev *dev, u16 port)
{
	return ABI_DEBUG_READS;
}

static void debugcon_out(struct vdev *dev, u16 port, u8 value)
{
	console_debug_put(dev->vm, value);
}

DEFINE_VDEV(vdebugcon, .name = "debugcon", .ports = {{ABI_PORT_DEBUG_E9, 1}, {ABI_PORT_DEBUG_402, 1}},
	    .port_ops = {.in = debugcon_in, .out = debugcon_out});
