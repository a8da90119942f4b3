/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/acpi.c */
/*
 * The ACPI parser over tables built here as the ACPI Specification lays them
 * out, over each table cut short or with a wrong checksum, and over some
 * thousands of mutated sets, in which it must only stay inside its tables.
 */
#include "drivers/acpi.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "arch/memory.h"

#define MEMORY_SIZE 0x120000

static u8 memory[MEMORY_SIZE];
static unsigned mapped; /* maps not yet given back */
static u64 deny = ~0ull; /* an address that cannot be mapped */

static const void *fake_map(hpa_t hpa, size_t len)
{
	u8 *copy;

	if (hpa.v > MEMORY_SIZE || len > MEMORY_SIZE - hpa.v || hpa.v == deny)
		return NULL;
	/* A copy of its own size, so that the sanitizer sees each byte beyond it. */
	copy = malloc(len);
	memcpy(copy, memory + hpa.v, len);
	mapped++;
	return copy;
}

static void fake_unmap(const void *bytes, size_t len)
{
	(void)len;
	mapped--;
	free((void *)bytes);
}

static const struct acpi_memory fake = {fake_map, fake_unmap};

/* The machine's own access, as acpi_init uses it. */
void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	assert_int_equal(cache, PHYS_WRITE_BACK);
	return (void *)fake_map(hpa, size);
}

void phys_unmap(void *virt, u64 size)
{
	fake_unmap(virt, size);
}

static void put(u64 at, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		memory[at + i] = (u8)(value >> 8 * i);
}

static void fix_checksum(u64 at, size_t len, size_t where)
{
	u8 sum = 0;

	memory[at + where] = 0;
	for (size_t i = 0; i < len; i++)
		sum += memory[at + i];
	memory[at + where] = (u8)-sum;
}

static void seal(u64 at, const char *signature, u32 len)
{
	memcpy(memory + at, signature, 4);
	put(at + 4, len, 4);
	fix_checksum(at, len, 9);
}

enum {
	RSDP = 0xf0000,
	RSDT = 0x1000,
	XSDT = 0x1100,
	MADT = 0x2000,
	FADT = 0x3000,
	DSDT = 0x4000,
	HPET = 0x5000,
	MCFG = 0x6000,
	SSDT = 0x5200,
	SPCR = 0x5300,
	SPCR_SIZE = 80,
	MADT_SIZE = 44 + 8 * 4 + 16 * 4 + 12 + 12 + 10 * 5,
};

static void put_madt(void)
{
	u64 at = MADT + 44;
	static const struct {
		u8 id;
		u32 flags;
	} cpus[] = {{0, 1}, {1, 0}, {4, 1}, {0xff, 1}};
	static const struct {
		u32 id, flags;
	} x2[] = {{4, 1}, {300, 1}, {~0u, 1}, {301, 2}};

	static const struct {
		u8 bus, irq;
		u32 gsi;
		u16 flags;
	} overrides[] = {{0, 0, 2, 0}, {0, 9, 9, 0xf}, {0, 4, 36, 0x5}, {1, 3, 50, 0xf},
			 {0, 16, 51, 0xf}};

	put(MADT + 36, 0xfee00000, 4);
	put(MADT + 40, 1, 4);
	for (unsigned i = 0; i < 4; i++, at += 8) {
		put(at, 0 | 8 << 8 | i << 16 | (u64)cpus[i].id << 24, 4);
		put(at + 4, cpus[i].flags, 4);
	}
	put(at, 1 | 12 << 8, 2); /* an I/O APIC */
	put(at + 4, 0xfec00000, 4);
	put(at + 8, 24, 4);
	at += 12;
	for (unsigned i = 0; i < 4; i++, at += 16) {
		put(at, 9 | 16 << 8, 4);
		put(at + 4, x2[i].id, 4);
		put(at + 8, x2[i].flags, 4);
	}
	put(at, 5 | 12 << 8, 4);
	put(at + 4, 0x1fee00000, 8);
	at += 12;
	for (unsigned i = 0; i < 5; i++, at += 10) {
		put(at, 2 | 10 << 8, 2);
		put(at + 2, overrides[i].bus, 1);
		put(at + 3, overrides[i].irq, 1);
		put(at + 4, overrides[i].gsi, 4);
		put(at + 8, overrides[i].flags, 2);
	}
	seal(MADT, "APIC", MADT_SIZE);
}

