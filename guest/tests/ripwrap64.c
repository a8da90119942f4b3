/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: behind an emulated instruction that ends at the edge of the canonical addresses
 * the CPU finds RIP not canonical: #GP with that RIP (its low 48 bits count here); from
 * the last byte of all it goes on at 0. SDM volume 1, "Canonical Addressing".
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/paging.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define SCRATCH (CONSOLE_PORT + 7)
#define EDGE	0x00007fffffffffffull

static u8 page[4096] __attribute__((aligned(4096)));

static unsigned run_out_at(u64 address, u8 value)
{
	/* The stack is put back: a call that faults leaves its return address there. */
	return TRY("mov %%rsp, %%rbx; call *%0; 771: mov %%rbx, %%rsp",
		   : : "r"(address), "a"(value), "d"(SCRATCH) : "rbx", "memory");
}

void test_main(void)
{
	volatile u8 *zero = phys(0);
	u8 kept = *zero;

	page[4095] = 0xee; /* OUT DX, AL */
	paging_map(EDGE & ~4095ull, (u64)page, PAGING_PRESENT | PAGING_WRITE);
	paging_map(~4095ull, (u64)page, PAGING_PRESENT | PAGING_WRITE);
	outb(SCRATCH, 0);
	test_equal("out-at-edge", run_out_at(EDGE, 0x5a), TRAP_GP);
	/* A VM entry may refuse this RIP; a hypervisor then shows it sign-extended. */
	test_equal("out-at-edge-rip", trap_last.ip & ((1ull << 48) - 1), EDGE + 1);
	test_equal("out-at-edge-done", inb(SCRATCH), 0x5a);
	*zero = 0xc3; /* RET */
	test_equal("out-at-top", run_out_at(~0ull, 0x77), TRAP_NONE);
	test_equal("out-at-top-done", inb(SCRATCH), 0x77);
	*zero = kept;
}
