/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots of the stacks' area, mapped while they are used. No CPU is told when one is given back:
 * each sees from a count that it may know of a former use, and drops that before it touches a
 * stack. The upper half of a slot is the stack, the lower one the hole.
 */
#include "arch/stacks.h"

#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/space.h"

#define SLOT_SIZE   (2 * STACKS_SIZE)
#define SLOTS	    128
#define STACK_PAGES (STACKS_SIZE / PAGE_SIZE)

static struct spinlock lock; /* guards all below */
static void *taken[SLOTS]; /* its pages */
static u64 given;	   /* times; read without it */

static u64 stack_of(unsigned slot)
{
	return STACKS_BASE + slot * SLOT_SIZE + SLOT_SIZE - STACKS_SIZE;
}

void stacks_flush(void)
{
	struct pcpu *pcpu = this_pcpu();
	u64 now = __atomic_load_n(&given, __ATOMIC_ACQUIRE);

	if (pcpu->stacks_given == now)
		return;
	pcpu->stacks_given = now;
	write_cr3(read_cr3());
}

void *stacks_take(void)
{
	unsigned slot = 0;
	void *pages;

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
	stacks_flush();
	return (void *)(stack_of(slot) + STACKS_SIZE);
}

void stacks_give(void *top)
{
	unsigned slot = ((u64)top - 1 - STACKS_BASE) / SLOT_SIZE;

	SPIN_HOLD(&lock);
	space_unmap_stack(stack_of(slot), STACKS_SIZE);
	pages_free(taken[slot], STACK_PAGES);
	taken[slot] = NULL;
	__atomic_store_n(&given, given + 1, __ATOMIC_RELEASE);
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
