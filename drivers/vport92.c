/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System control port A (port 92h), after Intel's ICH data sheet "PORT92: Fast
 * A20 and Init Register". Bit 1 is the A20 gate, which stays open here
 * whatever the guest writes; bit 0 resets the machine as it goes from 0 to 1.
 */
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "vmm/vdev.h"

#define PORT92	      0x92
#define PORT92_RESET  BIT(0)
#define PORT92_A20    BIT(1)

struct port92 {
	u8 value; /* bit 0 as written last */
};

static u64 port92_read(struct vdev *dev, u64 offset, unsigned size)
{
	const struct port92 *p = dev->state;

	(void)offset;
	(void)size;
	return p->value | PORT92_A20;
}

static void port92_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct port92 *p = dev->state;
	bool rises = value & ~p->value & PORT92_RESET;

	(void)offset;
	(void)size;
	p->value = value & PORT92_RESET;
	if (rises)
		vm_request_reset(dev->vm, "port 92h");
}

static const struct bus_ops port92_ops = {
	.read = port92_read, .write = port92_write, .max_size = 1};

static void port92_reset(struct vdev *dev)
{
	struct port92 *p = dev->state;

	p->value = 0;
}

static int port92_create(struct vdev *dev)
{
	return bus_claim_ports(dev, PORT92, 1, &port92_ops);
}

static size_t port92_save(const struct vdev *dev, void *blob)
{
	*(struct port92 *)blob = *(const struct port92 *)dev->state;
	return sizeof(struct port92);
}

static int port92_restore(struct vdev *dev, const void *blob, size_t size)
{
	const struct port92 *p = blob;

	if (size != sizeof(*p) || (p->value & ~PORT92_RESET))
		return -EINVAL;
	*(struct port92 *)dev->state = *p;
	return 0;
}

DEFINE_VDEV(vport92_type, .name = "port92", .state_size = sizeof(struct port92),
	    .create = port92_create, .reset = port92_reset,
	    .save_size = sizeof(struct port92), .save = port92_save, .restore = port92_restore);
