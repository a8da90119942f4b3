/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: an interprocessor interrupt reaches exactly the CPUs that destination, destination mode
 * and shorthand name, once; it is taken by its priority against TPR and what is in service, highest
 * first, and EOI ends the highest; NMI has one in service and one pending; INIT stops a CPU
 * until STARTUP. SDM volume 3, "Issuing Interprocessor Interrupts", "Handling Interrupts",
 * "MP Initialization Protocol Algorithm". Needs 2 CPUs, best 4 (word cpus=N where there is no
 * MADT). Word: `x2apic`.
 *
 * Not checked where the word `bare` says that it is Bochs, which is at fault in these:
 * - x2APIC: logical destinations reach nobody ("Logical Destination Mode in x2APIC Mode"),
 *   and the physical id FFh everybody ("destination value of FFFF_FFFFH is used for broadcast");
 * - after INIT it accepts vectors, though it is disabled by software ("Local APIC State After It
 *   Has Been Software Disabled": it "will respond normally to INIT, NMI, SMI, and SIPI messages").
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define VECTOR 0x41
#define ALL    0xf	/* bits: CPUs 0 to 3; a machine with fewer has the lower ones */
#define LOG    32

static volatile unsigned taken[4][TRAP_VECTORS];
static volatile u8 order[LOG];
static volatile unsigned order_used;

static void note(u8 what)
{
	if (order_used < LOG)
		order[order_used++] = what;
}

static void on_vector(struct trap_frame *frame)
{
	__atomic_add_fetch(&taken[smp_cpu() & 3][frame->vector], 1, __ATOMIC_SEQ_CST);
	if (!smp_cpu())
		note((u8)frame->vector);
	apic_eoi();
}

/* Lets interrupts in, long enough for messages under way. */
static void settle(void)
{
	sti();
	pit_wait_us(150);
	cli();
}

/* The CPUs that have taken a vector once; plus 100h for each that took it more often. */
static unsigned takers(u8 vector)
{
	unsigned who = 0;

	for (unsigned cpu = 0; cpu < 4; cpu++) {
		who |= taken[cpu][vector] ? 1u << cpu : 0;
		who += taken[cpu][vector] > 1 ? 0x100 : 0;
		taken[cpu][vector] = 0;
	}
	return who;
}

/* Those who take a message; waits for those who should, 50 ms at most, and then for others. */
static unsigned send(u32 dest, u32 low, unsigned who)
{
	apic_send(dest, low | APIC_ASSERT | VECTOR);
	settle();
	for (unsigned cpu = 0; cpu < 4; cpu++)
		for (unsigned i = 0; who >> cpu & 1 && !taken[cpu][VECTOR] && i < 300; i++)
			settle();
	return takers(VECTOR);
}

/* --- who takes it --- */

struct route {
	u32 dest, low;
	unsigned who;
};

static void check_routes(const char *name, const struct route *routes, unsigned count)
{
	unsigned wrong = 0, there = (1u << smp_count) - 1, got;

	for (unsigned i = 0; i < count; i++) {
		got = send(routes[i].dest, routes[i].low, routes[i].who & there);
		if (got == (routes[i].who & there))
			continue;
		wrong++;
		print("  destination %x, ICR %x: CPUs %x, want %x\n", routes[i].dest,
		      routes[i].low, got, routes[i].who & there);
	}
	test_equal(name, wrong, 0);
}
#define ROUTES(name, table) check_routes(name, table, ARRAY_SIZE(table))

static const struct route shorthands[] = {
	{0, APIC_TO_SELF, 1},
	{1, APIC_TO_SELF, 1},
	{0, APIC_TO_ALL, ALL},
	{1, APIC_TO_ALL | APIC_LOGICAL, ALL},
	{0, APIC_TO_OTHERS, ALL & ~1},
	{0, APIC_TO_OTHERS | APIC_LEVEL, ALL & ~1},
};

static const struct route page_physical[] = {
	{0xff, 0, ALL},
	{0x0e, 0, 0},
	{0x80, 0, 0},
};

static const struct route flat[] = {
	{0x01, APIC_LOGICAL, 1}, {0x02, APIC_LOGICAL, 2},     {0x04, APIC_LOGICAL, 4},
	{0x08, APIC_LOGICAL, 8}, {0x0a, APIC_LOGICAL, 0xa},   {0x07, APIC_LOGICAL, 7},
	{0x00, APIC_LOGICAL, 0}, {0xf0, APIC_LOGICAL, 0},     {0xf6, APIC_LOGICAL, 6},
	{0xff, APIC_LOGICAL, ALL},
};

/* CPUs 0 and 1 in cluster 0, 2 and 3 in cluster 1. */
static const u8 cluster_id[4] = {0x01, 0x02, 0x11, 0x12};
static const struct route cluster[] = {
	{0x01, APIC_LOGICAL, 1},   {0x02, APIC_LOGICAL, 2}, {0x03, APIC_LOGICAL, 3},
	{0x0f, APIC_LOGICAL, 3},   {0x11, APIC_LOGICAL, 4}, {0x12, APIC_LOGICAL, 8},
	{0x13, APIC_LOGICAL, 0xc}, {0x1c, APIC_LOGICAL, 0}, {0x23, APIC_LOGICAL, 0},
	{0x10, APIC_LOGICAL, 0},   {0xff, APIC_LOGICAL, ALL},
};

static const struct route x2_physical[] = {
	{0xffffffff, 0, ALL},
	{0x100, 0, 0}, {0x101, 0, 0}, {0x80000000, 0, 0},
};
static const struct route x2_logical[] = {
	{0x00001, APIC_LOGICAL, 1}, {0x00002, APIC_LOGICAL, 2}, {0x0000f, APIC_LOGICAL, ALL},
	{0x00006, APIC_LOGICAL, 6}, {0x0fff0, APIC_LOGICAL, 0}, {0x10001, APIC_LOGICAL, 0},
	{0x00000, APIC_LOGICAL, 0}, {0xffffffff, APIC_LOGICAL, ALL},
};

struct logical {
	u32 dfr;
	u8 id[4];
};

static void set_logical(void *arg)
{
	const struct logical *to = arg;

	apic_write(APIC_DFR, to->dfr);
	apic_write(APIC_LDR, (u32)to->id[smp_cpu() & 3] << 24);
}

static void set_logical_all(u32 dfr, const u8 *id)
{
	struct logical to = {.dfr = dfr};

	memcpy(to.id, id, sizeof(to.id));
	set_logical(&to);
	smp_run_others(set_logical, &to);
}

static void set_tpr(void *arg)
{
	apic_write(APIC_TPR, *(u32 *)arg);
}

/* Exactly one of those named takes it, the one of the lowest task priority. */
static void lowest_priority(u32 dest, u32 low)
{
	static const u8 favourite[] = {0, 1, 1, 0};
	unsigned wrong = 0, who;
	u32 low_tpr = 0x10, high_tpr = 0x30;

	who = send(dest, low | APIC_LOWEST, 0);
	CHECK("lowest-priority-one", who && !(who & (who - 1)) && who <= ALL);
	for (unsigned i = 0; i < ARRAY_SIZE(favourite); i++) {
		set_tpr(favourite[i] == 0 ? &low_tpr : &high_tpr);
		for (unsigned cpu = 1; cpu < smp_count; cpu++) {
			smp_run(cpu, set_tpr, favourite[i] == cpu ? &low_tpr : &high_tpr);
			smp_wait(cpu);
		}
		wrong += send(dest, low | APIC_LOWEST, 1u << favourite[i]) != 1u << favourite[i];
	}
	low_tpr = 0;
	set_tpr(&low_tpr);
	smp_run_others(set_tpr, &low_tpr);
	test_equal("lowest-priority-lowest", wrong, 0);
}

static void destinations(void)
{
	static const u8 flat_id[4] = {1, 2, 4, 8};
	unsigned wrong = 0;

	for (unsigned cpu = 0; cpu < smp_count; cpu++)
		wrong += send(smp_id[cpu], 0, 1u << cpu) != 1u << cpu;
	test_equal("physical", wrong, 0);
	ROUTES("shorthands", shorthands);
	if (apic_x2) {
		ROUTES("x2apic-physical", x2_physical);
		if (!test_spared("x2apic-id-ff"))
			test_equal("x2apic-id-ff", send(0xff, 0, 0), 0);
		if (!test_spared("x2apic-logical")) {
			ROUTES("x2apic-logical", x2_logical);
			lowest_priority(0xf, APIC_LOGICAL);
		}
		apic_write(APIC_SELF_IPI, VECTOR);
		settle();
		test_equal("self-ipi", takers(VECTOR), 1);
		return;
	}
	ROUTES("xapic-physical", page_physical);
	set_logical_all(0xffffffff, flat_id);
	ROUTES("flat", flat);
	lowest_priority(0x0f, APIC_LOGICAL);
	set_logical_all(0x0fffffff, cluster_id);
	ROUTES("cluster", cluster);
	set_logical_all(0xffffffff, flat_id);
	test_equal("delivery-status-idle", apic_read(APIC_ICR) & APIC_PENDING, 0);
}

/* --- priorities --- */

static void self(u8 vector)
{
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | vector);
}

