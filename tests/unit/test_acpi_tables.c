/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/acpi.c tests/unit/fake_gmem.c */
/*
 * The guest's ACPI tables, read back byte by byte with the offsets of the ACPI
 * Specification 6.3 ("ACPI Software Programming Model"), as a system finds them:
 * RSDP, XSDT, and from there. And what ACPICA's tools say of them: iasl takes
 * each apart, acpiexec evaluates the DSDT's resources and routing.
 */
#include "vmm/acpi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/fake_gmem.h"
#include "vmm/guestmap.h"
#include "vmm/vm.h"

static struct vm *vm;
static u64 rsdp;

static int setup(void **state)
{
	(void)state;
	vm = fake_gmem_create(MIB(2), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_gmem_destroy(vm);
	return 0;
}

static u64 value(u64 gpa, unsigned size)
{
	u64 v = 0;

	assert_non_null(fake_gmem_at(vm, gpa, size));
	memcpy(&v, fake_gmem_at(vm, gpa, size), size);
	return v;
}

static u8 sum(u64 gpa, u64 len)
{
	u8 total = 0;

	for (u64 i = 0; i < len; i++)
		total += (u8)value(gpa + i, 1);
	return total;
}

static void write_tables(unsigned cpus, u64 base, u64 size)
{
	rsdp = acpi_write(vm, &(struct acpi_config){cpus, base, size});
	assert_int_not_equal(rsdp, 0);
	assert_int_equal(fake_gmem(vm)->faults, 0);
}

/* Checks a table's header; its address. */
static u64 table(u64 gpa, const char *signature, unsigned revision, u64 length)
{
	assert_memory_equal(fake_gmem_at(vm, gpa, 36), signature, 4);
	assert_int_equal(value(gpa + 4, 4), length);
	assert_int_equal(value(gpa + 8, 1), revision);
	assert_int_equal(sum(gpa, length), 0);
	assert_memory_equal(fake_gmem_at(vm, gpa + 10, 6), "TRIVET", 6);
	assert_memory_equal(fake_gmem_at(vm, gpa + 16, 8), "TRIVET\0", 8);
	return gpa;
}

static u64 xsdt_entry(unsigned n)
{
	return value(value(rsdp + 24, 8) + 36 + 8 * n, 8);
}

static u64 fadt(void)
{
	return table(xsdt_entry(0), "FACP", 6, 276);
}

static void rsdp_and_xsdt(void **state)
{
	u64 xsdt;

	(void)state;
	write_tables(1, 0, 0);
	/* "Finding the RSDP on IA-PC Systems" */
	assert_in_range(rsdp, 0xe0000, 0xfffff);
	assert_int_equal(rsdp % 16, 0);
	assert_memory_equal(fake_gmem_at(vm, rsdp, 8), "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_memory_equal(fake_gmem_at(vm, rsdp + 9, 6), "TRIVET", 6);
	assert_int_equal(value(rsdp + 15, 1), 2);
	assert_int_equal(value(rsdp + 16, 4), 0); /* no RSDT: nobody without the XSDT */
	assert_int_equal(value(rsdp + 20, 4), 36);
	assert_int_equal(sum(rsdp, 36), 0);
	xsdt = table(value(rsdp + 24, 8), "XSDT", 1, 36 + 3 * 8);
	assert_true(xsdt >= rsdp + 36);
}

static void fixed_description(void **state)
{
	static const struct {
		u16 offset;
		u8 size;
		u64 value;
	} rows[] = {
		{45, 1, 0},	/* profile: unspecified */
		{46, 2, 9},	/* SCI_INT */
		{48, 4, 0}, {52, 4, 0}, /* no SMI_CMD, nothing to write there */
		{56, 4, 0x600}, {60, 4, 0}, {64, 4, 0x604}, {68, 4, 0}, {72, 4, 0}, {76, 4, 0x608},
		{80, 4, 0}, {84, 4, 0}, /* no GPE blocks */
		{88, 1, 4}, {89, 1, 2}, {90, 1, 0}, {91, 1, 4}, {92, 1, 0}, {93, 1, 0},
		{108, 1, 0x32}, /* CENTURY */
		{109, 2, 1 << 0 | 1 << 2}, /* legacy devices, no VGA; no 8042, MSI supported */
		{112, 4, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10},
		{116, 4, 0x01000801}, {120, 8, 0xcf9}, {128, 1, 0x0e}, /* reset */
		{131, 1, 3}, /* 6.3 */
		{132, 8, 0}, /* X_FIRMWARE_CTRL beside FIRMWARE_CTRL must be 0 */
		{148, 4, 0x02002001}, {152, 8, 0x600}, {172, 4, 0x02001001}, {176, 8, 0x604},
		{208, 4, 0x03002001}, {212, 8, 0x608},
	};
	u64 at, facs;

	(void)state;
	write_tables(1, 0, 0);
	at = fadt();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (value(at + rows[i].offset, rows[i].size) != rows[i].value)
			fail_msg("FADT offset %u is %llx", rows[i].offset,
				 (unsigned long long)value(at + rows[i].offset, rows[i].size));
	assert_true(value(at + 96, 2) > 100);  /* no C2 */
	assert_true(value(at + 98, 2) > 1000); /* no C3 */
	assert_int_equal(value(at + 40, 4), value(at + 140, 8)); /* DSDT */
	facs = value(at + 36, 4);
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(fake_gmem_at(vm, facs, 4), "FACS", 4);
	assert_int_equal(value(facs + 4, 4), 64);
	assert_int_equal(value(facs + 32, 1), 2);
	assert_int_equal(sum(facs + 8, 56), 2); /* nothing else, no lock taken */
}

static void processors_and_interrupts(void **state)
{
	static const unsigned counts[] = {1, 2, 8, VM_VCPUS_MAX};
	static const u8 others[] = {
		1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0, /* I/O APIC 0 from GSI 0 */
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0,			 /* IRQ 0 is GSI 2 */
		2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0,		 /* the SCI: level, active high */
		4, 6, 0xff, 0, 0, 1,				 /* NMI at LINT1 of all */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		u64 at, end, id = 0, other = 0;

		write_tables(counts[i], 0, 0);
		at = table(xsdt_entry(1), "APIC", 5, 44 + sizeof(others) + counts[i] * 8);
		end = at + value(at + 4, 4);
		assert_int_equal(value(at + 36, 4), 0xfee00000);
		assert_int_equal(value(at + 40, 4), 1); /* PCAT_COMPAT */
		for (at += 44; at < end; at += value(at + 1, 1)) {
			u64 len = value(at + 1, 1);

			assert_in_range(len, 2, end - at);
			if (value(at, 1) != 0) {
				assert_memory_equal(fake_gmem_at(vm, at, len), others + other, len);
				other += len;
				continue;
			}
			assert_int_equal(len, 8);
			assert_int_equal(value(at + 2, 1), id);
			assert_int_equal(value(at + 3, 1), id++);
			assert_int_equal(value(at + 4, 4), 1); /* enabled */
		}
		assert_int_equal(id, counts[i]);
		assert_int_equal(other, sizeof(others));
	}
	assert_int_equal(acpi_write(vm, &(struct acpi_config){VM_VCPUS_MAX + 1, 0, 0}), 0);
}

static void configuration_space(void **state)
{
	u64 at;

	(void)state;
	write_tables(1, 0, 0);
	at = table(xsdt_entry(2), "MCFG", 1, 60);
	assert_int_equal(value(at + 36, 8), 0);
	assert_int_equal(value(at + 44, 8), GUEST_ECAM_BASE);
	assert_int_equal(value(at + 52, 2), 0); /* segment */
	assert_int_equal(value(at + 54, 1), 0); /* buses */
	assert_int_equal(value(at + 55, 1), 255);
	assert_int_equal(value(at + 56, 4), 0);
}

/* No table lies on another one, and all lie where the map has them. */
static void nothing_overlaps(void **state)
{
	struct {
		u64 at, len;
	} all[9];
	unsigned count = 0;

	(void)state;
	write_tables(VM_VCPUS_MAX, 1, 1);
	all[count].at = rsdp;
	all[count++].len = 36;
	all[count].at = 0xe0040; /* the DSDT's VARS */
	all[count++].len = 16;
	all[count].at = value(rsdp + 24, 8);
	all[count++].len = 36 + 3 * 8;
	for (unsigned i = 0; i < 3; i++, count++) {
		all[count].at = xsdt_entry(i);
		all[count].len = value(all[count].at + 4, 4);
	}
	for (unsigned offset = 36; offset <= 40; offset += 4, count++) {
		all[count].at = value(fadt() + offset, 4);
		all[count].len = value(all[count].at + 4, 4);
	}
	for (unsigned i = 0; i < count; i++) {
		assert_in_range(all[i].at, 0xe0000, 0xeffff);
		assert_true(all[i].at + all[i].len <= 0xf0000);
		for (unsigned k = 0; k < i; k++)
			assert_true(all[i].at + all[i].len <= all[k].at ||
				    all[k].at + all[k].len <= all[i].at);
	}
}

static void failing_writes(void **state)
{
	unsigned n = 0;

	(void)state;
	do
		fake_gmem(vm)->fail_writes_after = n++;
	while (acpi_write(vm, &(struct acpi_config){1, 0, 0}) == 0);
	assert_in_range(n, 9, 20);
}

static void windows_of_the_map(void **state)
{
	(void)state;
	assert_int_equal(guest_pci64_base(0), GIB(4));
	assert_int_equal(guest_pci64_base(1), GIB(5));
	assert_int_equal(guest_pci64_base(GIB(3)), GIB(7));
	assert_int_equal(guest_pci64_size(0, 48), GIB(32));
	assert_int_equal(guest_pci64_size(GIB(8), 36), GIB(32));
	assert_int_equal(guest_pci64_size(GIB(50), 36), GIB(10));
	assert_int_equal(guest_pci64_size(GIB(60), 36), 0);
	assert_int_equal(guest_pci64_size(0, 32), 0);
}

/* ---- ACPICA's tools, which building Trivet needs anyway */

static char folder[64], text[1 << 16];

static void put_file(const char *name, u64 gpa)
{
	u64 len = value(gpa + 4, 4);
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(fake_gmem_at(vm, gpa, len), 1, len, file), len);
	fclose(file);
}

/* What a command prints, run in the folder. */
static const char *output(const char *command)
{
	char whole[400];
	FILE *pipe;
	size_t len;

	snprintf(whole, sizeof(whole), "cd %s && (%s) 2>&1", folder, command);
	pipe = popen(whole, "r");
	assert_non_null(pipe);
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	assert_int_equal(pclose(pipe), 0);
	return text;
}

static void in_folder(void)
{
	strcpy(folder, "/tmp/acpi-XXXXXX");
	assert_non_null(mkdtemp(folder));
}

static void remove_folder(void)
{
	output("rm -f *");
	rmdir(folder);
}

/* Taken apart and put together again, each is the same to the byte. */
static void iasl_reads_them(void **state)
{
	(void)state;
	write_tables(4, GIB(4), GIB(32));
	in_folder();
	put_file("xsdt", value(rsdp + 24, 8));
	put_file("facp", fadt());
	put_file("apic", xsdt_entry(1));
	put_file("mcfg", xsdt_entry(2));
	put_file("facs", value(fadt() + 36, 4));
	put_file("dsdt", value(fadt() + 40, 4));
	for (const char *name = "xsdt\0facp\0apic\0mcfg\0facs\0dsdt\0"; *name; name += 5) {
		char command[160];
		const char *said;

		snprintf(command, sizeof(command), "iasl -d %s && cat %s.dsl", name, name);
		said = output(command);
		if (strstr(said, "rror") || strstr(said, "arning:") || strstr(said, "nvalid") ||
		    strstr(said, "nknown"))
			fail_msg("iasl -d %s: %s", name, said);
		snprintf(command, sizeof(command), "iasl -p again %s.dsl", name);
		if (!strstr(output(command), " 0 Errors, 0 Warnings, 0 Remarks"))
			fail_msg("iasl %s: %s", name, text);
		/* but for the compiler's own name in the header, and the sum over it */
		snprintf(command, sizeof(command), "cmp -l again.aml %s | awk '%s'", name,
			 strcmp(name, "facs") ? "$1 != 10 && ($1 < 29 || $1 > 36)" : "1");
		assert_string_equal(output(command), "");
	}
	remove_folder();
}

/* Evaluates an object of the DSDT. acpiexec's memory for VARS is filled with a byte. */
static const char *evaluate(const char *object, unsigned fill)
{
	char command[200];

	snprintf(command, sizeof(command), "cp dsdt dsdt.aml; acpiexec -fv 0x%02x -b 'evaluate %s' dsdt.aml",
		 fill, object);
	return output(command);
}

/* The bytes of the buffer that was evaluated; how many. */
static unsigned buffer(u8 *bytes, unsigned size)
{
	unsigned count = 0;

	for (const char *at = strstr(text, "    0000: "); at; at = strchr(at, '\n'), at += !!at) {
		unsigned from;
		int used;

		if (sscanf(at, " %x: %n", &from, &used) != 1 || from != count)
			break;
		for (unsigned byte, i = 0; i < 16 && count < size; i++, at += 3)
			if (sscanf(at + used, "%2x ", &byte) == 1)
				bytes[count++] = (u8)byte;
	}
	return count;
}

static void dsdt_evaluates(void **state)
{
	static const char *const never[] = {"AE_", "ACPI Error", "ACPI Warning", "ACPI BIOS Error"};
	const char *said;
	u8 crs[256];
	u64 range[4]; /* minimum, maximum, translation, length */

	(void)state;
	write_tables(1, GIB(4), GIB(32));
	in_folder();
	put_file("dsdt", value(fadt() + 40, 4));
	said = evaluate("\\_SB.PCI0._PRT", 0);
	for (unsigned i = 0; i < ARRAY_SIZE(never); i++)
		if (strstr(said, never[i]))
			fail_msg("acpiexec: %s", said);
	/* 31 slots of four pins; each is where the map says */
	said = strstr(said, "Contains 124 Elements");
	assert_non_null(said);
	for (unsigned slot = 1; slot < 32; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			unsigned long long address, p, source, gsi;

			said = strstr(said, "Contains 4 Elements:");
			assert_non_null(said);
			assert_int_equal(sscanf(said, "Contains 4 Elements: [Integer] = %llx "
						      "[Integer] = %llx [Integer] = %llx "
						      "[Integer] = %llx",
						&address, &p, &source, &gsi), 4);
			assert_int_equal(address, slot << 16 | 0xffff);
			assert_int_equal(p, pin);
			assert_int_equal(source, 0);
			assert_int_equal(gsi, guest_pci_line(slot, pin));
			said++;
		}
	/* Without the 64-bit window there are five descriptors and an end tag of two bytes ... */
	evaluate("\\_SB.PCI0._CRS", 0);
	assert_int_equal(buffer(crs, sizeof(crs)), 0x5e);
	/* ... with it, a QWord Address Space Descriptor of 46 bytes before the end tag. */
	evaluate("\\_SB.PCI0._CRS", 0x11);
	assert_int_equal(buffer(crs, sizeof(crs)), 0x5e + 46);
	assert_memory_equal(crs + 0x5c, "\x8a\x2b\x00\x00", 4);
	memcpy(range, crs + 0x5c + 14, sizeof(range));
	assert_int_equal(range[0], 0x1111111111111111);
	assert_int_equal(range[1], 0x2222222222222221);
	assert_int_equal(range[2], 0);
	assert_int_equal(range[3], 0x1111111111111111);
	assert_int_equal(crs[0x5e + 46 - 2], 0x79);
	assert_non_null(strstr(evaluate("\\_S5", 0), "Contains 4 Elements"));
	assert_non_null(strstr(text, "= 0000000000000007"));
	remove_folder();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rsdp_and_xsdt),
		TEST(fixed_description),
		TEST(processors_and_interrupts),
		TEST(configuration_space),
		TEST(nothing_overlaps),
		TEST(failing_writes),
		TEST(windows_of_the_map),
		TEST(iasl_reads_them),
		TEST(dsdt_evaluates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
