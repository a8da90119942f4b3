/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/job.c vmm/sched.c tests/unit/fake_context.c tests/unit/fake_host.c */
/*
 * Jobs on their own stacks: what they keep over a yield, waiting and waking, and being started
 * anew.
 */
#include "vmm/job.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/errno.h"
#include "arch/percpu.h"
#include "arch/stacks.h"
#include "tests/unit/fake_host.h"
#include "vmm/console.h"
#include "vmm/pcpu.h"

static struct job one, two;
static char order[64];
static struct space space;

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
	return VTIMER_NEVER;
}

void console_poll(u64 now)
{
}

struct pcpu_vmm *pcpu_vmm(void)
{
	return this_pcpu()->vmm;
}

struct pcpu_vmm *pcpu_vmm_of(unsigned id)
{
	return pcpus[id]->vmm;
}

static int setup(void **state)
{
	fake_host_init(MIB(1));
	memset(order, 0, sizeof(order));
	one = two = (struct job){0};
	assert_int_equal(space_create(&space), 0);
	return 0;
}

static unsigned rounds;

static bool no_more(void)
{
	return rounds-- == 0;
}

static void step(unsigned count)
{
	rounds = count;
	sched_run(no_more);
	assert_null(job_current());
}

static void mark(char c)
{
	order[strlen(order)] = c;
}

/* Three turns; locals and the space stay its own. */
static void three_turns(void *arg)
{
	volatile char local[500];

	memset((void *)local, *(char *)arg, sizeof(local));
	space_enter(&space);
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(job_current()->arg, arg);
		mark(*(char *)arg);
		job_yield();
		assert_ptr_equal(this_pcpu()->space, &space);
		for (unsigned j = 0; j < sizeof(local); j++)
			assert_int_equal(local[j], *(char *)arg);
	}
	space_leave();
}

static void jobs_take_turns(void **state)
{
	static char a[] = "a", b[] = "b";

	assert_int_equal(job_start(&one, "one", ~0ull, three_turns, a), 0);
	assert_int_equal(job_start(&two, "two", ~0ull, three_turns, b), 0);
	assert_int_equal(fake_host.pages_out, 8);
	assert_string_equal(order, "");
	step(8);
	for (char c = 'a'; c <= 'b'; c++) {
		unsigned count = 0;

		for (const char *p = order; *p; p++)
			count += *p == c;
		assert_int_equal(count, 3);
	}
	assert_true(order[0] != order[1]); /* neither has two turns before the other has one */
	assert_true(one.task.gone && two.task.gone);
	assert_int_equal(fake_host.pages_out, 0);
	/* and once more in the same place */
	assert_int_equal(job_start(&one, "one", ~0ull, three_turns, a), 0);
	assert_false(one.task.gone);
	step(4);
	assert_true(one.task.gone);
	assert_int_equal(fake_host.pages_out, 0);
}

static void waits(void *arg)
{
	for (unsigned i = 0; i < 3; i++) {
		mark('w');
		job_wait();
	}
}

static void a_job_waits_until_it_is_woken(void **state)
{
	fake_host_on_wait(NULL);
	assert_int_equal(job_start(&one, "one", ~0ull, waits, NULL), 0);
	step(3);
	assert_string_equal(order, "w");
	job_wake(&one);
	job_wake(&one); /* counts once */
	step(3);
	assert_string_equal(order, "ww");
	job_wake(&one);
	step(3);
	job_wake(&one);
	step(3);
	assert_string_equal(order, "www");
	assert_true(one.task.gone);
}

static void wakes_itself_first(void *arg)
{
	job_wake(&one);
	job_wait();
	mark('!');
}

static void a_wake_before_the_wait_is_kept(void **state)
{
	assert_int_equal(job_start(&one, "one", ~0ull, wakes_itself_first, NULL), 0);
	step(2);
	assert_string_equal(order, "!");
}

static void starts_another(void *arg)
{
	mark('1');
	assert_int_equal(job_start(&two, "two", ~0ull, waits, NULL), 0);
	assert_ptr_equal(job_current(), &one);
	job_yield();
	mark('2');
}

static void a_job_starts_another(void **state)
{
	fake_host_on_wait(NULL);
	assert_int_equal(job_start(&one, "one", ~0ull, starts_another, NULL), 0);
	step(5);
	assert_true(one.task.gone && !two.task.gone);
	assert_true(strchr(order, 'w') && strchr(order, '2'));
	job_wake(&two);
	step(1);
	job_wake(&two);
	step(1);
	job_wake(&two);
	step(2);
	assert_true(two.task.gone);
}

static void a_job_stays_on_its_pcpu(void **state)
{
	fake_host_cpus(2);
	assert_int_equal(job_start(&one, "one", BIT(1), waits, NULL), 0);
	assert_int_equal(one.task.allowed, BIT(1));
	assert_int_equal(job_start(&two, "two", ~0ull, waits, NULL), 0);
	assert_int_equal(two.task.allowed, BIT(0));
	sched_remove(&one.task);
	sched_remove(&two.task);
	stacks_give(one.stack_top);
	stacks_give(two.stack_top);
}

static void no_memory_for_a_stack(void **state)
{
	fake_host.fail_at = 1;
	assert_int_equal(job_start(&one, "one", ~0ull, waits, NULL), -ENOMEM);
	assert_int_equal(fake_host.pages_out, 0);
}

static void outside_of_a_job_nothing_happens(void **state)
{
	assert_null(job_current());
	job_yield();
	job_wait();
	assert_null(job_current());
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(jobs_take_turns),
		TEST(a_job_waits_until_it_is_woken),
		TEST(a_wake_before_the_wait_is_kept),
		TEST(a_job_starts_another),
		TEST(a_job_stays_on_its_pcpu),
		TEST(no_memory_for_a_stack),
		TEST(outside_of_a_job_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
