/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Silences a physical I/O APIC. Source: 82093AA data sheet, "Register
 * Description".
 */
#include "drivers/ioapic.h"

#include "arch/lib/bits.h"
#include "arch/memory.h"

enum { REGSEL = 0x00 / 4, WINDOW = 0x10 / 4 };
enum { REG_VERSION = 0x01, REG_REDIRECTION = 0x10 };

#define VERSION_LAST_PIN   BITS(23, 16)
#define REDIRECTION_MODE   BITS(10, 8)
#define REDIRECTION_MASKED BIT(16)
#define MODE_SMI	   2

void ioapic_mask(hpa_t address)
{
	volatile u32 *regs = phys_map(address, PAGE_SIZE, PHYS_UNCACHED);
	u32 last;

	if (!regs)
		return;
	regs[REGSEL] = REG_VERSION;
	last = FIELD_GET(VERSION_LAST_PIN, regs[WINDOW]);
	for (u32 pin = 0; pin <= last; pin++) {
		regs[REGSEL] = REG_REDIRECTION + 2 * pin;
		/* An SMI is the firmware's own affair, and stays so. */
		if (FIELD_GET(REDIRECTION_MODE, regs[WINDOW]) != MODE_SMI)
			regs[WINDOW] = REDIRECTION_MASKED;
	}
	phys_unmap((void *)regs, PAGE_SIZE);
}
