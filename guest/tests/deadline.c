/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measure: how late interrupts of the TSC-deadline timer come to a CPU that halts, and
 * how far TSC, ACPI's PM timer and the 8254 drift apart. Rule: each deadline interrupts once, never
 * early; the clocks stay within 0.01 %. SDM volume 3, "TSC-Deadline Mode"; ACPI, "Power
 * Management Timer"; 8254 data sheet. Words: count=N deadlines (20000); late=N what all
 * but one in 200 may be and worst=N what each may be, in ticks; seconds=N for the clocks (1);
 * `x2apic`.
 */
#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define VECTOR	 0x61
#define GAP	 10000 /* TSC ticks from one deadline to the next */
#define BUCKETS	 12    /* of lateness: below 250, 500, 1000 ... ticks */
#define PM_HZ	 3579545
#define FADT_TMR 40 /* of its body: PM_TMR_BLK */

static volatile unsigned taken;
static volatile u64 taken_at;

static void on_deadline(struct trap_frame *frame)
{
	(void)frame;
	taken_at = rdtsc();
	taken++;
	apic_eoi();
}

static void lateness(void)
{
	unsigned count = (unsigned)boot_number("count", 20000), early = 0, wrong = 0;
	unsigned bucket[BUCKETS] = {0}, above = 0;
	u64 bound = boot_number("late", ~0u);
	u64 at = rdtsc() + 2 * GAP, worst = 0, late, sum = 0;

	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR);
	for (unsigned i = 0; i < count; i++) {
		unsigned before = taken, n = 0;

		wrmsr(MSR_TSC_DEADLINE, at);
		while (taken == before)
			sti_hlt_cli();
		wrong += taken != before + 1;
		early += taken_at < at;
		late = taken_at - at;
		worst = late > worst ? late : worst;
		sum += late;
		above += late > bound;
		while (n + 1 < BUCKETS && late >= 250u << n)
			n++;
		bucket[n]++;
		at = (taken_at > at + GAP / 2 ? taken_at : at) + GAP;
	}
	sti();
	pit_wait_us(100);
	cli();
	print("late: mean %llu, worst %llu of %u;", div64(sum, count, NULL), worst, count);
	for (unsigned n = 0; n < BUCKETS; n++)
		print(" %u", bucket[n]);
	print("\n");
	test_equal("each-once", taken + wrong, count);
	test_equal("never-early", early, 0);
	CHECK("in-time", above <= count / 200);
	CHECK("worst-in-time", worst <= boot_number("worst", ~0u));
}

/* --- clocks --- */

static u16 pm_port;
static volatile u64 wraps; /* of counter 0 */

static void on_wrap(void)
{
	wraps++;
}

struct sample {
	u64 tsc, pit, pm;
};

/* Just behind a wrap of counter 0, so that none is pending when it is read. */
static struct sample sample(u64 *pm_before)
{
	struct sample s;
	u64 before = wraps;

	while (wraps == before)
		sti_hlt_cli();
	s.pit = wraps * 65536 + (65536 - pit_read());
	s.tsc = rdtsc();
	s.pm = pm_port ? inl(pm_port) & 0xffffff : 0;
	/* 24 bits last 4.6 s; samples stand closer. */
	s.pm += *pm_before & ~0xffffffull;
	if (s.pm < *pm_before)
		s.pm += 0x1000000;
	*pm_before = s.pm;
	return s;
}

/* How far a / b and c / d are apart, in parts per million. */
static u64 apart(u64 a, u64 b, u64 c, u64 d)
{
	u64 off, whole;

	while ((a | b | c | d) >> 32)
		a >>= 1, b >>= 1, c >>= 1, d >>= 1;
	whole = b * c;
	off = a * d > whole ? a * d - whole : whole - a * d;
	for (; whole >> 32; whole >>= 1)
		off >>= 1;
	return div64(off * 1000000, (u32)whole, NULL);
}

static void drift(const char *name, u64 ppm)
{
	print("%s: %llu ppm\n", name, ppm);
	test_check(name, ppm < 100, "0.01 % or more");
}

static void clocks(void)
{
	unsigned ticks = (unsigned)boot_number("seconds", 1) * 18;
	const struct acpi_table *fadt = acpi_find("FACP");
	struct sample first, half, last;
	u64 pm = 0;

	if (fadt && fadt->length >= 36 + FADT_TMR + 4)
		pm_port = (u16)(fadt->body[FADT_TMR] | fadt->body[FADT_TMR + 1] << 8);
	irq_handler[0] = on_wrap;
	pit_start(2, 0);
	irq_unmask(0);
	sample(&pm);
	first = half = last = sample(&pm);
	for (unsigned i = 0; i < ticks; i++) {
		last = sample(&pm);
		if (i < ticks / 2)
			half = last;
	}
	irq_mask(0);
	print("clocks: TSC %llu, 8254 %llu, PM timer %llu\n", last.tsc - first.tsc,
	      last.pit - first.pit, last.pm - first.pm);
	drift("tsc-and-8254", apart(half.tsc - first.tsc, half.pit - first.pit,
				    last.tsc - half.tsc, last.pit - half.pit));
	if (!pm_port) {
		test_skip("pm-timer", "no FADT");
		return;
	}
	drift("pm-timer-and-8254", apart(last.pm - first.pm, last.pit - first.pit, PM_HZ, PIT_HZ));
	drift("pm-timer-and-tsc", apart(half.pm - first.pm, half.tsc - first.tsc,
					last.pm - half.pm, last.tsc - half.tsc));
}

void test_main(void)
{
	if (!apic_mode_of_words())
		return;
	irq_init();
	trap_hook[VECTOR] = on_deadline;
	apic_enable();
	if (apic_has_deadline())
		lateness();
	else
		test_skip("lateness", "no TSC-deadline");
	clocks();
}
