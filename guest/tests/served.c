/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: an instruction that a hypervisor serves as fast as it can is still an instruction: one
 * #DB behind a single step, no interrupt in the shadow of STI or of a load of SS, RF and code
 * breakpoints as anywhere, registers and flags as the manual says, a #GP with all that it saves;
 * what CPUID shows follows the registers at once; and a timer comes in time though nothing else
 * is executed. SDM volume 2, CPUID, RDMSR, WRMSR, IN, OUT, STI, MOV; volume 3, "Debug Exceptions",
 * "Masking Exceptions and Interrupts When Switching Stacks", "Handling Interrupts", "APIC Timer".
 * Word: late=N microseconds that a timer may be late by (1000).
 *
 * Not checked where the word `bare` says that it is Bochs, which is at fault in these: a
 * deadline that has come stays in its MSR ("clears the IA32_TSC_DEADLINE MSR"), and an APIC that
 * was switched off in x2APIC mode stays off ("Enabling or Disabling the Local APIC").
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define FLAGS_RF	 BIT(16)
#define FLAGS_ARITHMETIC 0x8d5ul
#define MASK		 0xfe /* of the master 8259: the 8254 alone */
#define UNKNOWN_MSR	 0x1fff
#define VECTOR		 0x61
#define LOW_VECTOR	 0x51
#define HIGH_VECTOR	 0x71

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, REGS = 16, FLAGS = REGS };
enum { NEEDS_NOTHING, NEEDS_X2, NEEDS_DEADLINE, NEEDS_TRIVET };

void run_code(u64 *regs, const void *code);

/* An instruction: RAX, RCX and RDX before, in their low halves; which registers it writes, as
 * bits; what of RAX it keeps. */
struct op {
	const char *name;
	u8 code[3], size, needs;
	u32 eax, ecx, edx;
	u32 writes;
	u64 rax_kept;
	bool faults;
};

static struct op ops[] = {
	{"cpuid", {0x0f, 0xa2}, 2, 0, 0, 0, 0, BIT(RAX) | BIT(RBX) | BIT(RCX) | BIT(RDX), 0, false},
	{"rdmsr", {0x0f, 0x32}, 2, 0, 0, MSR_PAT, 0, BIT(RAX) | BIT(RDX), 0, false},
	{"rdmsr-unknown", {0x0f, 0x32}, 2, 0, 0, UNKNOWN_MSR, 0, 0, 0, true},
	{"wrmsr-eoi", {0x0f, 0x30}, 2, NEEDS_X2, 0, APIC_MSR(APIC_EOI), 0, 0, 0, false},
	{"wrmsr-deadline", {0x0f, 0x30}, 2, NEEDS_DEADLINE, 0, MSR_TSC_DEADLINE, 0, 0, 0, false},
	{"wrmsr-pat", {0x0f, 0x30}, 2, 0, 0, MSR_PAT, 0, 0, 0, false},
	{"vmcall", {0x0f, 0x01, 0xc1}, 3, NEEDS_TRIVET, 99, 0, 0, BIT(RAX), 0, false},
	{"in", {0xe4, PIC1_DATA}, 2, 0, 0, 0, 0, BIT(RAX), ~0xffull, false},
	{"out", {0xe6, PIC1_DATA}, 2, 0, MASK, 0, 0, 0, 0, false},
};

static bool has(const struct op *op)
{
	return op->needs == NEEDS_X2	     ? apic_x2 :
	       op->needs == NEEDS_DEADLINE   ? apic_has_deadline() :
	       op->needs == NEEDS_TRIVET     ? cpu_on_trivet() :
					       true;
}

static void name_of(char *to, const char *what, const char *op)
{
	while (*what)
		*to++ = *what++;
	*to++ = '-';
	while (*op)
		*to++ = *op++;
	*to = 0;
}

/* Of an operation under a condition, as `what-operation`. */
static void equal(const char *what, const struct op *op, u64 got, u64 want)
{
	char name[48];

	name_of(name, what, op->name);
	test_equal(name, got, want);
}

/* ---- running one */

static u8 code[32];
static u64 regs[REGS + 1], before[REGS + 1];
static unsigned long insn, after; /* where it stands, and what is behind it */

/* What came, in order of a shared count. */
static volatile struct {
	unsigned count, order;
	unsigned long ip, flags, error;
} tick, fault, step, hit[2];
static volatile unsigned order;
static volatile u64 tick_tsc;

