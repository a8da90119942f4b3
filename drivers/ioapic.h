/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical I/O APICs. Trivet uses no interrupt of theirs.
 */
#pragma once

#include "arch/lib/types.h"

/* Masks all pins of the I/O APIC at this address, whatever the firmware left
 * open. Boot CPU, before interrupts are first opened. */
void ioapic_mask(hpa_t address);
