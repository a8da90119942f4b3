/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine: what a VM consists of, and its life from the modules to the end.
 */
#pragma once

#include "vmm/vm.h"

struct machine_config {
	const char *vm;	    /* the VM's name */
	const char *name;   /* the guest's own name, name= */
	u64 mem;	    /* bytes, a multiple of the page size; 0: all there is */
	bool debug_exit;
	const struct vm_module *modules; /* mem is not looked at */
	const hpa_t *module_hpa;	 /* where each lies, page-aligned */
	unsigned module_count;
	u64 epoch; /* seconds since 1970 now */
};

/*
 * Builds a VM: memory, modules, devices, one vCPU; tells what its modules are.
 * Returns 0, or a negative errno after a message that names the VM and what to
 * change; nothing is left behind then.
 */
int machine_create(const struct machine_config *config, struct vm **vm);

/*
 * Runs the VM on this CPU until it ends: loads the guest from its modules,
 * runs it, and does so again for every reset. Logs why it ended.
 */
void machine_run(struct vm *vm);
