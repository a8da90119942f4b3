/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Never ends and never exits by itself: with interrupts off it must not stop anything
 * but its own VM.
 */
#include "guest/lib/console.h"
#include "guest/lib/test.h"

void test_main(void)
{
	print("spinning\n");
	for (;;)
		;
}
