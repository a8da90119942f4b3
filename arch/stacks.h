/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks beside those of the CPUs, each with a hole below it, in an area of their
 * own of the host virtual map.
 */
#pragma once

#include "arch/lib/types.h"

#define STACKS_SIZE KIB(16)

/* The top of a zeroed stack of STACKS_SIZE bytes, or NULL; and back. Any CPU, but only
 * one runs on it, and calls stacks_flush before. */
void *stacks_take(void);
void stacks_give(void *top);
void stacks_flush(void *top);

/* Whether an address lies in the hole below one of those stacks or of a CPU's own: what an
 * overflow touches. Any CPU, at any time. */
bool stacks_is_guard(u64 addr);