/* What was taken on this CPU since the last call, as bytes of a number, the first highest. */
static u64 taken_order(void)
{
	u64 all = 0;

	for (unsigned i = 0; i < order_used; i++)
		all = all << 8 | order[i];
	order_used = 0;
	for (unsigned v = 0; v < TRAP_VECTORS; v++)
		taken[0][v] = 0;
	return all;
}

static void task_priority(void)
{
	taken_order();
	for (unsigned i = 0; i < 2; i++) {
		self(0x41);
		self(0x52);
		self(0x51);
		self(0x61);
	}
	CHECK("pending-in-irr", apic_bit(APIC_IRR, 0x41) && apic_bit(APIC_IRR, 0x51) &&
	      apic_bit(APIC_IRR, 0x52) && apic_bit(APIC_IRR, 0x61));
	apic_write(APIC_TPR, 0x50);
	test_equal("ppr-is-tpr", apic_read(APIC_PPR), 0x50);
	settle();
	test_equal("tpr-50-lets-class-6", taken_order(), 0x61);
	apic_write(APIC_TPR, 0x4f);
	settle();
	test_equal("tpr-4f-lets-class-5", taken_order(), 0x5251);
	apic_write(APIC_TPR, 0xff);
	self(0xfe);
	settle();
	test_equal("tpr-ff-lets-none", taken_order(), 0);
	sti();
	apic_write(APIC_TPR, 0);
	pause();
	cli();
	test_equal("tpr-0-lets-all", taken_order(), 0xfe41);
	test_equal("all-ended", apic_read(APIC_PPR), 0);
	self(0x1f);
	self(0x10);
	settle();
	test_equal("lowest-vectors", taken_order(), 0x1f10);
}

