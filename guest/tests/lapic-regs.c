/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: each register of the local APIC has the value of "Local APIC State After Power-Up or
 * Reset", keeps the bits that the figures show, and is where "Local APIC Register
 * Address Map" or "x2APIC Register Address Space" has it; reserved xAPIC offsets are errors in
 * ESR, reserved MSRs and bits of x2APIC are #GP. SDM volume 3, "Advanced Programmable Interrupt
 * Controller (APIC)". Words: `x2apic`; reset values need cpus=2, since INIT makes them.
 *
 * Not checked where the word `bare` says that it is Bochs, which is at fault in these:
 * - INIT brings x2APIC mode back to xAPIC mode ("x2APIC State Transitions": "INIT in x2APIC mode
 *   [...] remains in x2APIC mode");
 * - the delivery status of the LVT can be written ("Local Vector Table": "Read Only");
 * - disabled by software, it accepts vectors ("Local APIC State After It Has Been Software
 *   Disabled": it "will respond normally to INIT, NMI, SMI, and SIPI messages");
 * - an illegal vector sent is no error in ESR, and errors never raise the LVT's vector ("Error
 *   Handling": "Send Illegal Vector", "generate an interrupt [...] LVT error register");
 * - x2APIC: LDR reads 0 ("Logical Destination Mode in x2APIC Mode"), and most reserved bits in
 *   31:0 are ignored ("Reserved Bit Checking": "#GP").
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define VECTOR	     0x55
#define ERROR_VECTOR 0x66
#define ESR_SENT     0x20 /* illegal vector in a message sent */
#define ESR_RECEIVED 0x40 /* ... received, or of the LVT */
#define ESR_ADDRESS  0x80 /* illegal register */

static bool bare;
static volatile unsigned taken[TRAP_VECTORS];

static void on_vector(struct trap_frame *frame)
{
	taken[frame->vector]++;
	apic_eoi();
}

static const u16 lvts[] = {APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PERFORMANCE,
			   APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR};

static void print_wrong(const char *what, unsigned offset, u64 got, u64 want)
{
	if (got != want)
		print("  %s %x: %llx, want %llx\n", what, offset, got, want);
}

/* --- after INIT --- */

static const struct {
	u16 offset, count;
	u32 value;
	bool xapic_only;
} after_reset[] = {
	{APIC_TPR, 1, 0, false},	   {APIC_APR, 1, 0, true},
	{APIC_PPR, 1, 0, false},	   {APIC_RRD, 1, 0, true},
	{APIC_DFR, 1, ~0u, true},	   {APIC_SVR, 1, 0xff, false},
	{APIC_ISR, 8, 0, false},	   {APIC_TMR, 8, 0, false},
	{APIC_IRR, 8, 0, false},	   {APIC_ESR, 1, 0, false},
	{APIC_ICR, 1, 0, false},	   {APIC_ICR_HIGH, 1, 0, true},
	{APIC_LVT_TIMER, 6, APIC_MASKED, false}, {APIC_TIMER_INITIAL, 1, 0, false},
	{APIC_TIMER_CURRENT, 1, 0, false}, {APIC_TIMER_DIVIDE, 1, 0, false},
};

static u32 logical_x2(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

static volatile unsigned reset_seen, reset_wrong;
static volatile bool reset_mode_kept;

/* Called on the other CPU, before its APIC is switched on. */
static void check_reset(unsigned cpu)
{
	unsigned wrong = 0;
	u32 got, want;

	reset_mode_kept = !!(rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD) == apic_x2;
	if (!reset_mode_kept)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EXTD);
	for (unsigned i = 0; i < ARRAY_SIZE(after_reset); i++) {
		if (apic_x2 && after_reset[i].xapic_only)
			continue;
		for (unsigned n = 0; n < after_reset[i].count; n++) {
			got = apic_read(after_reset[i].offset + n * 16);
			wrong += got != after_reset[i].value;
			print_wrong("after INIT", after_reset[i].offset + n * 16, got,
				    after_reset[i].value);
		}
	}
	got = apic_read(APIC_LDR);
	want = apic_x2 ? logical_x2(smp_id[cpu]) : 0;
	wrong += got != want && !bare;
	print_wrong("after INIT", APIC_LDR, got, want);
	reset_wrong = wrong + (apic_id() != smp_id[cpu]);
	reset_seen++;
}

/* Sets what INIT has to clear. */
static void dirty(void *arg)
{
	(void)arg;
	apic_write(APIC_TPR, 0xe5);
	for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], APIC_MASKED | 0x77);
	apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | 0x77); /* stays in IRR */
	apic_timer(APIC_PERIODIC | 0x77, 4, 0x10000000);
	if (!apic_x2) {
		apic_write(APIC_LDR, 0x5a000000);
		apic_write(APIC_DFR, 0x0fffffff);
	}
	for (;;)
		pause();
}

