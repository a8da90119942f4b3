/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I/O ports for tests of physical drivers: their IN and OUT fault in a process,
 * and are then served by the test's own functions.
 */
#pragma once

#include "arch/lib/types.h"

/* Value of a read of `size` bytes (1, 2 or 4), and what happens at a write. */
struct fake_ports {
	u32 (*in)(u16 port, unsigned size);
	void (*out)(u16 port, unsigned size, u32 value);
};

/* To be called in the test itself: cmocka sets signal handlers for each function. */
void fake_ports_serve(const struct fake_ports *ports);