static volatile u32 seen_ppr, seen_isr;

/* In service of 51h: 61h nests, 52h of the same class waits for EOI, so does 51h itself. */
static void on_nesting(struct trap_frame *frame)
{
	(void)frame;
	note(0x51);
	seen_isr += apic_bit(APIC_ISR, 0x51) && !apic_bit(APIC_IRR, 0x51);
	seen_ppr = apic_read(APIC_PPR);
	trap_hook[0x51] = on_vector;
	sti();
	self(0x52);
	self(0x41);
	self(0x51);
	pit_wait_us(20);
	note(1);
	self(0x61);
	pit_wait_us(20);
	note(2);
	cli();
	seen_isr += apic_bit(APIC_ISR, 0x51) && apic_bit(APIC_IRR, 0x51) &&
		    apic_bit(APIC_IRR, 0x52) && !apic_bit(APIC_ISR, 0x61);
	apic_eoi();
	seen_isr += !apic_bit(APIC_ISR, 0x51);
	note(3);
}

static void nesting(void)
{
	seen_isr = 0;
	trap_hook[0x51] = on_nesting;
	apic_write(APIC_TPR, 0x23);
	self(0x51);
	settle();
	test_equal("nesting", taken_order(), 0x5101610203525141);
	test_equal("isr-and-irr", seen_isr, 3);
	test_equal("ppr-of-service", seen_ppr, 0x50);
	test_equal("ppr-of-task", apic_read(APIC_PPR), 0x23);
	apic_write(APIC_TPR, 0);
}

