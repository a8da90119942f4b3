/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's own ACPI tables: what Trivet wants to know of them, read once
 * at the start into one struct. Firmware tables are input like any other: each
 * length is checked against its table, each table against its checksum, and
 * the tables are reached through a callback only, so the same parser is tested
 * and fuzzed on a host. Sources: ACPI Specification, "ACPI Software
 * Programming Model" (RSDP, RSDT, XSDT, FADT, MADT) and "ACPI Machine Language
 * (AML) Specification"; IA-PC HPET Specification, "The ACPI 2.0 HPET
 * Description Table"; Microsoft, "Serial Port Console Redirection Table"; PCI
 * Firmware Specification, "MCFG Table Description".
 */
#pragma once

#include "arch/tsc.h"
#include "drivers/pci.h"
#include "drivers/uart.h"

#define ACPI_CPU_MAX   256
#define ACPI_IOAPIC_MAX 16
#define ACPI_TABLE_MAX 48
#define ACPI_SEGMENT_MAX 64

/*
 * How to reach physical memory. map returns len readable bytes or NULL; what
 * it returned is given back with the same len.
 */
struct acpi_memory {
	const void *(*map)(hpa_t hpa, size_t len);
	void (*unmap)(const void *bytes, size_t len);
};

/* Where an ISA interrupt arrives among all inputs of the I/O APICs, and how. */
struct acpi_irq {
	u32 gsi;
	bool low, level; /* active low; level-triggered. ISA's own: high, edge. */
};

#define ACPI_ISA_IRQS 16

/* A field that no table states is 0. */
struct acpi_info {
	u8 revision; /* of the RSDP: 0 for ACPI 1.0, else 2 or more */
	char oem[7];
	unsigned bad_tables; /* left out: unreadable, wrong length or checksum */
	unsigned table_count;
	char tables[ACPI_TABLE_MAX][5]; /* signatures */

	bool have_madt;
	unsigned cpu_count; /* enabled ones, each once, in the order of the MADT */
	unsigned cpus_dropped; /* enabled, beyond ACPI_CPU_MAX */
	u32 apic_ids[ACPI_CPU_MAX];
	unsigned ioapic_count;
	hpa_t ioapics[ACPI_IOAPIC_MAX];
	u32 ioapic_gsi[ACPI_IOAPIC_MAX]; /* of its first input */
	struct acpi_irq irq[ACPI_ISA_IRQS]; /* each stated, by a table or by default */

	hpa_t dsdt;
	u16 smi_cmd;
	u8 acpi_enable;
	u16 pm1a_cnt, pm1b_cnt;
	u8 century; /* CMOS register that holds it */

	bool have_s5;
	u8 s5_typ_a, s5_typ_b; /* SLP_TYP of the soft-off state */

	struct tsc_sources clocks;
	struct uart_place serial; /* the firmware's console; base 0: none */
	u32 serial_baud;

	unsigned segment_count; /* of the PCI beside segment 0, which needs no table */
	struct pci_segment segments[ACPI_SEGMENT_MAX];
	unsigned segments_dropped; /* beyond these */
};

/* True when the len bytes at p hold a valid RSDP, old or new. */
bool acpi_rsdp_valid(const void *p, size_t len);

/*
 * Looks for the RSDP where a BIOS keeps it: the first KiB of the EBDA, then
 * E0000h-FFFFFh. Copies up to 36 bytes to rsdp; returns their count or 0.
 */
size_t acpi_rsdp_search(const struct acpi_memory *memory, u8 rsdp[36]);

/*
 * Reads all tables below the RSDP (len bytes, a copy). Returns 0, or -EINVAL
 * for an RSDP that is not valid, -ENOENT for root tables that are not; *info
 * is zeroed first, and holds what could be read.
 */
int acpi_parse(const struct acpi_memory *memory, const void *rsdp, size_t len,
	       struct acpi_info *info);

/*
 * Finds the \_S5 package in len bytes of AML and stores SLP_TYPa and SLP_TYPb.
 * Returns false when there is none that can be read.
 */
bool acpi_find_s5(const u8 *aml, size_t len, u8 *typ_a, u8 *typ_b);

/*
 * The physical machine's tables; empty before acpi_init, which takes the RSDP
 * copied from the boot loader's tags (len 0: none; then it is searched for).
 * Returns as acpi_parse, or -ENOENT where no RSDP was found. Boot CPU, once.
 */
extern struct acpi_info acpi;
int acpi_init(const void *rsdp, size_t len);
