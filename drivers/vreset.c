/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two ports by which a PC is reset, each a byte register with one bit that
 * resets the machine as it goes from 0 to 1. Sources: Intel's ICH data sheet,
 * "RST_CNT: Reset Control Register" and "PORT92: Fast A20 and Init Register".
 *
 * Port CF9h: what kind of reset bits 1 and 3 choose makes no difference to a
 * VM. It answers to byte accesses only: the dword at CF8h is the PCI host
 * bridge's. Port 92h, system control port A: the A20 gate stays open here
 * whatever the guest writes.
 */
#include "vmm/vdev.h"

#define PORT_92 0x92

enum { CF9_SYS_RST = BIT(1) /* hard instead of soft */, CF9_RST_CPU = BIT(2),
       CF9_FULL_RST = BIT(3) /* with a power cycle */ };
enum { PORT92_RESET = BIT(0), PORT92_A20 = BIT(1) };

/* The state is one byte: the writable bits as written last. */
static const struct reset_register {
	u8 writable, reset, ones; /* ones: read as 1 always */
	const char *how;
} port92 = {PORT92_RESET, PORT92_RESET, PORT92_A20, "port 92h"},
  cf9 = {CF9_SYS_RST | CF9_RST_CPU | CF9_FULL_RST, CF9_RST_CPU, 0, "port CF9h"};

static const struct reset_register *register_of(const struct vdev *dev)
{
	return dev->type->ports[0].first == PORT_92 ? &port92 : &cf9;
}

static u8 reset_in(struct vdev *dev, u16 port)
{
	return *(const u8 *)dev->state | register_of(dev)->ones;
}

static void reset_out(struct vdev *dev, u16 port, u8 value)
{
	const struct reset_register *r = register_of(dev);
	u8 *state = dev->state;
	bool rises = value & ~*state & r->reset;

	*state = value & r->writable;
	if (rises)
		vm_request_reset(dev->vm, r->how);
}

static bool reset_valid(const struct vdev *dev, const void *saved)
{
	return !(*(const u8 *)saved & ~register_of(dev)->writable);
}

DEFINE_VDEV(vport92, .name = "port92", .state_size = 1, .save_size = 1, .ports = {{PORT_92, 1}},
	    .port_ops = {.in = reset_in, .out = reset_out}, .valid = reset_valid);
DEFINE_VDEV(vcf9, .name = "cf9", .state_size = 1, .save_size = 1, .ports = {{0xcf9, 1}},
	    .port_ops = {.in = reset_in, .out = reset_out, .exact = true}, .valid = reset_valid);