/* Two vectors in service: each EOI ends the higher; one more ends nothing. */
static void on_unended(struct trap_frame *frame)
{
	note((u8)frame->vector);
}

static void end_order(void)
{
	trap_hook[0x71] = trap_hook[0x62] = on_unended;
	self(0x62);
	settle();
	self(0x71);
	settle();
	test_equal("both-in-service", taken_order(), 0x6271);
	CHECK("isr-holds-both", apic_bit(APIC_ISR, 0x62) && apic_bit(APIC_ISR, 0x71));
	test_equal("ppr-of-higher", apic_read(APIC_PPR), 0x70);
	self(0x65);
	settle();
	test_equal("higher-blocks", taken_order(), 0);
	apic_eoi();
	CHECK("eoi-ends-higher", apic_bit(APIC_ISR, 0x62) && !apic_bit(APIC_ISR, 0x71));
	test_equal("ppr-of-lower", apic_read(APIC_PPR), 0x60);
	settle();
	test_equal("same-class-blocks", taken_order(), 0);
	apic_eoi();
	CHECK("eoi-ends-lower", !apic_bit(APIC_ISR, 0x62));
	settle();
	test_equal("pending-comes", taken_order(), 0x65);
	apic_eoi();
	test_equal("idle-eoi", apic_read(APIC_PPR), 0);
	trap_hook[0x71] = trap_hook[0x62] = on_vector;
}

/* Vectors 0 to 15 are refused. */
static void illegal_vectors(void)
{
	unsigned before = trap_count, wrong = 0;

	for (u32 v = 0; v < 16; v++) {
		apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | v);
		apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | v);
	}
	settle();
	wrong += apic_read(APIC_IRR) & 0xffff;
	test_equal("vectors-0-to-15", wrong + trap_count - before, 0);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
}

/* --- NMI --- */

/* Waits 200 ms at most for a number to reach another: CPUs may share a core. */
static bool soon(volatile unsigned *number, unsigned wanted)
{
	for (unsigned ms = 0; ms < 200 && *number < wanted; ms++)
		pit_wait_us(1000);
	return *number >= wanted;
}

static volatile unsigned nmis, in_nmi, halting, woken;
static volatile bool nmi_hold;

/* Each turn of the loop reads a port, so that whoever is beneath sees that others have come. */
static void on_nmi(struct trap_frame *frame)
{
	(void)frame;
	__atomic_add_fetch(&in_nmi, 1, __ATOMIC_SEQ_CST);
	while (nmi_hold)
		inb(0x61);
	__atomic_add_fetch(&nmis, 1, __ATOMIC_SEQ_CST);
}

static void halt_masked(void *arg)
{
	(void)arg;
	halting = 1;
	__asm__ volatile("cli; hlt" : : : "memory");
	woken = 1;
}

static void nmi_pending(void)
{
	nmi_hold = true;
	apic_send(smp_id[1], APIC_NMI | APIC_ASSERT | 0x77);
	CHECK("nmi", soon(&in_nmi, 1));
	for (unsigned i = 0; i < 3; i++) {
		apic_send(smp_id[1], APIC_NMI | APIC_ASSERT);
		pit_wait_us(1000);
	}
	test_equal("nmi-blocks-nmi", in_nmi, 1);
	nmi_hold = false;
	CHECK("nmi-one-pending", soon(&nmis, 2));
	pit_wait_us(5000);
	test_equal("nmi-no-more", nmis, 2);
}