static void put_fadt(u32 len)
{
	memset(memory + FADT, 0, 0x200);
	put(FADT + 40, DSDT, 4);
	put(FADT + 48, 0xb2, 4);
	put(FADT + 52, 0xf1, 1);
	put(FADT + 64, 0x604, 4);
	put(FADT + 76, 0x608, 4);
	put(FADT + 108, 0x32, 1);
	if (len >= 129) {
		put(FADT + 112, 1 << 8 | 1 << 10, 4);
		put(FADT + 116, 1 | 8 << 8, 4);
		put(FADT + 120, 0xcf9, 8);
		put(FADT + 128, 6, 1);
	}
	if (len >= 244) {
		put(FADT + 140, DSDT, 8);
		put(FADT + 172, 1 | 16 << 8, 4);
		put(FADT + 176, 0x1804, 8);
		put(FADT + 184, 1, 4);
		put(FADT + 188, 0x1904, 8);
		put(FADT + 208, 1, 4);
		put(FADT + 212, 0x1808, 8);
	}
	seal(FADT, "FACP", len);
}

/* Name (\_S5, Package (4) {5, 6, 0, 0}) behind some other object. */
static const u8 s5_aml[] = {0x08, 'X', '_', 'S', '5', 0x00, 0x08, '\\', '_', 'S', '5', '_', 0x12,
			    0x08, 0x04, 0x0a, 0x05, 0x0a, 0x06, 0x00, 0x00};

static void put_rsdp(u64 at, u8 revision)
{
	memcpy(memory + at, "RSD PTR ", 8);
	memcpy(memory + at + 9, "TRIVET", 6);
	put(at + 15, revision, 1);
	put(at + 16, RSDT, 4);
	fix_checksum(at, 20, 8);
	if (revision >= 2) {
		put(at + 20, 36, 4);
		put(at + 24, XSDT, 8);
		fix_checksum(at, 36, 32);
	}
}

static int build(void **state)
{
	static const u32 list[] = {MADT, FADT, HPET, MCFG, SPCR};

	(void)state;
	memset(memory, 0, sizeof(memory));
	deny = ~0ull;
	put_rsdp(RSDP, 2);
	for (unsigned i = 0; i < 5; i++) {
		put(RSDT + 36 + 4 * i, list[i], 4);
		put(XSDT + 36 + 8 * i, list[i], 8);
	}
	seal(RSDT, "RSDT", 36 + 4 * 5);
	seal(XSDT, "XSDT", 36 + 8 * 5);
	put_madt();
	put_fadt(244);
	memcpy(memory + DSDT + 36, s5_aml, sizeof(s5_aml));
	seal(DSDT, "DSDT", 36 + sizeof(s5_aml));
	put(HPET + 40, 0, 4);
	put(HPET + 44, 0xfed00000, 8);
	seal(HPET, "HPET", 56);
	put(MCFG + 44, 0xb0000000, 8);
	put(MCFG + 44 + 11, 255, 1);
	put(MCFG + 60, 0x2000000000, 8);
	put(MCFG + 60 + 8, 5 | 0x10 << 16 | 0x7fu << 24, 4);
	put(MCFG + 76 + 8, 6, 2); /* it stands nowhere */
	put(MCFG + 92, 0xc0000000, 8);
	put(MCFG + 92 + 8, 7, 2); /* the end of the table cuts it off */
	seal(MCFG, "MCFG", 107);
	put(SPCR + 40, 1 | 8 << 8 | 1 << 24, 4);
	put(SPCR + 44, 0x2f8, 8);
	put(SPCR + 58, 7, 1);
	seal(SPCR, "SPCR", SPCR_SIZE);
	return 0;
}

static int check_unmapped(void **state)
{
	(void)state;
	return mapped ? -1 : 0;
}

static struct acpi_info info;

static int parse(void)
{
	return acpi_parse(&fake, memory + RSDP, 36, &info);
}

