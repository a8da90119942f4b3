/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/sched.c tests/unit/fake_host.c */
/* LIBS: -lpthread */
/*
 * The run queues with toy tasks: shares, waking, alarms, holding in every state, directed
 * yields, and moving between pCPUs, first with one thread that plays all pCPUs, then with a thread for each.
 * A toy's slice takes the time that the test says: the queue's `since` is moved back.
 */
#include "vmm/sched.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/percpu.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "vmm/console.h"
#include "vmm/job.h"
#include "vmm/pcpu.h"

#define TOYS 12
#define MANY 32 /* vCPUs of one VM */
/* Ticks, of a clock so fast that what the host takes between two slices is next to nothing. */
#define MS   100000000ull

struct toy {
	struct task task; /* first */
	u64 takes, sleeps; /* sleeps: until so much later, where it waits; 0: for good */
	enum task_next next;
	void (*during)(struct toy *toy); /* in its slice */
	unsigned slices, loads, unloads;
	bool inside; /* of a slice */
	bool held;   /* sched_hold has returned */
	u32 ran_on;
};

static struct toy toys[MANY + 1];
static struct toy *const a = &toys[0], *const b = &toys[1], *const c = &toys[2], *const d = &toys[3];
static unsigned polls;

u64 vtimer_next(struct vtimer_queue *queue)
{
	return VTIMER_NEVER;
}

unsigned vtimer_run(struct vtimer_queue *queue, u64 now_tsc, unsigned max)
{
	return 0;
}

u64 console_next(void)
{
	return 0;
}

void console_poll(u64 now)
{
	assert_int_equal(this_pcpu()->id, 0);
	__atomic_add_fetch(&polls, 1, __ATOMIC_RELAXED);
}

struct pcpu_vmm *pcpu_vmm(void)
{
	return this_pcpu()->vmm;
}

struct pcpu_vmm *pcpu_vmm_of(unsigned id)
{
	return pcpus[id]->vmm;
}

static struct sched_queue *queue(unsigned id)
{
	return &pcpu_vmm_of(id)->queue;
}

static enum task_next slice(struct task *task, u64 until)
{
	struct toy *toy = (struct toy *)task;
	struct sched_queue *own = queue(this_pcpu()->id);

	assert_false(__atomic_exchange_n(&toy->inside, true, __ATOMIC_SEQ_CST));
	assert_false(__atomic_load_n(&toy->held, __ATOMIC_SEQ_CST));
	assert_true(task->allowed & BIT(this_pcpu()->id));
	assert_int_equal(task->cpu, this_pcpu()->id);
	assert_true(!task->load || (task->loaded && own->loaded == task));
	assert_int_equal(until, own->until);
	assert_in_range(until, own->since + 1, own->since + SCHED_SLICE_MS * MS);
	assert_true(task->wake_at == SCHED_NEVER && !task->asleep && !task->lazy);
	toy->slices++;
	toy->ran_on = this_pcpu()->id;
	if (toy->during)
		toy->during(toy);
	own->since -= toy->takes;
	own->until -= toy->takes;
	if (toy->sleeps)
		task->wake_at = rdtsc() + toy->sleeps;
	__atomic_store_n(&toy->inside, false, __ATOMIC_SEQ_CST);
	return toy->next;
}

static void load(struct task *task)
{
	struct toy *toy = (struct toy *)task;

	assert_int_equal(toy->loads++, toy->unloads);
}

static void unload(struct task *task)
{
	struct toy *toy = (struct toy *)task;

	assert_int_equal(++toy->unloads, toy->loads);
	assert_false(toy->inside);
}

static void add(struct toy *toy, unsigned weight, u64 allowed)
{
	*toy = (struct toy){
		.task = {.name = "toy", .slice = slice, .load = load, .unload = unload,
			 .allowed = allowed, .weight = weight},
		.takes = MS,
		.next = TASK_READY,
	};
	sched_add(&toy->task);
}

static void add_ready(struct toy *toy, unsigned weight, u64 allowed)
{
	add(toy, weight, allowed);
	sched_wake(&toy->task);
}

static int setup(void **state)
{
	fake_host_init(MIB(1));
	tsc_hz = 1000 * MS;
	return 0;
}

static unsigned rounds;

static bool no_more(void)
{
	return rounds-- == 0;
}

/* Plays a pCPU for some rounds of its loop. */
static void step(unsigned id, unsigned count)
{
	u32 before = this_pcpu()->id;
	unsigned left = rounds; /* of who plays in a slice of another */

	fake_host_play(id);
	rounds = count;
	sched_run(no_more);
	rounds = left;
	fake_host_play(before);
}

static void assert_share(const struct toy *x, const struct toy *y, u64 parts_x, u64 parts_y)
{
	u64 left = x->task.ran * parts_y, right = y->task.ran * parts_x;

	assert_in_range(left, right - right / 100, right + right / 100);
}

/* ---- shares */

static void shares_go_by_weight(void **state)
{
	add_ready(a, 100, ~0ull);
	add_ready(b, 300, ~0ull);
	add_ready(c, 10000, ~0ull);
	add_ready(d, 1, ~0ull);
	step(0, 60000);
	assert_share(b, a, 300, 100);
	assert_share(c, a, 10000, 100);
	assert_in_range(d->slices, 4, 7); /* 1 of 10,401 */
	sched_remove(&d->task);
	sched_remove(&c->task);
	sched_remove(&b->task);
	sched_remove(&a->task);
	assert_int_equal(queue(0)->assigned, 0);
	assert_int_equal(queue(0)->count, 0);
}

static void long_slices_get_no_more_than_short_ones(void **state)
{
	add_ready(a, 100, ~0ull);
	add_ready(b, 100, ~0ull);
	a->takes = 10 * MS;
	b->takes = MS / 10;
	step(0, 30000);
	assert_share(a, b, 1, 1);
	assert_in_range(b->slices, a->slices * 95, a->slices * 105);
}

