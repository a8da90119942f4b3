/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joins the instruction emulator of vmm/emulate.h with a vCPU: gives it the
 * registers and the VM's buses, and carries out what it says.
 */
#pragma once

#include "vmm/vcpu.h"

/* Completes INS or OUTS. */
void emulator_port_string(struct vcpu *vcpu, const struct vcpu_exit *exit);
/* Executes the instruction at RIP, which touched device memory or the APIC's page: EXIT_MEMORY and
 * EXIT_APIC_ACCESS. */
void emulator_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit);

enum emulator_bus { EMULATOR_PORTS, EMULATOR_MEMORY };

/*
 * One access of a vCPU to its local APIC or its VM's devices at a port or guest
 * physical address: 1, 2, 4 bytes, or 8 in memory, within a page. The value read has no bits above
 * `size` bytes. Where no device is, the first access is logged.
 */
u64 emulator_read(struct vcpu *vcpu, enum emulator_bus bus, u64 addr, unsigned size);
void emulator_write(struct vcpu *vcpu, enum emulator_bus bus, u64 addr, unsigned size, u64 value);
