/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APIC driver. Registers are named by their xAPIC offset; in x2APIC mode
 * the same register is MSR 800h + offset / 16, and only the interrupt command
 * register differs, being one of 64 bits.
 */
#include "arch/apic.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/memory.h"
#include "arch/msr.h"
#include "arch/trap.h"
#include "arch/tsc.h"

enum { APIC_ID = 0x020, APIC_VERSION = 0x030, APIC_TPR = 0x080, APIC_EOI = 0x0b0,
       APIC_DFR = 0x0e0, APIC_SVR = 0x0f0, APIC_ESR = 0x280, APIC_ICR = 0x300,
       APIC_ICR_HIGH = 0x310 };
enum { APIC_LVT_CMCI = 0x2f0, APIC_LVT_TIMER = 0x320, APIC_LVT_THERMAL = 0x330,
       APIC_LVT_PERFORMANCE = 0x340, APIC_LVT_LINT0 = 0x350, APIC_LVT_ERROR = 0x370 };
enum { APIC_TIMER_INITIAL = 0x380, APIC_TIMER_CURRENT = 0x390, APIC_TIMER_DIVIDE = 0x3e0 };

enum { BASE_X2APIC = BIT(10), BASE_ENABLE = BIT(11) };
#define BASE_ADDRESS BITS(51, 12)
enum { SVR_ENABLE = BIT(8), VERSION_LVT = BITS(23, 16) /* entries less one */ };
enum { LVT_MASKED = BIT(16), LVT_TSC_DEADLINE = BIT(18) };
enum { ICR_PENDING = BIT(12), ICR_ASSERT = BIT(14) };
#define ICR_HIGH_ID BITS(31, 24)

enum { CPUID1_EDX_APIC = BIT(9), CPUID1_ECX_X2APIC = BIT(21), CPUID1_ECX_TSC_DEADLINE = BIT(24) };

#define ICR_PATIENCE_US 100000
#define XAPIC_ID_MAX   254 /* 255 is everybody */
#define DIVIDE_BY_16   3
#define CALIBRATION_US 5000

static bool x2apic;
static volatile u32 *xapic; /* the register page, at the same address on all CPUs */
static bool deadline_mode;
static u64 timer_hz; /* 0 until the one-shot timer has been measured */

static u32 apic_read(u32 reg)
{
	if (x2apic)
		return (u32)rdmsr(MSR_X2APIC_BASE + (reg >> 4));
	return xapic[reg / 4];
}

static void apic_write(u32 reg, u32 value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC_BASE + (reg >> 4), value);
	else
		xapic[reg / 4] = value;
}

/* It is not in service, so it takes no EOI: "Spurious Interrupt". */
static void ignore_spurious(void)
{
}

int apic_init(u32 id_max)
{
	u64 base;

	if (!(cpuid(1, 0).edx & CPUID1_EDX_APIC))
		return -ENODEV;
	base = rdmsr(MSR_APIC_BASE);
	x2apic = (base & BASE_ENABLE) && (base & BASE_X2APIC);
	if (!x2apic && id_max > XAPIC_ID_MAX)
		x2apic = (cpuid(1, 0).ecx & CPUID1_ECX_X2APIC) != 0;
	if (!x2apic)
		xapic = phys_map(HPA(base & BASE_ADDRESS), PAGE_SIZE, PHYS_UNCACHED);
	if (!x2apic && !xapic)
		return -ENOMEM;
	irq_register(APIC_VECTOR_TIMER, apic_eoi);
	irq_register(APIC_VECTOR_KICK, apic_eoi);
	irq_register(APIC_VECTOR_SPURIOUS, ignore_spurious);
	irq_set_stray(apic_eoi);
	apic_cpu_init();
	return 0;
}

static void timer_setup(void)
{
	apic_write(APIC_TIMER_INITIAL, 0);
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_16);
	apic_write(APIC_LVT_TIMER, APIC_VECTOR_TIMER | (deadline_mode ? LVT_TSC_DEADLINE : 0));
	/* The switch of mode must be done before the first write of the deadline. */
	__asm__ volatile("mfence" ::: "memory");
}

