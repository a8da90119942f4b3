/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI table parser. No AML is interpreted: the one object that a clean
 * power-off needs, \_S5, is found by its encoding, which every compiler emits
 * the same way because it must be a constant package. Each table is mapped,
 * read and unmapped; nothing points into firmware memory afterwards.
 */
#include "drivers/acpi.h"

#include "arch/lib/string.h"
#include "arch/memory.h"

#define HEADER_SIZE  36
#define TABLE_LIMIT  MIB(8) /* no sane table is larger; bounds the checksum's time */
#define RSDP_V1_SIZE 20
#define RSDP_V2_SIZE 36

#define EBDA_SEGMENT 0x40e /* BIOS data area: segment of the EBDA */
#define BIOS_START   0xe0000
#define BIOS_SIZE    0x20000

/* Offsets in the FADT. */
enum { FADT_DSDT = 40, FADT_SMI_CMD = 48, FADT_ACPI_ENABLE = 52, FADT_PM1A_CNT = 64,
       FADT_PM1B_CNT = 68, FADT_PM_TMR = 76, FADT_CENTURY = 108, FADT_FLAGS = 112,
       FADT_X_DSDT = 140, FADT_X_PM1A_CNT = 172, FADT_X_PM1B_CNT = 184, FADT_X_PM_TMR = 208 };

#define FADT_FLAG_TMR_VAL_EXT BIT(8)

/* Of a generic address: space, register's width in bits, access size by its code, address. */
enum { GAS_SPACE = 0, GAS_WIDTH = 1, GAS_ACCESS = 3, GAS_ADDRESS = 4 };
enum { GAS_SPACE_MEMORY = 0, GAS_SPACE_IO = 1, GAS_ACCESS_BYTE = 1 };

enum { MADT_LOCAL_APIC = 0, MADT_IO_APIC = 1, MADT_OVERRIDE = 2, MADT_LOCAL_X2APIC = 9 };

#define MADT_ENABLED  BIT(0)
#define MADT_POLARITY BITS(1, 0)
#define MADT_TRIGGER  BITS(3, 2)
#define MADT_CONTRARY 3 /* low, or level; the others are or mean ISA's own */

enum { SPCR_INTERFACE = 36, SPCR_BASE = 40, SPCR_BAUD = 58 };
enum { SPCR_16450 = 0x01, SPCR_16550_GAS = 0x12 }; /* and 00h, a 16550 */

enum { AML_ZERO = 0x00, AML_ONE = 0x01, AML_NAME = 0x08, AML_BYTE = 0x0a, AML_DWORD = 0x0c,
       AML_PACKAGE = 0x12, AML_ROOT = '\\', AML_ONES = 0xff };

struct acpi_info acpi;

/* A table in reach: all its reads are checked; beyond the end stand zeroes. */
struct view {
	const u8 *bytes;
	size_t len;
};

static u64 view_get(const struct view *view, size_t offset, unsigned size)
{
	u64 value = 0;

	if (offset > view->len || size > view->len - offset)
		return 0;
	for (unsigned i = 0; i < size; i++)
		value |= (u64)view->bytes[offset + i] << 8 * i;
	return value;
}

static bool checksum_ok(const u8 *bytes, size_t len)
{
	u8 sum = 0;

	while (len--)
		sum += *bytes++;
	return sum == 0;
}

bool acpi_rsdp_valid(const void *p, size_t len)
{
	return len >= RSDP_V1_SIZE && memcmp(p, "RSD PTR ", 8) == 0 &&
	       checksum_ok(p, RSDP_V1_SIZE);
}

static size_t search_range(const struct acpi_memory *memory, u64 start, size_t size,
			   u8 rsdp[RSDP_V2_SIZE])
{
	const u8 *bytes = memory->map(HPA(start), size);
	size_t found = 0;

	if (!bytes)
		return 0;
	for (size_t i = 0; i + RSDP_V1_SIZE <= size && !found; i += 16) {
		if (acpi_rsdp_valid(bytes + i, size - i)) {
			found = MIN(size - i, (size_t)RSDP_V2_SIZE);
			memcpy(rsdp, bytes + i, found);
		}
	}
	memory->unmap(bytes, size);
	return found;
}

