/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C side of boot/entry.asm.
 */
#pragma once

#include "arch/lib/types.h"

/*
 * Brings Trivet up; on the boot CPU's stack, interrupts off, the tables of
 * entry.asm loaded. mbi is the physical address of the multiboot2 information,
 * below 4 GiB and so in the early direct area.
 */
_Noreturn void boot_main(u64 mbi);