static void on_tick(struct trap_frame *frame)
{
	tick_tsc = rdtsc();
	tick.ip = frame->ip;
	tick.count++;
	tick.order = ++order;
	outb(PIC1_CMD, PIC_EOI);
}

static void on_vector(struct trap_frame *frame)
{
	tick_tsc = rdtsc();
	tick.ip = frame->ip;
	tick.count++;
	tick.order = ++order;
	apic_eoi();
}

static void on_debug(struct trap_frame *frame)
{
	unsigned long dr6;

	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	for (unsigned i = 0; i < 2; i++)
		if (dr6 >> i & 1) {
			hit[i].count++;
			hit[i].ip = frame->ip;
			hit[i].flags = frame->flags;
			frame->flags |= FLAGS_RF;
		}
	if (!(dr6 & BIT(14)))
		return;
	/* The first one is that of the RET which goes there. */
	if (frame->ip == insn)
		return;
	step.count++;
	step.ip = frame->ip;
	step.order = ++order;
	frame->flags &= ~(unsigned long)FLAGS_TF;
}

static void on_fault(struct trap_frame *frame)
{
	fault.count++;
	fault.ip = frame->ip;
	fault.flags = frame->flags;
	fault.error = frame->error;
	fault.order = ++order;
	frame->ip += 2;
	frame->flags &= ~(unsigned long)(FLAGS_RF | FLAGS_TF);
}

static void forget(void)
{
	memset((void *)&tick, 0, sizeof(tick));
	memset((void *)&fault, 0, sizeof(fault));
	memset((void *)&step, 0, sizeof(step));
	memset((void *)hit, 0, sizeof(hit));
	order = 0;
}

/* Behind a prefix, before two NOPs; other registers hold what would be seen to have changed. */
static void place(const struct op *op, const u8 *prefix, unsigned size, u64 flags)
{
	u8 *to = code;

	memcpy(to, prefix, size);
	insn = (unsigned long)(to += size);
	memcpy(to, op->code, op->size);
	after = (unsigned long)(to += op->size);
	memcpy(to, "\x90\x90\xc3", 3);
	for (unsigned i = 0; i < REGS; i++)
		regs[i] = 0x5a5a5a5a00000000ull | 0x1010101u * i;
	regs[RAX] = 0xfedcba9800000000ull | op->eax;
	regs[RCX] = 0xfedcba9800000000ull | op->ecx;
	regs[RDX] = 0xfedcba9800000000ull | op->edx;
	regs[R8] = SEL_DATA;
	regs[FLAGS] = flags | 2;
	memcpy(before, regs, sizeof(regs));
}

static void run(const struct op *op, const u8 *prefix, unsigned size, u64 flags)
{
	place(op, prefix, size, flags);
	run_code(regs, code);
}

/* A tick is pending when this returns. */
static void pend_tick(void)
{
	pit_start(0, 100);
	pit_wait_us(1000);
	forget();
}

/* ---- (1) registers and flags, of the first run and of the later ones */

static void check_registers(const struct op *op)
{
	unsigned wrong = 0;
	u64 first[REGS];

	for (unsigned i = 0; i < 5; i++) {
		u64 flags = i & 1 ? FLAGS_ARITHMETIC : 0;

		forget();
		run(op, NULL, 0, flags);
		if (!i)
			memcpy(first, regs, sizeof(first));
		for (unsigned r = 0; r < REGS; r++) {
			if (r == RSP)
				continue;
			if (op->writes >> r & 1)
				wrong += regs[r] != first[r];
			else
				wrong += regs[r] != before[r];
		}
		wrong += (regs[FLAGS] & FLAGS_ARITHMETIC) != flags;
		wrong += fault.count != op->faults || tick.count || step.count;
	}
	equal("registers", op, wrong, 0);
	if (op->faults || !op->writes)
		return;
	if (op->rax_kept) {
		equal("rax-kept", op, regs[RAX] & op->rax_kept, before[RAX] & op->rax_kept);
		equal("al", op, regs[RAX] & 0xff, MASK);
		return;
	}
	wrong = 0;
	for (unsigned r = RAX; r <= RBX; r++)
		wrong += op->needs != NEEDS_TRIVET && (op->writes >> r & 1) && regs[r] >> 32;
	equal("high-halves", op, wrong, 0);
}

