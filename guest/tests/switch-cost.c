/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measure: the switch between two vCPUs that share a core, in TSC ticks, as a line
 * `cost vcpu_switch median N max N` of rounds=N (1000): from one's HLT, with nothing else to do, to
 * the other's next instruction in a loop out of which it was taken. The other then wakes the first.
 * Rule: both go on; none takes longer than most=N. Words: cpus=2 where there is no MADT; trace marks
 * some late rounds, see exit-cost.c. Where each has a core for itself the figure means nothing.
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/measure.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"

#define WARM 16
/* The giver's half of a round, up to its HLT, and the taker's, which waits for it. */
#define GIVE "rdtsc\n\tmov %%eax, given\n\tmovl $1, turn\n\tsti\n\t"
#define TAKE "1: cmpl $0, turn\n\tje 1b\n\trdtsc\n\tsub given, %%eax\n\t"

static volatile u32 turn, given, round, rounds;
static u32 traced = MEASURE_NONE;

static void take(void *arg)
{
	u32 ticks;

	(void)arg;
	while (round < rounds) {
		__asm__ volatile(TAKE : "=a"(ticks) : : "edx", "memory", "cc");
		measure_mark(round, traced);
		turn = 0;
		measure_ticks[round] = ticks;
		round++;
		apic_send(smp_id[0], APIC_FIXED | APIC_ASSERT | SMP_WAKE);
	}
}

static void give(unsigned count)
{
	round = 0;
	rounds = count;
	smp_run(1, take, NULL);
	for (u32 mine = 0; mine < count; mine++) {
		measure_mark(round, traced);
		__asm__ volatile(GIVE "hlt\n\tcli" : : : "eax", "edx", "memory");
		while (round == mine)
			pause();
	}
	smp_wait(1);
}

static u32 empty(void)
{
	u32 ticks;

	for (unsigned i = 0; i < WARM; i++) {
		__asm__ volatile(GIVE TAKE "cli" : "=a"(ticks) : : "edx", "memory", "cc");
		measure_ticks[i] = ticks;
	}
	turn = 0;
	return measure_median(WARM);
}

void test_main(void)
{
	unsigned count = measure_rounds();
	u32 none;

	if (!apic_mode_of_words())
		return;
	irq_init();
	apic_enable();
	if (smp_find() < 2 || !smp_start(1)) {
		test_skip("all", "one CPU");
		return;
	}
	none = empty();
	give(WARM);
	if (boot_word("trace"))
		traced = measure_late_round(count);
	give(count);
	traced = MEASURE_NONE;
	CHECK("vcpu_switch", measure_print("vcpu_switch", count, none) <= boot_number("most", ~0u));
}