static void everything_is_read(void **state)
{
	(void)state;
	assert_int_equal(parse(), 0);
	assert_int_equal(info.revision, 2);
	assert_string_equal(info.oem, "TRIVET");
	assert_int_equal(info.bad_tables, 0);
	assert_int_equal(info.table_count, 6);
	assert_true(info.have_madt);
	assert_int_equal(info.cpu_count, 3);
	assert_int_equal(info.apic_ids[0], 0);
	assert_int_equal(info.apic_ids[1], 4);
	assert_int_equal(info.apic_ids[2], 300);
	assert_int_equal(info.ioapic_count, 1);
	assert_int_equal(info.ioapics[0].v, 0xfec00000);
	assert_int_equal(info.ioapic_gsi[0], 24);
	assert_int_equal(info.smi_cmd, 0xb2);
	assert_int_equal(info.acpi_enable, 0xf1);
	assert_int_equal(info.pm1a_cnt, 0x1804);
	assert_int_equal(info.pm1b_cnt, 0x1904);
	assert_int_equal(info.clocks.pm_timer, 0x1808);
	assert_true(info.clocks.pm_timer_32bit);
	assert_int_equal(info.century, 0x32);
	assert_true(info.have_s5);
	assert_int_equal(info.s5_typ_a, 5);
	assert_int_equal(info.s5_typ_b, 6);
	assert_int_equal(info.clocks.hpet.v, 0xfed00000);
	assert_string_equal(info.tables[0], "APIC");
	assert_string_equal(info.tables[4], "MCFG");
	assert_int_equal(info.segment_count, 1);
	assert_int_equal(info.segments[0].ecam.v, 0x2000000000);
	assert_int_equal(info.segments[0].number, 5);
	assert_int_equal(info.segments[0].first, 0x10);
	assert_int_equal(info.segments[0].last, 0x7f);
}

static void segments_are_bounded(void **state)
{
	(void)state;
	for (u32 i = 0; i < ACPI_SEGMENT_MAX + 9; i++) {
		put(MCFG + 44 + 16 * i, GIB(4) + i * MIB(256), 8);
		put(MCFG + 44 + 16 * i + 8, i + 1, 2);
		put(MCFG + 44 + 16 * i + 10, 0xff00, 2);
	}
	put(MCFG + 44 + 10, 0x0001, 2); /* from bus 1 to bus 0: none */
	seal(MCFG, "MCFG", 44 + 16 * (ACPI_SEGMENT_MAX + 9));
	parse();
	assert_int_equal(info.segment_count, ACPI_SEGMENT_MAX);
	assert_int_equal(info.segments[ACPI_SEGMENT_MAX - 1].number,
			 ACPI_SEGMENT_MAX + 1);
	assert_int_equal(info.segments_dropped, 8);
}

static void old_rsdp_uses_rsdt_and_old_fields(void **state)
{
	(void)state;
	put_rsdp(RSDP, 0);
	put_fadt(116);
	assert_int_equal(acpi_parse(&fake, memory + RSDP, 20, &info), 0);
	assert_int_equal(info.revision, 0);
	assert_int_equal(info.pm1a_cnt, 0x604);
	assert_int_equal(info.pm1b_cnt, 0);
	assert_int_equal(info.clocks.pm_timer, 0x608);
	assert_false(info.clocks.pm_timer_32bit);
	assert_true(info.have_s5);
}

static void bad_xsdt_falls_back_to_rsdt(void **state)
{
	(void)state;
	memory[XSDT + 20]++;
	assert_int_equal(parse(), 0);
	assert_int_equal(info.table_count, 6);
	memory[RSDT + 20]++;
	assert_int_equal(parse(), -ENOENT);
	assert_false(info.have_madt);
}

static void rsdp_is_checked(void **state)
{
	(void)state;
	assert_int_equal(acpi_parse(&fake, memory + RSDP, 19, &info), -EINVAL);
	memory[RSDP + 33]++; /* the second checksum: no XSDT, but the RSDT holds */
	assert_int_equal(parse(), 0);
	memory[RSDP + 10]++;
	assert_int_equal(parse(), -EINVAL);
	build(NULL);
	memory[RSDP] = 'r';
	assert_int_equal(parse(), -EINVAL);
	build(NULL);
	memory[RSDP + 9] = 1; /* not a letter */
	memory[RSDP + 10] += 'T' - 1;
	fix_checksum(RSDP, 36, 32);
	assert_int_equal(parse(), 0);
	assert_string_equal(info.oem, "");
}

