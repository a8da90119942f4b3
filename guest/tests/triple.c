/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: a triple fault shuts the CPU down, and a PC then resets. SDM volume 3, "Interrupt
 * 8-Double Fault Exception (#DF)".
 */
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

static void reset(void)
{
	idt_load(NULL, 0);
	__asm__ volatile("int3");
}

void test_main(void)
{
	test_restarts("triple", reset);
}
