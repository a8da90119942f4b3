/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM's side of its devices: making them by type name, resetting and
 * freeing them. Devices themselves need only vmm/vdev.h.
 */
#ifndef VMM_VDEV_LIFE_H
#define VMM_VDEV_LIFE_H

#include "vmm/vdev.h"

/* Makes an instance. 0, -ENOENT (no such type), -ENOMEM, or what create said. */
int vdev_create(struct vm *vm, const char *type, struct vdev_args args);
/* The machine's RESET# line, to all of them in the order of their creation. */
void vdev_reset_all(struct vm *vm);
/* Frees them; their timers are disarmed. */
void vdev_destroy_all(struct vm *vm);

#endif
