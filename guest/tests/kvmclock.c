/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: IA32_TSC_ADJUST and the TSC move together; KVM's clock, wall clock, steal time, EOI
 * and hypercalls are as its documents have them, wherever a hostile guest wants them. SDM volume 3,
 * "IA32_TSC_ADJUST Register Support"; Linux's "KVM-specific MSRs", "Linux KVM Hypercall". On a
 * bare machine only the first. The clocks of several CPUs are one: with the word cpus=N.
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

#define ENABLED 1
#define NEAR	200000 /* TSC ticks that a few instructions and exits take at most */
#define READS	3000

/* Both as the documents print them. */
struct pvti {
	volatile u32 version;
	u32 pad0;
	u64 tsc_timestamp, system_time;
	u32 tsc_to_system_mul;
	signed char tsc_shift;
	u8 flags, pad[2];
} __attribute__((packed, aligned(4)));
struct wall {
	volatile u32 version;
	u32 sec, nsec;
};
struct steal {
	volatile u64 steal;
	volatile u32 version, flags;
	volatile u8 preempted;
	u8 pad[47];
};

static struct pvti clocks[SMP_MAX];
static struct wall wall;
static struct steal steal __attribute__((aligned(64)));
static volatile u32 eoi_word;

static u64 khz(void)
{
	return cpuid(ABI_CPUID_KVM + 0x10, 0).eax;
}

static bool between(const char *what, u64 value, u64 least, u64 most)
{
	if (value < least || value > most)
		print("  %s %llu is not from %llu to %llu\n", what, value, least, most);
	return value >= least && value <= most;
}

/* ---- IA32_TSC_ADJUST */

static void tsc_adjust(void)
{
	u64 before, after, adjust;

	if (cpuid(0, 0).eax < 7 || !(cpuid(7, 0).ebx & BIT(1))) {
		test_skip("tsc-adjust", "the CPU has none");
		return;
	}
	test_equal("adjust-at-reset", rdmsr(MSR_TSC_ADJUST), 0);
	before = rdtsc();
	wrmsr(MSR_TSC_ADJUST, BIT(40));
	CHECK("adjust-moves-tsc", between("TSC", rdtsc() - before, BIT(40), BIT(40) + NEAR));
	test_equal("adjust-reads-back", rdmsr(MSR_TSC_ADJUST), BIT(40));
	before = rdtsc();
	wrmsr(MSR_TSC, before - BIT(39));
	after = rdtsc();
	adjust = rdmsr(MSR_TSC_ADJUST);
	CHECK("tsc-moves-adjust", between("adjust", adjust, BIT(39) - NEAR, BIT(39)));
	CHECK("tsc-written", between("TSC", after - (before - BIT(39)), 0, NEAR));
	before = rdtsc();
	wrmsr(MSR_TSC_ADJUST, adjust - 1000000);
	CHECK("adjust-backwards", between("TSC", rdtsc() + 1000000 - before, 0, NEAR));
	before = rdtsc() - rdmsr(MSR_TSC_ADJUST);
	wrmsr(MSR_TSC_ADJUST, 0);
	CHECK("adjust-back-to-0", between("TSC", rdtsc() - before, 0, NEAR));
}

/* ---- the clock */

static u64 scale(const struct pvti *pv, u64 delta)
{
	delta = pv->tsc_shift < 0 ? delta >> -pv->tsc_shift : delta << pv->tsc_shift;
	return (delta >> 32) * pv->tsc_to_system_mul +
	       ((u64)(u32)delta * pv->tsc_to_system_mul >> 32);
}

static u64 now_ns(const struct pvti *pv)
{
	for (;;) {
		u32 version = pv->version;
		u64 ns;

		__asm__ volatile("" : : : "memory");
		ns = pv->system_time + scale(pv, rdtsc() - pv->tsc_timestamp);
		__asm__ volatile("" : : : "memory");
		if (!(version & 1) && version == pv->version)
			return ns;
	}
}

