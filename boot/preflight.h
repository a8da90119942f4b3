/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine must have to run guests, checked before anything is done with
 * it: each lack is a line in words.
 */
#pragma once

#include "boot/mb2.h"
#include "boot/options.h"

/* Counts as a lack: logs the line. */
void preflight_lacks(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The lack that memory_init's -ENOMEM means. */
void preflight_lacks_memory(const struct boot_info *info);

/*
 * Has the back end examine every core that runs, the boot CPU first. A lack of
 * the boot CPU is one of the machine; another core's is a warning. Returns
 * whether the machine can run guests. Behind smp_start.
 */
bool preflight_probe(void);

/* Switches virtualization on, on every core; returns on how many it is on. */
unsigned preflight_enable(void);

/* Lacks so far. */
unsigned preflight_count(void);

/* The clean stop of a machine with lacks. */
_Noreturn void preflight_stop(const struct options *options);
