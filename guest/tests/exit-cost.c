/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measure: what single instructions cost a guest that leave it (or could), in TSC ticks, as
 * lines `cost NAME median N max N` of rounds=N (1000), after a few to warm up. A round is RDTSC, the
 * operands, the instruction, RDTSC; the same round without the instruction is taken off, so that
 * what is left is the instruction itself and all that it brings about. In Bochs a tick is an
 * instruction of guest or hypervisor. Rule: none takes longer than most=N. Words: only=NAME,NAME
 * measures these rows; `smp` first starts all CPUs, which then sleep; trace=NAME measures one row (or
 * `all`) and marks some late rounds by XCHG BX, BX before and behind, at which Bochs' debugger
 * stops (tests/rig/trace.py). SDM volume 3, "VM Exits".
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/measure.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define WARM   16
#define VECTOR 0x61

/* The first of the rounds that the words ask to mark; the same while they are to be marked. */
static unsigned traced = MEASURE_NONE, marked = MEASURE_NONE;
static u8 bytes[64] __attribute__((used));
static struct trap_gate gp_before;
extern u64 pml4[];
extern const u8 handler_gp[], handler_x2[], handler_xapic[], handler_x2_timed[],
	handler_xapic_timed[];

/* ---- rounds. All operands are written out: RAX, RBX, RCX, RDX, RSI, RDI and R8 to R11 are free. */

#define TIMED(text) "rdtsc\n\tmov %%eax, %%r8d\n\t" text "\n\trdtsc\n\tsub %%r8d, %%eax"

#define ROUNDS(name, text)                                                                        \
	static void name(unsigned count)                                                          \
	{                                                                                         \
		for (unsigned i = 0; i < count; i++) {                                            \
			u32 ticks;                                                                \
                                                                                                  \
			measure_mark(i, marked);                                                  \
			__asm__ volatile(text : "=a"(ticks) : "a"(0) : "rbx", "rcx", "rdx", "rsi",\
					 "rdi", "r8", "r9", "r10", "r11", "memory", "cc");        \
			measure_mark(i, marked);                                                  \
			measure_ticks[i] = ticks;                                                 \
		}                                                                                 \
	}
