/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the module list to running VMs.
 */
#pragma once

#include "boot/mb2.h"

/*
 * Builds the VMs that the modules' words describe; what is wrong with one is
 * logged, and the others go on. Returns how many stand. Behind preflight.
 */
unsigned guests_create(const struct boot_info *info);

/* Runs them until the last has ended. */
void guests_run(void);
