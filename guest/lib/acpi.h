/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the ACPI tables of the machine. "Advanced Configuration and Power
 * Interface Specification", "ACPI Software Programming Model".
 */
#ifndef GUEST_LIB_ACPI_H
#define GUEST_LIB_ACPI_H

#include "guest/lib/types.h"

struct acpi_table {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision;
	char creator[4];
	u32 creator_revision;
	u8 body[];
} __attribute__((packed));

/* The RSDP, found where a PC's firmware leaves it and its checksum right, or NULL. */
const u8 *acpi_rsdp(void);
/* A table by its signature, by XSDT or RSDT; NULL where there is none or its sum is wrong. */
const struct acpi_table *acpi_find(const char *signature);
/*
 * The next entry of one type of the MADT's list behind `after` (NULL: the first), or
 * NULL. entry[0] is its type, entry[1] its length.
 */
const u8 *acpi_madt_next(const u8 *after, u8 type);
/* Sum of bytes: 0 for whatever carries a checksum. */
u8 acpi_sum(const void *from, size_t size);

#endif
