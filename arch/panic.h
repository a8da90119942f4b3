/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of Trivet after a bug of its own; panic() itself is in
 * arch/lib/log.h.
 */
#pragma once

#include "arch/trap.h"

/* panic for an exception: its name and place, then the registers. */
_Noreturn void panic_trap(const struct trap_frame *frame);

/* Where a function ends that finds the guard word on its stack changed: the compiler calls it. */
_Noreturn void __stack_chk_fail(void);

/* What an NMI is for: halts the CPU when another one panics, and is true on that one, which goes
 * on. False: no panic, the NMI is somebody's alarm. On the NMI stack. */
bool panic_nmi(void);

/* What panic calls besides: first stop_others, when the text is out flush. Each
 * may be NULL and may be set at any time. */
extern void (*panic_stop_others)(void);
extern void (*panic_flush)(void);
