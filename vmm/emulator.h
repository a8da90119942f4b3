/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joins the instruction emulator of vmm/emulate.h with a vCPU: gives it the
 * registers and the VM's buses, and carries out what it says.
 */
#pragma once

#include "vmm/vcpu.h"

/* Completes INS or OUTS. */
void emulator_port_string(struct vcpu *vcpu, const struct vcpu_exit *exit);
/* Executes the instruction at RIP, which touched device memory. */
void emulator_mmio(struct vcpu *vcpu, gpa_t gpa);

/*
 * One access to the VM's devices in memory: 1, 2, 4 or 8 bytes within a page.
 * What a read gives above `size` bytes means nothing.
 */
u64 emulator_read(struct vm *vm, gpa_t gpa, unsigned size);
void emulator_write(struct vm *vm, gpa_t gpa, unsigned size, u64 value);

/* exit_io.c: one access to the VM's port bus. */
u32 exit_io_in(struct vm *vm, u16 port, unsigned size);
void exit_io_out(struct vm *vm, u16 port, unsigned size, u32 value);