size_t acpi_rsdp_search(const struct acpi_memory *memory, u8 rsdp[RSDP_V2_SIZE])
{
	const u8 *segment = memory->map(HPA(EBDA_SEGMENT), 2);
	size_t found = 0;
	u64 ebda = segment ? (u64)(segment[0] | segment[1] << 8) << 4 : 0;

	if (segment)
		memory->unmap(segment, 2);
	if (ebda >= 0x400)
		found = search_range(memory, ebda, 1024, rsdp);
	return found ? found : search_range(memory, BIOS_START, BIOS_SIZE, rsdp);
}

/* The data at *at as an integer constant; *at moves behind it. */
static bool aml_constant(const struct view *aml, size_t *at, u8 *value)
{
	u8 op = (u8)view_get(aml, *at, 1);
	size_t size = op >= AML_BYTE && op <= AML_DWORD ? 1u << (op - AML_BYTE) : 0;

	if (*at >= aml->len || size >= aml->len - *at ||
	    (!size && op != AML_ZERO && op != AML_ONE && op != AML_ONES))
		return false;
	*value = size ? aml->bytes[*at + 1] : op;
	*at += 1 + size;
	return true;
}

/* Whether a NameOp, with or without the root prefix, stands before `at`. */
static bool aml_is_named(const struct view *aml, size_t at)
{
	if (at >= 1 && aml->bytes[at - 1] == AML_ROOT)
		at--;
	return at >= 1 && aml->bytes[at - 1] == AML_NAME;
}

bool acpi_find_s5(const u8 *bytes, size_t len, u8 *typ_a, u8 *typ_b)
{
	struct view aml = {bytes, len};

	for (size_t i = 0; i + 7 <= len; i++) {
		size_t at = i + 5;
		u8 a, b;

		if (bytes[i] != '_' || memcmp(bytes + i, "_S5_", 4) != 0 ||
		    bytes[i + 4] != AML_PACKAGE || !aml_is_named(&aml, i))
			continue;
		/* PkgLength: bits 7:6 of its first byte count the bytes that follow it. */
		at += 1 + (bytes[at] >> 6);
		if (view_get(&aml, at++, 1) < 1 || !aml_constant(&aml, &at, &a))
			continue;
		/* A package of one element states only SLP_TYPa. */
		if (!aml_constant(&aml, &at, &b))
			b = a;
		*typ_a = a & 7;
		*typ_b = b & 7;
		return true;
	}
	return false;
}

static void add_cpu(struct acpi_info *info, u32 apic_id, u32 flags)
{
	/* All ones is everybody. */
	if (!(flags & MADT_ENABLED) || apic_id == ~0u)
		return;
	/* A CPU with a small id may stand in both forms. */
	for (unsigned i = 0; i < info->cpu_count; i++)
		if (info->apic_ids[i] == apic_id)
			return;
	if (info->cpu_count == ACPI_CPU_MAX)
		info->cpus_dropped++;
	else
		info->apic_ids[info->cpu_count++] = apic_id;
}

static void add_ioapic(struct acpi_info *info, const struct view *t, size_t at)
{
	if (info->ioapic_count == ACPI_IOAPIC_MAX)
		return;
	info->ioapic_gsi[info->ioapic_count] = (u32)view_get(t, at + 8, 4);
	info->ioapics[info->ioapic_count++] = HPA(view_get(t, at + 4, 4));
}

static void add_override(struct acpi_info *info, const struct view *t, size_t at)
{
	u64 bus = view_get(t, at + 2, 1), irq = view_get(t, at + 3, 1);
	u64 flags = view_get(t, at + 8, 2);

	if (bus == 0 && irq < ACPI_ISA_IRQS)
		info->irq[irq] = (struct acpi_irq){
			.gsi = (u32)view_get(t, at + 4, 4),
			.low = FIELD_GET(MADT_POLARITY, flags) == MADT_CONTRARY,
			.level = FIELD_GET(MADT_TRIGGER, flags) == MADT_CONTRARY,
		};
}

static void read_madt(struct acpi_info *info, const struct view *t)
{
	if (info->have_madt)
		return;
	info->have_madt = true;
	for (size_t at = 44, size; at + 2 <= t->len; at += size) {
		u8 type = t->bytes[at];

		size = t->bytes[at + 1];
		if (size < 2 || size > t->len - at)
			return;
		if (type == MADT_LOCAL_APIC && size >= 8 && t->bytes[at + 3] != 0xff)
			add_cpu(info, t->bytes[at + 3], (u32)view_get(t, at + 4, 4));
		else if (type == MADT_LOCAL_X2APIC && size >= 16)
			add_cpu(info, (u32)view_get(t, at + 4, 4), (u32)view_get(t, at + 8, 4));
		else if (type == MADT_IO_APIC && size >= 12)
			add_ioapic(info, t, at);
		else if (type == MADT_OVERRIDE && size >= 10)
			add_override(info, t, at);
	}
}

