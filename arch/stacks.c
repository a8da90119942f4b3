/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots of the stacks' area, mapped while they are used. Only the CPU that runs on a stack
 * looks at it, and first drops what it may still know of the slot's last use, so that no other
 * one has to be told. The upper half of a slot is the stack, the lower one the hole.
 */
#include "arch/stacks.h"

#include "arch/lib/lock.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/space.h"

#define SLOT_SIZE   (2 * STACKS_SIZE)
#define SLOTS	    128
#define STACK_PAGES (STACKS_SIZE / PAGE_SIZE)

static struct spinlock lock; /* guards all below */
static void *taken[SLOTS]; /* its pages */

static u64 stack_of(unsigned slot)
{
	return STACKS_BASE + slot * SLOT_SIZE + SLOT_SIZE - STACKS_SIZE;
}

void stacks_flush(void *top)
{
	for (u64 at = (u64)top - STACKS_SIZE; at < (u64)top; at += PAGE_SIZE)
		__asm__ volatile("invlpg (%0)" ::"r"(at) : "memory");
}

void *stacks_take(void)
{
	unsigned slot = 0;
	void *pages, *top;

	SPIN_HOLD(&lock);
	while (slot < SLOTS && taken[slot])
		slot++;
	pages = slot < SLOTS ? pages_alloc(STACK_PAGES) : NULL;
	if (!pages)
		return NULL;
	if (space_map_stack(stack_of(slot), virt_to_phys(pages), STACKS_SIZE)) {
		pages_free(pages, STACK_PAGES);
		return NULL;
	}
	taken[slot] = pages;
	top = (void *)(stack_of(slot) + STACKS_SIZE);
	stacks_flush(top);
	return top;
}

void stacks_give(void *top)
{
	unsigned slot = ((u64)top - 1 - STACKS_BASE) / SLOT_SIZE;

	SPIN_HOLD(&lock);
	space_unmap_stack(stack_of(slot), STACKS_SIZE);
	pages_free(taken[slot], STACK_PAGES);
	taken[slot] = NULL;
}

static bool in_cpu_guard(const struct pcpu *pcpu, u64 addr)
{
	u64 ist = offsetof(struct pcpu_stacks, ist), at = addr - (pcpu->stack_top - ist);

	return at < PAGE_SIZE || (at >= ist && at < sizeof(struct pcpu_stacks) &&
				  (at - ist) % sizeof(boot_stacks.ist[0]) < PAGE_SIZE);
}

bool stacks_is_guard(u64 addr)
{
	bool guard = addr - STACKS_BASE < SLOTS * SLOT_SIZE &&
		     (addr - STACKS_BASE) % SLOT_SIZE < SLOT_SIZE - STACKS_SIZE;

	for (unsigned i = 0; i < pcpu_count; i++)
		guard |= in_cpu_guard(pcpus[i], addr);
	return guard;
}
