/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: a VM whose only vCPU executes HLT with interrupts off has ended, by the reason
 * `halted`. SDM volume 2, HLT. On a bare machine this hangs, as it should.
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

void test_main(void)
{
	print("halting\n");
	console_drain();
	halt_forever();
}
