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
 * Serves one that needs nothing beyond the guest's registers and its local APIC's, so that
 * the guest can go on at once: `where` is still VCPU_GUEST, and whoever has something for the vCPU or
 * its pCPU kicks, which ends the next entry as soon as it is made. False with nothing done.
 */
bool exit_early(struct vcpu *vcpu, const struct vcpu_exit *exit);
