/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start of the application processors, and their mailboxes. The page they
 * start on is filled anew for each: one stack, one struct pcpu. A CPU that is
 * given up gets an INIT first, so that it cannot turn up late under an id that
 * is another's by then.
 */
#include "arch/smp.h"

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/mitigate.h"
#include "arch/panic.h"
#include "arch/percpu.h"
#include "arch/stacks.h"
#include "arch/trap.h"
#include "arch/tsc.h"

/* The manual's delays, and how long a CPU may take. */
#define INIT_DELAY_US	 10000
#define STARTUP_DELAY_US 200
#define STARTUP_TIMES	 2
#define PATIENCE_US	 1000000

#define SYNC_ROUNDS 16

/* tramp.asm, where the first two hold offsets in the page */
struct smp_start {
	u32 gdt_base, far_offset;
	u16 far_segment, unused;
	u32 cr3;
	u64 stack, entry, argument;
} __attribute__((packed));

extern const u8 tramp_start[], tramp_data[], tramp_end[];

enum mail { MAIL_FREE, MAIL_CLAIMED, MAIL_POSTED };

/* One for each CPU; state is changed by atomic operations only, and says who
 * may touch the rest: CLAIMED the sender, POSTED the CPU itself. */
static struct mailbox {
	u32 state;
	u32 *done; /* set behind fn; may be NULL */
	void (*fn)(void *arg);
	void *arg;
} __attribute__((aligned(64))) mailboxes[PCPU_MAX];

/* The ping-pong that compares TSCs: phase 2n+1 is the boot CPU's, 2n+2 the answer. */
static struct {
	u32 phase;
	u64 answer;
} sync;

static u64 base_cr3;

static bool wait_for(const u32 *word, u32 value)
{
	u64 start = rdtsc(), patience = muldiv64(PATIENCE_US, tsc_hz, 1000000);

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
		if (rdtsc() - start > patience)
			return false;
		cpu_relax();
	}
	return true;
}

static void sync_answer(void)
{
	for (u32 i = 0; i < SYNC_ROUNDS; i++) {
		if (!wait_for(&sync.phase, 2 * i + 1))
			return;
		sync.answer = rdtsc_ordered();
		__atomic_store_n(&sync.phase, 2 * i + 2, __ATOMIC_RELEASE);
	}
}

/* Each answer must lie between question and receipt, or the TSCs differ. */
static void sync_compare(u32 id)
{
	u64 asked, off = 0;

	for (u32 i = 0; i < SYNC_ROUNDS; i++) {
		asked = rdtsc_ordered();
		__atomic_store_n(&sync.phase, 2 * i + 1, __ATOMIC_RELEASE);
		if (!wait_for(&sync.phase, 2 * i + 2))
			return;
		if (sync.answer - asked > rdtsc_ordered() - asked)
			off = sync.answer - asked;
	}
	if (off)
		log_warn("tsc: core with APIC id %u is out of step by %ld ticks", id, (s64)off);
}

/* First C of another CPU, on its own stack, in the tables of the trampoline. */
static NO_STACK_GUARD _Noreturn void ap_main(struct pcpu *pcpu)
{
	write_cr3(base_cr3);
	pcpu_load(pcpu);
	mitigate_cpu_init();
	apic_cpu_init();
	__atomic_store_n(&pcpu->shared.started, 1, __ATOMIC_RELEASE);
	sync_answer();
	smp_idle();
}

static void prepare_page(hpa_t page, u8 *bytes, const struct pcpu *pcpu)
{
	struct smp_start *start = (struct smp_start *)(bytes + (tramp_data - tramp_start));

	memcpy(bytes, tramp_start, (size_t)(tramp_end - tramp_start));
	start->gdt_base += (u32)page.v;
	start->far_offset += (u32)page.v;
	start->cr3 = (u32)memory_trampoline_cr3();
	start->stack = pcpu->stack_top;
	start->entry = (u64)ap_main;
	start->argument = (u64)pcpu;
}

static void send_init(u32 id)
{
	apic_send(id, APIC_SEND_INIT);
	tsc_delay_us(INIT_DELAY_US);
}

