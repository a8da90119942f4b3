/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs: an allow-list; every other number gives the guest #GP. One door for the
 * guest and for those who save and restore it.
 */
#pragma once

#include "vmm/vcpu.h"

/* Values after a reset. */
void msr_reset(struct vcpu *vcpu);
/* Whether the policy of a VM (struct vm) lets its guest read or write an MSR. */
bool msr_allowed(const void *vm, u32 index, bool write);
/* RDMSR and WRMSR of `index`; the caller asked msr_allowed. False: #GP(0). */
bool msr_read(struct vcpu *vcpu, u32 index, u64 *value);
bool msr_write(struct vcpu *vcpu, u32 index, u64 value);
/* One row of the allow-list, for tests and listings; false beyond the last. */
bool msr_range(unsigned row, u32 *first, u32 *last, const char **name);
