/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical PCI's configuration space by mechanism 1, which every PC has, and
 * of further segments by memory (ECAM): enough to find a device and where it answers,
 * and to keep devices from memory. Source: PCI Local Bus Specification,
 * "Configuration Space" and "Software Generation of Configuration Transactions"; PCI
 * Express Base Specification, "Enhanced Configuration Access Mechanism".
 */
#pragma once

#include "arch/lib/types.h"

/* Class 07h, subclass 00h, interface 02h: a 16550-compatible serial controller. */
#define PCI_CLASS_16550 0x070002

/* Some buses of a segment. */
struct pci_segment {
	hpa_t ecam; /* of bus 0, whether that is among them or not; 0: by mechanism 1 */
	u16 number;
	u8 first, last; /* first <= last */
};

/* Segment 0, all of it. */
extern const struct pci_segment pci_first_segment;

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

/*
 * Switches bus mastering off at every function of these buses that is no bridge and that Trivet does
 * not drive: it drives the I/O APICs, and the display that shows `screen` (0: none is used). What a
 * device wrote before has arrived in memory when this returns, for the answer to a configuration
 * access does not overtake it ("Transaction Ordering"). Returns how many it was; each is told in the
 * log, and any that cannot be stopped. Boot CPU; memory is needed for ECAM only.
 */
unsigned pci_silence(const struct pci_segment *segment, hpa_t screen);
