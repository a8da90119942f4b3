/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine: what a VM consists of, and how it comes from its modules to the
 * guest's first instruction. The rest of its life is vmm/life.h's.
 */
#pragma once

#include "vmm/vm.h"

/* What becomes of a VM after a reset, or a crash: without a word the first starts it anew. */
enum machine_on { ON_DEFAULT, ON_RESTART, ON_STOP };

/* What a machine is made from; all that it points to stays. */
struct machine_config {
	char vm[VM_NAME_MAX];	/* the VM's name */
	char name[VM_NAME_MAX]; /* the guest's own name, name= */
	u64 mem;		/* bytes, a multiple of the page size; 0: all there is */
	u64 allowed_cpus;	/* BIT(pCPU id) of where its vCPUs may run; 0: anywhere */
	u64 cpus;		/* vCPUs; 0: one */
	enum vm_halt halt;
	u64 weight;		/* the share of each vCPU; 0: the default */
	enum machine_on on_reboot, on_crash;
	bool debug_exit, pci_testdev;
	struct vm_module *modules; /* in the order of the boot loader; their mem is NULL */
	unsigned module_count;
	u64 epoch, epoch_tsc; /* seconds since 1970, and the TSC at that moment */
};

/*
 * Builds a VM: memory, modules, devices, one vCPU, held; tells what its modules
 * are. Returns 0, or a negative errno after a message that names the VM and
 * what to change; nothing is left behind then.
 */
int machine_create(const struct machine_config *config, struct vm **vm);

/*
 * Brings a stopped VM from whatever state to the one in which the guest's first
 * instruction runs: memory scrubbed, guest loaded from its pristine modules,
 * devices and vCPU reset. In a job, which yields; gives up when *cancel becomes
 * true. 0, or -ENOEXEC with vm->end_reason, -ECANCELED.
 */
int machine_start(struct vm *vm, const bool *cancel);

/* For log=debug and the benchmark: what the VM's life cost so far. */
void machine_log_costs(const struct vm *vm);