/* The #GP: its error code is 0, and what it saves has RF and the instruction's own RIP. */
static void check_fault(const struct op *op)
{
	if (!op->faults)
		return;
	forget();
	run(op, NULL, 0, 0);
	equal("fault-once", op, fault.count, 1);
	equal("fault-ip", op, fault.ip, insn);
	equal("fault-error", op, fault.error, 0);
	equal("fault-rf", op, fault.flags & (FLAGS_RF | FLAGS_TF), FLAGS_RF);
}

/* ---- (2) events */

static void check_step(const struct op *op)
{
	forget();
	run(op, NULL, 0, FLAGS_TF);
	if (op->faults) {
		/* "A faulting instruction" is none that was executed: no #DB for it. */
		equal("step", op, fault.count << 8 | step.count, 1 << 8);
		equal("step-flags", op, fault.flags & (FLAGS_RF | FLAGS_TF), FLAGS_RF | FLAGS_TF);
		return;
	}
	equal("step", op, step.count, 1);
	equal("step-ip", op, step.ip, after);
	equal("step-flags", op, regs[FLAGS] & (FLAGS_RF | FLAGS_TF), 0);
}

static void check_shadow(const char *what, const struct op *op, const u8 *prefix, unsigned size,
			 u64 flags)
{
	pend_tick();
	run(op, prefix, size, flags);
	equal(what, op, tick.count << 8 | fault.count, 1 << 8 | op->faults);
	if (tick.count)
		equal(what, op, tick.ip, after);
	if (op->faults)
		equal(what, op, fault.ip == insn && fault.order < tick.order, true);
}

/* In the shadow of a load of SS a step's #DB is lost for that load, and comes behind the next. */
static void check_shadows(const struct op *op)
{
	static const u8 sti_first[] = {0xfb}, mov_ss[] = {0xfb, 0x41, 0x8e, 0xd0};

	check_shadow("behind-sti", op, sti_first, sizeof(sti_first), 0);
	check_shadow("behind-mov-ss", op, mov_ss, sizeof(mov_ss), 0);
}

/* A breakpoint on it and one behind it: each hits once, the first before and the second, since RF
 * is clear again, behind the instruction. */
static void check_breakpoints(const struct op *op)
{
	place(op, NULL, 0, 0);
	forget();
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr7"
			 : : "r"(insn), "r"(after), "r"(0x405ul));
	run_code(regs, code);
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x400ul));
	equal("breakpoints", op, hit[0].count << 8 | hit[1].count, 1 << 8 | 1);
	equal("breakpoint-on", op, hit[0].ip, insn);
	equal("breakpoint-behind", op, hit[1].ip, after);
	equal("breakpoint-fault", op, fault.count, op->faults);
}

/* ---- (3) timers */

static u64 tsc_per_ms;

/* Executes nothing but that instruction until the interrupt comes, 100 ms at most. */
static void spin(const struct op *op)
{
	u64 end = rdtsc() + 100 * tsc_per_ms;

	do
		run(op, NULL, 0, FLAGS_IF);
	while (!tick.count && rdtsc() < end);
}

static void check_late(const char *what, const struct op *op, u64 due)
{
	u64 bound = div64(tsc_per_ms * boot_number("late", 1000), 1000, NULL);
	char name[48];

	name_of(name, what, op->name);
	if (tick.count == 1 && tick_tsc - due > bound)
		print("  %s: %llu ticks late\n", name, tick_tsc - due);
	test_check(name, tick.count == 1 && tick_tsc - due <= bound, "late, or not once");
}

static void check_timers(const struct op *op)
{
	u64 due;

	forget();
	due = rdtsc() + tsc_per_ms * 2;
	pit_start(0, PIT_HZ / 500);
	spin(op);
	check_late("pit", op, due - tsc_per_ms / 100);
	if (!apic_has_deadline() || op->needs == NEEDS_DEADLINE)
		return;
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR);
	forget();
	due = rdtsc() + tsc_per_ms * 2;
	wrmsr(MSR_TSC_DEADLINE, due);
	spin(op);
	check_late("deadline", op, due);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | VECTOR);
}

