/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest physical map, the same for every VM.
 *
 *   0            - 0009FFFF   RAM
 *   000A0000     - 000BFFFF   nothing (VGA window)
 *   000C0000     - 000DFFFF   no option ROM: reads as FFh
 *   000E0000     - 000EFFFF   ACPI tables, which the guest may write (its FACS), or
 *   000E0000     - 000FFFFF   the BIOS's alias
 *   00100000     - low top    RAM, up to BFFFFFFF
 *   C0000000     - DFFFFFFF   32-bit PCI window
 *   E0000000     - EFFFFFFF   ECAM, 256 buses
 *   F0000000     - FEBFFFFF   32-bit PCI window
 *   FEC00000     - FEC00FFF   IOAPIC
 *   FEE00000     - FEE00FFF   local APIC
 *   ...          - FFFFFFFF   flash, ending at 4 GiB
 *   1_00000000   - high top   the remaining RAM
 *   above        -            64-bit PCI window, from the next GiB on
 *
 * Of ports, C000-FFFF are a window of the PCI's, and 600-60F ACPI's.
 */
#pragma once

#include "arch/lib/bits.h"

#define GUEST_LOW_RAM_END   0x000A0000ull
#define GUEST_ROM_BASE	    0x000C0000ull
#define GUEST_BIOS_BASE	    0x000E0000ull
#define GUEST_BIOS_SIZE	    0x00020000ull
#define GUEST_ACPI_SIZE	    0x00010000ull /* from GUEST_BIOS_BASE on */
#define GUEST_RAM_1M	    0x00100000ull
#define GUEST_RAM_LOW_MAX   0xC0000000ull
#define GUEST_PCI32_BASE    0xC0000000ull /* the first 32-bit window */
#define GUEST_PCI32_SIZE    0x20000000ull
#define GUEST_ECAM_BASE	    0xE0000000ull
#define GUEST_ECAM_SIZE	    0x10000000ull
#define GUEST_PCI32B_BASE   0xF0000000ull /* the second */
#define GUEST_PCI32B_SIZE   0x0EC00000ull
#define GUEST_IOAPIC_BASE   0xFEC00000ull
#define GUEST_LAPIC_BASE    0xFEE00000ull
#define GUEST_RAM_4G	    0x100000000ull
#define GUEST_PCI64_MAX	    GIB(32)

#define GUEST_PCI_PORT	    0xC000u
#define GUEST_PCI_PORTS	    0x4000u
#define GUEST_PM_PORT	    0x600u

/*
 * The 64-bit PCI window of a VM: it depends on the RAM above 4 GiB, and on how many
 * bits a physical address has for the guest; size 0 where those leave no room.
 */
static inline u64 guest_pci64_base(u64 ram_above_4g)
{
	return ALIGN_UP(GUEST_RAM_4G + ram_above_4g, GIB(1));
}
static inline u64 guest_pci64_size(u64 ram_above_4g, unsigned address_bits)
{
	u64 base = guest_pci64_base(ram_above_4g), top = BIT(address_bits);

	return top > base ? MIN(top - base, GUEST_PCI64_MAX) : 0;
}

/* Where the interrupt pin of a PCI function arrives, 0 for INTA# to 3: the line of
 * vm_irq_line, which is the I/O APIC's input, too. The DSDT's _PRT says the same. */
static inline unsigned guest_pci_line(unsigned slot, unsigned pin)
{
	return 16 + (slot + pin) % 4;
}