static u64 address(const volatile void *at)
{
	return (unsigned long)at;
}

static void clock(const char *names[6], u32 msr)
{
	struct pvti *pv = &clocks[0];
	bool forward = true;
	u64 last, start, tsc, ns;
	u32 version;

	memset(pv, 0, sizeof(*pv));
	wrmsr(msr, address(pv) | ENABLED);
	test_check(names[0], pv->version && !(pv->version & 1) && pv->flags == 1,
		   "no even version, or not TSC_STABLE alone");
	last = start = now_ns(pv);
	for (unsigned i = 0; i < READS; i++, last = ns) {
		ns = now_ns(pv);
		forward &= ns >= last;
	}
	test_check(names[1], forward, "it went back");
	/* 50 ms by the 8254, and what the TSC and its frequency say */
	start = now_ns(pv);
	tsc = pit_wait_us(50000);
	ns = now_ns(pv) - start;
	test_check(names[2], between("ns", ns, 49500000, 51000000), "50 ms are other ones");
	ns = scale(pv, tsc);
	last = div64(tsc * 1000000, (u32)khz(), NULL);
	test_check(names[3], between("ns", ns, last - (last >> 13), last + (last >> 13)),
		   "not at the frequency of leaf 40000010h");
	/* the time goes on evenly, whatever becomes of the TSC */
	version = pv->version;
	start = now_ns(pv);
	wrmsr(MSR_TSC, 5);
	ns = now_ns(pv) - start;
	wrmsr(MSR_TSC_ADJUST, 0);
	test_check(names[4], version != pv->version && ns <= 1000000, "a jump of the TSC shows");
	wrmsr(msr, address(pv));
	version = pv->version;
	wrmsr(MSR_TSC, 5);
	wrmsr(MSR_TSC_ADJUST, 0);
	test_check(names[5], version == pv->version, "it is written after it was turned off");
}

static u8 rtc(u8 index)
{
	u8 value;

	outb(0x70, index);
	value = inb(0x71);
	return value;
}

static u32 rtc_number(u8 index)
{
	u8 value = rtc(index);

	return rtc(0x0b) & 4 ? value : (value >> 4) * 10 + (value & 15);
}

/* Seconds since 1970 by the RTC of this machine, in this century. */
static u32 rtc_time(void)
{
	static const u16 before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	u32 second, year, month, days;

	do {
		while (rtc(0x0a) & 0x80)
			;
		second = rtc_number(0);
		year = 30 + rtc_number(9);
		month = rtc_number(8);
		days = year * 365 + (year + 1) / 4 + before[month - 1] + rtc_number(7) - 1;
		days += month > 2 && (year + 2) % 4 == 0;
		days = days * 24 + rtc_number(4);
		days = days * 60 + rtc_number(2);
	} while (second != rtc_number(0));
	return days * 60 + second;
}

static void wall_clock(const char *name, u32 msr)
{
	u32 time;

	memset(&wall, 0, sizeof(wall));
	wrmsr(msr, address(&wall));
	wrmsr(ABI_MSR_SYSTEM_TIME, address(&clocks[0]) | ENABLED);
	time = wall.sec + (u32)div64(now_ns(&clocks[0]) + wall.nsec, 1000000000, NULL);
	test_check(name, wall.version && !(wall.version & 1) && wall.nsec < 1000000000 &&
		   between("time", time, rtc_time() - 2, rtc_time() + 2), "not the RTC's time");
}

/* ---- the rest */

