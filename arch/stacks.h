/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks beside those of the CPUs, each with a hole below it, in an area of their
 * own of the host virtual map.
 */
#pragma once

#include "arch/lib/types.h"

#define STACKS_SIZE KIB(16)

/*
 * The top of a zeroed stack of STACKS_SIZE bytes, or NULL; and back. Any CPU. Its address is
 * used again: one that runs on it, or touches what lies on it, calls stacks_flush before.
 * smp_serve does, so what smp_call and smp_post hand over may lie there; nothing else may
 * that another CPU is to see.
 */
void *stacks_take(void);
void stacks_give(void *top);
/* Drops what this CPU may still know of stacks that were given back. */
void stacks_flush(void);

/* Whether an address lies in the hole below one of those stacks or of a CPU's own: what an
 * overflow touches. Any CPU, at any time. */
bool stacks_is_guard(u64 addr);
