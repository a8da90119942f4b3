/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables that a guest finds: RSDP, XSDT, FADT with FACS, MADT, MCFG and
 * DSDT (vmm/dsdt.asl), for the machine that vmm/guestmap.h draws. They stand from
 * GUEST_BIOS_BASE on. Source: ACPI Specification 6.3.
 */
#pragma once

#include "arch/lib/types.h"

struct vm;

struct acpi_config {
	unsigned cpus;		     /* their local APICs' ids are 0 to cpus - 1 */
	u64 pci64_base, pci64_size;  /* the 64-bit PCI window; size 0: none */
};

/*
 * Writes the tables; in the VM's space. Where the RSDP stands, or 0 where that is no
 * RAM, or for more CPUs than VM_VCPUS_MAX.
 */
u64 acpi_write(struct vm *vm, const struct acpi_config *config);
