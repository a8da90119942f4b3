/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: an event is delivered exactly once and at the right boundary: not in the shadow
 * of STI or of a load of SS, though exits happen there; one #DB a step over an
 * instruction that is emulated; once also when its delivery itself meets memory that
 * was never touched. SDM volume 3, "Masking Exceptions and Interrupts When Switching
 * Stacks", "Single-Step Exception Condition", "VM Exits During Event Delivery" (IDT
 * vectoring).
 */
#include "guest/lib/boot.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

static volatile unsigned long interrupted_at;
static volatile unsigned events, steps_bs;

static void on_tick(struct trap_frame *frame)
{
	interrupted_at = frame->ip;
	events++;
	outb(PIC1_CMD, PIC_EOI);
}

static void on_debug(struct trap_frame *frame)
{
	unsigned long dr6;

	(void)frame;
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	events++;
	steps_bs += dr6 >> 14 & 1;
}

static void on_event(struct trap_frame *frame)
{
	(void)frame;
	events++;
}

/* A tick is pending when this returns. */
static void pend_tick(void)
{
	pit_start(0, 100);
	pit_wait_us(1000);
	events = 0;
}

static void shadows(void)
{
	unsigned long after, ss, leaf = 0;

	trap_hook[TRAP_IRQ0] = on_tick;
	irq_unmask(0);
	pend_tick();
	__asm__ volatile("lea 1f(%%rip), %0; sti; cpuid; 1: nop; cli"
			 : "=&r"(after), "+a"(leaf) : : "rbx", "rcx", "rdx", "memory");
	test_equal("sti-shadow-over-cpuid", interrupted_at, after);
	test_equal("sti-shadow-once", events, 1);
	pend_tick();
	__asm__ volatile("sti; cli; nop" : : : "memory");
	test_equal("sti-cli-takes-nothing", events, 0);
	__asm__ volatile("mov %%ss, %1; cli; lea 1f(%%rip), %0; sti; mov %1, %%ss; "
			 "in $0x61, %%al; 1: nop; cli"
			 : "=&r"(after), "=&r"(ss) : : "rax", "memory");
	test_equal("mov-ss-shadow-over-in", interrupted_at, after);
	test_equal("mov-ss-shadow-once", events, 1);
	irq_mask(0);
}

/* The window opens by POPF, after exits with IF = 0. */
static void window(void)
{
	irq_unmask(0);
	pend_tick();
	for (unsigned i = 0; i < 10; i++)
		cpuid(0, 0);
	test_equal("window-closed", events, 0);
	__asm__ volatile("pushf; orl $0x200, (%%rsp); popf; nop; cli" : : : "memory");
	test_equal("window-opened-once", events, 1);
	irq_mask(0);
}

#define STEP(name, code)                                                                          \
	do {                                                                                      \
		unsigned a = 0, c = 0, d = 0x80;                                                  \
                                                                                                  \
		events = steps_bs = 0;                                                            \
		__asm__ volatile("pushf; orl $0x100, (%%rsp); popf; " code                        \
				 "; pushf; andl $~0x100, (%%rsp); popf"                           \
				 : "+a"(a), "+c"(c), "+d"(d)                                      \
				 : "S"(0xd0000000ul) : "rbx", "memory", "cc");                    \
		test_equal(name, events << 8 | steps_bs, 4 << 8 | 4);                             \
	} while (0)

/* Four steps: the instruction, PUSHF, AND, POPF that ends it. */
static void single_steps(void)
{
	trap_hook[TRAP_DB] = on_debug;
	STEP("step-nop", "nop");
	STEP("step-cpuid", "cpuid");
	STEP("step-out", "out %%al, %%dx");
	STEP("step-in", "in $0x61, %%al");
	STEP("step-mmio", "mov %%eax, (%%rsi)");
}

/* A #DB pending in a shadow, and one whose own instruction exits: none is lost, and no
 * entry is refused. "Checks on Guest Non-Register State" ties BS to TF in a shadow. */
