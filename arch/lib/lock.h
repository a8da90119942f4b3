/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket spinlock. Root mode runs with interrupts off, so nothing needs to be
 * saved. What a lock guards is said where the lock stands.
 */
#pragma once

#include "arch/lib/audit.h"

struct spinlock {
	u32 next, owner;
};

static inline void spin_lock(struct spinlock *lock)
{
	u32 ticket;

	AUDIT(AUDIT_LOCK, lock);
	ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
	while (__builtin_expect(__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket, 0))
		__builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
	AUDIT(AUDIT_UNLOCK, lock);
	/* A release, as each store; no other CPU writes it. */
	__asm__ volatile("incl %0" : "+m"(lock->owner)::"memory", "cc");
}

static inline void spin_leave(struct spinlock **lock)
{
	spin_unlock(*lock);
}

/* Takes a lock, which is given back at the end of the block, however that is reached. */
#define SPIN_HOLD(lock)                                                                           \
	__attribute__((cleanup(spin_leave))) struct spinlock *held_ = (lock);                     \
	spin_lock(held_)
