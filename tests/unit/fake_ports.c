/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes the instruction that raised SIGSEGV: IN and OUT with the port in DX
 * or in a byte, for AL, AX and EAX.
 */
#define _GNU_SOURCE
#include "tests/unit/fake_ports.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "arch/lib/bits.h"

static struct fake_ports served;
static struct sigaction old_segv;

static void on_segv(int number, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const u8 *code = (const u8 *)gregs[REG_RIP];
	bool word = !info->si_addr && code[0] == 0x66;
	u8 op = info->si_addr ? 0 : code[word];
	unsigned size = word ? 2 : op & 1 ? 4 : 1;
	bool immediate = !(op & 8);
	u16 port = immediate ? code[word + 1] : (u16)gregs[REG_RDX];
	u64 mask = size_mask(size);

	/* E4 to E7 and EC to EF. */
	if ((op & 0xf4) != 0xe4) {
		sigaction(number, &old_segv, NULL);
		return;
	}
	gregs[REG_RIP] += 1 + word + immediate;
	if (op & 2)
		served.out(port, size, (u32)((u64)gregs[REG_RAX] & mask));
	else if (size == 4)
		gregs[REG_RAX] = served.in(port, size);
	else
		gregs[REG_RAX] = (greg_t)(((u64)gregs[REG_RAX] & ~mask) |
					  (served.in(port, size) & mask));
}

void fake_ports_serve(const struct fake_ports *ports)
{
	struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_NODEFER};

	served = *ports;
	assert_int_equal(sigaction(SIGSEGV, &action, &old_segv), 0);
}
