/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits: what Trivet does when the guest gives up the CPU, one handler for each
 * reason. The handlers are exit.c's own.
 */
#pragma once

#include "vmm/vcpu.h"

/* Serves one exit of the loaded vCPU. */
void exit_handle(struct vcpu *vcpu, const struct vcpu_exit *exit);
