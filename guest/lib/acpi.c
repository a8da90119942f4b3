/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Finding the RSDP on IA-PC Systems": the first KiB of the EBDA, then E0000h to
 * FFFFFh, on paragraphs. Tables above 4 GiB are not looked at.
 */
#include "guest/lib/acpi.h"

#define EBDA_SEGMENT 0x40e
#define RSDP_OLD     20 /* bytes under the first checksum */
#define RSDP_RSDT    16
#define RSDP_XSDT    24
#define MADT_LIST    8 /* of the body: behind address and flags */

static u32 word_at(const u8 *from)
{
	return from[0] | from[1] << 8 | from[2] << 16 | (u32)from[3] << 24;
}

u8 acpi_sum(const void *from, size_t size)
{
	const volatile u8 *p = from;
	u8 sum = 0;

	while (size--)
		sum += *p++;
	return sum;
}

static const u8 *search(u32 from, u32 size)
{
	for (u32 at = from; at + RSDP_OLD <= from + size; at += 16) {
		const u8 *p = (const u8 *)phys(at);

		if (!memcmp(p, "RSD PTR ", 8) && !acpi_sum(p, RSDP_OLD))
			return p;
	}
	return NULL;
}

const u8 *acpi_rsdp(void)
{
	u32 ebda = (u32)*(volatile u16 *)phys(EBDA_SEGMENT) << 4;
	const u8 *found = NULL;

	if (ebda >= 0x400 && ebda < 0xa0000)
		found = search(ebda, 1024);
	return found ? found : search(0xe0000, 0x20000);
}

const struct acpi_table *acpi_find(const char *signature)
{
	const struct acpi_table *root, *table;
	const u8 *rsdp = acpi_rsdp();
	bool wide;

	if (!rsdp)
		return NULL;
	wide = rsdp[15] >= 2 && word_at(rsdp + RSDP_XSDT);
	root = (const struct acpi_table *)phys(word_at(rsdp + (wide ? RSDP_XSDT : RSDP_RSDT)));
	for (const u8 *p = root->body; p < (const u8 *)root + root->length; p += wide ? 8 : 4) {
		table = (const struct acpi_table *)phys(word_at(p));
		if (!memcmp(table->signature, signature, 4))
			return acpi_sum(table, table->length) ? NULL : table;
	}
	return NULL;
}

const u8 *acpi_madt_next(const u8 *after, u8 type)
{
	const struct acpi_table *madt = acpi_find("APIC");
	const u8 *p = after ? after + after[1] : madt ? madt->body + MADT_LIST : NULL;

	for (; madt && p + 2 <= (const u8 *)madt + madt->length && p[1]; p += p[1])
		if (p[0] == type)
			return p;
	return NULL;
}
