/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits: what Trivet does when the guest gives up the CPU, one handler for each
 * reason. The handlers are exit.c's own.
 */
#pragma once

#include "vmm/vcpu.h"

/* Serves one exit of the loaded vCPU. */
void exit_handle(struct vcpu *vcpu, const struct vcpu_exit *exit);

/*
 * Serves the WRMSRs that a guest waits for most, EOI and an IPI to another vCPU in x2APIC mode,
 * in their plain forms. EXIT_AGAIN: nothing beyond registers has changed and the guest can go
 * on at once. `where` is still VCPU_GUEST, so that whoever has something for the vCPU or
 * its pCPU kicks, which ends the next entry as soon as it is made.
 */
enum exit_early { EXIT_UNSERVED, EXIT_SERVED, EXIT_AGAIN };
enum exit_early exit_early(struct vcpu *vcpu, const struct vcpu_exit *exit);
