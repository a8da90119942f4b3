/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the I/O APIC's registers, and what its pins send: edges and levels of both
 * polarities, masks, remote IRR, every delivery mode, physical and logical destinations to
 * all CPUs. "82093AA I/O Advanced Programmable Interrupt Controller" data sheet. Words:
 * `cpus=N` as guest/lib/smp.h has it, `x2apic` for local APICs in that mode.
 *
 * The source is COM1's THRE interrupt at pin 4: with the transmitter empty its line is up
 * while IER's bit 1 is set.
 *
 * Not checked where the word `bare` says that it is Bochs, whose I/O APIC is at fault here:
 * Arbitration id: a write of the APIC id also loads it; Bochs has none.
 * Polarity: "0=High active, 1=Low active"; Bochs takes all as high active.
 * Remote IRR: "set to 1 when local APIC(s) accept the level interrupt ... set to 0 when an
 * EOI message with a matching interrupt vector is received"; Bochs' is always 0, and it
 * sends a level again when lines or entries change, but not at the EOI.
 * Narrow writes, which "using 32-bit loads and stores" leaves open, do nothing here; Bochs ends.
 * ExtINT: "the INTA cycle ... is routed to the external controller"; Bochs runs it before
 * the 8259 has seen the line, and gets a spurious interrupt.
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define PINS	24
#define PIN	4
#define VECTOR	0x61
#define ALL	0xff
#define UART_IER (CONSOLE_PORT + 1)
#define IER_THRE 2
#define ENTRY_BITS 0x1ffff /* of the low half */

/* What the handler does before the EOI, and what it saw. */
static volatile unsigned taken[SMP_MAX], nmis[SMP_MAX];
static volatile unsigned drop_at; /* the interrupt in which the line goes down, 0: none */
static volatile bool withhold_eoi, tmr;
static volatile u32 entry_inside;

static void equal_unless_spared(const char *name, u64 got, u64 want)
{
	if (!test_spared(name))
		test_equal(name, got, want);
}

static u8 self(void)
{
	return (u8)apic_id();
}

static void line(bool up)
{
	outb(UART_IER, up ? IER_THRE : 0);
}

static void on_interrupt(struct trap_frame *frame)
{
	unsigned cpu = smp_cpu();

	taken[cpu]++;
	tmr = apic_bit(APIC_TMR, (u8)frame->vector);
	if (cpu == 0)
		entry_inside = ioapic_read(IOAPIC_ENTRY(PIN)) & ENTRY_BITS;
	if (drop_at && taken[cpu] >= drop_at)
		line(false);
	if (!withhold_eoi)
		apic_eoi();
}

static void on_nmi(struct trap_frame *frame)
{
	(void)frame;
	nmis[smp_cpu()]++;
}

/* Lets in what was sent. */
static void settle(void)
{
	sti();
	pit_wait_us(300);
	cli();
}

/* Nothing pending, nothing counted, the line down and the pin masked. */
static void begin(void)
{
	console_drain();
	line(false);
	withhold_eoi = false;
	drop_at = 0;
	ioapic_route(PIN, VECTOR, self()); /* what Bochs kept, as nobody took it */
	settle();
	ioapic_route(PIN, APIC_MASKED, 0);
	for (unsigned cpu = 0; cpu < SMP_MAX; cpu++)
		taken[cpu] = nmis[cpu] = 0;
}

/* Before verdicts are printed: the console's own THRE is none of the test's. */
static void end(void)
{
	ioapic_route(PIN, APIC_MASKED, 0);
	line(false);
}

static void pulse(void)
{
	line(true);
	settle();
	line(false);
	settle();
}

static u32 entry(void)
{
	return ioapic_read(IOAPIC_ENTRY(PIN)) & ENTRY_BITS;
}

