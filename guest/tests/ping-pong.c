/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measure: an interrupt sent to another CPU and answered by one, in TSC ticks for the round
 * trip, both CPUs spinning and both halted: lines `cost ipi_spin median N max N` and ipi_halt of
 * rounds=N (1000). Rule: each is answered once. Words: `x2apic`; spin=N and halt=N are what the
 * medians may be at most; cpus=2 where there is no MADT. SDM volume 3, "Issuing Interprocessor
 * Interrupts".
 */
#include "guest/lib/boot.h"
#include "guest/lib/irq.h"
#include "guest/lib/measure.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define PING 0x51
#define PONG 0x52

static volatile unsigned pings, pongs;
static volatile bool stop, halts;

static void on_ping(struct trap_frame *frame)
{
	(void)frame;
	pings++;
	apic_eoi();
	apic_send(smp_id[0], APIC_FIXED | APIC_ASSERT | PONG);
}

static void on_pong(struct trap_frame *frame)
{
	(void)frame;
	pongs++;
	apic_eoi();
}

static void answer(void *arg)
{
	(void)arg;
	if (!halts)
		sti();
	while (!stop)
		if (halts)
			sti_hlt_cli();
		else
			pause();
	cli();
}

static u32 round_trip(void)
{
	unsigned before = pongs;
	u64 start = rdtsc();

	apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | PING);
	if (halts)
		while (pongs == before)
			sti_hlt_cli();
	else
		while (pongs == before)
			pause();
	return (u32)(rdtsc() - start);
}

static void measure(const char *name, const char *cost, bool halt, unsigned rounds)
{
	u32 median;

	halts = halt;
	stop = false;
	pings = pongs = 0;
	smp_run(1, answer, NULL);
	pit_wait_us(100);
	if (!halt)
		sti();
	for (unsigned i = 0; i < rounds; i++)
		measure_ticks[i] = round_trip();
	cli();
	stop = true;
	apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | SMP_WAKE);
	smp_wait(1);
	median = measure_print(cost, rounds, 0);
	test_equal(name, pings, rounds);
	test_check(name, median <= boot_number(name, ~0u), "too slow");
}

void test_main(void)
{
	unsigned rounds = measure_rounds();

	if (!apic_mode_of_words())
		return;
	irq_init();
	trap_hook[PING] = on_ping;
	trap_hook[PONG] = on_pong;
	apic_enable();
	if (smp_find() < 2 || !smp_start(1)) {
		test_skip("all", "one CPU");
		return;
	}
	measure("spin", "ipi_spin", false, rounds);
	measure("halt", "ipi_halt", true, rounds);
}
