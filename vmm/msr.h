/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs that exit: an allow-list; every other number gives the guest #GP.
 */
#pragma once

#include "vmm/vcpu.h"

/* Values after a reset. */
void msr_reset(struct vcpu *vcpu);
/* RDMSR and WRMSR of `index`. False: #GP(0). */
bool msr_read(struct vcpu *vcpu, u32 index, u64 *value);
bool msr_write(struct vcpu *vcpu, u32 index, u64 value);
/* One row of the allow-list, for tests and listings; false beyond the last. */
bool msr_range(unsigned row, u32 *first, u32 *last, const char **name);
