/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From boot information and firmware tables to running hardware.
 */
#include "boot/bring_up.h"

#include "arch/apic.h"
#include "arch/lib/log.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "boot/preflight.h"
#include "drivers/acpi.h"
#include "drivers/fbcon.h"

static bool have_apic;

void bring_up_screen(const struct boot_info *info)
{
	const struct boot_framebuffer *fb = &info->framebuffer;
	struct fbcon_mode mode = {
		.addr = fb->addr,
		.pitch = fb->pitch,
		.width = fb->width,
		.height = fb->height,
		.bpp = fb->bpp,
		.text = fb->type == BOOT_FRAMEBUFFER_TEXT,
		.red = {fb->red.position, fb->red.size},
		.green = {fb->green.position, fb->green.size},
		.blue = {fb->blue.position, fb->blue.size},
	};

	if (!fb->present || fb->type == BOOT_FRAMEBUFFER_INDEXED)
		return;
	if (fbcon_init(&mode))
		log_warn("screen: %ux%u with %u bits cannot be used", fb->width, fb->height,
			 fb->bpp);
	else
		log_add_sink(&fbcon_sink);
}

void bring_up_acpi(const struct boot_info *info)
{
	const struct boot_rsdp *rsdp = &info->rsdp_new;
	int error;

	if (!acpi_rsdp_valid(rsdp->data, rsdp->size))
		rsdp = &info->rsdp_old;
	if (acpi_rsdp_valid(rsdp->data, rsdp->size))
		error = acpi_init(rsdp->data, rsdp->size);
	else
		error = info->efi ? -1 : acpi_init(NULL, 0);
	if (error)
		log_warn("acpi: no tables: one core, and no power-off");
	else if (!acpi.have_madt)
		log_warn("acpi: no MADT: one core");
	if (acpi.bad_tables)
		log_warn("acpi: %u tables are unreadable or have a wrong checksum",
			 acpi.bad_tables);
	if (acpi.cpus_dropped)
		log_warn("acpi: %u cores are too many and stay off", acpi.cpus_dropped);
}

void bring_up_clock(const struct options *options)
{
	struct tsc_sources sources = {acpi.pm_timer, acpi.pm_timer_32bit, acpi.hpet};
	u32 id_max = 0;

	for (unsigned i = 0; i < acpi.cpu_count; i++)
		id_max = MAX(id_max, acpi.apic_ids[i]);
	if (OPTION_NO(options, NO_X2APIC))
		id_max = MIN(id_max, (u32)APIC_ID_XAPIC_MAX);
	have_apic = apic_init(id_max) == 0;
	tsc_init(&sources);
	if (have_apic)
		apic_timer_init(!OPTION_NO(options, NO_TSC_DEADLINE));
	else
		preflight_lacks("the CPU has no local APIC, or the firmware switched it off");
}

unsigned bring_up_cores(const struct options *options)
{
	if (have_apic)
		smp_start(acpi.apic_ids, acpi.cpu_count, options->cpus);
	return MAX(acpi.cpu_count, 1u);
}
