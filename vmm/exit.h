/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits: one handler for each reason, and those that are too long to stand in
 * the dispatcher's file.
 */
#pragma once

#include "vmm/vcpu.h"

/* Serves one exit of the loaded vCPU. */
void exit_handle(struct vcpu *vcpu, const struct vcpu_exit *exit);

/* exit_io.c: ports. */
void exit_io(struct vcpu *vcpu, const struct vcpu_exit *exit);
/* exit_memory.c: addresses without RAM, or RAM that refuses the access. */
void exit_memory(struct vcpu *vcpu, const struct vcpu_exit *exit);
