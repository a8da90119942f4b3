/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A local APIC for tests of what stands around it: one vector is pending, or
 * none, and the 8259s reach the CPU.
 */
#ifndef TESTS_UNIT_FAKE_LAPIC_H
#define TESTS_UNIT_FAKE_LAPIC_H

#include "vmm/lapic.h"

extern int fake_lapic_vector;	/* pending; -1: none; set to -1 when it is taken */
extern int fake_lapic_taken;	/* the last one taken, or -1 */
extern bool fake_lapic_extint;	/* LINT0 lets the 8259s through */

#endif
