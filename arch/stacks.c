/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots of the stacks' area, mapped from the lowest on when they are first used,
 * and never unmapped, so that no CPU has to be told. The upper half of a slot is
 * the stack, the lower one the hole.
 */
#include "arch/stacks.h"

#include "arch/lib/lock.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/space.h"

#define SLOT_SIZE   (2 * STACKS_SIZE)
#define SLOTS	    128
#define STACK_PAGES (STACKS_SIZE / PAGE_SIZE)

static struct spinlock lock; /* guards all below */
static bool taken[SLOTS];
static unsigned mapped; /* slots below it are */

static u64 stack_of(unsigned slot)
{
	return STACKS_BASE + slot * SLOT_SIZE + SLOT_SIZE - STACKS_SIZE;
}

static bool add_slot(void)
{
	void *pages = pages_alloc(STACK_PAGES);

	if (!pages)
		return false;
	if (space_map_stack(stack_of(mapped), virt_to_phys(pages), STACKS_SIZE)) {
		pages_free(pages, STACK_PAGES);
		return false;
	}
	mapped++;
	return true;
}

void *stacks_take(void)
{
	unsigned slot = 0;

	SPIN_HOLD(&lock);
	while (slot < SLOTS && taken[slot])
		slot++;
	if (slot == SLOTS || (slot == mapped && !add_slot()))
		return NULL;
	taken[slot] = true;
	return (u8 *)memset((void *)stack_of(slot), 0, STACKS_SIZE) + STACKS_SIZE;
}

void stacks_give(void *top)
{
	unsigned slot = ((u64)top - 1 - STACKS_BASE) / SLOT_SIZE;

	SPIN_HOLD(&lock);
	taken[slot] = false;
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