/* Nowhere, a hole, ROM, devices, the end of RAM, the end of everything. */
static void hostile(void)
{
	static const u64 bad[] = {0xa0000, 0xf0000, 0x3fffffc, 0x3ffffc0, 0x4000000, 0xfec00000,
				  0xfee00000, 0xfffffffc, 0x4000000000, 0x7ffffffffffffffc,
				  0xfffffffffffffffc, 0xffffffffffffffc0, 0x9fffe};
	bool taken = true;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		taken &= try_wrmsr(ABI_MSR_SYSTEM_TIME, bad[i] | ENABLED) == TRAP_NONE;
		taken &= try_wrmsr(ABI_MSR_WALL_CLOCK, bad[i]) == TRAP_NONE;
		taken &= try_wrmsr(ABI_MSR_STEAL_TIME, (bad[i] & ~63ull) | ENABLED) == TRAP_NONE;
		taken &= try_wrmsr(ABI_MSR_PV_EOI, (bad[i] & ~3ull) | ENABLED) == TRAP_NONE;
		pit_wait_us(1000);
		wrmsr(MSR_TSC, rdtsc());
	}
	CHECK("hostile-addresses", taken);
	test_equal("steal-reserved-bits", try_wrmsr(ABI_MSR_STEAL_TIME, address(&steal) | 3), TRAP_GP);
	test_equal("eoi-reserved-bit", try_wrmsr(ABI_MSR_PV_EOI, address(&eoi_word) | 3), TRAP_GP);
	test_equal("no-async-pf", try_wrmsr(0x4b564d02, 0), TRAP_GP);
	test_equal("no-poll-control", try_wrmsr(0x4b564d05, 0), TRAP_GP);
	wrmsr(ABI_MSR_PV_EOI, 0);
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void steal_time(void)
{
	memset(&steal, 0, sizeof(steal));
	wrmsr(ABI_MSR_STEAL_TIME, address(&steal) | ENABLED);
	test_equal("steal-reads-back", rdmsr(ABI_MSR_STEAL_TIME), address(&steal) | ENABLED);
	CHECK("steal-published", steal.version && !(steal.version & 1) && !steal.flags);
	pit_wait_us(50000);
	CHECK("steal-is-small", !steal.preempted && steal.steal < 60000000);
	wrmsr(ABI_MSR_STEAL_TIME, 0);
}