/* A port of the FADT: the generic address where it holds one, else the old field. */
static u16 fadt_port(const struct view *t, size_t old, size_t generic)
{
	u64 port = view_get(t, generic + GAS_ADDRESS, 8);

	if (view_get(t, generic + GAS_SPACE, 1) != GAS_SPACE_IO || !port)
		port = view_get(t, old, 4);
	return port <= 0xffff ? (u16)port : 0;
}

/* Only the first FADT counts. */
static void read_fadt(struct acpi_info *info, const struct view *t)
{
	u32 flags = (u32)view_get(t, FADT_FLAGS, 4);
	u64 smi_cmd = view_get(t, FADT_SMI_CMD, 4);

	if (info->dsdt.v)
		return;
	info->dsdt = HPA(view_get(t, FADT_X_DSDT, 8) ?: view_get(t, FADT_DSDT, 4));
	info->smi_cmd = smi_cmd <= 0xffff ? (u16)smi_cmd : 0;
	info->acpi_enable = (u8)view_get(t, FADT_ACPI_ENABLE, 1);
	info->pm1a_cnt = fadt_port(t, FADT_PM1A_CNT, FADT_X_PM1A_CNT);
	info->pm1b_cnt = fadt_port(t, FADT_PM1B_CNT, FADT_X_PM1B_CNT);
	info->clocks.pm_timer = fadt_port(t, FADT_PM_TMR, FADT_X_PM_TMR);
	info->clocks.pm_timer_32bit = (flags & FADT_FLAG_TMR_VAL_EXT) != 0;
	info->century = (u8)view_get(t, FADT_CENTURY, 1);
}

static void read_hpet(struct acpi_info *info, const struct view *t)
{
	/* Event timer block: a generic address in memory space. */
	if (view_get(t, 40, 1) == 0)
		info->clocks.hpet = HPA(view_get(t, 44, 8));
}

