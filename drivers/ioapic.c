/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs the physical I/O APICs. Source: 82093AA data sheet, "Register
 * Description".
 */
#include "drivers/ioapic.h"

#include "arch/memory.h"

enum { REGSEL = 0x00 / 4, WINDOW = 0x10 / 4 };
enum { REG_VERSION = 0x01, REG_REDIRECTION = 0x10 };

#define VERSION_LAST_PIN     BITS(23, 16)
#define REDIRECTION_MODE     BITS(10, 8)
#define REDIRECTION_LOW	     BIT(13)
#define REDIRECTION_LEVEL    BIT(15)
#define REDIRECTION_MASKED   BIT(16)
#define REDIRECTION_HIGH_CPU BITS(31, 24) /* in the second register of a pin */
#define MODE_SMI	     2
#define CPU_MAX		     254

static u32 get(volatile u32 *regs, u32 reg)
{
	regs[REGSEL] = reg;
	return regs[WINDOW];
}

static void set(volatile u32 *regs, u32 reg, u64 value)
{
	regs[REGSEL] = reg;
	regs[WINDOW] = (u32)value;
}

static u64 last_pin(volatile u32 *regs)
{
	return FIELD_GET(VERSION_LAST_PIN, get(regs, REG_VERSION));
}

/* An SMI is the firmware's own affair, and stays so. */
static bool is_smi(volatile u32 *regs, u32 reg)
{
	return FIELD_GET(REDIRECTION_MODE, get(regs, reg)) == MODE_SMI;
}

void ioapic_mask(hpa_t address)
{
	volatile u32 *regs = phys_map(address, PAGE_SIZE, PHYS_UNCACHED);

	for (u32 pin = 0; regs && pin <= last_pin(regs); pin++)
		if (!is_smi(regs, REG_REDIRECTION + 2 * pin))
			set(regs, REG_REDIRECTION + 2 * pin, REDIRECTION_MASKED);
	if (regs)
		phys_unmap((void *)regs, PAGE_SIZE);
}

int ioapic_route(const struct acpi_irq *irq, u8 vector, u32 apic_id)
{
	bool done = false;

	for (unsigned i = 0; i < acpi.ioapic_count && apic_id <= CPU_MAX && !done; i++) {
		volatile u32 *regs = phys_map(acpi.ioapics[i], PAGE_SIZE, PHYS_UNCACHED);
		u32 pin = irq->gsi - acpi.ioapic_gsi[i], reg = REG_REDIRECTION + 2 * pin;

		if (!regs)
			continue;
		done = pin <= last_pin(regs) && !is_smi(regs, reg);
		if (done) {
			set(regs, reg + 1, FIELD_PREP(REDIRECTION_HIGH_CPU, apic_id));
			set(regs, reg, vector | (irq->low ? REDIRECTION_LOW : 0) |
					(irq->level ? REDIRECTION_LEVEL : 0));
		}
		phys_unmap((void *)regs, PAGE_SIZE);
	}
	return done ? 0 : -ENODEV;
}
