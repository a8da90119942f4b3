/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The banner. Everything that comes from the machine is printed with limits:
 * firmware's texts are printable (drivers/acpi.h, boot/mb2.h) and lists are
 * broken into lines.
 */
#include "boot/banner.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/mitigate.h"
#include "arch/virt.h"
#include "drivers/acpi.h"

#define BRAND_SIZE 48
#define LINE_SIZE  96

/* A line of words that breaks where the next one does not fit. */
struct list {
	const char *head;
	char text[LINE_SIZE];
	size_t len;
};

static void list_flush(struct list *list)
{
	if (list->len)
		log_info("%s:%s", list->head, list->text);
	list->len = 0;
}

static void list_add(struct list *list, const char *word)
{
	if (list->len + strlen(word) + 2 > LINE_SIZE)
		list_flush(list);
	list->len += (size_t)str_format(list->text + list->len, LINE_SIZE - list->len, " %s", word);
	list->len = MIN(list->len, LINE_SIZE - 1);
}

/* The brand string, blanks at both ends off. */
static const char *brand(char text[BRAND_SIZE + 1])
{
	char *start = text, *end = text;

	if (cpuid(0x80000000, 0).eax < 0x80000004)
		return "unnamed CPU";
	for (u32 i = 0; i < 3; i++) {
		struct cpuid_regs r = cpuid(0x80000002 + i, 0);

		memcpy(text + i * sizeof(r), &r, sizeof(r));
	}
	text[BRAND_SIZE] = 0;
	while (*start == ' ')
		start++;
	for (char *c = start; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
		end = *c == ' ' ? end : c + 1;
	}
	*end = 0;
	return start;
}

static void print_cpu(void)
{
	char text[BRAND_SIZE + 1];
	u32 signature = cpuid(1, 0).eax;
	unsigned family = FIELD_GET(BITS(11, 8), signature);
	unsigned model = FIELD_GET(BITS(7, 4), signature);

	/* CPUID leaf 1: the extensions count for these families only. */
	if (family == 6 || family == 15)
		model |= (unsigned)FIELD_GET(BITS(19, 16), signature) << 4;
	if (family == 15)
		family += (unsigned)FIELD_GET(BITS(27, 20), signature);
	log_info("cpu: %s (family %u, model %u, stepping %u)%s", brand(text), family, model,
		 signature & 15, cpuid(1, 0).ecx & BIT(31) ? ", under a hypervisor" : "");
}

static void print_screen(const struct fbcon_mode *fb)
{
	if (!fb->addr.v)
		log_info("screen: none");
	else if (fb->type == FBCON_TEXT)
		log_info("screen: text, %ux%u", fb->width, fb->height);
	else
		log_info("screen: graphic, %ux%u, %u bits", fb->width, fb->height, fb->bpp);
}

static void print_memory(const struct boot_info *info)
{
	u64 ram = 0;

	for (unsigned i = 0; i < info->memory_count; i++) {
		const struct boot_memory *m = &info->memory[i];

		if (m->type == BOOT_MEMORY_RAM)
			ram += m->length;
		log_debug("memory: %016lx-%016lx type %u", m->base.v, m->base.v + m->length - 1,
			  m->type);
	}
	log_info("memory: %lu MiB in %u ranges, %lu MiB free for guests", ram >> 20,
		 info->memory_count, frames_available() >> 20);
}

static void print_mitigations(void)
{
	struct list on = {.head = "mitigations"}, lacks = {.head = "no microcode for"};

	for (unsigned i = 0; i < MITIGATE_COUNT; i++)
		if (mitigate_needs(i))
			list_add(&on, mitigate_name(i));
		else if (mitigate.lacks & BIT(i))
			list_add(&lacks, mitigate_name(i));
	if (!mitigate.on)
		list_add(&on, "none");
	list_flush(&on);
	list_flush(&lacks);
}

static void print_acpi(void)
{
	struct list list = {.head = "acpi: tables"};

	if (!acpi.table_count) {
		log_info("acpi: none");
		return;
	}
	log_info("acpi: RSDP %u, OEM \"%s\"%s", MAX(acpi.revision, 1), acpi.oem,
		 acpi.have_s5 ? ", power-off" : "");
	for (unsigned i = 0; i < acpi.table_count; i++)
		list_add(&list, acpi.tables[i]);
	list_flush(&list);
}

void banner_machine(const struct boot_info *info)
{
	print_cpu();
	print_mitigations();
	log_info("loader: %s, %s, %u modules", *info->loader ? info->loader : "unnamed",
		 info->efi ? "UEFI" : "BIOS", info->module_count);
	print_screen(&info->framebuffer);
	print_memory(info);
	print_acpi();
}

void banner_cores(unsigned wanted, unsigned running, unsigned enabled)
{
	log_info("cores: %u started of %u, %u in virtualization operation", running, wanted,
		 enabled);
}

void banner_virt(void)
{
	static const char *const heads[] = {"used", "not used", "missing"};
	unsigned count;
	const struct virt_feature *f = virt->features(&count);

	for (unsigned kind = 0; kind < ARRAY_SIZE(heads); kind++) {
		struct list list = {.head = heads[kind]};

		for (unsigned i = 0; i < count; i++) {
			unsigned is = f[i].used ? 0 : f[i].present ? 1 : 2;

			if (is == kind)
				list_add(&list, f[i].name);
		}
		list_flush(&list);
	}
}
