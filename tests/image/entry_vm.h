/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small VM of the tests on VM entries: one vCPU, no memory, so that a guest
 * that does start executes nothing.
 */
#pragma once

#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* Makes it, with the vCPU loaded and in power-up state; false without memory. */
bool entry_vm_create(struct vm **vm);
void entry_vm_destroy(struct vm *vm);

/* The encoding of a VMCS field by its name; 0 (which is VPID's) for none. */
u32 entry_vm_field(const char *name, size_t len);
/* The name of a field. */
const char *entry_vm_name(u32 field);