static void bad_tables_are_left_out(void **state)
{
	(void)state;
	memory[MADT + 50]++;
	assert_int_equal(parse(), 0);
	assert_false(info.have_madt);
	assert_int_equal(info.bad_tables, 1);

	build(NULL);
	put(DSDT + 4, 35, 4);
	assert_int_equal(parse(), 0);
	assert_false(info.have_s5);
	assert_int_equal(info.bad_tables, 1);

	build(NULL);
	put(HPET + 4, 0x7fffffff, 4);
	deny = FADT;
	assert_int_equal(parse(), 0);
	assert_int_equal(info.clocks.hpet.v, 0);
	assert_int_equal(info.pm1a_cnt, 0);
	assert_int_equal(info.bad_tables, 2);

	build(NULL);
	put(HPET + 4, MEMORY_SIZE, 4); /* reaches beyond what can be mapped */
	assert_int_equal(parse(), 0);
	assert_int_equal(info.bad_tables, 1);
}

static void signatures_are_printable(void **state)
{
	(void)state;
	seal(MCFG, "\033[2J", 60);
	assert_int_equal(parse(), 0);
	assert_string_equal(info.tables[4], "?[2J");
}

static void short_madt_entries_end_the_walk(void **state)
{
	(void)state;
	for (u32 len = 44; len < MADT_SIZE; len++) {
		seal(MADT, "APIC", len);
		assert_int_equal(parse(), 0);
		assert_true(info.cpu_count <= 3);
	}
	put(MADT + 44 + 1, 0, 1); /* an entry of no length */
	seal(MADT, "APIC", MADT_SIZE);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.cpu_count, 0);
	put(MADT + 44 + 1, 255, 1);
	seal(MADT, "APIC", MADT_SIZE);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.cpu_count, 0);
}

static void too_many_cpus_and_tables_are_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ACPI_CPU_MAX + 3; i++) {
		u64 at = MADT + 44 + 16 * i;

		memset(memory + at, 0, 16);
		put(at, 9 | 16 << 8, 4);
		put(at + 4, i + 1000, 4);
		put(at + 8, 1, 4);
	}
	/* This longer MADT covers the FADT, which is thereby a bad table. */
	seal(MADT, "APIC", 44 + 16 * (ACPI_CPU_MAX + 3));
	assert_int_equal(parse(), 0);
	assert_int_equal(info.cpu_count, ACPI_CPU_MAX);
	assert_int_equal(info.cpus_dropped, 3);

	build(NULL);
	for (unsigned i = 0; i < 500; i++)
		put(0x10000 + 36 + 8 * i, i % 2 ? HPET : 0, 8);
	seal(0x10000, "XSDT", 36 + 8 * 500);
	put(RSDP + 24, 0x10000, 8);
	fix_checksum(RSDP, 36, 32);
	assert_int_equal(parse(), 0);
	assert_true(info.table_count <= ACPI_TABLE_MAX);
}

static void s5_may_stand_in_an_ssdt(void **state)
{
	(void)state;
	memset(memory + DSDT + 36, 0, sizeof(s5_aml));
	seal(DSDT, "DSDT", 36 + sizeof(s5_aml));
	memcpy(memory + SSDT + 36, s5_aml, sizeof(s5_aml));
	seal(SSDT, "SSDT", 36 + sizeof(s5_aml));
	put(XSDT + 36 + 8 * 5, SSDT, 8);
	seal(XSDT, "XSDT", 36 + 8 * 6);
	assert_int_equal(parse(), 0);
	assert_true(info.have_s5);
	assert_int_equal(info.s5_typ_a, 5);
}

