/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the module list to running VMs.
 */
#pragma once

#include "boot/mb2.h"

/*
 * Reads the modules' words into machines; what is wrong with one is logged, and
 * the others go on. smt: second threads of a core run VMs too. Returns how many
 * there are. Behind preflight.
 */
unsigned guests_create(const struct boot_info *info, bool smt);

/* Starts them all and runs them on all CPUs; comes back, if leave, once all have ended. */
void guests_run(bool leave);

