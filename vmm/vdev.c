/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices of a VM by type name. Types register themselves with DEFINE_VDEV.
 */
#include "vmm/vdev_life.h"

#include "arch/lib/string.h"
#include "vmm/vm.h"

SECTION_DECLARE(struct vdev_type, vdev_types);

/* The state stands behind the head, on the same pages. */
static unsigned pages(const struct vdev_type *type)
{
	return ALIGN_UP(sizeof(struct vdev) + type->state_size, PAGE_SIZE) / PAGE_SIZE;
}

static const struct vdev_type *find(const char *name)
{
	const struct vdev_type *const *it;

	SECTION_FOR_EACH(it, vdev_types)
		if (!strcmp((*it)->name, name))
			return *it;
	return NULL;
}

int vdev_create(struct vm *vm, const char *name, struct vdev_args args)
{
	const struct vdev_type *type = find(name);
	struct vdev **end = &vm->devices, *dev;

	if (!type)
		return -ENOENT;
	dev = pages_alloc(pages(type));
	if (!dev)
		return -ENOMEM;
	dev->type = type;
	dev->vm = vm;
	dev->args = args;
	dev->state = dev + 1;
	/* Even one whose create fails stays in the list: its claims end with the VM. */
	while (*end)
		end = &(*end)->next;
	*end = dev;
	SPIN_HOLD(&vm->device_lock);
	return vdev_init(dev);
}

void vdev_reset_all(struct vm *vm)
{
	SPIN_HOLD(&vm->device_lock);
	for (struct vdev *dev = vm->devices; dev; dev = dev->next)
		vdev_reset(dev);
}

void vdev_destroy_all(struct vm *vm)
{
	while (vm->devices) {
		struct vdev *dev = vm->devices;

		vm->devices = dev->next;
		pages_free(dev, pages(dev->type));
	}
}
