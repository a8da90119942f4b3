/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMs of the configuration.
 */
#include "boot/guests.h"

#include "arch/lib/log.h"
#include "boot/config.h"
#include "drivers/acpi.h"
#include "drivers/cmos.h"
#include "vmm/machine.h"

static struct config config;
static struct vm *vms[BOOT_MODULES_MAX];
static unsigned vm_count;

static void report_line(void *arg, const char *text)
{
	(void)arg;
	log_error("%s", text);
}

static void create(const struct boot_info *info, const struct vm_config *vm, u64 epoch)
{
	hpa_t hpas[BOOT_MODULES_MAX];
	struct machine_config machine = {
		.vm = vm->vm,
		.name = vm->name,
		.mem = vm->mem,
		.debug_exit = vm->debug_exit,
		.modules = vm->modules,
		.module_hpa = hpas,
		.module_count = vm->module_count,
		.epoch = epoch,
	};

	for (unsigned i = 0; i < vm->module_count; i++)
		hpas[i] = info->modules[vm->modules[i].number - 1].start;
	if (!machine_create(&machine, &vms[vm_count]))
		vm_count++;
}

unsigned guests_create(const struct boot_info *info)
{
	struct words_report report = {.line = report_line};
	u64 epoch = cmos_read_epoch(acpi.century);

	config_parse(info, &config, &report);
	for (unsigned i = 0; i < config.vm_count; i++) {
		if (config.vms[i].refused)
			log_error("[%s] does not start, see above", config.vms[i].vm);
		else
			create(info, &config.vms[i], epoch);
	}
	return vm_count;
}

void guests_run(void)
{
	for (unsigned i = 0; i < vm_count; i++) {
		machine_run(vms[i]);
		vm_destroy(vms[i]);
	}
}
