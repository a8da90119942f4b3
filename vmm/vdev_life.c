/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all devices do in the same way when they are made, reset, saved and
 * restored: so a device file holds only what is its own.
 */
#include "vmm/vdev_life.h"

#include "arch/lib/string.h"

int vdev_init(struct vdev *dev)
{
	const struct vdev_type *type = dev->type;
	int error = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(type->ports) && type->ports[i].count && !error; i++)
		error = bus_claim_ports(dev, dev->args.port + type->ports[i].first,
					type->ports[i].count, &type->port_ops);
	if (!error && type->create)
		error = type->create(dev);
	if (!error)
		vdev_reset(dev);
	return error;
}

void vdev_reset(struct vdev *dev)
{
	if (dev->type->reset)
		dev->type->reset(dev);
	else
		memset(dev->state, 0, dev->type->save_size);
}

size_t vdev_save(const struct vdev *dev, void *blob)
{
	memcpy(blob, dev->state, dev->type->save_size);
	return dev->type->save_size;
}

int vdev_restore(struct vdev *dev, const void *blob, size_t size)
{
	const struct vdev_type *type = dev->type;
	u8 copy[VDEV_SAVE_MAX] __attribute__((aligned(16)));

	if (size != type->save_size || size > sizeof(copy))
		return -EINVAL;
	/* Checked and used are the same bytes, whoever can write to the blob. */
	memcpy(copy, blob, size);
	if (type->valid && !type->valid(dev, copy))
		return -EINVAL;
	memcpy(dev->state, copy, size);
	if (type->restored)
		type->restored(dev);
	return 0;
}
