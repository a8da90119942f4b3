/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the i8042 answers its self test (AAh: 55h) and the port tests, keeps its
 * command byte, and has its status bits in order: nothing to read when idle. IBM
 * PS/2 technical reference, "Keyboard and Auxiliary Device Controller".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"

static bool wait_status(u8 mask, u8 want)
{
	for (unsigned i = 0; i < 20000; i++)
		if ((inb(0x64) & mask) == want)
			return true;
	return false;
}

/* The byte that a command gives, or -1. */
static int ask(u8 command)
{
	wait_status(2, 0);
	outb(0x64, command);
	return wait_status(1, 1) ? inb(0x60) : -1;
}

void test_main(void)
{
	int config;

	wait_status(2, 0);
	outb(0x64, 0xad); /* keyboard off while asking */
	pit_wait_us(2000);
	while (inb(0x64) & 1)
		inb(0x60);
	CHECK("idle", wait_status(3, 0));
	test_equal("self-test", (u64)ask(0xaa), 0x55);
	CHECK("self-test-sets-flag", inb(0x64) & 4);
	test_equal("keyboard-port-test", (u64)ask(0xab), 0);
	config = ask(0x20);
	CHECK("command-byte", config >= 0);
	wait_status(2, 0);
	outb(0x64, 0x60);
	wait_status(2, 0);
	outb(0x60, 0x30); /* both ports off, no interrupts, no translation */
	test_equal("command-byte-kept", (u64)ask(0x20) & 0x73, 0x30);
	CHECK("idle-again", wait_status(3, 0));
}
