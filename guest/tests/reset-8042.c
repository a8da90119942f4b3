/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: command FEh to the i8042 pulses the reset line. IBM PS/2 technical reference,
 * "Keyboard and Auxiliary Device Controller".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

static void reset(void)
{
	outb(0x64, 0xfe);
}

void test_main(void)
{
	test_restarts("reset-8042", reset);
}