/* Operands, then the instruction; and the two texts of whatever else is a round. */
#define ROW(name, setup, code) ROW_OF(name, TIMED(setup "\n\t" code), TIMED(setup))
#define ROW_OF(name, text, empty)                                                                 \
	ROUNDS(time_##name, text)                                                                 \
	ROUNDS(empty_##name, empty)

ROW(vmcall, "mov $-1, %%rax", "vmcall")
ROW(cpuid_0, "xor %%eax, %%eax; xor %%ecx, %%ecx", "cpuid")
ROW(cpuid_1, "mov $1, %%eax; xor %%ecx, %%ecx", "cpuid")
ROW(cpuid_40000000, "mov $0x40000000, %%eax; xor %%ecx, %%ecx", "cpuid")
ROW(rdmsr_apic_base, "mov $0x1b, %%ecx", "rdmsr")
ROW(wrmsr_pat, "mov $0x277, %%ecx; mov $0x00070406, %%eax; mov $0x00070406, %%edx", "wrmsr")
ROW(rdmsr_unknown, "mov $0x1ff0, %%ecx", "rdmsr")
ROW(cr4_smep, "mov %%cr4, %%rbx; btc $20, %%rbx", "mov %%rbx, %%cr4")
ROW(cr0_wp, "mov %%cr0, %%rbx; btc $16, %%rbx", "mov %%rbx, %%cr0")
ROW(out_21, "mov $0xff, %%al", "out %%al, $0x21")
ROW(in_21, "", "in $0x21, %%al")
ROW(in_40, "", "in $0x40, %%al")
ROW(in_61, "", "in $0x61, %%al")
ROW(in_3fd, "mov $0x3fd, %%edx", "in %%dx, %%al")
ROW(outsb_64, "mov $bytes, %%esi; mov $64, %%ecx; mov $0x80, %%edx", "rep outsb")
ROW(mmio_read, "mov $0xd0000000, %%esi", "mov (%%rsi), %%ebx")
ROW(mmio_write, "mov $0xd0000000, %%esi", "mov %%ebx, (%%rsi)")
/* A carriage return; the transmitter has room, which is asked outside of what is timed. */
#define WITH_ROOM "mov $0x3fd, %%edx\n7: in %%dx, %%al; test $0x20, %%al; jz 7b\n\t"
ROW_OF(out_3f8, WITH_ROOM TIMED("mov $0x3f8, %%edx; mov $13, %%al; out %%al, %%dx"),
       WITH_ROOM TIMED("mov $0x3f8, %%edx; mov $13, %%al"))

/* The local APIC by its page, then by its MSRs. */
#define PAGE "mov $0xfee00000, %%edi; "
ROW(xapic_id, PAGE, "mov 0x20(%%rdi), %%ebx")
ROW(xapic_eoi, PAGE, "movl $0, 0xb0(%%rdi)")
ROW(xapic_tmict, PAGE, "movl $0x7fffffff, 0x380(%%rdi)")
ROW(wrmsr_x2apic_eoi, "mov $0x80b, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx", "wrmsr")
ROW(wrmsr_apic_tmict, "mov $0x838, %%ecx; mov $0x7fffffff, %%eax; xor %%edx, %%edx", "wrmsr")
/* 2^40 ticks from now. */
ROW(wrmsr_tsc_deadline, "mov $0x6e0, %%ecx; add $0x100, %%edx", "wrmsr")

/* An interrupt to the CPU itself: the handler counts in R9D. Only then the round goes on. */
#define SELF(none, setup, send)                                                                   \
	"sti\n\t" TIMED(none ", %%r9d; " setup "; " send "\n8: test %%r9d, %%r9d; jz 8b") "\n\tcli"
#define SEND_PAGE PAGE "mov $0x44061, %%eax"
#define SEND_MSR  "mov $0x830, %%ecx; mov $0x44061, %%eax; xor %%edx, %%edx"
#define SEND_SELF "mov $0x83f, %%ecx; mov $0x61, %%eax; xor %%edx, %%edx"
ROW_OF(xapic_self_ipi, SELF("mov $0", SEND_PAGE, "mov %%eax, 0x300(%%rdi)"),
       SELF("mov $1", SEND_PAGE, ""))
ROW_OF(self_ipi, SELF("mov $0", SEND_MSR, "wrmsr"), SELF("mov $1", SEND_MSR, ""))
ROW_OF(self_ipi_83f, SELF("mov $0", SEND_SELF, "wrmsr"), SELF("mov $1", SEND_SELF, ""))

/* The end of an interrupt that is in service, timed by its handler. */
#define IN_SERVICE(send) \
	"xor %%r9d, %%r9d; " send "; sti\n9: test %%r9d, %%r9d; jz 9b; cli; mov %%r9d, %%eax"
ROW_OF(xapic_eoi_irq, IN_SERVICE(SEND_PAGE "; mov %%eax, 0x300(%%rdi)"), TIMED(""))
ROW_OF(x2apic_eoi_irq, IN_SERVICE(SEND_MSR "; wrmsr"),
       TIMED("mov $0x80b, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx"))

/* ---- what rows need: the reason why they cannot be had, or the machine made ready */

static const char *any(void)
{
	return NULL;
}

static const char *hypervisor(void)
{
	unsigned long number = ~0ul;

	return TRY("vmcall", : "+a"(number) : : "memory") == TRAP_NONE ? NULL : "no hypervisor";
}

static const char *gp(void)
{
	trap_gate_set(&trap_idt[TRAP_GP], (unsigned long)handler_gp, 0x8e);
	return NULL;
}

/* With SMEP the program's own pages must not be the user's. */
static const char *smep(void)
{
	if (cpuid(0, 0).eax < 7 || !(cpuid(7, 0).ebx & BIT(7)))
		return "no SMEP";
	pml4[0] &= ~4ull;
	cr3_write(cr3_read());
	return NULL;
}

static const char *by_apic(bool x2, const u8 *handler)
{
	if (!apic_present() || (x2 && !apic_has_x2()))
		return x2 ? "no x2APIC" : "no APIC";
	apic_x2 = x2;
	apic_enable();
	trap_gate_set(&trap_idt[VECTOR], (unsigned long)handler, 0x8e);
	apic_timer(APIC_ONE_SHOT | VECTOR, 128, 0);
	return NULL;
}

static const char *xapic(void)
{
	return by_apic(false, handler_xapic);
}

static const char *xapic_timed(void)
{
	return by_apic(false, handler_xapic_timed);
}

static const char *x2apic(void)
{
	return by_apic(true, handler_x2);
}

static const char *x2apic_timed(void)
{
	return by_apic(true, handler_x2_timed);
}

/* In the best mode that the CPU has. */
static const char *deadline(void)
{
	const char *lacks = apic_has_x2() ? x2apic() : xapic();

	if (lacks || !apic_has_deadline())
		return lacks ? lacks : "no TSC deadline";
	apic_write(APIC_LVT_TIMER, APIC_DEADLINE | VECTOR);
	return NULL;
}

/* ---- HLT */

#define FAR	  12000 /* ticks to a deadline that is slept for */
#define STEP	  4
#define SLACK	  8 /* ticks by which one deadline is later than another */
#define TOLERATED 8 /* deadlines in a row that something else has delayed */

ROUNDS(time_hlt, TIMED(PAGE "sti; hlt; cli"))
ROUNDS(empty_hlt, TIMED(PAGE "sti; cli"))

/* Halts until a deadline. The ticks from before HLT to behind the handler, and by how many of them
 * the deadline had passed then; 0 where HLT ended without it. */
static u32 halt_for(u32 distance, u32 *late)
{
	u64 end = rdtsc() + distance, behind;

	wrmsr(MSR_TSC_DEADLINE, end);
	time_hlt(1);
	behind = rdtsc();
	*late = behind > end ? (u32)(behind - end) : 0;
	return measure_ticks[0];
}

/*
 * HLT to the next timer interrupt handled: a deadline that comes ever sooner, down to where the CPU
 * no longer sleeps: then all that passed was work. It slept as long as the interrupt is as late as
 * that of a far deadline.
 */
static void measure_halt(unsigned count)
{
	static u32 lates[MEASURE_MOST];
	u32 late, usual, worst, least = ~0u, ticks;

	for (unsigned i = 0; i < count; i++) {
		marked = i - traced < MEASURE_MARKS ? 0 : MEASURE_NONE; /* time_hlt's only round */
		halt_for(FAR, &lates[i]);
	}
	marked = MEASURE_NONE;
	measure_sort(lates, count);
	usual = lates[count / 2];
	worst = lates[count - 1];
	for (u32 distance = FAR, other = 0; distance > STEP && other < TOLERATED; distance -= STEP) {
		ticks = halt_for(distance, &late);
		if (late + SLACK < usual || late > usual + SLACK) {
			other++;
			continue;
		}
		least = ticks;
		other = 0;
	}
	if (least == ~0u) {
		CHECK("hlt_timer: a deadline as late as usual", false);
		return;
	}
	empty_hlt(WARM);
	least -= measure_median(WARM);
	print("cost hlt_timer median %u max %u\n", least, least + worst - usual);
	print("cost hlt_timer_late median %u max %u\n", usual, worst);
	CHECK("hlt_timer", least <= boot_number("most", ~0u));
}

/* ---- all of it */

static const struct row {
	const char *name;
	void (*timed)(unsigned count), (*empty)(unsigned count);
	const char *(*lacks)(void); /* why not, else NULL with everything ready */
} rows[] = {
#define R(name, lacks) {#name, time_##name, empty_##name, lacks},
	R(vmcall, hypervisor)
	R(cpuid_0, any)
	R(cpuid_1, any)
	R(cpuid_40000000, any)
	R(rdmsr_apic_base, any)
	R(wrmsr_pat, any)
	R(rdmsr_unknown, gp)
	R(cr4_smep, smep)
	R(cr0_wp, any)
	R(out_21, any)
	R(in_21, any)
	R(in_40, any)
	R(in_61, any)
	R(out_3f8, any)
	R(in_3fd, any)
	R(outsb_64, any)
	R(mmio_read, any)
	R(mmio_write, any)
	R(xapic_id, xapic)
	R(xapic_eoi, xapic)
	R(xapic_eoi_irq, xapic_timed)
	R(xapic_tmict, xapic)
	R(xapic_self_ipi, xapic)
	R(wrmsr_x2apic_eoi, x2apic)
	R(x2apic_eoi_irq, x2apic_timed)
	R(wrmsr_apic_tmict, x2apic)
	R(self_ipi, x2apic)
	R(self_ipi_83f, x2apic)
	R(wrmsr_tsc_deadline, deadline)
};

/* Where every row begins: nothing is pending, no timer runs, #GP is the library's. */
static void settle(void)
{
	trap_idt[TRAP_GP] = gp_before;
	outb(PIC1_DATA, 0xff);
	if (!apic_present())
		return;
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_EN)
		apic_write(APIC_LVT_TIMER, APIC_MASKED | VECTOR);
}

static void measure(const struct row *row, unsigned count)
{
	const char *lacks = row->lacks();
	u32 empty, median;

	if (lacks) {
		test_skip(row->name, lacks);
		return;
	}
	row->empty(count);
	empty = measure_median(count);
	row->timed(WARM);
	marked = traced;
	row->timed(count);
	marked = MEASURE_NONE;
	median = measure_print(row->name, count, empty);
	CHECK(row->name, median <= boot_number("most", ~0u));
	settle();
}

/* Whether a row is among those that the words name, with commas between; without any, all are. */
static bool wanted(const char *name)
{
	const char *only = boot_word("trace") ? boot_word("trace") : boot_word("only");
	size_t length = strlen(name);

	if (!only || !strncmp(only, "all", 3))
		return true;
	while (only) {
		if (!strncmp(only, name, length) &&
		    (!only[length] || only[length] == ' ' || only[length] == ','))
			return true;
		while (*only && *only != ' ' && *only != ',')
			only++;
		only = *only == ',' ? only + 1 : NULL;
	}
	return false;
}

void test_main(void)
{
	unsigned rounds = measure_rounds();
	const char *lacks;

	irq_init();
	if (boot_word("smp") && apic_present()) {
		apic_enable();
		print("%u CPUs\n", smp_start_all());
	}
	gp_before = trap_idt[TRAP_GP];
	if (boot_word("trace"))
		traced = measure_late_round(rounds);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (wanted(rows[i].name))
			measure(&rows[i], rounds);
	lacks = deadline();
	if (lacks)
		test_skip("hlt_timer", lacks);
	else if (wanted("hlt_timer"))
		measure_halt(rounds);
	settle();
	CHECK("end", true);
}
