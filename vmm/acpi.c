/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables as constants, with what differs from VM to VM filled in. Section titles
 * are those of the ACPI Specification 6.3, chapter "ACPI Software Programming
 * Model"; MCFG is the PCI Firmware Specification's. Always 0 are fields for what
 * the machine lacks: SMM (so it is in ACPI mode always), sleep but S5, C-states but
 * C1, throttling, general-purpose events.
 */
#include "vmm/acpi.h"

#include "arch/lib/string.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"
#include "vmm/vm.h"

/* Where everything stands; VARS_AT is known to the DSDT. */
enum { RSDP_AT = GUEST_BIOS_BASE, VARS_AT = RSDP_AT + 0x40, FACS_AT = RSDP_AT + 0x80,
       XSDT_AT = RSDP_AT + 0x100, FADT_AT = RSDP_AT + 0x200, MCFG_AT = RSDP_AT + 0x400,
       MADT_AT = RSDP_AT + 0x500, DSDT_AT = RSDP_AT + 0x1000 };

#define SCI	 9
#define CF9_FULL 0x0e /* a hard reset with a power cycle */
#define CENTURY	 0x32 /* of CMOS */

static const u8 dsdt[] = {
#include "dsdt.inc"
};

struct rsdp {
	char signature[8];
	u8 checksum; /* of what follows up to rsdt */
	char oem[6];
	u8 revision;
	u32 rsdt, length;
	u64 xsdt;
	u8 extended_checksum, reserved[3];
} __attribute__((packed));

/* "System Description Table Header" */
struct header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], table[8];
	u32 oem_revision;
	char creator[4];
	u32 creator_revision;
} __attribute__((packed));

#define HEADER(name, rev, size)                                                                   \
	{.signature = name, .length = size, .revision = rev, .oem = "TRIVET", .table = "TRIVET",  \
	 .oem_revision = 1, .creator = "TRVT", .creator_revision = 1}

struct xsdt {
	struct header header;
	u64 entry[3];
} __attribute__((packed));

static const struct xsdt xsdt = {HEADER("XSDT", 1, sizeof(xsdt)), {FADT_AT, MADT_AT, MCFG_AT}};

/* "Generic Address Structure" */
struct place {
	u8 space, bits, offset, access;
	u64 address;
} __attribute__((packed));

enum { SPACE_IO = 1 };
enum { ACCESS_BYTE = 1, ACCESS_WORD = 2, ACCESS_DWORD = 3 };

/* "Fixed ACPI Description Table (FADT)" */
struct fadt {
	struct header header;
	u32 facs, dsdt;
	u8 reserved, profile;
	u16 sci;
	u32 smi_cmd;
	u8 smi_values[4]; /* to SMI_CMD */
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	u8 cst_value;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_arch;
	u8 reserved2;
	u32 flags;
	struct place reset;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor;
	u64 x_facs, x_dsdt;
	struct place x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1, sleep_control, sleep_status;
	char hypervisor[8];
} __attribute__((packed));

_Static_assert(sizeof(struct fadt) == 276, "FADT of revision 6");

/* "IA-PC Boot Architecture Flags": no 8042, since its keyboard is not there. */
enum { BOOT_LEGACY_DEVICES = BIT(0), BOOT_NO_VGA = BIT(2) };
/* "Fixed Feature Flags": the power button is fixed hardware, the sleep button and the RTC's
 * wake status are not. The TSC is a better clock than the PM timer: no USE_PLATFORM_CLOCK. */
enum { FADT_WBINVD = BIT(0), FADT_PROC_C1 = BIT(2), FADT_SLP_BUTTON = BIT(5), FADT_FIX_RTC = BIT(6),
       FADT_TMR_VAL_EXT = BIT(8), FADT_RESET_REG_SUP = BIT(10) };
/* Higher latencies than these say that there is no such state. */
enum { NO_C2 = 101, NO_C3 = 1001 };

static const struct fadt fadt = {
	.header = HEADER("FACP", 6, sizeof(fadt)), .minor = 3,
	.facs = FACS_AT, .dsdt = DSDT_AT, .x_dsdt = DSDT_AT, /* one address of a FACS is allowed */
	.sci = SCI,
	.pm1a_evt = GUEST_PM_PORT, .pm1_evt_len = 4, .pm1a_cnt = GUEST_PM_PORT + 4,
	.pm1_cnt_len = 2, .pm_tmr = GUEST_PM_PORT + 8, .pm_tmr_len = 4,
	.x_pm1a_evt = {SPACE_IO, 32, 0, ACCESS_WORD, GUEST_PM_PORT},
	.x_pm1a_cnt = {SPACE_IO, 16, 0, ACCESS_WORD, GUEST_PM_PORT + 4},
	.x_pm_tmr = {SPACE_IO, 32, 0, ACCESS_DWORD, GUEST_PM_PORT + 8},
	.c2_latency = NO_C2, .c3_latency = NO_C3, .century = CENTURY,
	.boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
	.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
		 FADT_RESET_REG_SUP,
	.reset = {SPACE_IO, 8, 0, ACCESS_BYTE, 0xcf9}, .reset_value = CF9_FULL,
	.hypervisor = "TRIVET",
};