static void nobody_saves_time_by_sleeping(void **state)
{
	u64 before;

	add_ready(a, 100, ~0ull);
	add_ready(b, 100, ~0ull);
	b->next = TASK_WAIT;
	step(0, 1000);
	assert_int_equal(b->slices, 1);
	assert_int_equal(a->slices, 999);
	before = a->task.ran;
	b->next = TASK_READY;
	sched_wake(&b->task);
	step(0, 100);
	assert_in_range(b->slices, 49, 53);
	assert_in_range(a->task.ran - before, 48 * MS, 52 * MS);
	/* nor does one that comes new, or loses one that others were waiting for */
	add_ready(c, 100, ~0ull);
	before = b->task.ran;
	step(0, 99);
	assert_in_range(c->slices, 32, 35);
	assert_in_range(b->task.ran - before, 32 * MS, 35 * MS);
}

static bool yields;

static void wakes_b(struct toy *toy)
{
	queue(0)->since -= toy->takes; /* that much is over */
	sched_wake(&b->task);
	yields = sched_should_yield();
	queue(0)->since += toy->takes;
}

static void who_had_less_goes_first(void **state)
{
	add_ready(a, 100, ~0ull);
	add_ready(b, 100, ~0ull);
	b->next = TASK_WAIT;
	step(0, 20);
	a->during = wakes_b;
	step(0, 1);
	assert_true(yields);
	step(0, 1); /* b, and waits again */
	assert_int_equal(b->slices, 2);
	assert_false(sched_should_yield());
	/* a slice that has just begun goes on, where b had more than a */
	a->takes = 0;
	b->task.used = a->task.used + 5 * MS;
	step(0, 1);
	assert_false(yields);
}

/* ---- waking */

static void wakes_itself(struct toy *toy)
{
	sched_wake(&toy->task);
}

static void a_wake_during_the_slice_is_not_lost(void **state)
{
	fake_host_on_wait(NULL);
	add_ready(a, 100, ~0ull);
	a->next = TASK_WAIT;
	a->during = wakes_itself;
	step(0, 5);
	assert_int_equal(a->slices, 5);
	a->during = NULL;
	step(0, 5); /* the last wake, and then it waits */
	assert_int_equal(a->slices, 6);
	assert_int_equal(fake_host.waits, 4);
	/* one before the slice is not kept for its end */
	sched_wake(&a->task);
	sched_wake(&a->task);
	step(0, 3);
	assert_int_equal(a->slices, 7);
}

static void wakes_from_elsewhere(struct toy *toy)
{
	fake_host.kicked = 0;
	fake_host_play(0);
	sched_wake(&toy->task);
	fake_host_play(1);
	toy->during = NULL;
}

static void a_wake_kicks_the_other_pcpu(void **state)
{
	fake_host_cpus(2);
	fake_host_on_wait(NULL);
	add_ready(a, 100, BIT(1));
	assert_int_equal(fake_host.kicked, BIT(1));
	a->next = TASK_WAIT;
	a->during = wakes_from_elsewhere;
	step(1, 1);
	assert_int_equal(fake_host.kicked, BIT(1));
	step(1, 2);
	assert_int_equal(a->slices, 2);
	/* from its own pCPU no kick is needed */
	fake_host.kicked = 0;
	fake_host_play(1);
	sched_wake(&a->task);
	fake_host_play(0);
	assert_int_equal(fake_host.kicked, 0);
}

/* ---- alarms */

static u64 serve(unsigned id, u64 now)
{
	u64 next;

	fake_host_play(id);
	next = sched_serve(now);
	fake_host_play(0);
	return next;
}

static void sleepers_wake_in_their_order(void **state)
{
	static const u64 seconds[] = {40, 10, 30, 10, 20}, order[] = {1, 3, 4, 2, 0};
	u64 next;

	fake_host_cpus(2);
	fake_host_on_wait(NULL);
	assert_true(serve(1, rdtsc()) == SCHED_NEVER);
	for (unsigned i = 0; i < 5; i++) {
		add_ready(&toys[i], 100, BIT(1));
		toys[i].next = TASK_WAIT;
		toys[i].sleeps = seconds[i] * 1000 * MS;
	}
	step(1, 6);
	assert_int_equal(fake_host.waits, 1);
	/* what it halts until is the first of them */
	assert_int_equal(fake_host.timer_deadline, toys[1].task.wake_at);
	for (unsigned i = 0; i < 5; i++) {
		struct toy *toy = &toys[order[i]];

		assert_true(toy->task.asleep);
		assert_int_equal(serve(1, rdtsc()), toy->task.wake_at);
		assert_int_equal(serve(1, toy->task.wake_at - 1), toy->task.wake_at);
		assert_true(toy->task.asleep);
		assert_int_equal(toy->slices, 1);
		fake_host.kicked = 0;
		next = serve(1, toy->task.wake_at);
		assert_int_equal(fake_host.kicked, 0);
		assert_true(next > toy->task.wake_at);
		assert_true(!toy->task.asleep && toy->task.queued);
		assert_ptr_equal(queue(1)->first, &toy->task);
		toy->sleeps = 0;
		step(1, 2);
		assert_int_equal(toy->slices, 2);
		assert_false(toy->task.ready || toy->task.asleep);
	}
	assert_true(next == SCHED_NEVER);
	assert_true(serve(1, rdtsc() + 100000 * MS) == SCHED_NEVER);
}

static void all_that_are_due_wake_at_once(void **state)
{
	fake_host_on_wait(NULL);
	for (unsigned i = 0; i < TOYS; i++) {
		add_ready(&toys[i], 100, BIT(0));
		toys[i].next = TASK_WAIT;
		toys[i].sleeps = 1 + i * 1000; /* of the real TSC: over before they all slept */
	}
	step(0, 100000);
	for (unsigned i = 0; i < TOYS; i++)
		assert_true(toys[i].slices > 100);
	for (unsigned i = 0; i < TOYS; i++)
		toys[i].sleeps = 0;
	step(0, 2 * TOYS + 100000);
	assert_true(queue(0)->count == 0 && !queue(0)->sleepers);
	assert_true(queue(0)->alarm == SCHED_NEVER);
}