static void nmi(void)
{
	trap_hook[TRAP_NMI] = on_nmi;
	nmi_pending();
	smp_run(1, halt_masked, NULL);
	soon(&halting, 1);
	pit_wait_us(2000);
	apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | VECTOR);
	pit_wait_us(5000);
	CHECK("halted-masked-not-by-vector", !woken);
	apic_send(smp_id[1], APIC_NMI | APIC_ASSERT);
	CHECK("nmi-ends-halt", soon(&woken, 1) && nmis == 3);
	if (!woken)
		smp_start(1);
	smp_wait(1);
	apic_send(0, APIC_NMI | APIC_ASSERT | APIC_TO_OTHERS);
	CHECK("nmi-others", soon(&nmis, 3 + smp_count - 1));
	pit_wait_us(1000);
	test_equal("nmi-others-once", nmis, 3 + smp_count - 1);
	settle();
	takers(VECTOR);
}

/* --- INIT and STARTUP --- */

static volatile unsigned alive;

static void live(void *arg)
{
	(void)arg;
	for (;;)
		alive++;
}

static bool lives(void)
{
	unsigned before = alive;

	for (unsigned ms = 0; ms < 20 && alive == before; ms++)
		pit_wait_us(1000);
	return alive != before;
}

static bool arrives(void)
{
	for (unsigned ms = 0; ms < 200 && !smp_is_here(1); ms++)
		pit_wait_us(1000);
	return smp_is_here(1);
}

static volatile u32 first_irr, first_tpr;

static void on_arrival(unsigned cpu)
{
	(void)cpu;
	if (!!(rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD) != apic_x2)
		return; /* lapic-regs tells */
	first_irr = apic_read(APIC_IRR + VECTOR / 32 * 16);
	first_tpr = apic_read(APIC_TPR);
}

static void restart(void)
{
	smp_run(1, live, NULL);
	soon(&alive, 1);
	CHECK("lives", lives());
	apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | VECTOR); /* pending there: IF is 0 */
	smp_send_startup(1);
	CHECK("startup-alone-ignored", lives());
	smp_send_init(1);
	CHECK("init-stops", !lives());
	apic_send(smp_id[1], APIC_FIXED | APIC_ASSERT | VECTOR);
	CHECK("only-startup-starts", !lives() && !smp_is_here(1));
	smp_arrived = on_arrival;
	first_irr = first_tpr = 0;
	smp_send_startup(1);
	CHECK("startup-starts", arrives());
	smp_arrived = NULL;
	if (!test_spared("init-clears-apic"))
		test_equal("init-clears-apic", first_irr | first_tpr, 0);
	smp_send_startup(1);
	takers(VECTOR);
	test_equal("works-after-init", send(smp_id[1], 0, 2), 2);
	for (unsigned i = 0; i < 3; i++)
		if (!smp_start(1) || send(smp_id[1], 0, 2) != 2)
			test_check("starts-again", false, "no");
	test_check("started-often", true, "");
	smp_send_init(1);
	smp_send_init(1);
	smp_send_startup(1);
	CHECK("two-inits-one-startup", arrives());
	test_equal("no-nmi-left", nmis, 3 + smp_count - 1);
}

void test_main(void)
{
	if (!apic_mode_of_words())
		return;
	irq_init();
	for (unsigned v = 0x10; v < TRAP_VECTORS; v++)
		if (v != SMP_WAKE && v != APIC_SPURIOUS && (v >= 0x20 || v == 0x1f || v == 0x10))
			trap_hook[v] = on_vector;
	apic_enable();
	if (smp_start_all() < 2) {
		test_skip("all", "one CPU");
		return;
	}
	print("%u CPUs\n", smp_count);
	destinations();
	task_priority();
	nesting();
	end_order();
	illegal_vectors();
	nmi();
	restart();
}