static void registers(void)
{
	u32 id = ioapic_read(IOAPIC_ID), wrong = 0, got, arbitration;
	volatile u8 *window;

	test_equal("version", ioapic_read(IOAPIC_VERSION) & 0xff00ff, (PINS - 1) << 16 | 0x11);
	ioapic_write(IOAPIC_ID, 0x0a000000);
	got = ioapic_read(IOAPIC_ID) & 0x0f000000;
	arbitration = ioapic_read(IOAPIC_ARBITRATION) & 0x0f000000;
	ioapic_write(IOAPIC_ID, id);
	test_equal("id", got, 0x0a000000);
	equal_unless_spared("arbitration-id", arbitration, 0x0a000000);
	for (unsigned pin = 0; pin < PINS; pin++) {
		ioapic_write(IOAPIC_ENTRY(pin), ENTRY_BITS);
		ioapic_write(IOAPIC_ENTRY(pin) + 1, 0xa5000000);
		wrong += (ioapic_read(IOAPIC_ENTRY(pin)) & ENTRY_BITS) != 0x1afff;
		wrong += ioapic_read(IOAPIC_ENTRY(pin) + 1) >> 24 != 0xa5;
		ioapic_route(pin, APIC_MASKED | pin, (u8)pin);
	}
	for (unsigned pin = 0; pin < PINS; pin++)
		wrong += (ioapic_read(IOAPIC_ENTRY(pin)) & ENTRY_BITS) != (APIC_MASKED | pin) ||
			 ioapic_read(IOAPIC_ENTRY(pin) + 1) >> 24 != pin;
	test_equal("entries", wrong, 0);
	ioapic_write(IOAPIC_ENTRY(7), APIC_MASKED | IOAPIC_LEVEL | 0x7a);
	window = phys(IOAPIC_PAGE + 0x10);
	test_equal("bytes", window[0] | window[1] << 8 | window[2] << 16, 0x1807a);
	*(volatile u32 *)window ^= 0x05; /* read and written in one instruction */
	test_equal("read-modify-write", ioapic_read(IOAPIC_ENTRY(7)) & 0xff, 0x7f);
	if (!test_spared("narrow-writes")) {
		window[0] = 0x11;
		*(volatile u16 *)(window + 2) = 0;
		test_equal("narrow-writes", ioapic_read(IOAPIC_ENTRY(7)) & ENTRY_BITS,
			   APIC_MASKED | IOAPIC_LEVEL | 0x7f);
	}
	ioapic_write(IOAPIC_VERSION, 0);
	test_equal("version-is-read-only", ioapic_read(IOAPIC_VERSION) & 0xff, 0x11);
}

static void edges(void)
{
	unsigned first, held, many;
	u32 inside;
	bool was_level;

	begin();
	ioapic_route(PIN, VECTOR, self());
	line(true);
	settle();
	first = taken[0];
	settle();
	held = taken[0];
	inside = entry_inside;
	was_level = tmr;
	line(false);
	for (unsigned i = 0; i < 100; i++)
		pulse();
	many = taken[0];
	end();
	test_equal("edge", first, 1);
	test_equal("edge-once", held, 1);
	test_equal("edge-entry", inside, VECTOR);
	CHECK("edge-clears-tmr", !was_level);
	test_equal("edges-none-lost", many, 101);
}

/* "ignored (i.e., not delivered or held pending)"; then low active ones. */
static void edges_of_other_kinds(void)
{
	unsigned masked, unmasked, fall, rise;

	begin();
	ioapic_route(PIN, APIC_MASKED | VECTOR, self());
	pulse();
	masked = taken[0];
	line(true);
	ioapic_route(PIN, VECTOR, self());
	settle();
	unmasked = taken[0];
	ioapic_route(PIN, IOAPIC_LOW | VECTOR, self());
	line(false);
	settle();
	fall = taken[0];
	line(true);
	settle();
	rise = taken[0];
	end();
	test_equal("masked-edge", masked, 0);
	test_equal("masked-edge-is-gone", unmasked, 0);
	equal_unless_spared("low-active-edge", fall, 1);
	equal_unless_spared("low-active-ignores-rise", rise, 1);
}

