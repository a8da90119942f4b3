/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a run that went as it should: nothing is left to do.
 */
#pragma once

#include "boot/options.h"

/*
 * Ends as the option exit= says: switches the machine off, tells an emulator's
 * port, or stays. What cannot switch it off says so and halts. Waits for the console
 * to have sent everything first. Boot CPU.
 */
_Noreturn void end_machine(const struct options *options);
