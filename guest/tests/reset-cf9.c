/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the reset control register at CF9h resets when bit 2 goes from 0 to 1. "Intel 82371SB
 * (PIIX3)" data sheet, "Reset Control Register".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

static void reset(void)
{
	outb(0xcf9, 0x02);
	outb(0xcf9, 0x06);
}

void test_main(void)
{
	test_restarts("reset-cf9", reset);
}