static void levels(void)
{
	unsigned masked, unmasked, idle;
	bool was_level;

	begin();
	drop_at = 1;
	ioapic_route(PIN, APIC_MASKED | IOAPIC_LEVEL | VECTOR, self());
	line(true);
	settle();
	masked = taken[0];
	ioapic_write(IOAPIC_ENTRY(PIN), IOAPIC_LEVEL | VECTOR);
	settle();
	unmasked = taken[0];
	was_level = tmr;
	settle();
	idle = taken[0];
	end();
	test_equal("masked-level", masked, 0);
	test_equal("level-after-unmask", unmasked, 1);
	CHECK("level-sets-tmr", was_level);
	test_equal("level-once", idle, 1);
}

/* The line stays up for five interrupts. */
static void end_and_again(void)
{
	unsigned repeated;
	u32 inside, after;

	begin();
	drop_at = 5;
	ioapic_route(PIN, IOAPIC_LEVEL | VECTOR, self());
	line(true);
	settle();
	repeated = taken[0];
	inside = entry_inside;
	after = entry();
	end();
	equal_unless_spared("eoi-sends-again", repeated, 5);
	equal_unless_spared("remote-irr-in-service", inside,
			    IOAPIC_LEVEL | IOAPIC_REMOTE_IRR | VECTOR);
	test_equal("remote-irr-after-eoi", after, IOAPIC_LEVEL | VECTOR);
}

/* A level without its EOI, and again after it. */
static void withheld(void)
{
	unsigned blocked, released;
	u32 kept;

	begin();
	withhold_eoi = true;
	ioapic_route(PIN, IOAPIC_LEVEL | VECTOR, self());
	line(true);
	settle();
	line(false);
	line(true);
	settle();
	blocked = taken[0];
	kept = entry();
	drop_at = 2;
	withhold_eoi = false;
	apic_eoi();
	settle();
	released = taken[0];
	end();
	test_equal("blocked-until-eoi", blocked, 1);
	equal_unless_spared("remote-irr-kept", kept,
			    IOAPIC_LEVEL | IOAPIC_REMOTE_IRR | VECTOR);
	test_equal("sent-after-eoi", released, 2);
}

/* Version 11h has no EOI register: a pin is released by making it an edge. */
static void release(void)
{
	unsigned unstuck;
	u32 edge;

	begin();
	withhold_eoi = true;
	ioapic_route(PIN, IOAPIC_LEVEL | VECTOR, self());
	line(true);
	settle();
	ioapic_write(IOAPIC_ENTRY(PIN), APIC_MASKED | VECTOR);
	edge = entry();
	ioapic_write(IOAPIC_ENTRY(PIN), IOAPIC_LEVEL | VECTOR);
	withhold_eoi = false;
	drop_at = 2;
	apic_eoi();
	settle();
	unstuck = taken[0];
	end();
	test_equal("edge-clears-remote-irr", edge, APIC_MASKED | VECTOR);
	test_equal("level-again", unstuck, 2);
}

/* As kernels serve levels: masked, ended, and unmasked when the device is done. */
static void masked_in_service(void)
{
	unsigned masked, unmasked;

	begin();
	withhold_eoi = true;
	ioapic_route(PIN, IOAPIC_LEVEL | VECTOR, self());
	line(true);
	settle();
	ioapic_write(IOAPIC_ENTRY(PIN), APIC_MASKED | IOAPIC_LEVEL | VECTOR);
	withhold_eoi = false;
	apic_eoi();
	settle();
	masked = taken[0];
	drop_at = 2;
	ioapic_write(IOAPIC_ENTRY(PIN), IOAPIC_LEVEL | VECTOR);
	settle();
	unmasked = taken[0];
	end();
	test_equal("ended-under-mask", masked, 1);
	test_equal("unmasked-when-done", unmasked, 2);
}

