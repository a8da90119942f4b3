/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port accesses. The CPU has checked the right to the port (IOPL and the TSS's
 * bitmap) before it exited.
 */
#include "vmm/exit.h"

#include "vmm/emulator.h"

void exit_io(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 *rax = &vcpu->virt->gpr[GPR_RAX], value;
	unsigned size = exit->io.size;

	if (exit->io.string) {
		emulator_port_string(vcpu, exit);
		return;
	}
	if (exit->io.in) {
		value = emulator_read(vcpu->vm, EMULATOR_PORTS, exit->io.port, size);
		*rax = size == 4 ? value : (*rax & ~size_mask(size)) | value;
	} else {
		emulator_write(vcpu->vm, EMULATOR_PORTS, exit->io.port, size,
			       *rax & size_mask(size));
	}
	vcpu_skip(vcpu, exit);
}
