/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers, EFER and XCR0 as the guest writes them: which values are
 * valid, and what a change brings with it.
 */
#pragma once

#include "vmm/vcpu.h"

/* Serves an access to CR0, CR3, CR4 or CR8, CLTS and LMSW; moves RIP on, or
 * injects #GP(0). */
void cr_access(struct vcpu *vcpu, const struct vcpu_exit *exit);
/* The source of a MOV to a control or debug register. */
u64 cr_operand(struct vcpu *vcpu, unsigned gpr);
/* The rule that these control registers break in this VM, or NULL. */
const char *cr_check(const struct vcpu *vcpu, const struct vcpu_sregs *sregs);
/* WRMSR to IA32_EFER. False: #GP(0). SDM volume 3, "Extended Feature Enable Register". */
bool cr_set_efer(struct vcpu *vcpu, u64 value);
/* XSETBV: false: #GP(0). SDM volume 1, "Enabling the XSAVE Feature Set". */
bool cr_set_xcr(struct vcpu *vcpu, u32 index, u64 value);