static void read_spcr(struct acpi_info *info, const struct view *t)
{
	static const u32 bauds[] = {[3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200};
	u64 interface = view_get(t, SPCR_INTERFACE, 1), code = view_get(t, SPCR_BAUD, 1);
	u64 space = view_get(t, SPCR_BASE + GAS_SPACE, 1);
	u64 bits = view_get(t, SPCR_BASE + GAS_WIDTH, 1);

	if ((interface > SPCR_16450 && interface != SPCR_16550_GAS) || space > GAS_SPACE_IO)
		return;
	info->serial = (struct uart_place){
		.memory = space == GAS_SPACE_MEMORY,
		.base = view_get(t, SPCR_BASE + GAS_ADDRESS, 8),
		.stride = bits == 16 || bits == 32 ? (u8)(bits / 8) : 1,
	};
	info->serial.width = info->serial.stride == 4 &&
			     view_get(t, SPCR_BASE + GAS_ACCESS, 1) != GAS_ACCESS_BYTE ? 4 : 1;
	info->serial_baud = code < ARRAY_SIZE(bauds) ? bauds[code] : 0;
}

static void read_mcfg(struct acpi_info *info, const struct view *t)
{
	for (size_t at = 44; at + 16 <= t->len; at += 16) {
		struct pci_segment segment = {
			.ecam = HPA(view_get(t, at, 8)), .number = (u16)view_get(t, at + 8, 2),
			.first = (u8)view_get(t, at + 10, 1), .last = (u8)view_get(t, at + 11, 1),
		};

		if (!segment.number || !segment.ecam.v || segment.first > segment.last)
			continue;
		if (info->segment_count < ACPI_SEGMENT_MAX)
			info->segments[info->segment_count++] = segment;
		else
			info->segments_dropped++;
	}
}

static void read_aml(struct acpi_info *info, const struct view *t)
{
	if (!info->have_s5)
		info->have_s5 = acpi_find_s5(t->bytes + HEADER_SIZE, t->len - HEADER_SIZE,
					     &info->s5_typ_a, &info->s5_typ_b);
}

/* What is read of which tables. */
static const struct reader {
	char signature[5];
	void (*read)(struct acpi_info *info, const struct view *t);
} readers[] = {
	{"APIC", read_madt}, {"FACP", read_fadt}, {"HPET", read_hpet},
	{"DSDT", read_aml},  {"SSDT", read_aml},  {"SPCR", read_spcr},
	{"MCFG", read_mcfg},
};

/* Maps a whole table whose length and checksum hold; else a view without bytes. */
static struct view open_table(const struct acpi_memory *memory, u64 hpa)
{
	struct view view = {hpa ? memory->map(HPA(hpa), HEADER_SIZE) : NULL, HEADER_SIZE};
	u64 len = view.bytes ? view_get(&view, 4, 4) : 0;

	if (view.bytes)
		memory->unmap(view.bytes, HEADER_SIZE);
	view = (struct view){NULL, len};
	if (len >= HEADER_SIZE && len <= TABLE_LIMIT && hpa + len > hpa)
		view.bytes = memory->map(HPA(hpa), len);
	/* The length again: firmware memory, but never trust two reads to agree. */
	if (view.bytes && (view_get(&view, 4, 4) != len || !checksum_ok(view.bytes, len))) {
		memory->unmap(view.bytes, len);
		view.bytes = NULL;
	}
	return view;
}

static void read_table(const struct acpi_memory *memory, struct acpi_info *info, u64 hpa)
{
	struct view t = open_table(memory, hpa);
	char *signature = info->tables[info->table_count];
	u64 dsdt = info->dsdt.v;

	if (!t.bytes) {
		info->bad_tables++;
		return;
	}
	if (info->table_count < ACPI_TABLE_MAX) {
		info->table_count++;
		memcpy(signature, t.bytes, 4);
		for (unsigned i = 0; i < 4; i++) /* it goes to the log */
			if (signature[i] < ' ' || signature[i] > '~')
				signature[i] = '?';
	}
	for (const struct reader *r = readers; r < readers + ARRAY_SIZE(readers); r++)
		if (memcmp(t.bytes, r->signature, 4) == 0)
			r->read(info, &t);
	memory->unmap(t.bytes, t.len);
	if (info->dsdt.v != dsdt)
		read_table(memory, info, info->dsdt.v);
}

/* Walks an RSDT or XSDT, told apart by the width of their entries. */
static bool read_root(const struct acpi_memory *memory, struct acpi_info *info, u64 hpa,
		      const char *signature, unsigned width)
{
	struct view root = open_table(memory, hpa);
	bool ok = root.bytes && memcmp(root.bytes, signature, 4) == 0;

	for (size_t at = HEADER_SIZE; ok && at + width <= root.len; at += width) {
		if (info->table_count + info->bad_tables >= 2 * ACPI_TABLE_MAX)
			break;
		read_table(memory, info, view_get(&root, at, width));
	}
	if (root.bytes)
		memory->unmap(root.bytes, root.len);
	return ok;
}

int acpi_parse(const struct acpi_memory *memory, const void *rsdp, size_t len,
	       struct acpi_info *info)
{
	struct view view = {rsdp, len};
	bool extended;

	memset(info, 0, sizeof(*info));
	for (u32 i = 0; i < ACPI_ISA_IRQS; i++)
		info->irq[i].gsi = i;
	if (!acpi_rsdp_valid(rsdp, len))
		return -EINVAL;
	info->revision = (u8)view_get(&view, 15, 1);
	memcpy(info->oem, view.bytes + 9, 6);
	for (unsigned i = 0; i < 6; i++) /* ends at the first blank, or what does not print */
		if (info->oem[i] <= ' ' || info->oem[i] > '~')
			info->oem[i] = 0;
	extended = info->revision >= 2 && len >= RSDP_V2_SIZE &&
		   checksum_ok(rsdp, RSDP_V2_SIZE);
	if (extended && read_root(memory, info, view_get(&view, 24, 8), "XSDT", 8))
		return 0;
	return read_root(memory, info, view_get(&view, 16, 4), "RSDT", 4) ? 0 : -ENOENT;
}

static const void *machine_map(hpa_t hpa, size_t len)
{
	return phys_map(hpa, len, PHYS_WRITE_BACK);
}

static void machine_unmap(const void *bytes, size_t len)
{
	phys_unmap((void *)bytes, len);
}

int acpi_init(const void *rsdp, size_t len)
{
	static const struct acpi_memory memory = {machine_map, machine_unmap};
	u8 found[RSDP_V2_SIZE];

	if (!len) {
		len = acpi_rsdp_search(&memory, found);
		rsdp = found;
	}
	return len ? acpi_parse(&memory, rsdp, len, &acpi) : -ENOENT;
}