/* A low line asserts the pin. */
static void low_active_level(void)
{
	unsigned count, up;

	begin();
	line(true);
	ioapic_route(PIN, IOAPIC_LEVEL | IOAPIC_LOW | VECTOR, self());
	settle();
	up = taken[0];
	withhold_eoi = true;
	line(false);
	settle();
	line(true);
	withhold_eoi = false;
	apic_eoi();
	settle();
	count = taken[0];
	end();
	equal_unless_spared("high-is-idle", up, 0);
	equal_unless_spared("low-active-level", count, 1);
}

/* --- destinations ----------------------------------------------------- */

static unsigned total(void)
{
	unsigned sum = 0;

	for (unsigned cpu = 0; cpu < smp_count; cpu++)
		sum += taken[cpu];
	return sum;
}

/*
 * A logical id for each CPU, flat; in x2APIC mode it follows from the APIC's id. Writing
 * IA32_APIC_BASE as it is changes nothing, but Bochs sets LDR when it is in x2APIC mode
 * already, not when it enters it.
 */
static void set_logical(void *arg)
{
	(void)arg;
	if (apic_x2) {
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE));
		return;
	}
	apic_write(APIC_DFR, 0xffffffff);
	apic_write(APIC_LDR, 1u << (24 + smp_cpu()));
}

static u8 logical_id(unsigned cpu)
{
	return (u8)(1u << (apic_x2 ? smp_id[cpu] : cpu));
}

/* One edge; how many CPUs took none or more than one of those that `cpus` names. */
static unsigned misses(u32 low, u8 dest, u32 cpus)
{
	unsigned wrong = 0;

	begin();
	ioapic_route(PIN, low | VECTOR, dest);
	pulse();
	for (unsigned cpu = 0; cpu < smp_count; cpu++)
		wrong += taken[cpu] != (cpus >> cpu & 1);
	return wrong;
}

static void destinations(void)
{
	u32 everyone = (u32)BIT(smp_count) - 1;
	unsigned physical = 0, logical = 0, all, both = 0, lowest, sum;
	u8 group = 0;

	smp_run_others(set_logical, NULL);
	set_logical(NULL);
	for (unsigned cpu = 0; cpu < smp_count; cpu++) {
		physical += misses(APIC_FIXED, (u8)smp_id[cpu], 1u << cpu);
		logical += misses(APIC_LOGICAL, logical_id(cpu), 1u << cpu);
		group |= logical_id(cpu);
	}
	all = misses(APIC_FIXED, ALL, everyone);
	both = misses(APIC_LOGICAL, group, everyone);
	begin();
	ioapic_route(PIN, APIC_LOWEST | APIC_LOGICAL | VECTOR, group);
	for (unsigned i = 0; i < 20; i++)
		pulse();
	lowest = total();
	begin();
	ioapic_route(PIN, VECTOR, 0xee); /* nobody's */
	pulse();
	sum = total();
	end();
	test_equal("physical", physical, 0);
	test_equal("logical", logical, 0);
	test_equal("physical-broadcast", all, 0);
	test_equal("logical-group", both, 0);
	test_equal("lowest-takes-one", lowest, 20);
	test_equal("nobody", sum, 0);
}

/* --- delivery modes --------------------------------------------------- */

static void nmi(void)
{
	unsigned one, as_level;

	begin();
	ioapic_route(PIN, APIC_NMI, self());
	pulse();
	one = nmis[0];
	/* "NMI is treated as an edge triggered interrupt, even if ... programmed as a level" */
	ioapic_route(PIN, APIC_NMI | IOAPIC_LEVEL, self());
	pulse();
	as_level = nmis[0];
	end();
	test_equal("nmi", one, 1);
	test_equal("nmi-is-an-edge", as_level, 2);
}