static void s5_encodings(void **state)
{
	static const struct {
		u8 aml[20];
		u8 len;
		bool found;
		u8 a, b;
	} rows[] = {
		{{8, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0}, 12, true, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 6, 2, 1, 0xa, 7}, 11, true, 1, 7},
		{{8, '_', 'S', '5', '_', 0x12, 8, 2, 0xb, 5, 0, 0xb, 4, 0}, 14, true, 5, 4},
		{{8, '_', 'S', '5', '_', 0x12, 8, 2, 0xc, 3, 0, 0, 0, 2}, 14, true, 3, 3},
		{{8, '_', 'S', '5', '_', 0x12, 0x46, 0, 2, 0xa, 5, 0xff}, 12, true, 5, 7},
		{{8, '_', 'S', '5', '_', 0x12, 3, 1, 0xa, 6}, 10, true, 6, 6},
		/* no NameOp, no package, no elements, a method's name, cut short */
		{{9, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0}, 12, false, 0, 0},
		{{8, '_', 'S', '5', '_', 0x14, 6, 4, 0, 0, 0, 0}, 12, false, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 2, 0, 0, 0}, 10, false, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 9, 4, 'A', 'B', 'C', 'D'}, 12, false, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 6, 4, 0xb, 5}, 10, false, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 6, 4}, 8, false, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 0xc6}, 7, false, 0, 0},
		{{'_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0}, 11, false, 0, 0},
		{{0}, 0, false, 0, 0},
	};
	u8 a, b;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		u8 *exact = malloc(rows[i].len + 1u);

		memcpy(exact + 1, rows[i].aml, rows[i].len);
		a = b = 0;
		assert_int_equal(acpi_find_s5(exact + 1, rows[i].len, &a, &b), rows[i].found);
		assert_int_equal(a, rows[i].a);
		assert_int_equal(b, rows[i].b);
		free(exact);
	}
}

static void search_finds_rsdp(void **state)
{
	u8 rsdp[36];

	(void)state;
	assert_int_equal(acpi_rsdp_search(&fake, rsdp), 36);
	assert_memory_equal(rsdp, memory + RSDP, 36);

	put_rsdp(RSDP + 8, 2); /* not on a 16-byte boundary */
	memset(memory + RSDP, 0, 8);
	assert_int_equal(acpi_rsdp_search(&fake, rsdp), 0);

	put(0x40e, 0x9fc0, 2);
	put_rsdp(0x9fc00 + 1008 - 16, 0);
	assert_int_equal(acpi_rsdp_search(&fake, rsdp), 32);
	put_rsdp(0x9fc00 + 1024, 0); /* beyond the first KiB */
	memset(memory + 0x9fc00, 0, 1024);
	assert_int_equal(acpi_rsdp_search(&fake, rsdp), 0);
	deny = 0x9fc00;
	assert_int_equal(acpi_rsdp_search(&fake, rsdp), 0);
	deny = 0x40e;
	put_rsdp(0xffff0 - 16, 0);
	assert_int_equal(acpi_rsdp_search(&fake, rsdp), 32);
}

static void init_reads_the_machine(void **state)
{
	(void)state;
	assert_int_equal(acpi_init(memory + RSDP, 36), 0);
	assert_true(acpi.have_madt);
	memset(&acpi, 0, sizeof(acpi));
	assert_int_equal(acpi_init(NULL, 0), 0);
	assert_true(acpi.have_madt);
	memset(memory + RSDP, 0, 36);
	assert_int_equal(acpi_init(NULL, 0), -ENOENT);
	build(NULL);
	put(XSDT + 36, ~0ull - 100, 8); /* beyond any address width */
	seal(XSDT, "XSDT", 36 + 8 * 5);
	assert_int_equal(acpi_init(memory + RSDP, 36), 0);
	assert_int_equal(acpi.bad_tables, 1);
}

static void overrides_say_where_isa_interrupts_are(void **state)
{
	(void)state;
	assert_int_equal(parse(), 0);
	for (unsigned i = 0; i < ACPI_ISA_IRQS; i++) {
		assert_int_equal(info.irq[i].gsi, i == 0 ? 2 : i == 4 ? 36 : i);
		assert_int_equal(info.irq[i].low, i == 9);
		assert_int_equal(info.irq[i].level, i == 9);
	}
	/* also where there is no MADT, or none that can be read */
	memory[MADT + 50]++;
	assert_int_equal(parse(), 0);
	for (unsigned i = 0; i < ACPI_ISA_IRQS; i++)
		assert_int_equal(info.irq[i].gsi, i);
}

/* Whatever the table says, it is a place that drivers/uart.h allows. */
static void check_serial(void)
{
	const struct uart_place *s = &info.serial;

	if (s->base) {
		assert_true(s->stride == 1 || s->stride == 2 || s->stride == 4);
		assert_true(s->width == 1 || (s->width == 4 && s->stride == 4));
	}
	assert_true(info.serial_baud <= 115200 &&
		    (!info.serial_baud || 115200 % info.serial_baud == 0));
}

