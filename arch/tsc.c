/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TSC frequency. A reading of the other clock is bracketed by two of the TSC,
 * and of several such readings the one with the closest bracket counts, so
 * that an SMI or an exit of an outer hypervisor in between does no harm. Three
 * such points give two spans, which must agree. Sources: Intel SDM volume 3,
 * "Time-Stamp Counter"; ACPI Specification, "Power Management Timer"; IA-PC
 * HPET Specification, "Memory Map"; Intel 82C54 data sheet.
 */
#include "arch/tsc.h"

#include "arch/lib/log.h"
#include "arch/memory.h"

#define FASTEST_HZ 8000000000ull
#define SPAN_HZ	   125 /* one span is 1/125 s: 8 ms */
#define READINGS   8   /* for one point */
#define ATTEMPTS   3
#define READINGS_DEAD 20000   /* readings in which every clock must have moved */
#define READINGS_MAX  2000000 /* readings of one that moves too slowly */

#define PM_TIMER_HZ 3579545
#define PIT_HZ	    1193182

enum { PIT_CHANNEL2 = 0x42, PIT_COMMAND = 0x43 };
enum { PORT_B = 0x61, PORT_B_GATE2 = BIT(0), PORT_B_SPEAKER = BIT(1) };

/* Registers by index, 32 bits each. */
enum { HPET_PERIOD = 0x04 / 4, HPET_CONFIG = 0x10 / 4, HPET_COUNTER = 0xf0 / 4 };
#define HPET_SIZE	0x400
#define HPET_ENABLE	BIT(0)
#define HPET_PERIOD_MAX 100000000u /* femtoseconds */

#define LEAF_HYPERVISOR	     0x40000000
#define LEAF_HYPERVISOR_TIME 0x40000010

u64 tsc_hz = FASTEST_HZ;

static u16 pm_port;
static volatile u32 *hpet;
static const char *measured_by;

static u64 pm_timer_read(void)
{
	return inl(pm_port);
}

static u64 hpet_read(void)
{
	return hpet[HPET_COUNTER];
}

static u64 pit_read(void)
{
	u8 low;

	outb(PIT_COMMAND, 2 << 6); /* latch channel 2 */
	low = inb(PIT_CHANNEL2);
	return 0xffff - (low | (u64)inb(PIT_CHANNEL2) << 8);
}

struct point {
	u64 clock, tsc;
};

static struct point take_point(const struct tsc_clock *clock, u64 (*now)(void))
{
	struct point best = {0};
	u64 closest = ~0ull;

	for (unsigned i = 0; i < READINGS; i++) {
		u64 before = now();
		u64 value = clock->read();
		u64 after = now();

		if (after - before < closest) {
			closest = after - before;
			best = (struct point){value & clock->mask, before + (after - before) / 2};
		}
	}
	return best;
}

/* The frequency over [from, to], between which the clock moves. */
static u64 frequency(const struct tsc_clock *clock, struct point from, struct point to)
{
	return muldiv64(to.tsc - from.tsc, clock->hz, (to.clock - from.clock) & clock->mask);
}

/* Takes a point one span behind `from`; false when the clock stands still. */
static bool next_point(const struct tsc_clock *clock, u64 (*now)(void), struct point from,
		       struct point *point)
{
	for (unsigned i = 0; i < READINGS_MAX; i++) {
		u64 passed = (clock->read() - from.clock) & clock->mask;

		/* More than half way around is a step back, not a step ahead. */
		if (passed >= clock->hz / SPAN_HZ && passed <= clock->mask / 2) {
			*point = take_point(clock, now);
			return true;
		}
		if (!passed && i == READINGS_DEAD)
			return false;
	}
	return false;
}

u64 tsc_measure(const struct tsc_clock *clock, u64 (*now)(void))
{
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		struct point a = take_point(clock, now), b, c;

		if (!next_point(clock, now, a, &b) || !next_point(clock, now, b, &c))
			return 0;
		if (!tsc_differs(frequency(clock, a, b), frequency(clock, b, c)))
			return frequency(clock, a, c);
	}
	return 0;
}

bool tsc_differs(u64 a, u64 b)
{
	u64 difference = a > b ? a - b : b - a;

	return difference > MAX(a, b) / 100;
}