static long hypercall(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	__asm__ volatile("vmcall" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return number;
}

static volatile unsigned taken;

static void on_ipi(struct trap_frame *frame)
{
	(void)frame;
	taken++;
	apic_eoi();
}

static void hypercalls(void)
{
	test_equal("unknown-hypercall", (u32)hypercall(3, 0, 0, 0, 0), (u32)ABI_HYPERCALL_ENOSYS);
	test_equal("kick-nobody", (u32)hypercall(ABI_HYPERCALL_KICK_CPU, 0, 77, 0, 0), 0);
	test_equal("yield-to-nobody", (u32)hypercall(ABI_HYPERCALL_SCHED_YIELD, 77, 0, 0, 0), 0);
	test_equal("send-init", (u32)hypercall(ABI_HYPERCALL_SEND_IPI, 1, 0, 0, APIC_INIT),
		   (u32)ABI_HYPERCALL_EINVAL);
	if (!apic_present()) {
		test_skip("send-ipi", "no local APIC");
		return;
	}
	apic_enable();
	trap_hook[0x30] = on_ipi;
	test_equal("send-ipi", (u32)hypercall(ABI_HYPERCALL_SEND_IPI, 1, 0, apic_id(), 0x30), 1);
	sti();
	pause();
	cli();
	test_equal("ipi-came", taken, 1);
	/* its HLT ends by the kick alone, which came before */
	hypercall(ABI_HYPERCALL_KICK_CPU, 0, apic_id(), 0, 0);
	sti_hlt_cli();
	CHECK("kick-ends-halt", true);
}

/* ---- ends of interrupts by the word */

static volatile unsigned by_word, nested;

/* One instruction tests and clears the bit, as the document asks. */
static void end_interrupt(void)
{
	bool offered;

	__asm__ volatile("btrl $0, %1" : "=@ccc"(offered), "+m"(eoi_word) : : "memory");
	by_word += offered;
	if (!offered)
		apic_eoi();
}

static void on_vector(struct trap_frame *frame)
{
	taken++;
	/* Another one, of higher priority, comes in between. */
	if (frame->vector < 0x38 && nested) {
		hypercall(ABI_HYPERCALL_SEND_IPI, 1, 0, apic_id(), frame->vector + 8);
		sti();
		pause();
		cli();
	}
	end_interrupt();
}

static bool in_service(void)
{
	bool any = false;

	for (unsigned offset = APIC_ISR; offset < APIC_TMR; offset += 0x10)
		any |= apic_read(offset) != 0;
	return any;
}

static void eoi_by_word(void)
{
	unsigned wrong = 0;

	if (!apic_present())
		return;
	wrmsr(ABI_MSR_PV_EOI, address(&eoi_word) | ENABLED);
	for (unsigned vector = 0x30; vector < TRAP_VECTORS; vector++)
		trap_hook[vector] = on_vector;
	for (unsigned i = 0; i < 100; i++) {
		nested = i & 1;
		taken = 0;
		/* one alone, or two of which one waits for the end of the other */
		hypercall(ABI_HYPERCALL_SEND_IPI, 1, 0, apic_id(), 0x30);
		if (i & 2)
			hypercall(ABI_HYPERCALL_SEND_IPI, 1, 0, apic_id(), 0x31);
		sti();
		for (unsigned k = 0; k < 100; k++)
			pause();
		cli();
		wrong += taken != (i & 2 ? 2 : 1) * (nested + 1);
		wrong += i % 10 == 0 && in_service();
	}
	print("ended by the word: %u of 300\n", by_word);
	test_equal("eoi-by-word", wrong, 0);
	CHECK("none-in-service", !in_service());
	wrmsr(ABI_MSR_PV_EOI, 0);
	test_equal("no-offer-left", eoi_word, 0);
}

/* ---- several CPUs */

static volatile u64 latest;
static volatile u32 lock, backwards;

static void race(void *arg)
{
	struct pvti *pv = &clocks[smp_cpu()];

	(void)arg;
	wrmsr(MSR_TSC_ADJUST, smp_cpu() * 123456789ull);
	wrmsr(ABI_MSR_SYSTEM_TIME, address(pv) | ENABLED);
	for (unsigned i = 0; i < READS; i++) {
		u64 ns;

		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			pause();
		ns = now_ns(pv);
		backwards += ns < latest;
		latest = ns;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
	wrmsr(ABI_MSR_SYSTEM_TIME, 0);
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void one_clock(void)
{
	if (!boot_word("cpus"))
		return;
	test_equal("all-start", smp_start_all(), boot_number("cpus", 1));
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		smp_run(cpu, race, NULL);
	race(NULL);
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		smp_wait(cpu);
	test_equal("one-clock", backwards, 0);
}

void test_main(void)
{
	static const char *fresh[] = {"clock-published", "clock-forward", "clock-50-ms",
				      "clock-frequency", "clock-follows-tsc", "clock-off"};
	static const char *old[] = {"old-published", "old-forward", "old-50-ms",
				    "old-frequency", "old-follows-tsc", "old-off"};
	u32 features;

	tsc_adjust();
	features = cpu_has_hypervisor() ? cpuid(ABI_CPUID_KVM + 1, 0).eax : 0;
	if (!cpu_on_trivet() || !(features & ABI_KVM_CLOCKSOURCE2)) {
		test_skip("kvm", "runs bare");
		return;
	}
	clock(fresh, ABI_MSR_SYSTEM_TIME);
	clock(old, ABI_MSR_SYSTEM_TIME_OLD);
	wall_clock("wall-clock", ABI_MSR_WALL_CLOCK);
	wall_clock("old-wall-clock", ABI_MSR_WALL_CLOCK_OLD);
	hostile();
	steal_time();
	hypercalls();
	eoi_by_word();
	one_clock();
}
