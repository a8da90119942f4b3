/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to addresses that are no RAM, or RAM that may not be written: the
 * instruction is executed against the MMIO bus, where nobody answers with all
 * ones and ignores writes.
 */
#include "vmm/exit.h"

#include "arch/lib/log.h"
#include "vmm/emulator.h"
#include "vmm/inject.h"
#include "vmm/vm.h"

void exit_memory(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	gpa_t gpa = exit->memory.gpa;

	/* The CPU was reading the IDT, GDT or TSS, or pushing onto the stack. */
	if (vcpu->delivery.type) {
		vm_kill(vcpu->vm, "event %u cannot be delivered: it needs %lxh, which is no RAM",
			vcpu->delivery.vector, gpa.v);
		return;
	}
	/* An open bus reads all ones, and the bytes FFh FFh are an undefined opcode. */
	if (exit->memory.fetch) {
		if (once_first(&vcpu->vm->unknown_gpas, gpa.v & ~(PAGE_SIZE - 1)))
			log_debug("[%s] code at %lxh, which is no RAM", vcpu->vm->name,
				  gpa.v);
		inject_ud(vcpu);
		return;
	}
	emulator_mmio(vcpu, gpa);
}
