/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the timer of the local APIC counts down at its clock over the divisor; it interrupts
 * once or periodically, never twice and never not; a count of 0 stops it; the mask holds back the
 * interrupt, not the count; TSC-deadline mode has its own register. SDM volume 3, "APIC Timer" and
 * "TSC-Deadline Mode". Words: `x2apic`, count=N of periods in the long run, period=TICKS;
 * slow=N: all takes N times as long, where exits do.
 *
 * Not checked where the word `bare` says that it is Bochs: IA32_TSC_DEADLINE reads as some time
 * though nothing is armed ("TSC-Deadline Mode": the timer "disarms itself and clears the
 * IA32_TSC_DEADLINE MSR").
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define VECTOR	0x41
#define OTHER	0x42
#define COUNT	(200000u * slow) /* of the timer at divisor 1, of the measurements */
#define AT_ONCE (20000u * slow)	 /* TSC ticks within which what is due comes */

static volatile unsigned taken, taken_other;
static volatile u64 taken_at;
static u32 slow = 1;
static u64 scale; /* TSC ticks that COUNT takes */

static void on_timer(struct trap_frame *frame)
{
	taken_at = rdtsc();
	if (frame->vector == VECTOR)
		taken++;
	else
		taken_other++;
	apic_eoi();
}

/* Lets interrupts in for some TSC ticks. */
static void run(u64 ticks)
{
	u64 end = rdtsc() + ticks;

	sti();
	while (rdtsc() < end)
		pause();
	cli();
}

/* How long one shot takes, in TSC ticks, or 0 if it does not come within `most`. */
static u64 shot(unsigned divide, u32 count, u64 most)
{
	u64 start = rdtsc();

	taken = 0;
	apic_timer(APIC_ONE_SHOT | VECTOR, divide, count);
	sti();
	while (!taken && rdtsc() - start < most)
		pause();
	cli();
	return taken ? taken_at - start : 0;
}

static bool near(u64 got, u64 want, u64 slack)
{
	u64 off = got > want ? got - want : want - got;

	if (off > slack)
		print("  %llu, not about %llu\n", got, want);
	return off <= slack;
}

static void one_shot(void)
{
	unsigned wrong = 0;

	u64 first = shot(1, COUNT, 1ull << 32);

	scale = shot(1, 2 * COUNT, 1ull << 32) - first; /* without what setting it takes */
	CHECK("one-shot-comes", first && scale + first > first);
	first = shot(1, COUNT, 3 * scale);
	run(3 * scale);
	test_equal("one-shot-once", taken, 1);
	test_equal("one-shot-ends-at-0", apic_read(APIC_TIMER_CURRENT), 0);
	test_equal("one-shot-keeps-initial", apic_read(APIC_TIMER_INITIAL), COUNT);
	for (unsigned divide = 1; divide <= 128; divide *= 2)
		wrong += !near(shot(divide, COUNT / divide, 3 * scale), scale, AT_ONCE);
	test_equal("every-divisor", wrong, 0);
	CHECK("half-count", near(shot(1, COUNT / 2, scale), scale / 2, AT_ONCE));
}

static void current_count(void)
{
	u32 first, second;
	u64 start, ticks;
	unsigned rises = 0;

	apic_timer(APIC_ONE_SHOT | APIC_MASKED | VECTOR, 1, 50 * COUNT);
	start = rdtsc();
	first = apic_read(APIC_TIMER_CURRENT);
	CHECK("current-begins-at-initial", first && first <= 50 * COUNT &&
	      (u64)(50 * COUNT - first) * (u32)scale < (u64)AT_ONCE * COUNT);
	for (unsigned i = 0; i < 100; i++) {
		second = apic_read(APIC_TIMER_CURRENT);
		rises += second > first;
	}
	test_equal("current-never-rises", rises, 0);
	first = apic_read(APIC_TIMER_CURRENT);
	start = rdtsc();
	while (rdtsc() - start < 4 * scale)
		pause();
	second = apic_read(APIC_TIMER_CURRENT);
	ticks = rdtsc() - start;
	/* (first - second) / ticks = COUNT / scale */
	CHECK("current-at-its-rate",
	      near(div64((u64)(first - second) * scale, COUNT, NULL), ticks, AT_ONCE));
	apic_write(APIC_TIMER_INITIAL, COUNT);
	CHECK("initial-restarts", apic_read(APIC_TIMER_CURRENT) <= COUNT);
	apic_write(APIC_TIMER_INITIAL, 0);
	test_equal("zero-stops-current", apic_read(APIC_TIMER_CURRENT), 0);
}

static void zero_stops(void)
{
	taken = 0;
	apic_timer(APIC_ONE_SHOT | VECTOR, 1, COUNT);
	apic_write(APIC_TIMER_INITIAL, 0);
	run(3 * scale);
	test_equal("zero-stops-one-shot", taken, 0);
	apic_timer(APIC_PERIODIC | VECTOR, 1, COUNT / 10);
	run(scale);
	apic_write(APIC_TIMER_INITIAL, 0);
	run(AT_ONCE);
	taken = 0;
	run(scale);
	test_equal("zero-stops-periodic", taken, 0);
	test_equal("zero-count", apic_read(APIC_TIMER_CURRENT), 0);
}

static void mask(void)
{
	taken = 0;
	apic_timer(APIC_ONE_SHOT | APIC_MASKED | VECTOR, 1, COUNT);
	run(2 * scale);
	CHECK("masked-counts-to-0", !apic_read(APIC_TIMER_CURRENT));
	apic_write(APIC_LVT_TIMER, APIC_ONE_SHOT | VECTOR);
	run(scale);
	test_equal("masked-is-lost", taken, 0);
	apic_timer(APIC_ONE_SHOT | APIC_MASKED | VECTOR, 1, COUNT);
	apic_write(APIC_LVT_TIMER, APIC_ONE_SHOT | VECTOR);
	run(2 * scale);
	test_equal("unmasked-in-time", taken, 1);
	apic_timer(APIC_PERIODIC | APIC_MASKED | VECTOR, 1, COUNT);
	run(3 * scale);
	CHECK("masked-periodic-goes-on", apic_read(APIC_TIMER_CURRENT));
	test_equal("masked-periodic-silent", taken, 1);
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | VECTOR);
	run(2 * scale + scale / 2);
	CHECK("unmasked-periodic", taken == 3 || taken == 4);
	apic_write(APIC_TIMER_INITIAL, 0);
}

