/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair sharing of the pCPUs. Each queue is sorted by the time that its tasks
 * had, divided by their weights; who comes back from waiting starts no lower
 * than who runs now, so that nobody saves up time. A directed yield passes on the
 * rest of a slice and changes places within a group, which as a whole has had as
 * much as before. A task's queue is that of its pCPU; two locks are held only to
 * move a task, that of the lower address first.
 */
#include "vmm/sched.h"

#include "arch/apic.h"
#include "arch/lib/audit.h"
#include "arch/lib/log.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "vmm/console.h"
#include "vmm/job.h"
#include "vmm/pcpu.h"

#define TIMERS_AT_ONCE 16
#define DUE_COMPUTING  1 /* long over, as 0 is */
#define BALANCE	       2 /* by so many tasks a queue must be shorter to take one over */

u64 sched_cpus = ~0ull;

static struct sched_queue *own_queue(void)
{
	struct pcpu_vmm *own = this_pcpu()->vmm;

	return &own->queue;
}

static struct sched_queue *queue_of(u32 cpu)
{
	struct pcpu_vmm *vmm = pcpu_vmm_of(cpu);

	return vmm ? &vmm->queue : NULL;
}

/* A task may be taken over by another pCPU as long as its lock is not held. */
static struct sched_queue *lock_queue_of(struct task *task)
{
	for (;;) {
		u32 cpu = __atomic_load_n(&task->cpu, __ATOMIC_ACQUIRE);
		struct sched_queue *queue = queue_of(cpu);

		spin_lock(&queue->lock);
		if (task->cpu == cpu)
			return queue;
		spin_unlock(&queue->lock);
	}
}

static u64 by_weight(u64 ticks, unsigned weight)
{
	return ticks * SCHED_WEIGHT_DEFAULT / weight;
}

/* What the running task will have used if its slice ends now. */
static u64 used_now(const struct sched_queue *queue)
{
	const struct task *task = queue->running;

	return task->used + by_weight(rdtsc() - queue->since, task->weight);
}

static void insert(struct sched_queue *queue, struct task *task)
{
	struct task **link = &queue->first;

	while (*link && (*link)->used <= task->used)
		link = &(*link)->next;
	task->next = *link;
	*link = task;
	task->queued = true;
	task->since = rdtsc();
	/* In order with the look at `lazy`: sched_alone. */
	__atomic_add_fetch(&queue->count, 1, __ATOMIC_SEQ_CST);
}

static void unlink(struct task **link, struct task *task)
{
	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
}

static void take_out(struct sched_queue *queue, struct task *task)
{
	unlink(&queue->first, task);
	task->queued = false;
	task->waited += rdtsc() - task->since;
	queue->count--;
	if (queue->favoured == task)
		queue->favoured = NULL;
}

static void set_alarm(struct sched_queue *queue)
{
	u64 alarm = queue->sleepers ? queue->sleepers->wake_at : SCHED_NEVER;

	__atomic_store_n(&queue->alarm, alarm, __ATOMIC_RELAXED);
	__atomic_store_n(&CONTAINER_OF(queue, struct pcpu_vmm, queue)->due, 0, __ATOMIC_RELEASE);
	this_pcpu()->attention = 1;
}

static void lay_down(struct sched_queue *queue, struct task *task)
{
	struct task **link = &queue->sleepers;

	while (*link && (*link)->wake_at <= task->wake_at)
		link = &(*link)->next;
	task->next = *link;
	*link = task;
	task->asleep = true;
	set_alarm(queue);
}

static void rouse(struct sched_queue *queue, struct task *task)
{
	if (!task->asleep)
		return;
	unlink(&queue->sleepers, task);
	task->asleep = false;
	set_alarm(queue);
}

static void set_yield(struct sched_queue *queue, bool yield)
{
	__atomic_store_n(&queue->yield, yield, __ATOMIC_RELEASE);
	if (yield && queue == own_queue())
		this_pcpu()->attention = 1;
}

