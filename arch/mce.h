/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine checks: what the processor says of a fault of its own. In root mode one is a panic;
 * in a guest it ends that VM, unless the processor cannot go on at all. Without CR4.MCE, which
 * cpu_setup sets first of all, it would be a shutdown, and so is a second one before the first
 * is cleared. Source: Intel SDM volume 3, "Machine-Check Architecture".
 */
#pragma once

#include "arch/lib/types.h"

/* Puts into text what the processor and the bank with the worst error say: ", mcg status ...,
 * bank ...". True: it is none after which this processor is not to be trusted. On the CPU that
 * got the #MC. */
bool mce_describe(char *text, size_t size);

/* One that struck a guest or its entry: logged and forgotten, or a panic where the processor is not to
 * be trusted. What becomes of the guest is the caller's. On the CPU that got it. */
void mce_take(void);
