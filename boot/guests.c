/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMs of the configuration.
 */
#include "boot/guests.h"

#include "arch/cpu.h"
#include "arch/lib/audit.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/topology.h"
#include "boot/config.h"
#include "drivers/acpi.h"
#include "drivers/cmos.h"
#include "vmm/life.h"
#include "vmm/monitor.h"

static struct config config;
static struct machine machines[BOOT_MODULES_MAX];
static bool leave_at_end;

/* A VM may be pinned only to pCPUs that there are and that may run one. */
static bool pins_exist(const struct machine_config *vm)
{
	if (!vm->allowed_cpus || !(vm->allowed_cpus & ~sched_cpus))
		return true;
	log_error("[%s] cpu= names a CPU that does not run VMs: there are %lxh as a mask; second "
		  "threads of a core only with smt=on", vm->vm, sched_cpus);
	return false;
}

/* The only VM, with neither mem= nor cpus=, gets a vCPU for each of the pCPUs. */
static u64 count_cpus(const struct machine_config *vm, bool only)
{
	u64 there = vm->allowed_cpus ? vm->allowed_cpus : sched_cpus;
	unsigned all = 0;

	if (vm->cpus || vm->mem || !only)
		return MAX(vm->cpus, 1);
	for (; there; there &= there - 1)
		all++;
	return MIN(all, VM_VCPUS_MAX);
}

unsigned guests_create(const struct boot_info *info, bool smt)
{
	u64 epoch = cmos_read_epoch(acpi.century), epoch_tsc = rdtsc();
	unsigned count = 0;

	sched_cpus = topology_cpus(smt);
	config_parse(info, &config);
	for (const struct vm_config *vm = config.vms; vm < config.vms + config.vm_count; vm++) {
		struct machine *machine = &machines[count];

		if (vm->refused || !pins_exist(&vm->machine)) {
			log_error("[%s] does not start, see above", vm->machine.vm);
			continue;
		}
		machine->config = vm->machine;
		machine->config.cpus = count_cpus(&vm->machine, config.vm_count == 1);
		machine->config.epoch = epoch;
		machine->config.epoch_tsc = epoch_tsc;
		life_add(machine);
		count++;
	}
	return count;
}

/* Looked at by the boot CPU whenever it has nothing else to do. */
static bool done(void)
{
	static bool told;
	bool ended = life_all_ended();

	if (ended && !told) {
		AUDIT(AUDIT_VMS_ENDED, NULL);
		log_info("all VMs have ended");
	}
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
	sched_run(NULL);
}

void guests_run(bool leave)
{
	u64 cpus = topology_cpus(true); /* on others not even a job may touch a vCPU */
	int error = 0;

	leave_at_end = leave;
	for (unsigned i = 0; i < pcpu_count; i++)
		if (cpus & BIT(i))
			smp_call(i, init_cpu, &error);
	if (error) {
		log_error("no memory for the CPUs' run queues");
		return;
	}
	for (struct machine *m = life_machines; m; m = m->next) {
		const char *wrong = life_ask(m, LIFE_START);

		if (wrong)
			log_error("[%s] %s", m->config.vm, wrong);
	}
	if (monitor_start())
		log_error("no memory for the monitor");
	for (unsigned i = 1; i < pcpu_count; i++)
		if (cpus & BIT(i))
			smp_post(i, run_cpu, NULL);
	sched_run(done);
}
