/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues of device timers, one a pCPU: what is behind vtimer_arm of
 * vmm/vdev.h. A queue orders the timers of all VMs that use it by the host's
 * TSC; a VM's clock is turned into that when a timer is armed, and again by
 * vtimer_requeue_vm when the relation changes (pause, restore) or the VM moves
 * to another pCPU.
 *
 * Locks: arming, cancelling and requeueing are done with the VM's device lock
 * held; the queue's own lock is taken inside it. A callback runs with its VM's
 * device lock and no queue lock.
 */
#pragma once

#include "arch/lib/lock.h"
#include "vmm/vdev.h"

/* No timer, or a deadline that never comes (the VM's clock stands still). */
#define VTIMER_NEVER (~0ull)

struct vtimer_queue {
	struct spinlock lock; /* guards the list: first, and the links and keys of its timers */
	struct vtimer *first;
	/*
	 * Where not NULL, called after the earliest deadline has become earlier,
	 * so that the owner of the queue, possibly another pCPU, programs its
	 * hardware timer anew. No queue lock held; must not wait.
	 */
	void (*earlier)(struct vtimer_queue *queue);
};

/* The queue that a VM uses now. Provided by vmm/vm.c; stable under the VM's device lock. */
struct vtimer_queue *vm_timer_queue(struct vm *vm);
/*
 * A moment of the VM's clock in the host's TSC: 0 for one before the TSC's
 * start, VTIMER_NEVER for one that does not come as things stand. From vmm/vm.c.
 */
u64 vm_clock_to_tsc(const struct vm *vm, u64 clock);
/* The VM's device lock, from vmm/vm.c: held around every call into a device. */
void vm_device_lock(struct vm *vm);
void vm_device_unlock(struct vm *vm);

/*
 * Host TSC of the earliest deadline, VTIMER_NEVER when there is none. Any
 * context; by the queue's pCPU before each entry and before it idles.
 */
u64 vtimer_next(struct vtimer_queue *queue);

/*
 * Calls the timers whose deadline is at or before now_tsc, earliest first, at
 * most `max` of them: the bound of one visit, since a callback may arm its
 * timer for a deadline that has passed already. What is left over is the
 * earliest of the queue and fires at the next visit. Returns how many fired.
 * No device lock held. A VM may be freed only after its timers are cancelled
 * and each pCPU has left this function since.
 */
unsigned vtimer_run(struct vtimer_queue *queue, u64 now_tsc, unsigned max);

/*
 * Moves all armed timers of `vm` from one queue to another, which may be the
 * same, with keys computed anew. Called after vm_timer_queue and
 * vm_clock_to_tsc have taken on their new answers, with the VM's vCPUs stopped
 * or its device lock held. Work grows with the timers
 * of `from`, and with those of the VM times those of `to`.
 */
void vtimer_requeue_vm(struct vm *vm, struct vtimer_queue *from, struct vtimer_queue *to);
