/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real mode for a 32-bit program: runs a piece of 16-bit code that was
 * assembled to stand at 0:REAL_CODE, and comes back. Memory below 64 KiB from
 * 0600h on belongs to this: the switch code at 7000h, REAL_CODE, a stack.
 */
#ifndef GUEST_LIB_REAL_H
#define GUEST_LIB_REAL_H

#include "guest/lib/types.h"

#define REAL_CODE 0x8000

/*
 * Copies the code to 0:8000h and calls it (it ends by RETF) in real mode with
 * flags 2, SS:SP = 0:7000h and DS = ES = FS = GS = 0; returns its EAX. Needs paging off
 * and interrupts off. With `big`, data segments keep 4 GiB limits (big real mode).
 */
u32 real_call(const void *code, size_t size, bool big);

/* real.asm: the switch, assembled for 7000h. */
extern const u8 real_switch[], real_switch_end[];

#endif
