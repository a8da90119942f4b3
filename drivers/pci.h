/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical PCI's configuration space by mechanism 1, which every PC has:
 * enough to find a device and where it answers. Source: PCI Local Bus
 * Specification, "Configuration Space" and "Software Generation of
 * Configuration Transactions".
 */
#pragma once

#include "arch/lib/types.h"

/* Class 07h, subclass 00h, interface 02h: a 16550-compatible serial controller. */
#define PCI_CLASS_16550 0x070002

/* Where a base address register points. */
struct pci_bar {
	bool memory; /* else I/O ports */
	u64 base; /* 0: none */
};

/*
 * Finds the first function of this class code (24 bits) by bus, device and
 * function whose first base address register has been given an address,
 * switches its decoder for that kind of address on, and stores where it is;
 * base 0 when there is none. Boot CPU.
 */
void pci_find(u32 class_code, struct pci_bar *bar);
