/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measure: what an instruction that leaves the guest costs it, in TSC ticks beyond an
 * empty round: the median of rounds=N (1000), as lines `cost NAME TICKS`. In Bochs a tick is
 * an instruction of guest or hypervisor. Rule: each has its effect; none takes longer
 * than most=N. Word: `x2apic`. SDM volume 3, "Instructions That Cause VM Exits".
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define VECTOR 0x61
#define MOST   4096
#define FAR    (1ull << 40) /* ticks */

static volatile unsigned taken;
static u32 ticks[MOST];

static void on_vector(struct trap_frame *frame)
{
	(void)frame;
	taken++;
	apic_eoi();
}

static void nothing(void)
{
}

static void do_cpuid(void)
{
	cpuid(0x40000000, 0);
}

/* A number that nobody has: the answer is an error, at once. */
static void do_vmcall(void)
{
	unsigned long number = ~0ul;

	__asm__ volatile("vmcall" : "+a"(number) : : "memory");
}

static void do_rdmsr(void)
{
	rdmsr(MSR_APIC_BASE);
}

static void do_deadline(void)
{
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + FAR);
}

static void do_out(void)
{
	outb(0x80, 0);
}

static void do_in_pic(void)
{
	inb(PIC1_DATA);
}

static void do_in_uart(void)
{
	inb(CONSOLE_PORT + 5);
}

static void do_self_ipi(void)
{
	unsigned before = taken;

	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | VECTOR);
	while (taken == before)
		pause();
}

static bool always(void)
{
	return true;
}

static const struct row {
	const char *name;
	void (*action)(void);
	bool (*there)(void);
} rows[] = {
	{"cpuid", do_cpuid, always},
	{"vmcall", do_vmcall, cpu_on_trivet},
	{"rdmsr", do_rdmsr, apic_present},
	{"wrmsr-deadline", do_deadline, apic_has_deadline},
	{"out-80", do_out, always},
	{"in-21", do_in_pic, always},
	{"in-3fd", do_in_uart, always},
	{"self-ipi", do_self_ipi, apic_present},
};

static u32 cost(void (*action)(void), unsigned rounds)
{
	sti();
	for (unsigned i = 0; i < rounds; i++) {
		u64 start = rdtsc();

		action();
		ticks[i] = (u32)(rdtsc() - start);
	}
	cli();
	test_sort(ticks, rounds);
	return ticks[rounds / 2];
}

void test_main(void)
{
	unsigned rounds = (unsigned)boot_number("rounds", 1000);
	u32 empty, each, most = (u32)boot_number("most", ~0u);

	rounds = rounds < MOST ? rounds : MOST;
	if (!apic_mode_of_words())
		return;
	irq_init();
	trap_hook[VECTOR] = on_vector;
	apic_enable();
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | VECTOR);
	empty = cost(nothing, rounds);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].there()) {
			test_skip(rows[i].name, "not there");
			continue;
		}
		each = cost(rows[i].action, rounds);
		print("cost %s %u\n", rows[i].name, each - empty);
		CHECK(rows[i].name, each >= empty && each - empty <= most);
	}
	test_equal("self-ipi-taken", taken, rounds);
}
