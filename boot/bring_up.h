/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's hardware, one subject a call, in the order in which boot_main
 * makes them: each hands what boot loader, options and firmware tables say to
 * the drivers, which know nothing of those.
 */
#ifndef BOOT_BRING_UP_H
#define BOOT_BRING_UP_H

#include "boot/mb2.h"
#include "boot/options.h"

/* The screen becomes a log sink, if there is one that can show text. Behind
 * memory_init. */
void bring_up_screen(const struct boot_info *info);

/* Reads the ACPI tables, from the loader's RSDP or, under a BIOS, one that is
 * searched for; says so when there are none. */
void bring_up_acpi(const struct boot_info *info);

/* Local APIC, TSC frequency, timer. A machine without an APIC lacks it
 * (boot/preflight.h). */
void bring_up_clock(const struct options *options);

/* Starts the other cores, as many as the option cpus= allows; returns how many
 * there are in the tables. */
unsigned bring_up_cores(const struct options *options);

#endif
