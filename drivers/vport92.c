/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System control port A (port 92h), after Intel's ICH data sheet "PORT92: Fast
 * A20 and Init Register". Bit 1 is the A20 gate, which stays open here
 * whatever the guest writes; bit 0 resets the machine as it goes from 0 to 1.
 */
#include "arch/lib/bits.h"
#include "vmm/vdev.h"

#define PORT92_RESET  BIT(0)
#define PORT92_A20    BIT(1)

struct port92 {
	u8 value; /* bit 0 as written last */
};

static u8 port92_in(struct vdev *dev, u16 port)
{
	const struct port92 *p = dev->state;

	return p->value | PORT92_A20;
}

static void port92_out(struct vdev *dev, u16 port, u8 value)
{
	struct port92 *p = dev->state;
	bool rises = value & ~p->value & PORT92_RESET;

	p->value = value & PORT92_RESET;
	if (rises)
		vm_request_reset(dev->vm, "port 92h");
}

static const struct bus_ops port92_ops = {.in = port92_in, .out = port92_out};

static bool port92_valid(const struct vdev *dev, const void *saved)
{
	const struct port92 *p = saved;

	return !(p->value & ~PORT92_RESET);
}

DEFINE_VDEV(vport92, .name = "port92", .state_size = sizeof(struct port92),
	    .save_size = sizeof(struct port92), .ports = {{0x92, 1}}, .port_ops = &port92_ops,
	    .valid = port92_valid);
