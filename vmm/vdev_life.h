/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM's side of its devices: making them by type name, resetting, saving,
 * restoring and freeing them. Devices themselves need only vmm/vdev.h. The
 * calls for one device are made with the VM's device lock held.
 */
#pragma once

#include "vmm/vdev.h"

/* Makes an instance. 0, -ENOENT (no such type), -ENOMEM, or what create said. */
int vdev_create(struct vm *vm, const char *type, struct vdev_args args);
/* The machine's RESET# line, to all of them in the order of their creation. */
void vdev_reset_all(struct vm *vm);
/* Frees them; their timers are disarmed. */
void vdev_destroy_all(struct vm *vm);

/* Claims the ports of a device in zeroed memory, creates and resets it; a negative errno. */
int vdev_init(struct vdev *dev);
void vdev_reset(struct vdev *dev);
/* Writes type->save_size bytes and returns that number. */
size_t vdev_save(const struct vdev *dev, void *blob);
/*
 * The inverse of vdev_save, at the same clock of the VM. 0, or -EINVAL for a
 * blob that no save can have made, the device then unchanged.
 */
int vdev_restore(struct vdev *dev, const void *blob, size_t size);
