/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the instruction pointer behind an emulated instruction is cut as the CPU cuts it:
 * an OUT at FFFFFFFFh goes on at 0 in 32-bit code; one at FFFFh in real mode meets
 * the segment limit (#GP at 10000h) or goes on at 0, never anywhere else. SDM volume 1,
 * "Instruction Pointer"; volume 3, "Limit Checking".
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/real.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define SCRATCH (CONSOLE_PORT + 7)
#define TOP_4M	0x1c00000ul /* RAM shown at FFC00000h */

extern const u8 wrap_piece[], wrap_piece_end[]; /* ripwrap.asm */
static u32 directory[1024] __attribute__((aligned(4096)));

static void at_4g(void)
{
	volatile u8 *last = phys(TOP_4M + 0x3fffff), *zero = phys(0);
	u8 kept = *zero;
	u32 target = 0xffffffff;

	for (u32 i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x83;
	directory[1023] = TOP_4M | 0x83;
	cr4_write(cr4_read() | CR4_PSE);
	cr3_write((unsigned long)directory);
	cr0_write(cr0_read() | CR0_PG);
	*last = 0xee; /* OUT DX, AL */
	*zero = 0xc3; /* RET */
	outb(SCRATCH, 0);
	test_equal("out-at-4g",
		   TRY("call *%0", : : "r"(target), "a"(0x5a), "d"(SCRATCH) : "memory"), TRAP_NONE);
	test_equal("out-at-4g-done", inb(SCRATCH), 0x5a);
	*zero = kept;
	cr0_write(cr0_read() & ~CR0_PG);
}

static void at_64k(void)
{
	u32 how;

	outb(SCRATCH, 0);
	how = real_call(wrap_piece, (size_t)(wrap_piece_end - wrap_piece), false);
	print("OUT at FFFFh: %s\n", how == 1 ? "goes on at 0" : how == 2 ? "#GP" : "lost");
	test_check("out-at-64k", how == 1 || how == 2, "neither at 0 nor #GP");
	test_equal("out-at-64k-done", inb(SCRATCH), 0x77);
}

void test_main(void)
{
	at_64k();
	at_4g();
}
