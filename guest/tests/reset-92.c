/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: a change of port 92h bit 0 from 0 to 1 resets the CPU. IBM PS/2 technical reference,
 * "System Control Port A".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

static void reset(void)
{
	outb(0x92, inb(0x92) & 0xfe);
	outb(0x92, inb(0x92) | 0x01);
}

void test_main(void)
{
	test_restarts("reset-92", reset);
}