static void a_wake_ends_an_alarm(void **state)
{
	fake_host_cpus(2);
	fake_host_on_wait(NULL);
	for (unsigned i = 0; i < 3; i++) {
		add_ready(&toys[i], 100, BIT(1));
		toys[i].next = TASK_WAIT;
		toys[i].sleeps = (i + 1) * 1000 * MS;
	}
	step(1, 4);
	/* from elsewhere, the one in the middle and then the first */
	sched_wake(&b->task);
	b->sleeps = 0;
	assert_int_equal(serve(1, rdtsc()), a->task.wake_at);
	sched_wake(&a->task);
	a->sleeps = 0;
	assert_int_equal(serve(1, rdtsc()), c->task.wake_at);
	step(1, 3);
	assert_true(a->slices == 2 && b->slices == 2 && c->slices == 1);
	assert_int_equal(serve(1, rdtsc()), c->task.wake_at);
	assert_true(serve(1, c->task.wake_at) == SCHED_NEVER);
	c->sleeps = 0;
	step(1, 3);
	assert_true(a->slices == 2 && b->slices == 2 && c->slices == 2);
	/* one that is woken in its slice, or does not wait, has none */
	a->sleeps = 1000 * MS;
	a->during = wakes_itself;
	sched_wake(&a->task);
	step(1, 3);
	assert_true(a->task.queued && !queue(1)->sleepers);
	a->during = NULL;
	a->next = TASK_READY;
	step(1, 3);
	assert_true(a->task.queued && !queue(1)->sleepers);
	a->next = TASK_GONE;
	step(1, 2);
	assert_true(serve(1, rdtsc() + 100000 * MS) == SCHED_NEVER);
}

static void a_held_sleeper_wakes_and_does_not_run(void **state)
{
	fake_host_on_wait(NULL);
	fake_host_cpus(2);
	add_ready(a, 100, BIT(1));
	a->next = TASK_WAIT;
	a->sleeps = 1000 * MS;
	a->task.load = NULL;
	step(1, 2);
	sched_hold(&a->task);
	assert_true(a->task.asleep);
	assert_true(serve(1, a->task.wake_at) == SCHED_NEVER);
	assert_false(a->task.asleep || a->task.queued);
	step(1, 2);
	assert_int_equal(a->slices, 1);
	sched_release(&a->task);
	step(1, 2);
	assert_int_equal(a->slices, 2);
	/* one that is let go before its time sleeps on; who is taken away leaves nothing */
	sched_hold(&a->task);
	sched_release(&a->task);
	assert_true(a->task.asleep);
	step(1, 2);
	assert_int_equal(a->slices, 2);
	sched_remove(&a->task);
	memset(&a->task, 0xa5, sizeof(a->task));
	assert_true(serve(1, rdtsc() + 100000 * MS) == SCHED_NEVER);
}

/* ---- time that others had */

static void waiting_in_the_queue_is_counted(void **state)
{
	fake_host_on_wait(NULL);
	add(a, 100, ~0ull);
	add_ready(b, 100, ~0ull);
	sched_wake(&a->task);
	a->task.used = 1; /* behind b */
	a->task.since -= 5 * MS;
	step(0, 1);
	assert_true(a->slices == 1 || b->slices == 1);
	sched_hold(&b->task);
	step(0, 1);
	assert_in_range(a->task.waited, 5 * MS, 6 * MS);
	/* not while it waits for a wake, sleeps or is held */
	a->next = TASK_WAIT;
	a->sleeps = 100000 * MS;
	step(0, 1);
	sched_hold(&a->task);
	sched_wake(&a->task);
	assert_false(a->task.queued);
	a->task.since -= 1000 * MS;
	sched_release(&a->task);
	step(0, 1);
	assert_in_range(a->task.waited, 5 * MS, 7 * MS);
}

/* ---- directed yields */

static struct toy *target;
static bool found;

static void yields_to_target(struct toy *toy)
{
	struct sched_queue *own = queue(this_pcpu()->id);

	own->since -= toy->takes; /* that much is over */
	own->until -= toy->takes;
	found = sched_yield_to(target ? &target->task : NULL);
	assert_true(!found || sched_should_yield());
	own->since += toy->takes;
	own->until += toy->takes;
}

static u64 group_1, group_2;

static void add_to(const void *group, struct toy *toy, u64 allowed)
{
	add(toy, 100, allowed);
	toy->task.group = group;
	sched_wake(&toy->task);
}

static void who_is_yielded_to_goes_next(void **state)
{
	u64 used_a, used_c;

	add_to(&group_1, a, ~0ull);
	add_to(&group_2, b, ~0ull);
	add_to(&group_1, c, ~0ull);
	add_to(&group_1, d, ~0ull);
	queue(0)->first = &a->task;
	b->task.used = 2 * MS;
	d->task.used = 3 * MS;
	c->task.used = 500 * MS; /* has had by far the most */
	a->task.next = &b->task;
	b->task.next = &d->task;
	d->task.next = &c->task;
	c->task.next = NULL;
	a->during = yields_to_target;
	target = c;
	used_a = a->task.used;
	step(0, 1);
	assert_int_equal(a->slices, 1);
	assert_true(found);
	/* they have changed places, and no time came or went */
	used_c = c->task.used;
	assert_in_range(used_c, used_a + MS, used_a + 2 * MS);
	assert_in_range(a->task.used, 500 * MS, 500 * MS + MS / 2);
	assert_ptr_equal(queue(0)->favoured, &c->task);
	step(0, 1);
	assert_int_equal(c->slices, 1);
	assert_null(queue(0)->favoured);
	assert_in_range(queue(0)->floor, 0, 2 * MS);
	step(0, 2);
	assert_true(b->slices + d->slices + c->slices == 3 && a->slices == 1);
	/* to one that has had less, nothing but the turn is given */
	target = a;
	b->during = c->during = d->during = yields_to_target;
	step(0, 20);
	assert_true(a->slices > 2);
	/* not to who does not wait for a pCPU, or is no sibling */
	sched_hold(&a->task);
	sched_hold(&c->task);
	sched_hold(&d->task);
	step(0, 1);
	assert_false(found || sched_should_yield());
	target = NULL;
	step(0, 1);
	assert_false(found || sched_should_yield());
	sched_release(&c->task);
	target = c;
	b->task.used = 0;
	step(0, 1);
	assert_false(found);
	target = NULL;
	step(0, 1);
	assert_false(found);
	c->task.group = b->task.group = NULL; /* those of no group are none */
	step(0, 2);
	assert_false(found);
}