/* "Firmware ACPI Control Structure (FACS)": for the global lock, which nobody else takes. */
static const struct {
	char signature[4];
	u32 length, hardware, waking_vector, lock, flags;
	u64 x_waking_vector;
	u8 version, reserved[31];
} __attribute__((packed)) facs = {.signature = "FACS", .length = sizeof(facs), .version = 2};

_Static_assert(sizeof(facs) == 64, "FACS");

struct mcfg {
	struct header header;
	u64 reserved, base;
	u16 segment;
	u8 first_bus, last_bus;
	u32 reserved2;
} __attribute__((packed));

static const struct mcfg mcfg = {
	HEADER("MCFG", 1, sizeof(mcfg)), .base = GUEST_ECAM_BASE, .last_bus = 255,
};

_Static_assert(GUEST_ECAM_SIZE == MIB(256), "1 MiB for each bus");

/* "Multiple APIC Description Table (MADT)", its entries in an order of no meaning */
struct madt {
	struct header header;
	u32 lapic, flags;
	struct {
		u8 type, length, id, reserved;
		u32 address, gsi;
	} __attribute__((packed)) ioapic;
	struct {
		u8 type, length, bus, irq;
		u32 gsi;
		u16 flags;
	} __attribute__((packed)) isa[2];
	struct {
		u8 type, length, cpu;
		u16 flags;
		u8 lint;
	} __attribute__((packed)) nmi;
	struct madt_cpu {
		u8 type, length, uid, id;
		u32 flags;
	} __attribute__((packed)) cpu[VM_VCPUS_MAX];
} __attribute__((packed));

enum { MADT_CPU = 0, MADT_IOAPIC = 1, MADT_ISA = 2, MADT_LAPIC_NMI = 4 };
enum { MADT_PCAT_COMPAT = BIT(0), CPU_ENABLED = BIT(0), ALL_CPUS = 0xff };
enum { AS_THE_BUS = 0, HIGH_LEVEL = 0x0d /* active high, level-triggered */ };

_Static_assert(MADT_AT + sizeof(struct madt) <= DSDT_AT, "no overlap");
_Static_assert(DSDT_AT + sizeof(dsdt) <= GUEST_BIOS_BASE + GUEST_ACPI_SIZE, "within its region");

static const struct madt madt = {
	.header = HEADER("APIC", 5, 0), .lapic = GUEST_LAPIC_BASE, .flags = MADT_PCAT_COMPAT,
	.ioapic = {MADT_IOAPIC, sizeof(madt.ioapic), .address = GUEST_IOAPIC_BASE},
	.isa = {{MADT_ISA, sizeof(madt.isa[0]), .irq = 0, .gsi = 2, .flags = AS_THE_BUS},
		{MADT_ISA, sizeof(madt.isa[0]), .irq = SCI, .gsi = SCI, .flags = HIGH_LEVEL}},
	.nmi = {MADT_LAPIC_NMI, sizeof(madt.nmi), ALL_CPUS, .lint = 1},
};

/* What makes the sum of all bytes 0. */
static u8 checksum(const void *bytes, size_t len)
{
	u8 sum = 0;

	for (size_t i = 0; i < len; i++)
		sum -= ((const u8 *)bytes)[i];
	return sum;
}

static bool put_rsdp(struct vm *vm)
{
	struct rsdp rsdp = {.signature = "RSD PTR ", .oem = "TRIVET", .revision = 2,
			    .length = sizeof(rsdp), .xsdt = XSDT_AT};

	rsdp.checksum = checksum(&rsdp, offsetof(struct rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	return !guest_write(vm, GPA(RSDP_AT), &rsdp, sizeof(rsdp));
}

/* A table at its place; its header comes with the sum over both. */
static bool put_table(struct vm *vm, u64 at, const void *table)
{
	struct header header = *(const struct header *)table;

	header.checksum += checksum(table, header.length);
	return !guest_write(vm, GPA(at), table, header.length) &&
	       !guest_write(vm, GPA(at), &header, sizeof(header));
}

static bool put_madt(struct vm *vm, unsigned cpus)
{
	struct madt table = madt;

	if (cpus > VM_VCPUS_MAX)
		return false;
	for (unsigned i = 0; i < cpus; i++)
		table.cpu[i] = (struct madt_cpu){MADT_CPU, sizeof(table.cpu[i]), i, i, CPU_ENABLED};
	table.header.length = offsetof(struct madt, cpu) + cpus * sizeof(table.cpu[0]);
	return put_table(vm, MADT_AT, &table);
}

u64 acpi_write(struct vm *vm, const struct acpi_config *config)
{
	const u64 vars[] = {config->pci64_base, config->pci64_size};
	bool done = put_rsdp(vm) && put_table(vm, XSDT_AT, &xsdt) && put_table(vm, FADT_AT, &fadt) &&
		    put_table(vm, MCFG_AT, &mcfg) && put_madt(vm, config->cpus) &&
		    !guest_write(vm, GPA(DSDT_AT), dsdt, sizeof(dsdt)) &&
		    !guest_write(vm, GPA(VARS_AT), vars, sizeof(vars)) &&
		    !guest_write(vm, GPA(FACS_AT), &facs, sizeof(facs));

	return done ? RSDP_AT : 0;
}
