/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: every processor that the MADT lists, or that the word cpus=N promises, starts by
 * INIT-SIPI-SIPI with an APIC id of its own, knows that it is not the bootstrap processor,
 * and takes interrupts. Word `x2apic`: in that mode. SDM volume 3, "Multiple-Processor
 * (MP) Initialization".
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"

static volatile u32 id_of[SMP_MAX], cpuid_id[SMP_MAX];
static volatile u64 base_of[SMP_MAX];
static volatile u32 sum;
static struct smp_barrier barrier;

static void note(void *arg)
{
	unsigned cpu = smp_cpu();

	(void)arg;
	id_of[cpu] = apic_id();
	cpuid_id[cpu] = cpuid(1, 0).ebx >> 24;
	base_of[cpu] = rdmsr(MSR_APIC_BASE);
}

static void meet(void *arg)
{
	for (unsigned i = 0; i < 10; i++) {
		__atomic_add_fetch(&sum, 1, __ATOMIC_SEQ_CST);
		smp_barrier(&barrier, smp_count);
		if (sum != (i + 1) * smp_count)
			*(volatile bool *)arg = false;
		smp_barrier(&barrier, smp_count);
	}
}

void test_main(void)
{
	volatile bool together = true;
	unsigned wrong = 0;

	if (!apic_mode_of_words())
		return;
	apic_enable();
	test_equal("all-start", smp_start_all(), boot_number("cpus", 1));
	note(NULL);
	smp_run_others(note, NULL);
	for (unsigned cpu = 0; cpu < smp_count; cpu++) {
		wrong += id_of[cpu] != smp_id[cpu] || cpuid_id[cpu] != smp_id[cpu];
		wrong += !!(base_of[cpu] & APIC_BASE_BSP) != (cpu == 0);
		wrong += !(base_of[cpu] & APIC_BASE_EN);
	}
	test_equal("ids-and-bsp-flags", wrong, 0);
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		smp_run(cpu, meet, (void *)&together);
	meet((void *)&together);
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		smp_wait(cpu);
	CHECK("barrier", together);
	if (smp_count > 1) {
		CHECK("starts-again", smp_start(1));
		smp_run_others(note, NULL);
		test_equal("id-after-restart", id_of[1], smp_id[1]);
	}
}
