/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Switching between stacks of Trivet itself.
 */
#pragma once

#include "arch/lib/types.h"

/* Keeps this context's stack pointer in *save and goes on in the one that `load` stands for. */
void context_switch(u64 *save, u64 load);
/* What to load for a new context that calls entry() on an empty stack, whose top, a multiple
 * of 16, this is. entry never returns. */
u64 context_new(void *stack_top, void (*entry)(void));