static void reset_values(void)
{
	if (smp_find() < 2) {
		test_skip("reset-values", "one CPU");
		return;
	}
	/* In x2APIC mode only the second INIT finds that mode, which it keeps. */
	smp_arrived = apic_x2 ? NULL : check_reset;
	CHECK("other-cpu-starts", smp_start(1));
	smp_run(1, dirty, NULL);
	pit_wait_us(100);
	smp_arrived = check_reset;
	CHECK("other-cpu-starts-again", smp_start(1));
	test_equal("reset-seen", reset_seen, apic_x2 ? 1 : 2);
	test_equal("reset-values", reset_wrong, 0);
	if (!apic_x2 || !test_spared("init-keeps-mode"))
		CHECK("init-keeps-mode", reset_mode_kept);
}

/* --- what can be written --- */

static void identity(void)
{
	u32 version = apic_read(APIC_VERSION);
	struct cpuid leaf = cpuid(0, 0);

	test_equal("version", version & 0xff, 0x14);
	CHECK("version-highest-lvt", (version >> 16 & 0xff) == 5 || (version >> 16 & 0xff) == 6);
	test_equal("version-reserved", version & 0xfe00ff00, 0);
	test_equal("id-as-cpuid-1", apic_id() & 0xff, cpuid(1, 0).ebx >> 24);
	if (leaf.eax < 0xb || !cpuid(0xb, 0).ebx)
		test_skip("id-as-cpuid-b", "no leaf Bh");
	else
		test_equal("id-as-cpuid-b", apic_id(), cpuid(0xb, 0).edx);
}

