/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest physical map, the same for every VM.
 *
 *   0            - 0009FFFF   RAM
 *   000A0000     - 000BFFFF   nothing (VGA window)
 *   000C0000     - 000DFFFF   no option ROM: reads as FFh
 *   000E0000     - 000FFFFF   ACPI tables, or the BIOS's alias
 *   00100000     - low top    RAM, up to BFFFFFFF
 *   C0000000     - DFFFFFFF   32-bit PCI window
 *   E0000000     - EFFFFFFF   ECAM, 256 buses
 *   F0000000     - FEBFFFFF   32-bit PCI window
 *   FEC00000     - FEC00FFF   IOAPIC
 *   FEE00000     - FEE00FFF   local APIC
 *   ...          - FFFFFFFF   flash, ending at 4 GiB
 *   1_00000000   - high top   the remaining RAM
 *   above        -            64-bit PCI window
 */
#pragma once

#include "arch/lib/bits.h"

#define GUEST_LOW_RAM_END   0x000A0000ull
#define GUEST_ROM_BASE	    0x000C0000ull
#define GUEST_BIOS_BASE	    0x000E0000ull
#define GUEST_BIOS_SIZE	    0x00020000ull
#define GUEST_RAM_1M	    0x00100000ull
#define GUEST_RAM_LOW_MAX   0xC0000000ull
#define GUEST_LAPIC_BASE    0xFEE00000ull
#define GUEST_RAM_4G	    0x100000000ull
