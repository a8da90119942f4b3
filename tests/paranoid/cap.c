/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many instructions Trivet executes at once: from an exit to the next entry, or from and to
 * the scheduler, jobs included. They are told by the TSC, where it counts them, which is found
 * out: on other machines the longest work is told in ticks, and there is no cap.
 */
#include "tests/paranoid/paranoid.h"

#include "arch/cpu.h"
#include "arch/lib/audit.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/virt.h"

bool cap_counts;
u64 cap_walk;

#define ROUNDS 10000ul

/* Ticks of a loop of `instructions` each round. */
#define TICKS(body)                                                                               \
	({                                                                                        \
		u64 began_ = rdtsc(), rounds_ = ROUNDS, chain_ = 3;                               \
		__asm__ volatile("1:\t" body "dec %0\n\tjnz 1b"                                   \
				 : "+r"(rounds_), "+r"(chain_)::"rax", "rdx", "cc");              \
		rdtsc() - began_;                                                                 \
	})

static bool alike(u64 ticks, u64 instructions)
{
	return ticks >= instructions && ticks < instructions + instructions / 20;
}

/* No real processor takes as long for a chain of divisions as for as many NOPs. */
void cap_calibrate(void)
{
	u64 nops = TICKS("nop\n\tnop\n\tnop\n\t");
	u64 chain = TICKS("mov %1, %%rax\n\txor %%edx, %%edx\n\tdiv %1\n\t");
	u64 began = rdtsc();

	audit_run(~0u, NULL);
	cap_walk = rdtsc() - began;
	/* With more cores it may count rounds of them all, and a round of one is not known. */
	cap_counts = pcpu_count == 1 && alike(nops, 5 * ROUNDS) && alike(chain, 5 * ROUNDS);
	if (!cap_counts)
		log_info("paranoid: the TSC does not count instructions: no cap on them");
}

void cap_slice(const char *task)
{
	struct paranoid *own = paranoid_own();

	own->in_slice = true;
	own->task = task;
	own->since = rdtsc();
}

/* Outside of a slice tests run a vCPU by hand, and what they do besides is theirs. */
void cap_exit(u32 reason)
{
	struct paranoid *own = paranoid_own();

	own->reason = reason;
	own->task = NULL;
	own->since = own->in_slice ? rdtsc() : 0;
}

const char *cap_end(bool slice)
{
	struct paranoid *own = paranoid_own();
	u64 took = own->since ? rdtsc() - own->since : 0;

	own->since = 0;
	own->in_slice &= !slice;
	if (took <= own->longest)
		return NULL;
	own->longest = took;
	if (own->task)
		str_format(own->longest_at, sizeof(own->longest_at), "slice of %s", own->task);
	else
		str_format(own->longest_at, sizeof(own->longest_at), "exit reason %u", own->reason);
	if (cap_counts && took > CAP_INSTRUCTIONS)
		return paranoid_say("%lu instructions at once, %s", took, own->longest_at);
	return NULL;
}
