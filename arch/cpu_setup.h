/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control registers and memory types that every CPU runs Trivet with.
 */
#pragma once

#include "arch/lib/types.h"

/* IA32_PAT in Trivet: by PWT and PCD, write-back, write-combining, UC-, UC. */
#define CPU_PAT 0x0007010600070106ull

/* SMAP is on: read by the trap entry and by arch/window.c. */
extern u8 cpu_smap;

/*
 * Sets CR0, CR4, XCR0, EFER and PAT of this CPU: write protection, NX, SMEP,
 * SMAP, UMIP and XSAVE where present; no PCID, protection keys or global pages.
 */
void cpu_setup(void);