/* A deadline that is moved on and on does not come; the last one does, once. */
static void check_moved_deadline(void)
{
	u64 due = 0;

	if (!apic_has_deadline())
		return;
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR);
	forget();
	sti();
	for (unsigned i = 0; i < 2000; i++) {
		due = rdtsc() + tsc_per_ms;
		wrmsr(MSR_TSC_DEADLINE, due);
	}
	test_equal("moved-deadline-waits", tick.count, 0);
	while (rdtsc() < due + tsc_per_ms)
		cpuid(0, 0);
	cli();
	CHECK("moved-deadline-comes", tick.count == 1 && tick_tsc >= due);
	if (!test_spared("moved-deadline-reads-0"))
		test_equal("moved-deadline-reads-0", rdmsr(MSR_TSC_DEADLINE), 0);
	forget();
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_per_ms / 2);
	wrmsr(MSR_TSC_DEADLINE, 0);
	sti();
	pit_wait_us(1000);
	cli();
	test_equal("deadline-0-disarms", tick.count, 0);
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | VECTOR);
}

/* One count, and a periodic one, while the guest ends interrupts and asks for CPUID. */
static void check_counts(void)
{
	u64 end;

	forget();
	apic_timer(APIC_ONE_SHOT | VECTOR, 16, 10000);
	sti();
	end = rdtsc() + 50 * tsc_per_ms;
	while (!tick.count && rdtsc() < end)
		cpuid(0, 0);
	pit_wait_us(1000);
	test_equal("one-shot-once", tick.count, 1);
	test_equal("one-shot-ends", apic_read(APIC_TIMER_CURRENT), 0);
	apic_timer(APIC_PERIODIC | VECTOR, 16, 10000);
	end = rdtsc() + 100 * tsc_per_ms;
	while (tick.count < 6 && rdtsc() < end)
		cpuid(0, 0);
	CHECK("periodic", tick.count >= 6);
	apic_write(APIC_TIMER_INITIAL, 0);
	cli();
	apic_write(APIC_LVT_TIMER, APIC_MASKED | VECTOR);
}

/* ---- (4) a vector that it sends to itself */

static void self(u8 vector)
{
	if (apic_x2)
		wrmsr(APIC_MSR(APIC_SELF_IPI), vector);
	else
		apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | vector);
}

static void by_icr(u8 vector)
{
	apic_send(apic_id(), APIC_FIXED | APIC_ASSERT | vector);
}

static void by_shorthand(u8 vector)
{
	apic_send(0, APIC_TO_SELF | APIC_FIXED | APIC_ASSERT | vector);
}

static volatile u8 log[16];
static volatile unsigned logged;

static void note(u8 what)
{
	if (logged < ARRAY_SIZE(log))
		log[logged++] = what;
}

static u64 noted(void)
{
	u64 all = 0;

	for (unsigned i = 0; i < logged; i++)
		all = all << 8 | log[i];
	logged = 0;
	return all;
}

static void on_low(struct trap_frame *frame)
{
	note((u8)frame->vector);
	apic_eoi();
}

static void (*send)(u8 vector);

static void on_middle(struct trap_frame *frame)
{
	(void)frame;
	note(1);
	sti();
	send(LOW_VECTOR); /* waits for the end of this one */
	pit_wait_us(20);
	note(2);
	send(HIGH_VECTOR); /* does not */
	pit_wait_us(20);
	note(3);
	cli();
	apic_eoi();
	note(4);
}

static void check_self(const char *name, void (*by)(u8))
{
	char text[48];

	send = by;
	noted();
	name_of(text, "self-if-0", name);
	by(LOW_VECTOR);
	pit_wait_us(20);
	test_check(text, !logged && apic_bit(APIC_IRR, LOW_VECTOR), "not pending");
	sti();
	pit_wait_us(20);
	cli();
	name_of(text, "self-once-behind-sti", name);
	test_equal(text, noted(), LOW_VECTOR);
	apic_write(APIC_TPR, LOW_VECTOR & 0xf0);
	sti();
	by(LOW_VECTOR);
	pit_wait_us(20);
	note(9);
	apic_write(APIC_TPR, 0);
	pit_wait_us(20);
	name_of(text, "self-below-tpr", name);
	test_equal(text, noted(), 9 << 8 | LOW_VECTOR);
	apic_write(APIC_TPR, LOW_VECTOR & 0xf0);
	by(VECTOR);
	pit_wait_us(20);
	apic_write(APIC_TPR, 0);
	cli();
	name_of(text, "self-nested", name);
	test_equal(text, noted(), 0x0102710304ull << 8 | LOW_VECTOR);
	sti();
	for (unsigned i = 0; i < 3; i++) {
		by(LOW_VECTOR);
		pit_wait_us(5);
		note(7);
	}
	cli();
	name_of(text, "self-each", name);
	test_equal(text, noted(), 0x510751075107);
	name_of(text, "self-all-ended", name);
	test_equal(text, apic_read(APIC_PPR), 0);
}

