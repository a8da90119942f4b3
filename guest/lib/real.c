/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts the 16-bit pieces below 1 MiB and calls the switch.
 */
#include "guest/lib/real.h"

#ifndef __x86_64__
#define REAL_SWITCH 0x7000

u32 real_call(const void *code, size_t size, bool big)
{
	u32 (*enter)(u32) = (u32(*)(u32))phys(REAL_SWITCH);

	memcpy((void *)phys(REAL_SWITCH), real_switch, (size_t)(real_switch_end - real_switch));
	memcpy((void *)phys(REAL_CODE), code, size);
	return enter(big);
}
#endif
