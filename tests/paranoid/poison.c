/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Patterns in memory that nobody uses: bytes of A5h below the stack of a CPU that enters a
 * guest, so that locals that were not set show what they are; bytes of 5Ah in free pages, in
 * which nobody may have written when they are taken again.
 */
#include "tests/paranoid/paranoid.h"

#include "arch/lib/string.h"
#include "arch/memory.h"

/* Free pages that were filled: those that never were in use are not. */
#define LIMIT GIB(16)
static u64 filled[LIMIT / PAGE_SIZE / 64];

/* A clean stretch of so many words: nothing was written below it. */
#define CLEAN 128

void poison_stack(void)
{
	struct pcpu *pcpu = this_pcpu();
	u64 top = pcpu->stack_top, bottom = top - sizeof(((struct pcpu_stacks *)0)->main);
	volatile u64 *word;
	unsigned clean = 0;

	/* Interrupts are off, and NMIs have a stack of their own: nobody writes below RSP. */
	__asm__ volatile("mov %%rsp, %0" : "=r"(word));
	if ((u64)word <= bottom || (u64)word > top)
		return;
	while (--word >= (volatile u64 *)bottom && clean < CLEAN) {
		clean = *word == POISON_STACK ? clean + 1 : 0;
		*word = POISON_STACK;
	}
}

static bool page_filled(u64 page, bool set)
{
	u64 bit = BIT(page % 64), *word = &filled[page / 64];

	if (page >= LIMIT / PAGE_SIZE)
		return false;
	return (set ? __atomic_fetch_or(word, bit, __ATOMIC_RELAXED) :
		      __atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED)) & bit;
}

void poison_free(void *pages, unsigned count)
{
	u64 *word = pages, page = virt_to_phys(pages).v / PAGE_SIZE;

	for (unsigned i = 0; pages && i < count; i++)
		page_filled(page + i, true);
	for (u64 i = 0; pages && i < count * PAGE_SIZE / 8; i++)
		word[i] = POISON_PAGES;
}

const char *poison_take(void *pages, unsigned count)
{
	const u64 *word = pages;
	u64 page = virt_to_phys(pages).v / PAGE_SIZE;

	for (u64 i = 0; i < count * PAGE_SIZE / 8; i++) {
		if (i % (PAGE_SIZE / 8) == 0 && !page_filled(page + i / (PAGE_SIZE / 8), false))
			i += PAGE_SIZE / 8 - 1;
		else if (word[i] != POISON_PAGES)
			return paranoid_say("the free page of %p was written to: %lx", &word[i],
					    word[i]);
	}
	return NULL;
}
