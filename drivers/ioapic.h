/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical I/O APICs: all inputs are masked but the few that Trivet uses.
 */
#pragma once

#include "drivers/acpi.h"

/* Masks all pins of the I/O APIC at this address, whatever the firmware left
 * open. Boot CPU, before interrupts are first opened. */
void ioapic_mask(hpa_t address);

/*
 * Opens the input on which an interrupt arrives, as acpi.irq states it: `vector`
 * goes to the CPU with this APIC id. 0, or -ENODEV with no I/O APIC for it, for
 * an input that the firmware uses for an SMI, and an id above 254. Boot CPU.
 */
int ioapic_route(const struct acpi_irq *irq, u8 vector, u32 apic_id);
