/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Switching the physical machine off, and resetting it.
 */
#pragma once

#include "arch/lib/types.h"

/*
 * Enters the ACPI state S5 with what acpi_init found: ACPI mode is switched on
 * first where it is off. Returns only if that is not possible or did not help
 * within a second. ACPI Specification, "Transitioning from the Working to the
 * Soft Off State". Any CPU.
 */
void power_off(void);

/* By the chipset's port CF9h, the keyboard controller, or a triple fault. Any CPU. */
_Noreturn void power_reset(void);

/* Writes the bytes "Shutdown" to a port: an emulator's switch. */
void power_exit_port(u16 port);
