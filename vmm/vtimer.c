/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device timers: a list for each pCPU, sorted by host TSC. A VM has one timer
 * for each of its few timer chips, and the one that a guest arms at each tick
 * mostly goes to the front, so the walk is short; nothing is allocated.
 */
#include "vmm/vtimer.h"

/* Behind those of the same deadline. */
static void list_insert(struct vtimer_queue *queue, struct vtimer *timer)
{
	struct vtimer **link = &queue->first;

	while (*link && (*link)->key <= timer->key)
		link = &(*link)->next;
	timer->next = *link;
	*link = timer;
}

static void list_remove(struct vtimer_queue *queue, struct vtimer *timer)
{
	struct vtimer **link = &queue->first;

	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
}

void vtimer_init(struct vtimer *timer, struct vm *vm, void (*fn)(void *arg), void *arg)
{
	timer->vm = vm;
	timer->fn = fn;
	timer->arg = arg;
	timer->armed = false;
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	struct vtimer_queue *queue = vm_timer_queue(timer->vm);
	u64 key = vm_clock_to_tsc(timer->vm, deadline);
	bool earlier;

	spin_lock(&queue->lock);
	if (timer->armed)
		list_remove(queue, timer);
	timer->deadline = deadline;
	timer->key = key;
	timer->armed = true;
	earlier = !queue->first || key < queue->first->key;
	list_insert(queue, timer);
	spin_unlock(&queue->lock);
	if (earlier && queue->earlier)
		queue->earlier(queue);
}

void vtimer_cancel(struct vtimer *timer)
{
	struct vtimer_queue *queue;

	if (!timer->armed)
		return;
	queue = vm_timer_queue(timer->vm);
	SPIN_HOLD(&queue->lock);
	list_remove(queue, timer);
	timer->armed = false;
}

u64 vtimer_next(struct vtimer_queue *queue)
{
	/* Before each entry, mostly with nothing armed: look before locking. */
	if (!__atomic_load_n(&queue->first, __ATOMIC_RELAXED))
		return VTIMER_NEVER;
	SPIN_HOLD(&queue->lock);
	return queue->first ? queue->first->key : VTIMER_NEVER;
}

/* The VM whose timer is due, or NULL. */
static struct vm *queue_due(struct vtimer_queue *queue, u64 now_tsc)
{
	SPIN_HOLD(&queue->lock);
	return queue->first && queue->first->key <= now_tsc ? queue->first->vm : NULL;
}

/* Takes out the earliest timer where it is due and belongs to vm. */
static struct vtimer *queue_take(struct vtimer_queue *queue, const struct vm *vm, u64 now_tsc)
{
	struct vtimer *timer;

	SPIN_HOLD(&queue->lock);
	timer = queue->first;
	if (!timer || timer->vm != vm || timer->key > now_tsc)
		return NULL;
	queue->first = timer->next;
	timer->armed = false;
	return timer;
}

unsigned vtimer_run(struct vtimer_queue *queue, u64 now_tsc, unsigned max)
{
	unsigned fired = 0;

	for (unsigned i = 0; i < max; i++) {
		struct vm *vm = queue_due(queue, now_tsc);
		struct vtimer *timer;

		if (!vm)
			break;
		/*
		 * The device lock comes before the queue's, so the timer is taken
		 * out only after both are held: another vCPU of the VM may have
		 * cancelled it meanwhile, and then it must not fire.
		 */
		vm_device_lock(vm);
		timer = queue_take(queue, vm, now_tsc);
		if (timer) {
			timer->fn(timer->arg);
			fired++;
		}
		vm_device_unlock(vm);
	}
	return fired;
}

void vtimer_requeue_vm(struct vm *vm, struct vtimer_queue *from, struct vtimer_queue *to)
{
	struct vtimer *move = NULL, **link = &from->first;

	spin_lock(&from->lock);
	while (*link) {
		struct vtimer *timer = *link;

		if (timer->vm != vm) {
			link = &timer->next;
			continue;
		}
		*link = timer->next;
		timer->next = move;
		move = timer;
	}
	spin_unlock(&from->lock);

	spin_lock(&to->lock);
	while (move) {
		struct vtimer *next = move->next;

		move->key = vm_clock_to_tsc(vm, move->deadline);
		list_insert(to, move);
		move = next;
	}
	spin_unlock(&to->lock);
	if (to->earlier)
		to->earlier(to);
}