/* Yields for ever to and fro get no more than what is not in the group. */
static void a_group_gets_no_more_by_yielding(void **state)
{
	u64 group = 0;

	for (unsigned i = 0; i < 6; i++) {
		add_to(i < 4 ? &group_1 : &group_2, &toys[i], ~0ull);
		toys[i].takes = i < 4 ? MS / 20 : 10 * MS;
		toys[i].during = i < 4 ? yields_to_target : NULL;
	}
	toys[2].takes = 4 * MS; /* one works, the others wait for it */
	toys[2].during = NULL;
	target = NULL;
	for (unsigned i = 0; i < 40000; i++) {
		target = i % 8000 < 4000 ? NULL : &toys[2];
		step(0, 1);
	}
	for (unsigned i = 0; i < 4; i++)
		group += toys[i].task.ran;
	assert_in_range(group * 100 / (toys[4].task.ran + toys[5].task.ran), 190, 210);
	assert_in_range(toys[4].task.ran * 100 / toys[5].task.ran, 99, 101);
	/* and what it gets goes to who can use it */
	assert_true(toys[2].task.ran > group / 3 * 2);
}

static void wakes_c_late(struct toy *toy)
{
	yields_to_target(toy);
	assert_non_null(queue(0)->favoured);
	sched_release(&c->task);
	assert_null(queue(0)->favoured);
	yields = sched_should_yield();
}

/* A turn that is passed on ends when the first one's would have. */
static void a_yield_passes_on_the_rest_of_the_slice(void **state)
{
	char order[11] = "";
	unsigned before;

	for (unsigned i = 0; i < 3; i++)
		add_to(i < 2 ? &group_1 : &group_2, &toys[i], ~0ull);
	a->during = b->during = yields_to_target;
	a->takes = b->takes = 3 * MS;
	target = NULL;
	for (unsigned i = 0; i < 10; i++) {
		const unsigned slices[] = {a->slices, b->slices, c->slices};

		step(0, 1);
		for (unsigned j = 0; j < 3; j++)
			order[i] = toys[j].slices > slices[j] ? "abc"[j] : order[i];
	}
	assert_string_equal(order, "ababcccccc"); /* after 3, 6 and 9 ms of 10 */
	/* who comes with less time to its account interrupts the chain */
	sched_hold(&c->task);
	step(0, 2);
	assert_non_null(queue(0)->favoured);
	a->during = b->during = wakes_c_late;
	before = c->slices;
	step(0, 2);
	assert_true(yields);
	assert_int_equal(c->slices, before + 1);
}

static void who_waited_longest_is_taken_first(void **state)
{
	static const unsigned ago[] = {0, 3, 9, 1, 7, 5};

	for (unsigned i = 0; i < 6; i++) {
		add_to(i ? &group_1 : &group_2, &toys[i], ~0ull);
		toys[i].task.since = rdtsc() - ago[i] * MS;
	}
	toys[0].task.group = &group_1;
	toys[0].during = yields_to_target;
	target = NULL;
	step(0, 1);
	assert_int_equal(toys[0].slices, 1);
	assert_ptr_equal(queue(0)->favoured, &toys[2].task);
	/* all come in turn */
	for (unsigned i = 0; i < 6; i++)
		toys[i].during = yields_to_target;
	for (unsigned i = 0; i < 6; i++)
		toys[i].takes = MS / 100;
	step(0, 120);
	for (unsigned i = 0; i < 6; i++)
		assert_in_range(toys[i].slices, 18, 23);
}

static bool kicked_1;

static void is_yielded_to(struct toy *toy)
{
	fake_host.kicked = 0;
	step(0, 1);
	kicked_1 = fake_host.kicked & BIT(1);
	yields = sched_should_yield();
}

static void a_yield_reaches_another_pcpu(void **state)
{
	fake_host_cpus(3);
	add_to(&group_1, a, BIT(0));
	add_to(&group_1, b, BIT(1));
	add_to(&group_1, c, BIT(1));
	add_to(&group_2, d, BIT(1));
	for (unsigned i = 0; i < 4; i++)
		toys[i].task.load = NULL; /* a hold need not wait for pCPU 1 */
	a->during = yields_to_target;
	b->during = is_yielded_to;
	for (unsigned i = 0; i < 2; i++) {
		unsigned slices = c->slices;

		sched_hold(&b->task);
		sched_hold(&c->task);
		sched_hold(&d->task);
		b->task.used = queue(1)->floor;
		d->task.used = queue(1)->floor + MS;
		c->task.used = queue(1)->floor + 2 * MS;
		sched_release(&b->task);
		sched_release(&c->task);
		sched_release(&d->task);
		target = i ? NULL : c;
		step(1, 1);
		assert_true(found && yields && kicked_1);
		assert_true(queue(0)->yield);
		assert_int_equal(c->slices, slices);
		step(1, 1);
		assert_int_equal(c->slices, slices + 1);
	}
	/* not where others run, nor where nobody does */
	b->task.group = &group_2;
	for (unsigned i = 0; i < 2; i++) {
		sched_hold(&b->task);
		b->task.used = 0;
		queue(1)->floor = 0;
		sched_release(&b->task);
		target = i ? NULL : c;
		step(1, 1);
		assert_false(found || yields || kicked_1);
	}
	step(0, 1);
	assert_false(found);
}

/* ---- a pCPU of one's own */

static bool alone, alone_later, lazy_later;

static void looks_around(struct toy *toy)
{
	alone = sched_alone();
	assert_int_equal(toy->task.lazy, alone);
	queue(0)->since -= MS;
	sched_wake(&b->task);
	queue(0)->since += MS;
	yields = sched_should_yield();
	alone_later = sched_alone();
	lazy_later = toy->task.lazy;
}

static void who_is_alone_gives_way_to_anybody(void **state)
{
	fake_host_on_wait(NULL);
	add_ready(a, 100, BIT(0));
	add(b, 100, BIT(0));
	b->task.used = 1000000 * MS; /* has had far more */
	b->next = TASK_WAIT;
	a->during = looks_around;
	step(0, 1);
	assert_true(alone && yields && !alone_later && !lazy_later);
	/* but no longer than to see who is next */
	step(0, 1);
	assert_int_equal(a->slices, 2);
	assert_false(alone || yields);
	b->task.used = 0;
	sched_hold(&b->task); /* held ones want nothing */
	step(0, 1);
	assert_true(alone && alone_later && lazy_later && !yields);
	sched_release(&b->task);
	assert_int_equal(a->slices, 3);
	/* who does not ask runs on */
	a->during = NULL;
	step(0, 10);
	assert_false(b->task.ready);
	b->task.used = 1000000 * MS;
	a->during = wakes_b;
	yields = true;
	step(0, 1);
	assert_false(yields);
	assert_true(b->task.queued);
}

