/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/vtimer.c */
/*
 * The timer queues: order, cancelling, arming again, the bound of one visit,
 * the locks around a callback, and moving a VM's timers. At the end, random
 * commands on two VMs and two queues, compared with a plain array.
 */
#include "vmm/vtimer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIMERS 64

struct vm {
	struct vtimer_queue *queue;
	u64 offset; /* host TSC at clock 0 */
	bool stopped;
	unsigned locks;
	bool locked;
};

static struct vm vms[2];
static struct vtimer_queue queues[2];
static struct vtimer timers[TIMERS];
static unsigned fired[TIMERS * 4], fired_count, earlier_calls;

struct vtimer_queue *vm_timer_queue(struct vm *vm)
{
	return vm->queue;
}

u64 vm_clock_to_tsc(const struct vm *vm, u64 clock)
{
	return vm->stopped ? VTIMER_NEVER : clock + vm->offset;
}

void vm_device_lock(struct vm *vm)
{
	assert_false(vm->locked);
	vm->locked = true;
	vm->locks++;
}

void vm_device_unlock(struct vm *vm)
{
	assert_true(vm->locked);
	vm->locked = false;
}

static void note_earlier(struct vtimer_queue *queue)
{
	assert_int_equal(queue->lock.owner, queue->lock.next);
	earlier_calls++;
}

static void note(void *arg)
{
	struct vtimer *timer = arg;
	unsigned i = (unsigned)(timer - timers);

	assert_true(timer->vm->locked);
	assert_false(timer->armed);
	for (unsigned q = 0; q < 2; q++)
		assert_int_equal(queues[q].lock.owner, queues[q].lock.next);
	assert_true(fired_count < TIMERS * 4);
	fired[fired_count++] = i;
}

static int setup(void **state)
{
	(void)state;
	memset(vms, 0, sizeof(vms));
	memset(queues, 0, sizeof(queues));
	memset(timers, 0, sizeof(timers));
	fired_count = 0;
	earlier_calls = 0;
	vms[0] = (struct vm){.queue = &queues[0], .offset = 1000};
	vms[1] = (struct vm){.queue = &queues[0], .offset = 5000};
	for (unsigned i = 0; i < TIMERS; i++)
		vtimer_init(&timers[i], &vms[i & 1], note, &timers[i]);
	return 0;
}

static void fires_in_order_of_host_time(void **state)
{
	static const unsigned order[] = {4, 2, 0, 1};

	(void)state;
	assert_true(vtimer_next(&queues[0]) == VTIMER_NEVER);
	assert_int_equal(vtimer_run(&queues[0], ~0ull, 9), 0);
	vtimer_arm(&timers[0], 300); /* 1300 */
	vtimer_arm(&timers[1], 0);   /* the other VM's clock: 5000 */
	vtimer_arm(&timers[2], 200);
	vtimer_arm(&timers[4], 100);
	assert_int_equal(vtimer_next(&queues[0]), 1100);
	assert_int_equal(vtimer_run(&queues[0], 1099, 9), 0);
	assert_int_equal(vtimer_run(&queues[0], 1100, 9), 1);
	assert_int_equal(vtimer_next(&queues[0]), 1200);
	assert_int_equal(vtimer_run(&queues[0], 5000, 9), 3);
	assert_int_equal(fired_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fired[i], order[i]);
	assert_true(vtimer_next(&queues[0]) == VTIMER_NEVER);
	assert_int_equal(vms[1].locks, 1);
}

static void arming_again_replaces_and_cancel_removes(void **state)
{
	(void)state;
	vtimer_cancel(&timers[0]); /* not armed: nothing */
	vtimer_arm(&timers[0], 500);
	vtimer_arm(&timers[0], 100);
	assert_int_equal(timers[0].deadline, 100);
	vtimer_arm(&timers[2], 50);
	vtimer_arm(&timers[0], 900);
	assert_int_equal(vtimer_next(&queues[0]), 1050);
	vtimer_cancel(&timers[2]);
	assert_false(timers[2].armed);
	assert_int_equal(vtimer_next(&queues[0]), 1900);
	vtimer_cancel(&timers[0]);
	assert_true(vtimer_next(&queues[0]) == VTIMER_NEVER);
	assert_int_equal(vtimer_run(&queues[0], ~0ull, 9), 0);
}

static void arm_past(void *arg)
{
	note(arg);
	vtimer_arm(arg, 0);
}

static void one_visit_is_bounded(void **state)
{
	(void)state;
	vtimer_init(&timers[0], &vms[0], arm_past, &timers[0]);
	vtimer_arm(&timers[0], 0);
	assert_int_equal(vtimer_run(&queues[0], 2000, 8), 8);
	assert_int_equal(fired_count, 8);
	assert_true(timers[0].armed);
	assert_int_equal(vtimer_next(&queues[0]), 1000);
}

static void cancel_other(void *arg)
{
	note(arg);
	vtimer_cancel(&timers[2]);
}

static void callback_may_cancel_a_due_timer(void **state)
{
	(void)state;
	vtimer_init(&timers[0], &vms[0], cancel_other, &timers[0]);
	vtimer_arm(&timers[0], 10);
	vtimer_arm(&timers[2], 11);
	assert_int_equal(vtimer_run(&queues[0], 2000, 8), 1);
	assert_int_equal(fired_count, 1);
}