static void extint(void)
{
	unsigned before = irq_count[PIN], spurious = irq_spurious, got;

	begin();
	apic_write(APIC_LVT_LINT0, APIC_MASKED); /* the 8259's own way */
	irq_unmask(PIN);
	ioapic_route(PIN, APIC_EXTINT, self());
	pulse();
	irq_mask(PIN);
	got = irq_count[PIN] - before;
	end();
	test_equal("extint", got, 1);
	equal_unless_spared("extint-not-spurious", irq_spurious, spurious);
}

static void reset_by_pin(void)
{
	unsigned before, after, again;

	if (smp_count < 2) {
		test_skip("init", "one CPU");
		return;
	}
	before = misses(APIC_FIXED, (u8)smp_id[1], 2);
	begin();
	ioapic_route(PIN, APIC_INIT, (u8)smp_id[1]);
	pulse();
	after = misses(APIC_FIXED, (u8)smp_id[1], 0);
	end();
	again = smp_start(1);
	test_equal("before-init", before, 0);
	test_equal("silent-after-init", after, 0);
	CHECK("starts-after-init", again);
}

/* --- the timers' pins -------------------------------------------------- */

static void on_rtc(struct trap_frame *frame)
{
	outb(0x70, 0x0c);
	(void)inb(0x71);
	on_interrupt(frame);
}

/* The 8254 is line 0 of the ISA bus, which is pin 2; the RTC is line 8 at pin 8. */
static void timers(void)
{
	u64 wait = pit_wait_us(10000), start;
	unsigned pit, rtc, at_0, most;
	u8 b;

	begin();
	ioapic_route(2, VECTOR, self());
	pit_start(2, 11932);
	sti();
	for (unsigned i = 0; i < 10; i++)
		pit_wait_us(10000);
	cli();
	pit = taken[0];
	ioapic_route(2, APIC_MASKED, 0);
	begin();
	ioapic_route(0, VECTOR, self());
	settle();
	for (unsigned i = 0; i < 5; i++)
		pit_wait_us(10000);
	settle();
	at_0 = taken[0];
	ioapic_route(0, APIC_MASKED, 0);
	begin();
	trap_hook[VECTOR] = on_rtc;
	outb(0x70, 0x0b);
	b = inb(0x71);
	outb(0x70, 0x0b);
	outb(0x71, b | 0x40); /* periodic, 1,024 Hz since the reset */
	ioapic_route(8, VECTOR, self());
	outb(0x70, 0x0c); /* the line falls, so that the next one is an edge */
	(void)inb(0x71);
	start = rdtsc();
	sti();
	for (unsigned i = 0; i < 10; i++)
		pit_wait_us(10000);
	cli();
	rtc = taken[0];
	/* Where exits are slow the handlers make more of the ten waits than 100 ms. */
	most = (u32)div64((rdtsc() - start) * 1024, (u32)wait, NULL) * 105 / 10000 + 2;
	outb(0x70, 0x0b);
	outb(0x71, b);
	ioapic_route(8, APIC_MASKED, 0);
	trap_hook[VECTOR] = on_interrupt;
	end();
	CHECK("8254-at-pin-2", pit >= 9 && pit <= 11);
	CHECK("rtc-at-pin-8", rtc >= 95 && rtc <= most);
	test_equal("8254-not-at-pin-0", at_0, 0);
}

void test_main(void)
{
	unsigned started;

	if (!apic_mode_of_words())
		return;
	irq_init();
	apic_enable();
	trap_hook[VECTOR] = on_interrupt;
	trap_hook[TRAP_NMI] = on_nmi;
	started = smp_start_all();
	test_equal("cpus", started, smp_count);
	registers();
	edges();
	edges_of_other_kinds();
	levels();
	end_and_again();
	withheld();
	release();
	masked_in_service();
	low_active_level();
	destinations();
	nmi();
	extint();
	reset_by_pin();
	timers();
}