/* Value written and value read; where they differ, bits are read-only or reserved. */
static const struct {
	u16 offset;
	enum { BOTH, PAGE, PAGE_NOT_BARE } where; /* x2APIC: no such register, or #GP */
	u32 write, read;
} writable[] = {
	{APIC_TPR, BOTH, 0xff, 0xff},
	{APIC_TPR, PAGE, 0xffffff5a, 0x5a},
	{APIC_TPR, BOTH, 0, 0},
	{APIC_LDR, PAGE, 0xa5ffffff, 0xa5000000},
	{APIC_LDR, PAGE, 0, 0},
	{APIC_DFR, PAGE, 0x0fffffff, 0x0fffffff},
	{APIC_DFR, PAGE, 0x00000000, 0x0fffffff},
	{APIC_DFR, PAGE, 0xf0000000, 0xffffffff},
	{APIC_LVT_TIMER, BOTH, 0x300aa, 0x300aa},
	{APIC_LVT_TIMER, BOTH, 0x10055, 0x10055},
	{APIC_LVT_TIMER, PAGE_NOT_BARE, 0x31fff, 0x300ff},
	{APIC_LVT_THERMAL, BOTH, 0x100aa, 0x100aa},
	{APIC_LVT_THERMAL, BOTH, 0x10400, 0x10400},
	{APIC_LVT_PERFORMANCE, BOTH, 0x100ab, 0x100ab},
	{APIC_LVT_PERFORMANCE, BOTH, 0x10400, 0x10400},
	{APIC_LVT_LINT0, BOTH, 0x1a0ac, 0x1a0ac},
	{APIC_LVT_LINT0, BOTH, 0x10700, 0x10700},
	{APIC_LVT_LINT1, BOTH, 0x1a0ac, 0x1a0ac},
	{APIC_LVT_LINT1, BOTH, 0x10400, 0x10400},
	{APIC_LVT_ERROR, BOTH, 0x100ad, 0x100ad},
	{APIC_LVT_ERROR, PAGE_NOT_BARE, 0x1ffff, 0x100ff},
	{APIC_TIMER_DIVIDE, BOTH, 0xb, 0xb},
	{APIC_TIMER_DIVIDE, PAGE, 0xffffffff, 0xb},
	{APIC_TIMER_DIVIDE, BOTH, 0, 0},
	{APIC_SVR, BOTH, 0x1ee, 0x1ee},
	{APIC_SVR, BOTH, 0x1ff, 0x1ff},
	{APIC_ICR_HIGH, PAGE, 0xffffffff, 0xff000000},
	{APIC_ICR_HIGH, PAGE, 0, 0},
	/* Read-only: as they were. */
	{APIC_VERSION, PAGE, 0, 0},
	{APIC_PPR, PAGE, 0xff, 0},
	{APIC_ISR, PAGE, 0xffffffff, 0},
	{APIC_TMR + 0x40, PAGE, 0xffffffff, 0},
	{APIC_IRR + 0x70, PAGE, 0xffffffff, 0},
	{APIC_TIMER_CURRENT, PAGE, 0xffffffff, 0},
};

static void write_and_read(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(writable); i++) {
		u32 want = writable[i].read, got;

		if ((apic_x2 && writable[i].where) || (bare && writable[i].where == PAGE_NOT_BARE))
			continue;
		if (writable[i].offset == APIC_VERSION)
			want = apic_read(APIC_VERSION);
		apic_write(writable[i].offset, writable[i].write);
		got = apic_read(writable[i].offset);
		wrong += got != want;
		print_wrong("register", writable[i].offset, got, want);
	}
	test_equal("write-and-read", wrong, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], APIC_MASKED);
}

static void software_disable(void)
{
	unsigned cleared = 0, unmasked = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], VECTOR);
	apic_write(APIC_SVR, APIC_SPURIOUS);
	for (unsigned i = 0; i < ARRAY_SIZE(lvts); i++) {
		cleared += !(apic_read(lvts[i]) & APIC_MASKED);
		apic_write(lvts[i], VECTOR);
		unmasked += apic_read(lvts[i]) != (APIC_MASKED | VECTOR);
	}
	test_equal("disable-masks-all", cleared, 0);
	test_equal("disabled-stays-masked", unmasked, 0);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS);
	test_equal("masks-stay-when-enabled", apic_read(APIC_LVT_ERROR), APIC_MASKED | VECTOR);
}

/* While disabled by software it takes no vectors from others; what was pending stays. */
static void disabled_takes_nothing(void)
{
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | VECTOR);
	CHECK("pending-in-irr", apic_bit(APIC_IRR, VECTOR));
	apic_write(APIC_SVR, APIC_SPURIOUS);
	CHECK("pending-when-disabled", apic_bit(APIC_IRR, VECTOR));
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | (VECTOR + 1));
	if (!test_spared("disabled-refuses"))
		CHECK("disabled-refuses", !apic_bit(APIC_IRR, VECTOR + 1));
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS);
	sti();
	pause();
	cli();
	test_equal("pending-delivered", taken[VECTOR], 1);
}

/* --- errors --- */

static u32 read_esr(void)
{
	apic_write(APIC_ESR, 0);
	return apic_read(APIC_ESR);
}