static void steps_in_shadows(void)
{
	unsigned long ss, dr7;

	trap_hook[TRAP_DB] = on_debug;
	events = steps_bs = 0;
	__asm__ volatile("mov %%ss, %0; pushf; orl $0x100, (%%rsp); popf; mov %0, %%ss; .byte 0xf1; nop; "
			 "pushf; andl $~0x100, (%%rsp); popf" : "=&r"(ss) : : "memory", "cc");
	test_equal("step-icebp-behind-mov-ss", events, 5);
	events = steps_bs = 0;
	__asm__ volatile("pushf; orl $0x100, (%%rsp); popf; sti; nop; cli; "
			 "pushf; andl $~0x100, (%%rsp); popf" : : : "memory", "cc");
	test_equal("step-sti", events << 8 | steps_bs, 6 << 8 | 6);
	events = steps_bs = 0;
	__asm__ volatile("pushf; orl $0x100, (%%rsp); popf; hlt; "
			 "pushf; andl $~0x100, (%%rsp); popf" : : : "memory", "cc");
	test_equal("step-hlt", events << 8 | steps_bs, 4 << 8 | 4);
	events = steps_bs = 0;
	__asm__ volatile("mov %0, %%dr7; pushf; orl $0x100, (%%rsp); popf; nop; "
			 "pushf; andl $~0x100, (%%rsp); popf; mov %%dr7, %0"
			 : "=&r"(dr7) : "0"(0x2400ul) : "memory", "cc");
	test_equal("step-clears-gd", dr7, 0x400);
	test_equal("step-gd", events << 8 | steps_bs, 4 << 8 | 4);
}

/* OUT unmasks an interrupt that waits: its own step comes first. */
static void step_before_interrupt(void)
{
	trap_hook[TRAP_DB] = on_debug;
	trap_hook[TRAP_IRQ0] = on_tick;
	pend_tick();
	events = steps_bs = 0;
	__asm__ volatile("pushf; orl $0x300, (%%rsp); popf; out %%al, $0x21; "
			 "pushf; andl $~0x300, (%%rsp); popf" : : "a"(0xfe) : "memory", "cc");
	irq_mask(0);
	test_equal("step-before-interrupt", events << 8 | steps_bs, 5 << 8 | 4);
}

static void untouched_memory(void)
{
	u64 fresh = 0x2000000; /* 32 MiB: nothing is loaded there */
	struct trap_gate *table = (struct trap_gate *)phys(fresh);

	trap_hook[TRAP_BP] = on_event;
	events = 0;
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; int3; mov %%rbx, %%rsp"
			 : : "r"(fresh + 0x208000) : "rbx", "memory");
	test_equal("stack-never-touched", events, 1);
	memcpy(table, trap_idt, sizeof(trap_idt));
	idt_load(table, sizeof(trap_idt) - 1);
	events = 0;
	for (u64 i = 0; i < 8; i++)
		__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; int3; mov %%rbx, %%rsp"
				 : : "r"(fresh + 0x400000 + i * 0x201000) : "rbx", "memory");
	test_equal("each-once", events, 8);
	idt_load(trap_idt, sizeof(trap_idt) - 1);
}

static volatile unsigned long fault_flags;

static void on_fault(struct trap_frame *frame)
{
	fault_flags = frame->flags;
	frame->ip += 2; /* RDMSR */
}

static void resume_flag(void)
{
	trap_hook[TRAP_GP] = on_fault;
	__asm__ volatile("rdmsr" : : "c"(0x1fff) : "rax", "rdx", "memory");
	trap_hook[TRAP_GP] = NULL;
	test_equal("fault-saves-rf", fault_flags >> 16 & 1, 1);
}

static void nested_faults(void)
{
	/* A gate that is not present: #NP with the gate's index, delivered once. */
	struct trap_gate kept = trap_idt[40];
	unsigned before = trap_count;

	trap_idt[40].type = 0x0e;
	test_equal("gate-not-present", TRY("int $40", : : : "memory"), TRAP_NP);
	test_equal("gate-error-code", trap_last.error, 40 * 8 + 2);
	test_equal("gate-fault-once", trap_count, before + 1);
	trap_idt[40] = kept;
	idt_load(trap_idt, 64 * sizeof(trap_idt[0]) - 1);
	test_equal("int-beyond-limit", TRY("int $200", : : : "memory"), TRAP_GP);
	test_equal("int-beyond-error", trap_last.error, 200 * 8 + 2);
	idt_load(trap_idt, sizeof(trap_idt) - 1);
}

void test_main(void)
{
	irq_init();
	shadows();
	window();
	single_steps();
	steps_in_shadows();
	step_before_interrupt();
	untouched_memory();
	resume_flag();
	nested_faults();
}