static void spcr_names_the_console(void **state)
{
	static const struct {
		u8 interface, space, bits, access, baud;
		bool found, memory;
		u8 stride, width;
		u32 rate;
	} rows[] = {
		{0x00, 1, 8, 1, 7, true, false, 1, 1, 115200},
		{0x00, 1, 8, 0, 3, true, false, 1, 1, 9600},
		{0x01, 0, 8, 1, 4, true, true, 1, 1, 19200},
		{0x12, 0, 32, 3, 6, true, true, 4, 4, 57600},
		{0x12, 0, 32, 0, 0, true, true, 4, 4, 0},
		{0x12, 0, 32, 1, 0, true, true, 4, 1, 0},
		{0x12, 0, 16, 2, 0, true, true, 2, 1, 0},
		{0x12, 0, 0, 9, 5, true, true, 1, 1, 0},
		{0x12, 0, 255, 255, 255, true, true, 1, 1, 0},
		{0x02, 1, 8, 1, 7, false, false, 0, 0, 0},
		{0x03, 0, 32, 3, 7, false, false, 0, 0, 0},
		{0x13, 0, 32, 3, 7, false, false, 0, 0, 0},
		{0x00, 2, 8, 1, 7, false, false, 0, 0, 0}, /* PCI configuration space */
		{0x00, 127, 8, 1, 7, false, false, 0, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(SPCR + 36, rows[i].interface, 1);
		put(SPCR + 40, rows[i].space | rows[i].bits << 8 | (u64)rows[i].access << 24, 4);
		put(SPCR + 44, 0x12fe030000, 8);
		put(SPCR + 58, rows[i].baud, 1);
		seal(SPCR, "SPCR", SPCR_SIZE);
		assert_int_equal(parse(), 0);
		assert_int_equal(info.serial.base, rows[i].found ? 0x12fe030000 : 0);
		assert_int_equal(info.serial.memory, rows[i].memory);
		assert_int_equal(info.serial.stride, rows[i].stride);
		assert_int_equal(info.serial.width, rows[i].width);
		assert_int_equal(info.serial_baud, rows[i].rate);
	}
}

static void short_or_bad_spcr(void **state)
{
	(void)state;
	for (u32 len = 36; len < SPCR_SIZE; len++) {
		seal(SPCR, "SPCR", len);
		assert_int_equal(parse(), 0);
		check_serial();
		assert_true(len < 52 ? info.serial.base <= 0x2f8 : info.serial.base == 0x2f8);
		assert_int_equal(info.serial_baud, len > 58 ? 115200 : 0);
	}
	seal(SPCR, "SPCR", SPCR_SIZE);
	memory[SPCR + 45] ^= 1;
	assert_int_equal(parse(), 0);
	assert_int_equal(info.bad_tables, 1);
	assert_int_equal(info.serial.base, 0);
}

static void mutations_stay_inside(void **state)
{
	static const u32 tables[] = {RSDT, XSDT, MADT, FADT, DSDT, HPET, MCFG, SPCR};
	u64 seed = 1;

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		u32 at = tables[round % 8];
		u32 len;

		build(NULL);
		for (unsigned i = 0; i < 4; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			memory[at + 4 + (seed >> 40) % 64] = (u8)(seed >> 33);
		}
		len = memory[at + 4] | memory[at + 5] << 8;
		fix_checksum(at, len < 36 ? 36 : len, 9);
		if (acpi_parse(&fake, memory + RSDP, 36, &info) == 0)
			assert_true(info.cpu_count <= ACPI_CPU_MAX);
		check_serial();
		assert_int_equal(mapped, 0);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, build, check_unmapped)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_is_read),
		TEST(old_rsdp_uses_rsdt_and_old_fields),
		TEST(bad_xsdt_falls_back_to_rsdt),
		TEST(rsdp_is_checked),
		TEST(bad_tables_are_left_out),
		TEST(signatures_are_printable),
		TEST(short_madt_entries_end_the_walk),
		TEST(too_many_cpus_and_tables_are_counted),
		TEST(s5_may_stand_in_an_ssdt),
		TEST(s5_encodings),
		TEST(search_finds_rsdp),
		TEST(init_reads_the_machine),
		TEST(overrides_say_where_isa_interrupts_are),
		TEST(spcr_names_the_console),
		TEST(segments_are_bounded),
		TEST(short_or_bad_spcr),
		TEST(mutations_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