static void error_of_message(void)
{
	apic_write(APIC_LVT_ERROR, ERROR_VECTOR);
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | 5);
	test_equal("esr-before-write", apic_read(APIC_ESR), 0);
	test_equal("esr-sent", read_esr() & ~ESR_RECEIVED, ESR_SENT);
	test_equal("esr-cleared-by-write", read_esr(), 0);
	CHECK("error-interrupt-pending", apic_bit(APIC_IRR, ERROR_VECTOR));
	sti();
	pause();
	cli();
	test_equal("error-interrupt", taken[ERROR_VECTOR], 1);
	apic_write(APIC_LVT_ERROR, APIC_MASKED);
}

static void errors(void)
{
	read_esr();
	test_equal("esr-clear", read_esr(), 0);
	if (!test_spared("error-of-message"))
		error_of_message();
	apic_timer(APIC_ONE_SHOT | 9, 1, 100);
	pit_wait_us(100);
	test_equal("esr-lvt-vector", read_esr(), ESR_RECEIVED);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	read_esr();
	CHECK("error-masked", !apic_bit(APIC_IRR, ERROR_VECTOR));
}

static const u16 reserved_offsets[] = {0x000, 0x010, 0x040, 0x050, 0x060, 0x070, 0x290, 0x2a0,
				       0x2b0, 0x2c0, 0x2d0, 0x2e0, 0x3a0, 0x3b0, 0x3c0, 0x3d0};

static void reserved_page(void)
{
	unsigned silent = 0, stale = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(reserved_offsets); i++) {
		read_esr();
		apic_read(reserved_offsets[i]);
		silent += read_esr() != ESR_ADDRESS;
		apic_write(reserved_offsets[i], 0x12345678);
		silent += read_esr() != ESR_ADDRESS;
		stale += apic_read(reserved_offsets[i]) == 0x12345678;
	}
	test_equal("reserved-is-illegal", silent, 0);
	test_equal("reserved-keeps-nothing", stale, 0);
	read_esr();
}

/* --- x2APIC --- */

/* Bits that may be written, by MSR; none: read-only or write-only 0. */
enum { R = 1, W = 2 };
static const struct {
	u16 msr;
	u8 access;
	u64 reserved;
} x2_msrs[] = {
	{0x802, R, 0},
	{0x803, R, 0},
	{0x808, R | W, ~0xffull},
	{0x80a, R, 0},
	{0x80b, W, ~0ull},
	{0x80d, R, 0},
	{0x80f, R | W, 0xffffffffffffec00},
	{0x810, R, 0}, {0x811, R, 0}, {0x812, R, 0}, {0x813, R, 0},
	{0x814, R, 0}, {0x815, R, 0}, {0x816, R, 0}, {0x817, R, 0},
	{0x818, R, 0}, {0x819, R, 0}, {0x81a, R, 0}, {0x81b, R, 0},
	{0x81c, R, 0}, {0x81d, R, 0}, {0x81e, R, 0}, {0x81f, R, 0},
	{0x820, R, 0}, {0x821, R, 0}, {0x822, R, 0}, {0x823, R, 0},
	{0x824, R, 0}, {0x825, R, 0}, {0x826, R, 0}, {0x827, R, 0},
	{0x828, R | W, ~0ull},
	{0x830, R | W, 0xfff32000},
	{0x832, R | W, 0xfffffffffff8ef00},
	{0x833, R | W, 0xfffffffffffee800},
	{0x834, R | W, 0xfffffffffffee800},
	{0x835, R | W, 0xfffffffffffe0800},
	{0x836, R | W, 0xfffffffffffe0800},
	{0x837, R | W, 0xfffffffffffeef00},
	{0x838, R | W, 0xffffffff00000000},
	{0x839, R, 0},
	{0x83e, R | W, 0xfffffffffffffff4},
	{0x83f, W, 0xffffffffffffff00},
};