void apic_cpu_init(void)
{
	/* In the order of the version's entry count: the nth exists when it is above n. */
	static const u16 optional[] = {[4] = APIC_LVT_PERFORMANCE, [5] = APIC_LVT_THERMAL,
				       [6] = APIC_LVT_CMCI};
	u64 base = rdmsr(MSR_APIC_BASE) | BASE_ENABLE;
	u32 last;

	/* From disabled to x2APIC leads through xAPIC: "x2APIC State Transitions". */
	wrmsr(MSR_APIC_BASE, base);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | BASE_X2APIC);

	apic_write(APIC_TPR, 0);
	if (!x2apic)
		apic_write(APIC_DFR, ~0u); /* flat model, as after reset */
	apic_write(APIC_SVR, SVR_ENABLE | APIC_VECTOR_SPURIOUS);
	last = (u32)FIELD_GET(VERSION_LVT, apic_read(APIC_VERSION));
	for (u32 i = 4; i < ARRAY_SIZE(optional) && i <= last; i++)
		apic_write(optional[i], LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_ESR, 0);
	timer_setup();
}

u32 apic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return x2apic ? id : id >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/* Waits until the last interrupt command is out; x2APIC has no such state. */
static void icr_wait(void)
{
	u64 start, patience;

	if (!(apic_read(APIC_ICR) & ICR_PENDING))
		return;
	start = rdtsc();
	patience = muldiv64(ICR_PATIENCE_US, tsc_hz, 1000000);
	while ((apic_read(APIC_ICR) & ICR_PENDING) && rdtsc() - start < patience)
		cpu_relax();
}

void apic_send(u32 id, u32 command)
{
	if (x2apic) {
		/* Unlike xAPIC's, these writes do not wait for earlier stores: "MSR
		 * Access in x2APIC Mode". */
		__asm__ volatile("mfence; lfence" ::: "memory");
		wrmsr(MSR_X2APIC_BASE + (APIC_ICR >> 4), (u64)id << 32 | ICR_ASSERT | command);
		return;
	}
	icr_wait();
	apic_write(APIC_ICR_HIGH, (u32)FIELD_PREP(ICR_HIGH_ID, id));
	apic_write(APIC_ICR, ICR_ASSERT | command);
	if (command >> 8 != APIC_SEND_FIXED) /* nobody waits for a vector to be on its way */
		icr_wait();
}

void apic_timer_init(bool use_deadline)
{
	u64 start, ticks;

	deadline_mode = use_deadline && (cpuid(1, 0).ecx & CPUID1_ECX_TSC_DEADLINE);
	if (!deadline_mode) {
		apic_write(APIC_LVT_TIMER, LVT_MASKED | APIC_VECTOR_TIMER);
		apic_write(APIC_TIMER_INITIAL, ~0u);
		start = rdtsc_ordered();
		tsc_delay_us(CALIBRATION_US);
		ticks = ~0u - apic_read(APIC_TIMER_CURRENT);
		timer_hz = MAX(muldiv64(ticks, tsc_hz, rdtsc_ordered() - start), 1);
	}
	timer_setup();
	if (deadline_mode)
		log_info("apic: %s, timer by TSC deadline", x2apic ? "x2APIC" : "xAPIC");
	else
		log_info("apic: %s, timer at %lu.%03lu MHz", x2apic ? "x2APIC" : "xAPIC",
			 timer_hz / 1000000, timer_hz / 1000 % 1000);
}

void apic_timer_arm(u64 deadline)
{
	u64 now, ticks = 0;

	if (deadline_mode) {
		/* 0 would switch it off. */
		wrmsr(MSR_TSC_DEADLINE, MAX(deadline, 1));
		return;
	}
	now = rdtsc();
	if (deadline > now)
		ticks = muldiv64(deadline - now, timer_hz, tsc_hz);
	apic_write(APIC_TIMER_INITIAL, (u32)MIN(ticks, 0xfffffffe) + 1);
}
