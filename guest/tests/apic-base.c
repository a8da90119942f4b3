/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: IA32_APIC_BASE moves between disabled, xAPIC and x2APIC mode only as the figure of
 * "x2APIC State Transitions" shows; all else, and reserved bits, are #GP. CPUID.1:EDX.APIC follows
 * EN; the page is where the base says, in xAPIC mode only, the MSRs are there in x2APIC mode only;
 * what the change to x2APIC mode does not name, it keeps. SDM volume 3, "Extended
 * XAPIC (x2APIC)", "Relocating the Local APIC Registers". Word: keep-en (never clear EN).
 *
 * Not checked where the word `bare` says that it is Bochs: once EN is clear, it never sets it
 * again, though "Enabling or Disabling the Local APIC" allows it on processors since the
 * Pentium 4; and in x2APIC mode it reads the page as in xAPIC mode ("the memory mapped interface
 * is not available").
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define ELSEWHERE 0xfe000000ull /* nothing is there on a PC */
#define STATE	  (APIC_BASE_EN | APIC_BASE_EXTD)
#define VECTOR	  0x45

enum { DISABLED = 0, INVALID = APIC_BASE_EXTD, XAPIC = APIC_BASE_EN, X2APIC = STATE };

static u64 base; /* address and BSP flag, as found */
static u32 version; /* as the register reads at first */
static volatile unsigned taken;

static void on_vector(struct trap_frame *frame)
{
	(void)frame;
	taken++;
	apic_eoi();
}

static unsigned go(u32 state)
{
	return try_wrmsr(MSR_APIC_BASE, (base & ~STATE) | state);
}

static u32 state(void)
{
	return (u32)rdmsr(MSR_APIC_BASE) & STATE;
}

static const char *name_of(u32 s)
{
	return s == DISABLED ? "disabled" : s == INVALID ? "invalid" : s == XAPIC ? "xapic" : "x2apic";
}

/* A step that must succeed, and what must hold in the state reached. */
static void enter(u32 to)
{
	u64 value;
	unsigned wrong = 0;

	print("  %s to %s\n", name_of(state()), name_of(to));
	wrong += go(to) != TRAP_NONE || state() != to;
	wrong += apic_present() != (to != DISABLED);
	wrong += try_rdmsr(APIC_MSR(APIC_VERSION), &value) != (to == X2APIC ? TRAP_NONE : TRAP_GP);
	if (!boot_word("bare"))
		wrong += (*(volatile u32 *)phys(APIC_PAGE + APIC_VERSION) == version) != (to == XAPIC);
	test_equal(name_of(to), wrong, 0);
}

/* A step that must be #GP and change nothing. */
static void refuse(u32 to)
{
	u32 from = state();

	print("  %s to %s refused\n", name_of(from), name_of(to));
	CHECK(name_of(to), go(to) == TRAP_GP && state() == from);
}

static void reserved_bits(void)
{
	u32 width = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;
	u64 open = 0, bit;

	for (unsigned n = 0; n < 64; n++) {
		bit = BIT(n);
		if (n < 8 || n == 9 || n >= width)
			open |= try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | bit) == TRAP_GP ? 0 : bit;
	}
	test_equal("reserved-bits", open, 0);
	test_equal("reserved-bits-unchanged", rdmsr(MSR_APIC_BASE), base);
}

static void fresh(void)
{
	apic_x2 = state() == X2APIC;
	apic_enable();
	taken = 0;
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | VECTOR);
	sti();
	pit_wait_us(50);
	cli();
	test_equal("works", taken, 1);
}

static void relocation(void)
{
	CHECK("move", try_wrmsr(MSR_APIC_BASE, ELSEWHERE | (base & 0xfff)) == TRAP_NONE &&
	      rdmsr(MSR_APIC_BASE) == (ELSEWHERE | (base & 0xfff)));
	test_equal("moved-there", *(volatile u32 *)phys(ELSEWHERE + APIC_VERSION), version);
	CHECK("moved-away", *(volatile u32 *)phys(APIC_PAGE + APIC_VERSION) != version);
	apic_page = ELSEWHERE;
	fresh();
	apic_write(APIC_TPR, 0x20);
	wrmsr(MSR_APIC_BASE, base);
	apic_page = APIC_PAGE;
	test_equal("moved-back", apic_read(APIC_TPR), 0x20);
	apic_write(APIC_TPR, 0);
	CHECK("gone-there", *(volatile u32 *)phys(ELSEWHERE + APIC_VERSION) != version);
}

/* What the change from xAPIC to x2APIC mode keeps. */
static void kept(void)
{
	u32 id = apic_id();

	apic_write(APIC_TPR, 0x35);
	apic_write(APIC_SVR, 0x1ef);
	apic_write(APIC_LVT_ERROR, APIC_MASKED | 0x99);
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | 0x22); /* TPR holds it */
	enter(X2APIC);
	apic_x2 = true;
	test_equal("kept-id", apic_id(), id);
	test_equal("kept-tpr", apic_read(APIC_TPR), 0x35);
	test_equal("kept-svr", apic_read(APIC_SVR), 0x1ef);
	test_equal("kept-lvt", apic_read(APIC_LVT_ERROR), APIC_MASKED | 0x99);
	CHECK("kept-irr", apic_bit(APIC_IRR, 0x22));
	trap_hook[0x22] = on_vector;
	taken = 0;
	apic_write(APIC_TPR, 0);
	sti();
	pause();
	cli();
	test_equal("kept-comes", taken, 1);
	fresh();
}

void test_main(void)
{
	bool x2 = apic_has_x2(), clear = !boot_word("bare") && !boot_word("keep-en");

	if (!apic_present()) {
		test_skip("all", "no APIC");
		return;
	}
	irq_init();
	trap_hook[VECTOR] = on_vector;
	base = rdmsr(MSR_APIC_BASE);
	version = *(volatile u32 *)phys(APIC_PAGE + APIC_VERSION);
	test_equal("starts-in-xapic", base & ~0xfffull, APIC_PAGE);
	test_equal("starts-enabled-bsp", base & 0xfff, APIC_BASE_EN | APIC_BASE_BSP);
	fresh();
	reserved_bits();
	relocation();
	refuse(INVALID);
	if (clear) {
		enter(DISABLED);
		refuse(INVALID);
		refuse(X2APIC);
		enter(DISABLED);
		enter(XAPIC);
		fresh();
	} else {
		test_skip("disabled", "EN stays");
	}
	if (!x2) {
		refuse(X2APIC); /* EXTD is a reserved bit here */
		return;
	}
	kept();
	refuse(XAPIC);
	refuse(INVALID);
	enter(X2APIC);
	if (!clear)
		return;
	enter(DISABLED);
	refuse(X2APIC);
	enter(XAPIC);
	fresh();
	enter(X2APIC);
	fresh();
	enter(DISABLED);
	enter(XAPIC);
}