static void kicks_the_lazy(struct toy *toy)
{
	assert_true(sched_alone());
	fake_host.kicked = 0;
	fake_host_play(0);
	sched_wake(&b->task);
	fake_host_play(1);
	yields = sched_should_yield();
}

static void who_is_alone_is_kicked(void **state)
{
	fake_host_cpus(2);
	add_ready(a, 100, BIT(1));
	add(b, 100, BIT(1));
	b->task.used = 1000000 * MS;
	a->during = kicks_the_lazy;
	step(1, 1);
	assert_true(yields);
	assert_int_equal(fake_host.kicked, BIT(1));
}

/* ---- holding */

static void held_tasks_do_not_run(void **state)
{
	fake_host_on_wait(NULL);
	add(a, 100, ~0ull);
	sched_hold(&a->task); /* while it waits */
	sched_wake(&a->task);
	step(0, 3);
	assert_int_equal(a->slices, 0);
	sched_hold(&a->task); /* twice */
	sched_release(&a->task);
	step(0, 3);
	assert_int_equal(a->slices, 0);
	sched_release(&a->task); /* the wake was not lost */
	sched_hold(&a->task);	 /* while it is queued */
	assert_int_equal(queue(0)->count, 0);
	step(0, 3);
	assert_int_equal(a->slices, 0);
	sched_release(&a->task);
	step(0, 3);
	assert_int_equal(a->slices, 3);
	assert_true(a->task.loaded);
	sched_hold(&a->task); /* while it lies in this pCPU */
	assert_false(a->task.loaded);
	assert_int_equal(a->unloads, 1);
	sched_release(&a->task);
	/* one that waits is not woken by a release */
	a->next = TASK_WAIT;
	step(0, 1);
	sched_hold(&a->task);
	sched_release(&a->task);
	step(0, 3);
	assert_int_equal(a->slices, 4);
}

static void other_pcpu_goes_on(void)
{
	fake_host.on_serve = NULL;
	step(1, 1);
}

static void a_hold_waits_until_it_is_unloaded_elsewhere(void **state)
{
	fake_host_cpus(2);
	fake_host_on_wait(NULL);
	add_ready(a, 100, BIT(1));
	a->next = TASK_WAIT;
	step(1, 1);
	assert_true(a->task.loaded);
	fake_host.kicked = 0;
	fake_host.on_serve = other_pcpu_goes_on;
	sched_hold(&a->task);
	assert_null(fake_host.on_serve);
	assert_int_equal(fake_host.kicked, BIT(1));
	assert_false(a->task.loaded);
	assert_null(queue(1)->loaded);
	assert_int_equal(a->unloads, 1);
	sched_release(&a->task);
}

static void a_task_is_loaded_once_and_stays(void **state)
{
	add_ready(a, 100, ~0ull);
	step(0, 100);
	assert_int_equal(a->loads, 1);
	add_ready(b, 100, ~0ull);
	b->task.load = NULL; /* a job, which leaves it there */
	step(0, 100);
	assert_int_equal(a->loads, 1);
	assert_int_equal(a->unloads, 0);
	add_ready(c, 100, ~0ull);
	step(0, 6);
	assert_true(a->loads > 1 && c->loads > 0);
	assert_int_equal(a->loads + c->loads, a->unloads + c->unloads + 1);
	sched_unload();
	sched_unload();
	assert_false(a->task.loaded || c->task.loaded);
	assert_null(queue(0)->loaded);
}

/* ---- several pCPUs */

static void tasks_go_to_the_least_loaded_pcpu(void **state)
{
	fake_host_cpus(4);
	free(pcpus[3]->vmm);
	pcpus[3]->vmm = NULL; /* one that runs no tasks */
	add(a, 300, ~0ull);
	assert_int_equal(a->task.cpu, 0);
	add(b, 100, ~0ull);
	assert_int_equal(b->task.cpu, 1);
	add(c, 100, BIT(0) | BIT(1));
	assert_int_equal(c->task.cpu, 1);
	add(d, 500, BIT(0));
	assert_int_equal(d->task.cpu, 0);
	add(&toys[4], 1, ~0ull);
	assert_int_equal(toys[4].task.cpu, 2);
	sched_remove(&d->task);
	sched_remove(&a->task);
	assert_int_equal(queue(0)->assigned, 0);
	add(a, 100, BIT(0) | BIT(1) | BIT(3));
	assert_int_equal(a->task.cpu, 0);
}

static void of_equals_the_next_pcpu_is_taken(void **state)
{
	fake_host_cpus(4);
	for (unsigned i = 0; i < 8; i++) {
		toys[i].task.cpu = i ? toys[i - 1].task.cpu + 1 : 2;
		toys[i].task = (struct task){.cpu = toys[i].task.cpu, .allowed = ~0ull, .weight = 100};
		sched_add(&toys[i].task);
		assert_int_equal(toys[i].task.cpu, (i + 2) % 4);
	}
	/* the least loaded is preferred to the next, and an allowed one to both */
	queue(3)->assigned = 50;
	toys[8].task = (struct task){.cpu = 1, .allowed = ~0ull, .weight = 200};
	sched_add(&toys[8].task);
	assert_int_equal(toys[8].task.cpu, 3);
	toys[9].task = (struct task){.cpu = 4, .allowed = BIT(1) | BIT(3), .weight = 200};
	sched_add(&toys[9].task);
	assert_int_equal(toys[9].task.cpu, 1);
}

/* As vcpu_create does, and one vCPU of another VM that has the weight of them all. */
static void add_many(u64 allowed)
{
	for (unsigned i = 0; i < MANY; i++) {
		add(&toys[i], 100, allowed);
		toys[i].task.group = &group_1;
		sched_wake(&toys[i].task);
	}
	add(&toys[MANY], MANY * 100, BIT(0));
	toys[MANY].task.group = &group_2;
	toys[MANY].takes = 10 * MS;
	sched_wake(&toys[MANY].task);
}