/* The vector is that of the moment; a second expiry of a vector that is pending is one. */
static void pending(void)
{
	run(AT_ONCE);
	taken = taken_other = 0;
	apic_timer(APIC_PERIODIC | VECTOR, 1, COUNT / 10);
	for (u64 start = rdtsc(); rdtsc() - start < scale;)
		pause();
	apic_write(APIC_TIMER_INITIAL, 0);
	CHECK("pending-in-irr", apic_bit(APIC_IRR, VECTOR));
	run(AT_ONCE);
	test_equal("pending-once", taken, 1);
	apic_timer(APIC_ONE_SHOT | VECTOR, 1, COUNT);
	apic_write(APIC_LVT_TIMER, APIC_ONE_SHOT | OTHER);
	run(2 * scale);
	test_equal("vector-of-the-moment", taken << 8 | taken_other, 0x101);
}

static void switches(void)
{
	taken = 0;
	apic_timer(APIC_PERIODIC | VECTOR, 2, COUNT / 8);
	run(2 * scale + scale / 8);
	CHECK("periodic", taken >= 7 && taken <= 9);
	apic_write(APIC_TIMER_INITIAL, 0);
	run(AT_ONCE);
	taken = 0;
	apic_timer(APIC_ONE_SHOT | VECTOR, 2, COUNT / 8);
	run(2 * scale);
	test_equal("one-shot-after-periodic", taken, 1);
	apic_timer(APIC_PERIODIC | VECTOR, 2, COUNT / 8);
	run(scale / 2 + scale / 8);
	CHECK("periodic-after-one-shot", taken >= 3 && taken <= 4);
	apic_write(APIC_TIMER_INITIAL, 0);
	run(AT_ONCE);
}

