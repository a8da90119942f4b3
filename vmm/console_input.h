/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keyboard's way to a VM or to the monitor: between console.c, which knows
 * the streams, and console_input.c, which knows the keys.
 */
#pragma once

#include "vmm/console.h"

/* The key of the n-th stream, or 0. */
char console_input_name(unsigned index);
/*
 * Takes what came in, as far as it finds room; true: there may be more.
 * console_poll's, with the walk lock and no other.
 */
bool console_input_poll(unsigned (*try_read)(u8 *data, unsigned len), u64 now);
/* Wakes the monitor if it has the keyboard and anything to do. No locks held. */
void console_input_wake(bool disturbed);

/* From console.c: its lock. */
void console_lock(void);
void console_unlock(void);