/* ---- (5) what CPUID shows */

static void xcr0_write(u32 value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"(value), "d"(0));
}

static void check_cpuid(void)
{
	unsigned long cr4 = cr4_read();
	struct cpuid one = cpuid(1, 0);

	if (one.ecx & BIT(26)) {
		for (unsigned i = 0; i < 3; i++) {
			cr4_write(cr4 | CR4_OSXSAVE);
			CHECK("osxsave-set", cpuid(1, 0).ecx & BIT(27));
			cr4_write(cr4);
			CHECK("osxsave-clear", !(cpuid(1, 0).ecx & BIT(27)));
		}
		cr4_write(cr4 | CR4_OSXSAVE);
		xcr0_write(1);
		test_equal("xsave-area-x87", cpuid(0xd, 0).ebx, 576);
		test_equal("xsave-area-again", cpuid(0xd, 0).ebx, 576);
		if ((cpuid(0xd, 0).eax & 7) == 7) {
			xcr0_write(7);
			test_equal("xsave-area-avx", cpuid(0xd, 0).ebx, 832);
		}
		xcr0_write(1);
		test_equal("xsave-area-back", cpuid(0xd, 0).ebx, 576);
		cr4_write(cr4);
	}
}

/* At the end: the APIC is another one behind it. */
static void check_apic_bit(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	CHECK("apic-bit", cpuid(1, 0).edx & BIT(9));
	wrmsr(MSR_APIC_BASE, base & ~(APIC_BASE_EN | APIC_BASE_EXTD));
	CHECK("apic-bit-off", !(cpuid(1, 0).edx & BIT(9)));
	test_equal("apic-base-off", rdmsr(MSR_APIC_BASE) & APIC_BASE_EN, 0);
	if (test_spared("apic-bit-on"))
		return;
	wrmsr(MSR_APIC_BASE, (base & ~(u64)APIC_BASE_EXTD) | APIC_BASE_EN);
	CHECK("apic-bit-on", cpuid(1, 0).edx & BIT(9));
	test_equal("apic-base-on", rdmsr(MSR_APIC_BASE) & APIC_BASE_EN, APIC_BASE_EN);
}

/* ---- */

static void complete(struct op *op)
{
	u64 pat = rdmsr(MSR_PAT), far = rdtsc() + BIT(40);

	if (op->ecx == MSR_PAT && op->code[1] == 0x30) {
		op->eax = (u32)pat;
		op->edx = pat >> 32;
	} else if (op->ecx == MSR_TSC_DEADLINE) {
		op->eax = (u32)far;
		op->edx = far >> 32;
	}
}

void test_main(void)
{
	irq_init();
	apic_x2 = apic_present() && apic_has_x2();
	apic_enable();
	apic_write(APIC_LVT_LINT0, APIC_EXTINT);
	trap_hook[TRAP_DB] = on_debug;
	trap_hook[TRAP_GP] = on_fault;
	trap_hook[TRAP_IRQ0] = on_tick;
	trap_hook[VECTOR] = on_vector;
	if (apic_has_deadline())
		apic_write(APIC_LVT_TIMER, APIC_DEADLINE | APIC_MASKED | VECTOR);
	tsc_per_ms = pit_wait_us(10000) / 10;
	outb(PIC1_DATA, MASK);
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		if (!has(&ops[i])) {
			test_skip(ops[i].name, "not here");
			continue;
		}
		complete(&ops[i]);
		check_registers(&ops[i]);
		check_fault(&ops[i]);
		check_step(&ops[i]);
		check_shadows(&ops[i]);
		check_breakpoints(&ops[i]);
		check_timers(&ops[i]);
	}
	outb(PIC1_DATA, 0xff);
	check_moved_deadline();
	check_counts();
	trap_hook[VECTOR] = on_middle;
	trap_hook[LOW_VECTOR] = trap_hook[HIGH_VECTOR] = on_low;
	check_self("msr", self);
	check_self("icr", by_icr);
	check_self("shorthand", by_shorthand);
	check_cpuid();
	check_apic_bit();
}