static u64 least, most, sum;

static void measure(const u64 before[MANY])
{
	least = ~0ull;
	most = sum = 0;
	for (unsigned i = 0; i < MANY; i++) {
		u64 ran = toys[i].task.ran - before[i];

		least = MIN(least, ran);
		most = MAX(most, ran);
		sum += ran;
	}
}

static void many_vcpus_share_one_pcpu(void **state)
{
	const u64 none[MANY] = {0};
	u64 before[MANY], other;

	add_many(BIT(0));
	step(0, 20000);
	measure(none);
	assert_in_range(least * 100 / most, 90, 100); /* the host takes its time, too */
	assert_in_range(sum * 100 / toys[MANY].task.ran, 97, 103);
	/* they wait for each other: all of what the VM has goes to the one that works */
	for (unsigned i = 0; i < MANY; i++) {
		before[i] = toys[i].task.ran;
		toys[i].takes = i == 17 ? 4 * MS : MS / 200;
		toys[i].during = i == 17 ? NULL : yields_to_target;
	}
	other = toys[MANY].task.ran;
	target = NULL;
	step(0, 100000);
	measure(before);
	assert_in_range(sum * 100 / (toys[MANY].task.ran - other), 95, 105);
	assert_true(toys[17].task.ran - before[17] > sum / 2); /* not a 32nd */
	for (unsigned i = 0; i < MANY; i++)
		assert_true(toys[i].slices > 900); /* nobody is left out */
}

static void many_vcpus_share_four_pcpus(void **state)
{
	const u64 none[MANY] = {0};

	fake_host_cpus(4);
	add_many(BITS(3, 0));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(queue(i + 1)->count, MANY / 4);
	sched_hold(&toys[MANY].task);
	for (unsigned i = 0; i < 40000; i++)
		step(i % 4, 1);
	measure(none);
	assert_in_range(least * 100 / most, 90, 100); /* the host takes its time, too */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(queue(i)->count, MANY / 4);
}

static void an_idle_pcpu_takes_a_waiting_task(void **state)
{
	fake_host_cpus(2);
	fake_host_on_wait(NULL);
	for (unsigned i = 0; i < 3; i++) {
		add_ready(&toys[i], 100, BIT(0));
		toys[i].task.allowed = ~0ull;
	}
	b->task.allowed = BIT(0);
	a->takes = MS / 2;
	step(0, 4); /* a again at last, and it lies there */
	assert_true(a->task.loaded);
	step(1, 1);
	assert_int_equal(c->ran_on, 1); /* b is pinned */
	assert_int_equal(c->slices, 2);
	assert_int_equal(queue(0)->assigned, 200);
	assert_int_equal(queue(1)->assigned, 100);
	c->next = TASK_GONE;
	step(1, 1);
	assert_int_equal(queue(1)->assigned, 0);
	step(1, 2);
	assert_int_equal(fake_host.waits, 2);
	assert_int_equal(a->ran_on, 0);
	/* one waiting task is not enough to move where another one would have to wait instead */
	b->next = TASK_WAIT;
	step(0, 2);
	sched_unload();
	step(1, 1);
	assert_int_equal(a->ran_on, 0);
}

static void who_is_taken_over_neither_wins_nor_loses(void **state)
{
	fake_host_cpus(2);
	add_ready(a, 100, BIT(0));
	add_ready(b, 100, BIT(0));
	add_ready(c, 100, BIT(1));
	a->takes = 10 * MS;
	b->takes = 10 * MS;
	step(0, 2000); /* 20 s here, 1 s there */
	step(1, 1000);
	add_ready(d, 100, BIT(0));
	step(0, 3);
	assert_int_equal(d->slices, 3); /* up to 10 ms behind */
	d->takes = 10 * MS;
	step(0, 3);
	d->task.allowed = b->task.allowed = a->task.allowed = ~0ull;
	step(1, 100);
	assert_int_equal(a->ran_on + b->ran_on + d->ran_on, 1);
	assert_in_range(c->slices, 1080, 1100); /* the other one takes ten times as long */
}

static void queues_become_equally_long(void **state)
{
	fake_host_cpus(3);
	for (unsigned i = 0; i < TOYS; i++) {
		add_ready(&toys[i], 100, BIT(0));
		toys[i].task.allowed = ~0ull;
	}
	for (unsigned i = 0; i < 30; i++)
		step(i % 3, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(queue(i)->count, TOYS / 3);
		assert_int_equal(queue(i)->assigned, TOYS / 3 * 100);
	}
	for (unsigned i = 0; i < 3000; i++)
		step(i % 3, 1);
	for (unsigned i = 0; i < TOYS; i++)
		assert_in_range(toys[i].slices, 240, 260);
}

static void idle_pcpus_are_told(void **state)
{
	fake_host_cpus(3);
	fake_host_on_wait(NULL);
	add_ready(a, 100, BIT(0));
	a->takes = 2 * MS;
	queue(1)->idle = queue(2)->idle = true; /* as if it stood in the HLT */
	fake_host.kicked = 0;
	add(b, 100, BIT(0));
	b->task.allowed = BIT(0) | BIT(2);
	sched_wake(&b->task);
	assert_int_equal(fake_host.kicked, BIT(2));
	/* it did not come; each slice that leaves somebody waiting asks again */
	step(0, 1);
	assert_int_equal(fake_host.kicked, BIT(2));
	fake_host.kicked = 0;
	step(0, 1);
	assert_int_equal(b->slices, 1);
	assert_int_equal(fake_host.kicked, 0); /* a waits, and is pinned */
}

static void a_task_that_is_gone_leaves_nothing(void **state)
{
	fake_host_on_wait(NULL);
	add_ready(a, 100, ~0ull);
	a->task.load = NULL;
	a->next = TASK_GONE;
	a->during = wakes_itself; /* too late */
	step(0, 3);
	assert_int_equal(a->slices, 1);
	assert_true(a->task.gone);
	assert_int_equal(queue(0)->assigned, 0);
	add_ready(a, 100, ~0ull);
	assert_false(a->task.gone);
	step(0, 2);
	assert_int_equal(a->slices, 2);
}

/* ---- real threads, one a pCPU; a kick that is not sent is a test that does not end */