/* --- TSC-deadline --- */

static void deadline(void)
{
	u64 now;

	apic_timer(APIC_ONE_SHOT | VECTOR, 1, 0);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + scale);
	test_equal("deadline-other-mode", rdmsr(MSR_TSC_DEADLINE), 0);
	taken = 0;
	run(2 * scale);
	test_equal("deadline-other-mode-silent", taken, 0);

	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR);
	if (!test_spared("deadline-clear-at-first"))
		test_equal("deadline-clear-at-first", rdmsr(MSR_TSC_DEADLINE), 0);
	apic_write(APIC_TIMER_INITIAL, COUNT);
	test_equal("deadline-no-count", apic_read(APIC_TIMER_CURRENT), 0);
	run(2 * scale);
	test_equal("deadline-count-ignored", taken, 0);
	now = rdtsc();
	wrmsr(MSR_TSC_DEADLINE, now + scale);
	test_equal("deadline-reads", rdmsr(MSR_TSC_DEADLINE), now + scale);
	run(2 * scale);
	test_equal("deadline-once", taken, 1);
	CHECK("deadline-in-time", taken_at >= now + scale && taken_at < now + scale + AT_ONCE);
	if (!test_spared("deadline-cleared"))
		test_equal("deadline-cleared", rdmsr(MSR_TSC_DEADLINE), 0);
	wrmsr(MSR_TSC_DEADLINE, 1);
	run(AT_ONCE);
	test_equal("deadline-of-the-past", taken, 2);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + scale);
	wrmsr(MSR_TSC_DEADLINE, 0);
	run(2 * scale);
	test_equal("deadline-0-disarms", taken, 2);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + scale);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 3 * scale);
	run(2 * scale);
	test_equal("deadline-moved", taken, 2);
	run(2 * scale);
	test_equal("deadline-moved-comes", taken, 3);
	wrmsr(MSR_TSC_DEADLINE, ~0ull);
	run(scale);
	test_equal("deadline-never", taken, 3);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + scale);
	apic_write(APIC_LVT_TIMER, APIC_ONE_SHOT | VECTOR);
	run(2 * scale);
	test_equal("deadline-ends-with-mode", taken, 3);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR);
	run(2 * scale);
	test_equal("deadline-gone-with-mode", taken, 3);
	if (!test_spared("deadline-gone-msr"))
		test_equal("deadline-gone-msr", rdmsr(MSR_TSC_DEADLINE), 0);
}

/* --- the long run --- */

static volatile unsigned lost, doubled;
static u64 period_ticks, last_at;

static void on_period(struct trap_frame *frame)
{
	u64 now = rdtsc(), gap = now - last_at;

	(void)frame;
	if (last_at) {
		lost += gap > period_ticks + period_ticks / 2;
		doubled += gap < period_ticks / 2;
	}
	last_at = now;
	taken++;
	apic_eoi();
}

static void long_run(void)
{
	unsigned count = (unsigned)boot_number("count", 1000) / slow;
	u32 period = (u32)boot_number("period", 20000) * slow;
	u64 start = rdtsc();

	period_ticks = div64(period * scale, COUNT, NULL);
	trap_hook[VECTOR] = on_period;
	taken = 0;
	apic_timer(APIC_PERIODIC | VECTOR, 1, period);
	while (taken < count)
		sti_hlt_cli();
	apic_write(APIC_TIMER_INITIAL, 0);
	print("  %u periods of %u: %llu ticks\n", count, period, last_at - start);
	test_equal("long-run-lost", lost, 0);
	test_equal("long-run-doubled", doubled, 0);
	run(AT_ONCE);
	trap_hook[VECTOR] = on_timer;
}

void test_main(void)
{
	if (!apic_mode_of_words())
		return;
	slow = (u32)boot_number("slow", 1);
	irq_init();
	trap_hook[VECTOR] = trap_hook[OTHER] = on_timer;
	apic_enable();
	one_shot();
	current_count();
	zero_stops();
	mask();
	pending();
	switches();
	long_run();
	if (apic_has_deadline())
		deadline();
	else
		test_skip("deadline", "no TSC-deadline");
}
