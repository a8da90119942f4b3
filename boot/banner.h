/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Trivet says about the machine when it starts, one line a subject.
 */
#pragma once

#include "boot/mb2.h"

/* CPU, loader and modules, screen, memory, ACPI; behind acpi_init and memory_init. */
void banner_machine(const struct boot_info *info);

/* How many cores run and how many of them are in virtualization operation. */
void banner_cores(unsigned wanted, unsigned running, unsigned enabled);

/* The back end's capabilities: used, left unused, missing; behind virt->probe. */
void banner_virt(void);