/* Has a pCPU that halts look for something to take over, one of those allowed. */
static void wake_idle(u64 allowed)
{
	/* Either it sees what was queued, or its `idle` is seen here. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; allowed && i < pcpu_count; i++) {
		struct sched_queue *queue = queue_of(i);

		if (queue && (allowed & BIT(i)) &&
		    __atomic_load_n(&queue->idle, __ATOMIC_RELAXED)) {
			smp_kick(i);
			return;
		}
	}
}

static unsigned load_of(const struct sched_queue *queue)
{
	return __atomic_load_n(&queue->count, __ATOMIC_RELAXED) +
	       (__atomic_load_n(&queue->running, __ATOMIC_RELAXED) ? 1 : 0);
}

/* Queues a task that may run, if it does not already; unlocks its queue. */
static void enqueue(struct sched_queue *queue, struct task *task)
{
	u32 cpu = task->cpu;
	bool kick = false;
	u64 spare = 0;

	if (task->ready && !task->holds && !task->queued && !task->running) {
		task->used = MAX(task->used, queue->floor);
		insert(queue, task);
		spare = load_of(queue) > 1 && !task->loaded ? task->allowed : 0;
		if (queue->running && (__atomic_load_n(&queue->running->lazy, __ATOMIC_RELAXED) ||
				       task->used < used_now(queue))) {
			queue->favoured = NULL;
			set_yield(queue, true);
		}
		kick = !queue->running || queue->yield;
	}
	spin_unlock(&queue->lock);
	if (kick && cpu != this_pcpu()->id)
		smp_kick(cpu);
	wake_idle(spare);
}

/* Unlocks its queue. */
static void wake(struct sched_queue *queue, struct task *task)
{
	rouse(queue, task);
	task->ready = task->woken = true;
	if (task->running) {
		/* It may be on its way to wait, or in its guest, which has to take the news. */
		u32 cpu = task->cpu;

		spin_unlock(&queue->lock);
		if (cpu != this_pcpu()->id)
			smp_kick(cpu);
		return;
	}
	enqueue(queue, task);
}

/* Wakes those whose time has come; when that of the next one does. */
static u64 ring(struct sched_queue *queue, u64 now)
{
	u64 alarm;

	while ((alarm = __atomic_load_n(&queue->alarm, __ATOMIC_RELAXED)) <= now) {
		spin_lock(&queue->lock);
		if (queue->sleepers && queue->sleepers->wake_at <= now) {
			wake(queue, queue->sleepers);
		} else {
			set_alarm(queue);
			spin_unlock(&queue->lock);
		}
	}
	return alarm;
}

/* Takes over a waiting task from a longer queue; its `used` then counts from that of `own`. */
static bool take_over(struct sched_queue *own, struct sched_queue *from)
{
	u32 id = this_pcpu()->id;
	struct task *task;

	spin_lock(own < from ? &own->lock : &from->lock);
	spin_lock(own < from ? &from->lock : &own->lock);
	for (task = from->first; task; task = task->next)
		if ((task->allowed & BIT(id)) && !task->loaded)
			break;
	if (task) {
		take_out(from, task);
		from->assigned -= task->weight;
		own->assigned += task->weight;
		task->used += own->floor - from->floor;
		__atomic_store_n(&task->cpu, id, __ATOMIC_RELEASE);
		insert(own, task);
	}
	spin_unlock(&own->lock);
	spin_unlock(&from->lock);
	return task;
}

static bool steal(struct sched_queue *own)
{
	for (unsigned i = 1; i < pcpu_count; i++) {
		struct sched_queue *from = queue_of((this_pcpu()->id + i) % pcpu_count);

		if (from && load_of(from) >= load_of(own) + BALANCE && take_over(own, from))
			return true;
	}
	return false;
}

void sched_unload(void)
{
	struct sched_queue *queue = own_queue();
	struct task *task = queue->loaded;

	if (!task)
		return;
	task->unload(task);
	queue->loaded = NULL;
	__atomic_store_n(&task->loaded, false, __ATOMIC_RELEASE);
}

/* Somebody waits for a task that lies in this pCPU. */
static void unload_held(struct sched_queue *queue)
{
	struct task *task = queue->loaded;

	if (task && task != queue->running && __atomic_load_n(&task->holds, __ATOMIC_ACQUIRE))
		sched_unload();
}

static struct task *pick(struct sched_queue *queue)
{
	struct task *task;
	u64 now = rdtsc();

	spin_lock(&queue->lock);
	task = queue->first;
	if (task) {
		queue->floor = MAX(queue->floor, task->used);
		if (queue->favoured && now < queue->until)
			task = queue->favoured;
		else
			queue->until = now + muldiv64(SCHED_SLICE_MS, tsc_hz, 1000);
		take_out(queue, task);
		queue->favoured = NULL;
		queue->spare = queue->first ? queue->first->allowed : 0;
		queue->running = task;
		queue->since = now;
		task->running = true;
		task->woken = task->lazy = false;
		task->wake_at = SCHED_NEVER;
	}
	set_yield(queue, false);
	spin_unlock(&queue->lock);
	return task;
}

static void load(struct sched_queue *queue, struct task *task)
{
	if (!task->load || queue->loaded == task)
		return;
	sched_unload();
	__atomic_store_n(&task->loaded, true, __ATOMIC_RELEASE);
	queue->loaded = task;
	task->load(task);
}

static void run_slice(struct sched_queue *queue, struct task *task)
{
	enum task_next next;
	u64 ran;

	AUDIT(AUDIT_SLICE, task);
	load(queue, task);
	wake_idle(queue->spare); /* what was loaded before can go only now */
	next = task->slice(task, queue->until);
	AUDIT(AUDIT_SLICE_END, task);
	spin_lock(&queue->lock);
	ran = rdtsc() - queue->since;
	task->ran += ran;
	task->used += by_weight(ran, task->weight);
	queue->running = NULL;
	__atomic_store_n(&task->running, false, __ATOMIC_RELEASE);
	if (next == TASK_GONE) {
		queue->assigned -= task->weight;
		spin_unlock(&queue->lock);
		__atomic_store_n(&task->gone, true, __ATOMIC_RELEASE);
		return;
	}
	task->ready = next == TASK_READY || task->woken;
	if (!task->ready && task->wake_at != SCHED_NEVER)
		lay_down(queue, task);
	enqueue(queue, task);
}

/* Halts until an interrupt; who queues something for an idle pCPU kicks it. */
static void idle(struct sched_queue *queue, u64 until)
{
	space_leave();
	__atomic_store_n(&queue->idle, true, __ATOMIC_SEQ_CST);
	if (!load_of(queue) && !steal(queue)) {
		apic_timer_arm(until);
		interrupts_wait();
	}
	__atomic_store_n(&queue->idle, false, __ATOMIC_SEQ_CST);
}

static __attribute__((noinline)) u64 serve_due(struct pcpu_vmm *own, u64 now)
{
	bool boot = this_pcpu()->id == 0;
	u64 next, computing = DUE_COMPUTING;

	/* Who arms a timer from here on puts 0 there, which stays. */
	(void)__atomic_exchange_n(&own->due, DUE_COMPUTING, __ATOMIC_SEQ_CST);
	if (vtimer_next(&own->timers) <= now)
		vtimer_run(&own->timers, now, TIMERS_AT_ONCE);
	if (boot && console_next() <= now)
		console_poll(now);
	next = MIN(ring(&own->queue, now), vtimer_next(&own->timers));
	next = boot ? MIN(next, console_next()) : next;
	__atomic_compare_exchange_n(&own->due, &computing, next, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
	return next;
}

u64 sched_serve(u64 now)
{
	struct pcpu_vmm *own = this_pcpu()->vmm;
	u64 next;

	smp_serve();
	next = __atomic_load_n(&own->due, __ATOMIC_ACQUIRE);
	if (this_pcpu()->id == 0)
		next = MIN(next, console_next());
	return now < next ? next : serve_due(own, now);
}

bool sched_should_yield(void)
{
	return __atomic_load_n(&own_queue()->yield, __ATOMIC_ACQUIRE);
}

bool sched_alone(void)
{
	struct sched_queue *queue = own_queue();
	bool *lazy;

	if (!queue->running) /* a vCPU run by hand */
		return false;
	lazy = &queue->running->lazy;
	/* Either who queues a task sees `lazy`, or the task is seen here. */
	if (!*lazy)
		__atomic_store_n(lazy, true, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&queue->count, __ATOMIC_SEQ_CST))
		return true;
	__atomic_store_n(lazy, false, __ATOMIC_RELAXED);
	return false;
}

static struct task *sibling(const struct sched_queue *queue, const void *group)
{
	struct task *longest = NULL;

	for (struct task *task = queue->first; task; task = task->next)
		if (task->group == group && (!longest || task->since < longest->since))
			longest = task;
	return longest;
}

/* Has a task go next in its queue, in place of the one that runs there; unlocks the queue. */
static bool favour(struct sched_queue *queue, struct task *task)
{
	struct task *from = queue->running;
	u64 used;

	if (!task || !task->queued || !from || !task->group || from->group != task->group) {
		spin_unlock(&queue->lock);
		return false;
	}
	used = used_now(queue);
	if (task->used > used) {
		/* They change places; what `from` has had in this slice is still to be added. */
		take_out(queue, task);
		from->used += task->used - used;
		task->used = used;
		insert(queue, task);
	}
	queue->favoured = task;
	set_yield(queue, true);
	set_yield(own_queue(), true);
	if (queue != own_queue())
		smp_kick(task->cpu);
	spin_unlock(&queue->lock);
	return true;
}

bool sched_yield_to(struct task *task)
{
	const void *group = own_queue()->running->group;

	if (task)
		return favour(lock_queue_of(task), task);
	for (unsigned i = 0; i < pcpu_count; i++) {
		struct sched_queue *queue = queue_of((this_pcpu()->id + i) % pcpu_count);

		if (!queue || !__atomic_load_n(&queue->count, __ATOMIC_RELAXED))
			continue;
		spin_lock(&queue->lock);
		if (favour(queue, sibling(queue, group)))
			return true;
	}
	return false;
}

int sched_init_cpu(void)
{
	return pcpu_vmm() ? 0 : -ENOMEM;
}

void sched_run(bool (*done)(void))
{
	struct sched_queue *queue = own_queue();

	while (!done || !done()) {
		u64 next = sched_serve(rdtsc());
		struct task *task;

		unload_held(queue);
		steal(queue);
		task = pick(queue);
		if (task)
			run_slice(queue, task);
		else
			idle(queue, next);
	}
}

void sched_add(struct task *task)
{
	struct sched_queue *best = NULL;
	u32 first = task->cpu;

	for (unsigned i = 0; i < pcpu_count; i++) {
		u32 cpu = (first + i) % pcpu_count;
		struct sched_queue *queue = queue_of(cpu);

		if (!queue || !(task->allowed & BIT(cpu)) ||
		    (best && queue->assigned >= best->assigned))
			continue;
		best = queue;
		task->cpu = cpu;
	}
	if (!best)
		panic("no pCPU for task %s", task->name);
	task->gone = false;
	spin_lock(&best->lock);
	best->assigned += task->weight;
	spin_unlock(&best->lock);
}

void sched_remove(struct task *task)
{
	struct sched_queue *queue;

	sched_hold(task);
	queue = lock_queue_of(task);
	rouse(queue, task);
	queue->assigned -= task->weight;
	spin_unlock(&queue->lock);
}

void sched_wake(struct task *task)
{
	wake(lock_queue_of(task), task);
}

void sched_hold(struct task *task)
{
	struct sched_queue *queue = lock_queue_of(task);
	u32 cpu = task->cpu;

	__atomic_add_fetch(&task->holds, 1, __ATOMIC_RELEASE);
	if (task->queued)
		take_out(queue, task);
	if (task->running)
		set_yield(queue, true);
	spin_unlock(&queue->lock);
	smp_kick(cpu);
	while (__atomic_load_n(&task->running, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&task->loaded, __ATOMIC_ACQUIRE)) {
		unload_held(own_queue());
		if (!smp_serve())
			cpu_relax();
	}
}

void sched_release(struct task *task)
{
	struct sched_queue *queue = lock_queue_of(task);

	__atomic_sub_fetch(&task->holds, 1, __ATOMIC_RELEASE);
	enqueue(queue, task);
}
