/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "stacks": what lies on a job's stack is seen by each core that is asked for it by mail,
 * also where other pages were at that address before.
 */
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/stacks.h"
#include "tests/image/guest.h"

#define ROUNDS 100u
#define PAGES  (STACKS_SIZE / PAGE_SIZE)

static void add_one(void *arg)
{
	u32 *word = arg;

	__atomic_add_fetch(word, 1, __ATOMIC_RELAXED);
}

static unsigned use(const u8 *top)
{
	u32 *word = (u32 *)(top - sizeof(*word));
	unsigned failed = 0;

	CHECK_EQUAL(*word, 0);
	for (unsigned i = 0; i < pcpu_count; i++)
		smp_call(i, add_one, word);
	CHECK_EQUAL(*word, pcpu_count);
	return failed;
}

/* The lowest free slot again and again; what it had is then held, so that it gets other pages. */
static unsigned run_stacks(const char *argument)
{
	static void *held[ROUNDS];
	unsigned failed = 0;
	void *first = NULL;

	(void)argument;
	for (unsigned i = 0; i < ROUNDS && !failed; i++) {
		void *top = stacks_take();

		first = first ? first : top;
		CHECK(top && top == first);
		if (!top)
			break;
		failed += failed ? 0 : use(top);
		stacks_give(top);
		held[i] = pages_alloc(PAGES);
		CHECK(held[i]);
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		pages_free(held[i], PAGES);
	return failed;
}

DEFINE_SELFTEST(stacks_test, .name = "stacks", .run = run_stacks);