#define PLAYERS	   2
#define TEST_MS	   1500
#define PATIENCE_S 10
#define TICKS_S	   4000000000ull /* at most, of the real TSC */
#define PASSES	   3000

static bool over;
static u64 lost;

static void halted(void)
{
	u64 own = BIT(this_pcpu()->id);

	u64 since = rdtsc();

	while (!(__atomic_fetch_and(&fake_host.kicked, ~own, __ATOMIC_SEQ_CST) & own)) {
		if (__atomic_load_n(&over, __ATOMIC_SEQ_CST))
			return;
		if (rdtsc() - since > PATIENCE_S * TICKS_S) {
			__atomic_or_fetch(&lost, own, __ATOMIC_SEQ_CST);
			return;
		}
		sched_yield();
	}
}

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_SEQ_CST);
}

static void *player(void *arg)
{
	fake_host_play((unsigned)(u64)arg);
	sched_run(is_over);
	return NULL;
}

static pthread_t threads[PLAYERS];

static void start_players(void)
{
	over = false;
	lost = 0;
	for (u64 i = 0; i < PLAYERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, player, (void *)i), 0);
}

static void end_players(void)
{
	__atomic_store_n(&over, true, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < PLAYERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(lost, 0);
}

static void until_yield(struct toy *toy)
{
	while (!sched_should_yield())
		__builtin_ia32_pause();
}

/* pCPU PLAYERS is the test's own: a job that does not run tasks. */
static void a_hold_ends_a_running_slice(void **state)
{
	fake_host_cpus(PLAYERS + 1);
	fake_host_on_wait(halted);
	fake_host_play(PLAYERS);
	add(a, 100, BIT(1));
	a->during = until_yield;
	start_players();
	for (unsigned i = 0; i < 400; i++) {
		sched_wake(&a->task);
		if (i % 2) /* in a slice for sure */
			while (!__atomic_load_n(&a->inside, __ATOMIC_SEQ_CST))
				sched_yield();
		sched_hold(&a->task);
		assert_false(a->task.running || a->task.loaded || a->task.queued || a->inside);
		assert_int_equal(a->loads, a->unloads);
		a->held = true;
		__builtin_ia32_pause();
		__atomic_store_n(&a->held, false, __ATOMIC_SEQ_CST);
		sched_release(&a->task);
	}
	assert_true(a->slices >= 200);
	sched_remove(&a->task);
	end_players();
}

static unsigned passes;

/* Each wakes the next one and waits. */
static void pass_on(struct toy *toy)
{
	__atomic_add_fetch(&passes, 1, __ATOMIC_SEQ_CST);
	sched_wake(&toys[(toy - toys + 1) % 5].task);
}

static void no_wake_is_lost(void **state)
{
	fake_host_cpus(PLAYERS + 1);
	fake_host_on_wait(halted);
	fake_host_play(PLAYERS);
	passes = 0;
	for (unsigned i = 0; i < 5; i++) {
		add(&toys[i], 100, i < PLAYERS ? BIT(i) : BITS(PLAYERS - 1, 0));
		toys[i].next = TASK_WAIT;
		toys[i].during = pass_on;
		toys[i].takes = 0;
	}
	start_players();
	sched_wake(&a->task);
	while (__atomic_load_n(&passes, __ATOMIC_SEQ_CST) < PASSES && !lost)
		sched_yield();
	assert_int_equal(lost, 0);
	for (unsigned i = 0; i < 5; i++)
		sched_remove(&toys[i].task);
	end_players();
}

static u32 next_random(u32 *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* Some wait after a slice, some wake others. */
static void as_chance_has_it(struct toy *toy)
{
	static __thread u32 x = 1;
	u32 r = next_random(&x);

	toy->next = r & 1 ? TASK_READY : TASK_WAIT;
	toy->sleeps = r / 16 % 16 ? 0 : r % 100000;
	if (r % 128 == 0)
		sched_alone();
	if (r / 128 % 4 == 0) /* those are never removed */
		sched_yield_to(r / 512 % 2 ? &toys[r / 1024 % (TOYS / 2)].task : NULL);
	if (r & 2)
		sched_wake(&toys[r / 4 % (TOYS / 2)].task); /* those are never removed */
	for (unsigned i = r / 1024 % 1024; i && !sched_should_yield(); i--)
		__builtin_ia32_pause();
}

static void everything_at_once(void **state)
{
	u64 end, total = 0;
	u32 x = 7;

	fake_host_cpus(PLAYERS + 1);
	fake_host_on_wait(halted);
	fake_host_play(PLAYERS);
	for (unsigned i = 0; i < TOYS; i++) {
		add_ready(&toys[i], 1 + i * 100, i % 4 ? BITS(PLAYERS - 1, 0) : BIT(i / 4 % PLAYERS));
		toys[i].task.group = i % 3 ? &group_1 : &group_2;
		toys[i].during = as_chance_has_it;
		toys[i].takes = 0;
	}
	start_players();
	end = rdtsc() + TICKS_S / 1000 * TEST_MS;
	for (unsigned turn = 0; rdtsc() < end && !lost; turn++) {
		u32 r = next_random(&x);
		struct toy *toy = &toys[r % TOYS];

		if (r / TOYS % 4 == 0 && toy >= &toys[TOYS / 2]) {
			unsigned slices = toy->slices;
			u64 allowed = toy->task.allowed;

			sched_remove(&toy->task);
			total += slices;
			assert_int_equal(toy->loads, toy->unloads);
			memset(&toy->task, 0xa5, sizeof(toy->task)); /* its page has gone */
			add_ready(toy, 1 + r % 1000, allowed);
			toy->during = as_chance_has_it;
			toy->takes = 0;
		} else if (r / TOYS % 4 < 3) {
			sched_hold(&toy->task);
			toy->held = true;
			assert_false(toy->task.running || toy->task.loaded || toy->inside);
			if (turn % 64 == 0)
				usleep(1);
			__atomic_store_n(&toy->held, false, __ATOMIC_SEQ_CST);
			sched_release(&toy->task);
			sched_wake(&toy->task);
		} else {
			sched_wake(&toy->task);
		}
	}
	for (unsigned i = 0; i < TOYS; i++)
		toys[i].during = NULL;
	for (unsigned i = 0; i < TOYS; i++)
		sched_remove(&toys[i].task);
	end_players();
	for (unsigned i = 0; i < TOYS; i++)
		total += toys[i].slices;
	for (unsigned i = 0; i < PLAYERS; i++) {
		assert_int_equal(queue(i)->assigned, 0);
		assert_int_equal(queue(i)->count, 0);
		assert_null(queue(i)->first);
	}
	assert_true(total > 100);
}

/* ---- work that is counted: whatever is posted has to be done, whoever sleeps, is held or spins */

static u64 posted, finished, pending[MANY];
static bool posting;

static void post(unsigned i)
{
	__atomic_add_fetch(&posted, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&pending[i], 1, __ATOMIC_SEQ_CST);
	sched_wake(&toys[i].task);
}

static bool has_work(unsigned i)
{
	return __atomic_load_n(&pending[i], __ATOMIC_SEQ_CST);
}

/* A guest that halts without an exit: a kick or an end of the slice brings it out. */
static void halts_inside(unsigned i)
{
	const struct sched_queue *own = queue(this_pcpu()->id);
	u64 since = rdtsc();

	while (!sched_should_yield() && !has_work(i) && __atomic_load_n(&posting, __ATOMIC_SEQ_CST)) {
		sched_yield();
		if (!__atomic_load_n(&own->count, __ATOMIC_SEQ_CST))
			since = rdtsc();
		if (rdtsc() - since > TICKS_S) { /* somebody waits, and it was not told */
			__atomic_or_fetch(&lost, BIT(63), __ATOMIC_SEQ_CST);
			return;
		}
	}
}

static void does_its_work(struct toy *toy)
{
	static __thread u32 x = 1;
	unsigned self = toy - toys, other;
	u32 r = next_random(&x);

	__atomic_add_fetch(&finished, __atomic_exchange_n(&pending[self], 0, __ATOMIC_SEQ_CST),
			   __ATOMIC_SEQ_CST);
	other = r % MANY;
	if (__atomic_load_n(&posting, __ATOMIC_SEQ_CST) && r / MANY % 8 < 5)
		post(other);
	if (r / 256 % 8 == 0)
		sched_yield_to(r / 2048 % 2 ? &toys[other].task : NULL);
	if (r / 4096 % 4 == 0 && sched_alone())
		halts_inside(self);
	toy->sleeps = r / 16384 % 8 ? 0 : r % 200000;
	toy->next = r / 131072 % 8 ? TASK_WAIT : TASK_READY;
}

static void no_work_is_left(void **state)
{
	u64 end, since;
	u32 x = 99;

	fake_host_cpus(PLAYERS + 1);
	fake_host_on_wait(halted);
	fake_host_play(PLAYERS);
	posted = finished = 0;
	posting = true;
	memset(pending, 0, sizeof(pending));
	for (unsigned i = 0; i < MANY; i++) {
		add(&toys[i], 100, i % 8 ? BITS(PLAYERS - 1, 0) : BIT(i / 8 % PLAYERS));
		toys[i].task.group = i % 4 ? &group_1 : &group_2;
		toys[i].during = does_its_work;
		toys[i].takes = 0;
	}
	start_players();
	end = rdtsc() + TICKS_S / 1000 * TEST_MS;
	while (rdtsc() < end && !lost) {
		u32 r = next_random(&x);
		struct toy *toy = &toys[r % MANY];

		post(r / MANY % MANY);
		if (r / 1024 % 8 == 0) {
			sched_hold(&toy->task);
			toy->held = true;
			post(toy - toys);
			usleep(r / 8192 % 64);
			__atomic_store_n(&toy->held, false, __ATOMIC_SEQ_CST);
			sched_release(&toy->task);
		}
		if (r / 8192 % 16 == 0)
			usleep(r / 131072 % 512); /* all may come to rest */
	}
	__atomic_store_n(&posting, false, __ATOMIC_SEQ_CST);
	for (since = rdtsc(); rdtsc() - since < PATIENCE_S * TICKS_S; sched_yield())
		if (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) ==
		    __atomic_load_n(&posted, __ATOMIC_SEQ_CST))
			break;
	assert_int_equal(finished, posted);
	assert_int_equal(lost, 0);
	assert_true(posted > 100);
	for (unsigned i = 0; i < MANY; i++)
		sched_remove(&toys[i].task);
	end_players();
	for (unsigned i = 0; i < PLAYERS; i++) {
		assert_int_equal(queue(i)->assigned, 0);
		assert_true(!queue(i)->first && !queue(i)->sleepers);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shares_go_by_weight),
		TEST(long_slices_get_no_more_than_short_ones),
		TEST(nobody_saves_time_by_sleeping),
		TEST(who_had_less_goes_first),
		TEST(a_wake_during_the_slice_is_not_lost),
		TEST(a_wake_kicks_the_other_pcpu),
		TEST(sleepers_wake_in_their_order),
		TEST(all_that_are_due_wake_at_once),
		TEST(a_wake_ends_an_alarm),
		TEST(a_held_sleeper_wakes_and_does_not_run),
		TEST(waiting_in_the_queue_is_counted),
		TEST(who_is_yielded_to_goes_next),
		TEST(a_group_gets_no_more_by_yielding),
		TEST(a_yield_passes_on_the_rest_of_the_slice),
		TEST(who_waited_longest_is_taken_first),
		TEST(a_yield_reaches_another_pcpu),
		TEST(who_is_alone_gives_way_to_anybody),
		TEST(who_is_alone_is_kicked),
		TEST(held_tasks_do_not_run),
		TEST(a_hold_waits_until_it_is_unloaded_elsewhere),
		TEST(a_task_is_loaded_once_and_stays),
		TEST(tasks_go_to_the_least_loaded_pcpu),
		TEST(of_equals_the_next_pcpu_is_taken),
		TEST(many_vcpus_share_one_pcpu),
		TEST(many_vcpus_share_four_pcpus),
		TEST(an_idle_pcpu_takes_a_waiting_task),
		TEST(who_is_taken_over_neither_wins_nor_loses),
		TEST(queues_become_equally_long),
		TEST(idle_pcpus_are_told),
		TEST(a_task_that_is_gone_leaves_nothing),
		TEST(a_hold_ends_a_running_slice),
		TEST(no_wake_is_lost),
		TEST(everything_at_once),
		TEST(no_work_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
