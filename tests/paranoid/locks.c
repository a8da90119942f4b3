/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of locks. Locks that stand at one place of their structures are a class: those of
 * a pCPU's page, those of a VM, or for what lies in the image each lock alone. Once a lock of
 * class B was waited for with one of class A held, nobody may wait for one of A with B held, be it
 * by way of other classes: two such CPUs could wait for each other. Nor may a CPU take a lock
 * that it has, give back one that it has not, or enter a guest or leave a slice with one.
 */
#include "tests/paranoid/paranoid.h"

#include "arch/lib/string.h"
#include "arch/memory.h"
#include "vmm/pcpu.h"

#define CLASSES 64

static struct {
	u64 key; /* the address, or the place in the page and what kind of page it is */
	u64 behind; /* BIT(class) of those that were taken with this one held, or behind such */
} classes[CLASSES];
static unsigned class_count;
static u32 busy; /* guards the two above */

static bool in_pcpu_page(const struct spinlock *lock)
{
	for (unsigned i = 0; i < pcpu_count; i++)
		if (pcpus[i]->vmm && ALIGN_DOWN(pcpus[i]->vmm, PAGE_SIZE) == ALIGN_DOWN(lock, PAGE_SIZE))
			return true;
	return false;
}

static u64 key_of(const struct spinlock *lock)
{
	if ((u64)lock >= IMAGE_BASE)
		return (u64)lock;
	return (u64)lock % PAGE_SIZE + (in_pcpu_page(lock) ? PAGE_SIZE : 0);
}

/* The class of a lock, CLASSES if there are too many; `busy` is held. */
static unsigned class_of(const struct spinlock *lock)
{
	u64 key = key_of(lock);
	unsigned i = 0;

	while (i < class_count && classes[i].key != key)
		i++;
	if (i == class_count && i < CLASSES)
		classes[class_count++].key = key;
	return i;
}

/* The one rule for two locks of a class: those of two run queues, the lower address first. */
static bool ordered(const struct spinlock *first, const struct spinlock *second)
{
	return in_pcpu_page(first) && first < second &&
	       (u64)first % PAGE_SIZE == offsetof(struct pcpu_vmm, queue.lock) % PAGE_SIZE;
}

static const char *follow(const struct spinlock *held, const struct spinlock *lock)
{
	unsigned a = class_of(held), b = class_of(lock);

	if (b == CLASSES)
		return "more classes of locks than locks.c can remember";
	if (a == b)
		return ordered(held, lock) ? NULL :
			paranoid_say("lock order: %p is taken with %p of its kind held", lock, held);
	if (classes[b].behind & BIT(a))
		return paranoid_say("lock order: %p is taken with %p held, and it was the other way "
				    "round", lock, held);
	if (classes[a].behind & BIT(b))
		return NULL;
	for (unsigned i = 0; i < class_count; i++)
		if (i == a || (classes[i].behind & BIT(a)))
			classes[i].behind |= classes[b].behind | BIT(b);
	return NULL;
}

const char *locks_take(struct spinlock *lock)
{
	struct paranoid *own = paranoid_own();
	const char *complaint = NULL;

	for (unsigned i = 0; i < own->held_count; i++)
		if (own->held[i] == lock)
			return paranoid_say("lock %p is taken by the CPU that has it", lock);
	if (own->held_count == PARANOID_LOCKS)
		return "more locks at once than locks.c can remember";
	while (own->held_count && __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	for (unsigned i = 0; i < own->held_count && !complaint; i++)
		complaint = follow(own->held[i], lock);
	if (own->held_count)
		__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
	own->held[own->held_count++] = lock;
	return complaint;
}

const char *locks_give(struct spinlock *lock)
{
	struct paranoid *own = paranoid_own();
	unsigned i = 0;

	while (i < own->held_count && own->held[i] != lock)
		i++;
	if (i == own->held_count)
		return paranoid_say("lock %p is given back by a CPU that does not have it", lock);
	for (own->held_count--; i < own->held_count; i++)
		own->held[i] = own->held[i + 1];
	return NULL;
}

const char *locks_none(const char *where)
{
	struct paranoid *own = paranoid_own();

	return own->held_count ? paranoid_say("lock %p is held %s", own->held[0], where) : NULL;
}
