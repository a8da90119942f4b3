/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMs of the configuration.
 */
#include "boot/guests.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/topology.h"
#include "boot/config.h"
#include "drivers/acpi.h"
#include "drivers/cmos.h"
#include "vmm/console.h"
#include "vmm/life.h"
#include "vmm/monitor.h"

static struct config config;
static struct machine machines[BOOT_MODULES_MAX];
static hpa_t module_hpas[BOOT_MODULES_MAX];
static bool leave_at_end;

static void report_line(void *arg, const char *text)
{
	(void)arg;
	log_error("%s", text);
}

static void add(struct machine *machine, const struct boot_info *info, const struct vm_config *vm,
		u64 epoch)
{
	hpa_t *hpas = module_hpas + (vm->modules - config.modules);

	for (unsigned i = 0; i < vm->module_count; i++)
		hpas[i] = info->modules[vm->modules[i].number - 1].start;
	machine->config = (struct machine_config){
		.vm = vm->vm,
		.name = vm->name,
		.mem = vm->mem,
		.allowed_cpus = vm->allowed_cpus,
		.weight = vm->weight,
		.debug_exit = vm->debug_exit,
		.stop_on_reboot = vm->on_reboot == ON_STOP,
		.restart_on_crash = vm->on_crash == ON_RESTART,
		.modules = vm->modules,
		.module_hpa = hpas,
		.module_count = vm->module_count,
		.epoch = epoch,
		.epoch_tsc = rdtsc(),
	};
	life_add(machine);
	console_open(vm->vm); /* in this order they get their keys */
}

/* A VM may be pinned only to pCPUs that there are and that may run one. */
static bool pins_exist(const struct vm_config *vm)
{
	if (!vm->allowed_cpus || !(vm->allowed_cpus & ~sched_cpus))
		return true;
	log_error("[%s] cpu= names a CPU that does not run VMs: there are %lxh as a mask%s", vm->vm,
		  sched_cpus, "; second threads of a core only with smt=on");
	return false;
}

unsigned guests_create(const struct boot_info *info, bool smt)
{
	struct words_report report = {.line = report_line};
	u64 epoch = cmos_read_epoch(acpi.century);
	unsigned count = 0;

	sched_cpus = topology_cpus(smt);
	config_parse(info, &config, &report);
	for (unsigned i = 0; i < config.vm_count; i++) {
		if (config.vms[i].refused || !pins_exist(&config.vms[i]))
			log_error("[%s] does not start, see above", config.vms[i].vm);
		else
			add(&machines[count++], info, &config.vms[i], epoch);
	}
	return count;
}

/* Looked at by the boot CPU whenever it has nothing else to do. */
static bool done(void)
{
	static bool told;
	bool ended = life_all_ended();

	if (ended && !told)
		log_info("all VMs have ended");
	told = ended;
	return ended && leave_at_end;
}

static void init_cpu(void *arg)
{
	int *error = arg;

	if (sched_init_cpu())
		*error = 1;
}

static void run_cpu(void *arg)
{
	(void)arg;
	sched_run(NULL);
}

void guests_run(bool leave)
{
	int error = 0;

	leave_at_end = leave;
	for (unsigned i = 0; i < pcpu_count; i++)
		smp_call(i, init_cpu, &error);
	if (error) {
		log_error("no memory for the CPUs' run queues");
		return;
	}
	for (struct machine *m = life_machines; m; m = m->next)
		life_ask(m, LIFE_START);
	if (monitor_start())
		log_error("no memory for the monitor");
	for (unsigned i = 1; i < pcpu_count; i++)
		smp_post(i, run_cpu, NULL);
	sched_run(done);
}
