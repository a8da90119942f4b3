/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port accesses. The CPU has checked the right to the port (IOPL and the TSS's
 * bitmap) before it exited.
 */
#include "vmm/exit.h"

#include "arch/lib/log.h"
#include "vmm/emulate.h"
#include "vmm/emulator.h"
#include "vmm/inject.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

static void unknown_port(struct vm *vm, u16 port, bool in)
{
	if (once_first(&vm->unknown_ports, port))
		log_debug("[%s] unknown port %xh, first %s", vm->name, port, in ? "read" : "written");
}

u32 exit_io_in(struct vm *vm, u16 port, unsigned size)
{
	bool claimed;
	u32 value;

	vm_device_lock(vm);
	value = bus_read(&vm->ports, port, size, &claimed);
	vm_device_unlock(vm);
	if (!claimed)
		unknown_port(vm, port, true);
	return value;
}

void exit_io_out(struct vm *vm, u16 port, unsigned size, u32 value)
{
	bool claimed;

	vm_device_lock(vm);
	claimed = bus_write(&vm->ports, port, size, value);
	vm_device_unlock(vm);
	if (!claimed)
		unknown_port(vm, port, false);
}

void exit_io(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 *rax = &vcpu->virt->gpr[GPR_RAX];
	unsigned size = exit->io.size;

	if (exit->io.string) {
		emulator_port_string(vcpu, exit);
		return;
	}
	if (!exit->io.in)
		exit_io_out(vcpu->vm, exit->io.port, size, *rax & size_mask(size));
	else if (size == 4)
		*rax = exit_io_in(vcpu->vm, exit->io.port, size);
	else
		*rax = (*rax & ~size_mask(size)) | exit_io_in(vcpu->vm, exit->io.port, size);
	vcpu_skip(vcpu, exit);
}