static int x2_index(u32 msr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(x2_msrs); i++)
		if (x2_msrs[i].msr == msr)
			return (int)i;
	return -1;
}

static void x2_reserved_bits(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(x2_msrs); i++) {
		u64 value = 0, open = 0, reserved = x2_msrs[i].reserved;

		if (!(x2_msrs[i].access & W))
			continue;
		if (bare && x2_msrs[i].msr != 0x808 && x2_msrs[i].msr != 0x80b)
			reserved &= ~0xffffffffull;
		if (x2_msrs[i].access & R)
			value = rdmsr(x2_msrs[i].msr);
		for (unsigned bit = 0; bit < 64; bit++)
			if (reserved >> bit & 1 &&
			    try_wrmsr(x2_msrs[i].msr, value | BIT(bit)) != TRAP_GP)
				open |= BIT(bit);
		wrong += open != 0;
		print_wrong("reserved bits of MSR", x2_msrs[i].msr, open, 0);
		if (x2_msrs[i].access & R)
			wrong += rdmsr(x2_msrs[i].msr) != value;
	}
	test_equal("x2apic-reserved-bits", wrong, 0);
}

static void x2_addresses(void)
{
	unsigned wrong = 0, vector;
	u64 value;

	for (u32 msr = 0x800; msr <= 0x8ff; msr++) {
		int i = x2_index(msr);

		if (msr == APIC_MSR(APIC_LVT_CMCI))
			continue; /* there or not */
		vector = try_rdmsr(msr, &value);
		if (vector != (i >= 0 && x2_msrs[i].access & R ? TRAP_NONE : TRAP_GP)) {
			print("  RDMSR %x: vector %x\n", msr, vector);
			wrong++;
		}
		vector = i >= 0 && x2_msrs[i].access & W ? TRAP_GP : try_wrmsr(msr, 0);
		if (vector != TRAP_GP) {
			print("  WRMSR %x: vector %x\n", msr, vector);
			wrong++;
		}
	}
	test_equal("x2apic-addresses", wrong, 0);
	if (!test_spared("x2apic-ldr"))
		test_equal("x2apic-ldr", apic_read(APIC_LDR), logical_x2(apic_id()));
	test_equal("x2apic-eoi-zero", try_wrmsr(APIC_MSR(APIC_EOI), 0), TRAP_NONE);
	test_equal("x2apic-esr-zero", try_wrmsr(APIC_MSR(APIC_ESR), 0), TRAP_NONE);
}

/* --- CR8 --- */

static u64 cr8_read(void)
{
	u64 value;

	__asm__ volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

static void cr8(void)
{
	unsigned wrong = 0;

	for (u64 value = 0; value < 16; value++) {
		TRY_CR_WRITE(8, value);
		wrong += apic_read(APIC_TPR) != value << 4 || cr8_read() != value;
		apic_write(APIC_TPR, (u32)(0x0f | (15 - value) << 4));
		wrong += cr8_read() != 15 - value;
		wrong += apic_read(APIC_PPR) >> 4 != 15 - value;
	}
	test_equal("cr8-is-tpr", wrong, 0);
	test_equal("cr8-reserved", TRY_CR_WRITE(8, 16), TRAP_GP);
	test_equal("cr8-reserved-high", TRY_CR_WRITE(8, BIT(63)), TRAP_GP);
	TRY_CR_WRITE(8, 0);
}

void test_main(void)
{
	if (!apic_mode_of_words())
		return;
	bare = boot_word("bare") != NULL;
	irq_init();
	trap_hook[VECTOR] = trap_hook[VECTOR + 1] = trap_hook[ERROR_VECTOR] = on_vector;
	apic_enable();
	reset_values();
	identity();
	write_and_read();
	software_disable();
	disabled_takes_nothing();
	errors();
	cr8();
	if (apic_x2) {
		x2_addresses();
		x2_reserved_bits();
	} else {
		reserved_page();
	}
}