static void tells_when_the_earliest_moves_forward(void **state)
{
	(void)state;
	queues[0].earlier = note_earlier;
	vtimer_arm(&timers[0], 500);
	assert_int_equal(earlier_calls, 1);
	vtimer_arm(&timers[2], 600);
	assert_int_equal(earlier_calls, 1);
	vtimer_arm(&timers[2], 400);
	assert_int_equal(earlier_calls, 2);
	vtimer_cancel(&timers[2]);
	assert_int_equal(earlier_calls, 2);
	queues[1].earlier = note_earlier;
	vms[0].queue = &queues[1];
	vtimer_requeue_vm(&vms[0], &queues[0], &queues[1]);
	assert_int_equal(earlier_calls, 3);
}

static void requeue_moves_one_vm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TIMERS; i++)
		vtimer_arm(&timers[i], 100 * (TIMERS - i));
	vms[1].queue = &queues[1];
	vms[1].offset = 0;
	vtimer_requeue_vm(&vms[1], &queues[0], &queues[1]);
	assert_int_equal(vtimer_next(&queues[0]), 1000 + 200);
	assert_int_equal(vtimer_next(&queues[1]), 100);
	assert_int_equal(vtimer_run(&queues[1], 1 << 20, 1000), TIMERS / 2);
	for (unsigned i = 0; i < TIMERS / 2; i++)
		assert_int_equal(fired[i], TIMERS - 1 - 2 * i);
	assert_int_equal(vtimer_run(&queues[0], 1 << 20, 1000), TIMERS / 2);
}

static void paused_clock_never_comes(void **state)
{
	(void)state;
	vtimer_arm(&timers[0], 100);
	vms[0].stopped = true;
	vtimer_requeue_vm(&vms[0], &queues[0], &queues[0]);
	assert_true(vtimer_next(&queues[0]) == VTIMER_NEVER);
	assert_true(timers[0].armed);
	vms[0].stopped = false;
	vms[0].offset = 7000;
	vtimer_requeue_vm(&vms[0], &queues[0], &queues[0]);
	assert_int_equal(vtimer_next(&queues[0]), 7100);
	assert_int_equal(timers[0].deadline, 100);
}

/* --- random commands against an array ----------------------------------- */

static u64 seed = 0x9e3779b97f4a7c15ull;

static u64 random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

struct model {
	bool armed;
	u64 deadline;
};

static u64 model_key(const struct model *model, unsigned i)
{
	return vm_clock_to_tsc(&vms[i & 1], model[i].deadline);
}

static u64 model_next(const struct model *model, const struct vtimer_queue *queue)
{
	u64 next = VTIMER_NEVER;

	for (unsigned i = 0; i < TIMERS; i++)
		if (model[i].armed && vms[i & 1].queue == queue && model_key(model, i) < next)
			next = model_key(model, i);
	return next;
}

static void model_fire(struct model *model, struct vtimer_queue *queue, u64 now, unsigned max)
{
	unsigned count;

	fired_count = 0;
	count = vtimer_run(queue, now, max);
	assert_int_equal(count, fired_count);
	for (unsigned i = 0; i < count; i++) {
		unsigned t = fired[i];

		assert_true(model[t].armed && vms[t & 1].queue == queue);
		assert_true(model_key(model, t) == model_next(model, queue));
		assert_true(model_key(model, t) <= now);
		model[t].armed = false;
	}
	assert_true(count == max || model_next(model, queue) > now);
}

static void agrees_with_an_array(void **state)
{
	struct model model[TIMERS] = {0};
	u64 now = 10000;

	(void)state;
	for (unsigned step = 0; step < 100000; step++) {
		u64 r = random64();
		unsigned t = (r >> 8) % TIMERS;
		struct vtimer_queue *queue = &queues[(r >> 16) & 1];
		struct vm *vm = &vms[(r >> 17) & 1];

		switch (r % 16) {
		case 0:
		case 1:
			vtimer_cancel(&timers[t]);
			model[t].armed = false;
			break;
		case 2:
			now += (r >> 32) % 2000;
			model_fire(model, queue, now, 1 + (r >> 20) % 8);
			break;
		case 3: {
			struct vtimer_queue *from = vm->queue;

			if ((r >> 24) % 16)
				break;
			vm->queue = queue;
			vm->offset = (r >> 32) % 5000;
			vm->stopped = (r >> 30) % 4 == 0;
			vtimer_requeue_vm(vm, from, queue);
			break;
		}
		default:
			model[t].armed = true;
			model[t].deadline = now - 4000 + (r >> 32) % 8000;
			vtimer_arm(&timers[t], model[t].deadline);
		}
		for (unsigned q = 0; q < 2; q++)
			assert_true(vtimer_next(&queues[q]) == model_next(model, &queues[q]));
		assert_true(timers[t].armed == model[t].armed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fires_in_order_of_host_time, setup),
		cmocka_unit_test_setup(arming_again_replaces_and_cancel_removes, setup),
		cmocka_unit_test_setup(one_visit_is_bounded, setup),
		cmocka_unit_test_setup(callback_may_cancel_a_due_timer, setup),
		cmocka_unit_test_setup(tells_when_the_earliest_moves_forward, setup),
		cmocka_unit_test_setup(requeue_moves_one_vm, setup),
		cmocka_unit_test_setup(paused_clock_never_comes, setup),
		cmocka_unit_test_setup(agrees_with_an_array, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