u64 tsc_stated(const struct cpuid_regs *leaf15, const struct cpuid_regs *leaf16)
{
	if (!leaf15->eax || !leaf15->ebx)
		return 0;
	if (leaf15->ecx)
		return muldiv64(leaf15->ecx, leaf15->ebx, leaf15->eax);
	return (leaf16->eax & 0xffff) * 1000000ull;
}

static u64 stated_hz(const char **by)
{
	const struct cpuid_regs none = {0};
	u32 max = cpuid(0, 0).eax;
	struct cpuid_regs leaf15 = max >= 0x15 ? cpuid(0x15, 0) : none;
	struct cpuid_regs leaf16 = max >= 0x16 ? cpuid(0x16, 0) : none;
	u64 hz = tsc_stated(&leaf15, &leaf16);

	*by = "CPUID leaf 15h";
	if (!hz && (cpuid(1, 0).ecx & BIT(31)) &&
	    cpuid(LEAF_HYPERVISOR, 0).eax >= LEAF_HYPERVISOR_TIME) {
		hz = cpuid(LEAF_HYPERVISOR_TIME, 0).eax * 1000ull;
		*by = "CPUID leaf 40000010h";
	}
	return hz;
}

static u64 measure(const char *name, u64 hz, u64 mask, u64 (*read)(void))
{
	const struct tsc_clock clock = {hz, mask, read};

	measured_by = name;
	return tsc_measure(&clock, rdtsc_ordered);
}

static u64 measure_pm_timer(const struct tsc_sources *sources)
{
	pm_port = sources->pm_timer;
	return pm_port ? measure("ACPI PM timer", PM_TIMER_HZ,
				 BITS(sources->pm_timer_32bit ? 31 : 23, 0), pm_timer_read)
		       : 0;
}

static u64 measure_hpet(hpa_t at)
{
	u32 period, config;
	u64 hz = 0;

	hpet = at.v ? phys_map(at, HPET_SIZE, PHYS_UNCACHED) : NULL;
	if (!hpet)
		return 0;
	period = hpet[HPET_PERIOD];
	if (period && period <= HPET_PERIOD_MAX) {
		config = hpet[HPET_CONFIG];
		hpet[HPET_CONFIG] = config | HPET_ENABLE;
		hz = measure("HPET", 1000000000000000ull / period, BITS(31, 0), hpet_read);
		hpet[HPET_CONFIG] = config;
	}
	phys_unmap((void *)hpet, HPET_SIZE);
	return hz;
}

/* Channel 2 counts down from FFFFh, once: 54 ms, longer than a measurement. */
static u64 measure_pit(void)
{
	outb(PORT_B, (u8)((inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2));
	outb(PIT_COMMAND, 2 << 6 | 3 << 4); /* channel 2, low then high byte, mode 0 */
	outb(PIT_CHANNEL2, 0xff);
	outb(PIT_CHANNEL2, 0xff);
	return measure("8254", PIT_HZ, BITS(15, 0), pit_read);
}

int tsc_init(const struct tsc_sources *sources)
{
	u64 measured = measure_pm_timer(sources) ?: measure_hpet(sources->hpet) ?: measure_pit();
	const char *stated_by;
	u64 stated = stated_hz(&stated_by);

	if (cpuid(0x80000000, 0).eax < 0x80000007 || !(cpuid(0x80000007, 0).edx & BIT(8)))
		log_warn("tsc: not invariant: it may change its rate or stop in deep sleep");
	if (!measured && !stated) {
		log_warn("tsc: frequency unknown, no clock to measure with");
		return -ENODEV;
	}
	tsc_hz = measured ? measured : stated;
	log_info("tsc: %lu.%03lu MHz by %s", tsc_hz / 1000000, tsc_hz / 1000 % 1000,
		 measured ? measured_by : stated_by);
	if (measured && stated && tsc_differs(measured, stated))
		log_warn("tsc: %s states %lu.%03lu MHz, the measured value is used", stated_by,
			 stated / 1000000, stated / 1000 % 1000);
	return 0;
}

void tsc_delay_us(u64 us)
{
	u64 start = rdtsc_ordered(), ticks = muldiv64(us, tsc_hz, 1000000) + 1;

	while (rdtsc_ordered() - start < ticks)
		cpu_relax();
}