static void start_one(hpa_t page, u8 *bytes, u32 id)
{
	struct pcpu *pcpu = pcpu_create(id);
	bool up = false;

	if (!pcpu) {
		log_warn("smp: no room for the core with APIC id %u", id);
		return;
	}
	prepare_page(page, bytes, pcpu);
	__atomic_store_n(&sync.phase, 0, __ATOMIC_RELEASE);
	send_init(id);
	for (unsigned i = 0; i < STARTUP_TIMES && !up; i++) {
		apic_send(id, APIC_SEND_STARTUP | (u32)(page.v >> PAGE_SHIFT));
		tsc_delay_us(STARTUP_DELAY_US);
		up = __atomic_load_n(&pcpu->shared.started, __ATOMIC_ACQUIRE);
	}
	if (up || wait_for(&pcpu->shared.started, 1)) {
		sync_compare(id);
		return;
	}
	log_warn("smp: the core with APIC id %u did not start; it is left out", id);
	send_init(id);
	pcpu_cancel();
}

unsigned smp_start(const u32 *apic_ids, unsigned count, unsigned limit)
{
	hpa_t page = memory_trampoline();
	u8 *bytes = page.v ? phys_map(page, PAGE_SIZE, PHYS_WRITE_BACK) : NULL;

	this_pcpu()->apic_id = apic_id();
	base_cr3 = read_cr3();
	panic_stop_others = smp_stop_others;
	if (!bytes) {
		log_warn("smp: no %s below 1 MiB, the other cores stay off",
			 page.v ? "memory to map a page" : "free page");
		return pcpu_count;
	}
	for (unsigned i = 0; i < count && (!limit || pcpu_count < limit); i++)
		if (apic_ids[i] != this_pcpu()->apic_id)
			start_one(page, bytes, apic_ids[i]);
	memset(bytes, 0, PAGE_SIZE);
	phys_unmap(bytes, PAGE_SIZE);
	memory_trampoline_end();
	return pcpu_count;
}

void smp_kick(unsigned cpu)
{
	if (cpu >= pcpu_count || cpu == this_pcpu()->id)
		return;
	__atomic_store_n(&pcpus[cpu]->attention, 1, __ATOMIC_RELEASE);
	apic_send(pcpus[cpu]->apic_id, APIC_SEND_FIXED | APIC_VECTOR_KICK);
}

/* *done, unless NULL, gets 1 behind fn. */
static void post(unsigned cpu, void (*fn)(void *arg), void *arg, u32 *done)
{
	struct mailbox *box = &mailboxes[cpu];
	u32 free = MAIL_FREE;

	while (!__atomic_compare_exchange_n(&box->state, &free, MAIL_CLAIMED, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		free = MAIL_FREE;
		/* It may itself be waiting for this CPU. */
		if (!smp_serve())
			cpu_relax();
	}
	box->fn = fn;
	box->arg = arg;
	box->done = done;
	__atomic_store_n(&box->state, MAIL_POSTED, __ATOMIC_RELEASE);
	smp_kick(cpu);
}

void smp_post(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	if (cpu == this_pcpu()->id)
		fn(arg);
	else
		post(cpu, fn, arg, NULL);
}

bool smp_serve(void)
{
	struct mailbox *box = &mailboxes[this_pcpu()->id];
	void (*fn)(void *arg);
	void *arg;
	u32 *done;

	if (__atomic_load_n(&box->state, __ATOMIC_ACQUIRE) != MAIL_POSTED)
		return false;
	stacks_flush(); /* `arg` and `done` may lie on one */
	fn = box->fn;
	arg = box->arg;
	done = box->done;
	__atomic_store_n(&box->state, MAIL_FREE, __ATOMIC_RELEASE);
	fn(arg);
	if (done)
		__atomic_store_n(done, 1, __ATOMIC_RELEASE);
	return true;
}

void smp_call(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	u32 done = 0;

	if (cpu == this_pcpu()->id) {
		fn(arg);
		return;
	}
	post(cpu, fn, arg, &done);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		if (!smp_serve())
			cpu_relax();
}

static void nothing(void *arg)
{
}

void smp_sync(void)
{
	for (unsigned i = 0; i < pcpu_count; i++)
		smp_call(i, nothing, NULL);
}

_Noreturn void smp_idle(void)
{
	/* Interrupts are off between the look and the HLT: a kick that comes in between
	 * stays pending and ends the HLT. */
	for (;;)
		if (!smp_serve())
			interrupts_wait();
}

void smp_stop_others(void)
{
	/* One that has not got so far would end in a triple fault, and does nothing alone. */
	for (unsigned i = 0; i < pcpu_count; i++)
		if (i != this_pcpu()->id && pcpus[i]->shared.started)
			apic_send(pcpus[i]->apic_id, APIC_SEND_NMI);
	for (unsigned i = 0; i < pcpu_count; i++)
		if (i != this_pcpu()->id && pcpus[i]->shared.started)
			wait_for(&pcpus[i]->shared.stopped, 1);
}
