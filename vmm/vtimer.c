/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device timers: an intrusive pairing heap for each pCPU, ordered by host TSC.
 * A timer's `child` is the first of its children, `sibling` the next child of
 * the same parent, `prev` the one before it, or the parent for a first child.
 * Melding is two compares and a few stores, which is what a guest that arms a
 * one-shot timer at each tick wants; nothing is allocated and nothing recurses.
 */
#include "vmm/vtimer.h"

/* Joins two heaps without siblings; either may be NULL. */
static struct vtimer *heap_meld(struct vtimer *a, struct vtimer *b)
{
	struct vtimer *top = a, *sub = b;

	if (!a || !b)
		return a ? a : b;
	if (b->key < a->key) {
		top = b;
		sub = a;
	}
	sub->prev = top;
	sub->sibling = top->child;
	if (top->child)
		top->child->prev = sub;
	top->child = sub;
	top->sibling = NULL;
	top->prev = NULL;
	return top;
}

/* Makes one heap of a list of siblings: pairs from the left, then all from the right. */
static struct vtimer *heap_meld_siblings(struct vtimer *list)
{
	struct vtimer *pairs = NULL, *heap = NULL;

	while (list) {
		struct vtimer *a = list, *b = a->sibling;

		list = b ? b->sibling : NULL;
		a->sibling = NULL;
		a->prev = NULL;
		if (b) {
			b->sibling = NULL;
			b->prev = NULL;
		}
		a = heap_meld(a, b);
		a->sibling = pairs;
		pairs = a;
	}
	while (pairs) {
		struct vtimer *next = pairs->sibling;

		pairs->sibling = NULL;
		heap = heap_meld(heap, pairs);
		pairs = next;
	}
	return heap;
}

static struct vtimer *heap_insert(struct vtimer *root, struct vtimer *timer)
{
	timer->child = NULL;
	timer->sibling = NULL;
	timer->prev = NULL;
	return heap_meld(root, timer);
}

static struct vtimer *heap_remove(struct vtimer *root, struct vtimer *timer)
{
	struct vtimer *children = heap_meld_siblings(timer->child);

	if (timer == root)
		root = NULL;
	else if (timer->prev->child == timer)
		timer->prev->child = timer->sibling;
	else
		timer->prev->sibling = timer->sibling;
	if (timer->sibling)
		timer->sibling->prev = timer->prev;
	timer->child = NULL;
	timer->sibling = NULL;
	timer->prev = NULL;
	return heap_meld(root, children);
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
		queue->root = heap_remove(queue->root, timer);
	timer->deadline = deadline;
	timer->key = key;
	timer->armed = true;
	earlier = !queue->root || key < queue->root->key;
	queue->root = heap_insert(queue->root, timer);
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
	spin_lock(&queue->lock);
	queue->root = heap_remove(queue->root, timer);
	timer->armed = false;
	spin_unlock(&queue->lock);
}

u64 vtimer_next(struct vtimer_queue *queue)
{
	u64 key = VTIMER_NEVER;

	/* Before each entry, mostly with nothing armed: look before locking. */
	if (!__atomic_load_n(&queue->root, __ATOMIC_RELAXED))
		return key;
	spin_lock(&queue->lock);
	if (queue->root)
		key = queue->root->key;
	spin_unlock(&queue->lock);
	return key;
}

/* The VM whose timer is due, or NULL. */
static struct vm *queue_due(struct vtimer_queue *queue, u64 now_tsc)
{
	struct vm *vm = NULL;

	spin_lock(&queue->lock);
	if (queue->root && queue->root->key <= now_tsc)
		vm = queue->root->vm;
	spin_unlock(&queue->lock);
	return vm;
}

/* Takes out the earliest timer where it is due and belongs to vm. */
static struct vtimer *queue_take(struct vtimer_queue *queue, const struct vm *vm, u64 now_tsc)
{
	struct vtimer *timer;

	spin_lock(&queue->lock);
	timer = queue->root;
	if (timer && timer->vm == vm && timer->key <= now_tsc) {
		queue->root = heap_remove(timer, timer);
		timer->armed = false;
	} else {
		timer = NULL;
	}
	spin_unlock(&queue->lock);
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
	struct vtimer *todo, *keep = NULL, *move = NULL;

	spin_lock(&from->lock);
	todo = from->root;
	while (todo) {
		struct vtimer *timer = todo, *last = timer->child;

		/* The children go in front of what is left to do: no recursion. */
		todo = timer->sibling;
		if (last) {
			while (last->sibling)
				last = last->sibling;
			last->sibling = todo;
			todo = timer->child;
		}
		if (timer->vm == vm) {
			timer->sibling = move;
			move = timer;
		} else {
			keep = heap_insert(keep, timer);
		}
	}
	from->root = keep;
	spin_unlock(&from->lock);

	spin_lock(&to->lock);
	while (move) {
		struct vtimer *next = move->sibling;

		move->key = vm_clock_to_tsc(vm, move->deadline);
		to->root = heap_insert(to->root, move);
		move = next;
	}
	spin_unlock(&to->lock);
	if (to->earlier)
		to->earlier(to);
}
