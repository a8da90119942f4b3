/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panic: one line that says what happened and where, the registers, and the
 * callers as far as the chain of frame pointers can be trusted. It works from
 * the first log sink on and needs no memory. The first CPU tells, once all others
 * stand; whatever else happens anywhere only halts. What the line needs is read where it
 * surely is; behind it a fault does no more harm than to end the text.
 *
 * On the NMI stack nothing may fault and be fixed up, here or in an NMI's handler: IRET would
 * end the blocking of NMIs, and the next one would begin at that stack's top again.
 */
#include "arch/panic.h"

#include "arch/cpu.h"
#include "arch/ksyms.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/mce.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/stacks.h"

#define CALLERS	  8 /* the line is still on a screen of 25 rows */
#define DR7_RESET 0x400ull /* no breakpoint is on */

void (*panic_stop_others)(void);
void (*panic_flush)(void);

static u32 panicking;	 /* whose panic it is, id + 1 */
static bool told;	 /* its line is out */
static u32 chances = 2;	 /* for faults on the way there, which are told in its place */

static _Noreturn void halt(void)
{
	__atomic_store_n(&this_pcpu()->shared.stopped, 1, __ATOMIC_RELEASE);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* A fault in the flush comes here again, and has no second one. */
static _Noreturn void finish(void)
{
	void (*flush)(void) = panic_flush;

	panic_flush = NULL;
	if (flush)
		flush();
	halt();
}

bool panic_nmi(void)
{
	u32 whose = __atomic_load_n(&panicking, __ATOMIC_ACQUIRE);

	if (whose && whose != this_pcpu()->id + 1)
		halt();
	return whose;
}

/* Returns where a line is to be told, with everybody else stopped. */
static void begin(void)
{
	u32 me = this_pcpu()->id + 1, first = 0;

	interrupts_off();
	__asm__ volatile("mov %0, %%dr7" ::"r"(DR7_RESET));
	if (__atomic_compare_exchange_n(&panicking, &first, me, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE)) {
		if (panic_stop_others)
			panic_stop_others();
	} else if (first != me) {
		halt();
	} else if (told || !chances) {
		finish();
	} else {
		chances--;
	}
	log_break_lock();
}

/* Writes "function+0x12" or the bare address into text. */
static const char *place(char *text, size_t size, u64 addr)
{
	u64 offset;
	const char *name = ksyms_lookup(addr, &offset);

	if (name)
		str_format(text, size, "%s+0x%lx", name, offset);
	else
		str_format(text, size, "0x%lx", addr);
	return text;
}

/*
 * Who called or jumped to what is no code of Trivet's; 0: cannot be told. The CPU has just put the
 * frame below the stack's end, which is what proves the rest of that page to be there.
 */
static u64 stray_from(const struct trap_frame *f)
{
	const u64 *sp = (const u64 *)f->rsp, *frame = (const u64 *)f->rbp;
	u64 left = PAGE_SIZE - f->rsp % PAGE_SIZE, offset;

	if (ksyms_lookup(f->rip, &offset) || (u64)(f + 1) != ALIGN_DOWN(f->rsp, 16) ||
	    !IS_ALIGNED(f->rsp, 8) || left == PAGE_SIZE)
		return 0;
	if (ksyms_lookup(sp[0] - 1, &offset))
		return sp[0] - 1;
	return IS_ALIGNED(f->rbp, 8) && f->rbp - f->rsp < left - 8 ? frame[1] - 1 : 0;
}

/* Frames go up the stack and return to code; anything else ends the walk. */
static void log_callers(u64 rbp)
{
	char text[80];
	u64 offset;

	for (unsigned i = 0; i < CALLERS; i++) {
		const u64 *frame = (const u64 *)rbp;

		if (rbp < DIRECT_BASE || !IS_ALIGNED(rbp, 8) ||
		    !ksyms_lookup(frame[1] - 1, &offset))
			return;
		log_error("  called from %s", place(text, sizeof(text), frame[1] - 1));
		if (frame[0] <= rbp || frame[0] - rbp > 4 * PAGE_SIZE)
			return;
		rbp = frame[0];
	}
}

/* The last lines, then the end. */
static _Noreturn void end(u64 rbp)
{
	log_error("  cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx", read_cr0(), read_cr2(),
		  read_cr3(), read_cr4());
	for (unsigned i = 0; i < pcpu_count && panic_stop_others; i++)
		if (i != this_pcpu()->id && !pcpus[i]->shared.stopped)
			log_error("  core %u does not answer", i);
	log_callers(rbp);
	finish();
}

/* What compilers put where the program has no meaning: UD2, and UD1 with its reason. */
static bool is_trap(const u8 *code)
{
	return (code[0] == 0x0f && code[1] == 0x0b) ||
	       (code[0] == 0x67 && code[1] == 0x0f && code[2] == 0xb9);
}

/* What happened, and in detail what belongs to it. */
static const char *describe(const struct trap_frame *f, char *detail, size_t size)
{
	u64 cr2 = read_cr2();
	/* A #PF that finds no room for its own frame becomes a #DF. */
	bool overflow = (f->vector == VECTOR_PF || f->vector == VECTOR_DF) && stacks_is_guard(cr2);

	if (f->vector == VECTOR_PF || overflow)
		str_format(detail, size, ", address 0x%lx", cr2);
	else if (f->vector == VECTOR_MC)
		mce_describe(detail, size);
	else if (f->vector == VECTOR_UD && is_trap((const u8 *)f->rip))
		str_format(detail, size, ", undefined behaviour");
	else if (f->vector == VECTOR_CP)
		str_format(detail, size, ", no ENDBR64 for an indirect branch");
	return overflow ? "stack overflow" : trap_name(f->vector);
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	char text[80], from[80] = "", detail[120] = "";
	const char *what;
	u64 stray;

	begin();
	what = describe(f, detail, sizeof(detail));
	stray = stray_from(f);
	log_error("panic: %s in %s%s%s%s, error code 0x%lx", what, place(text, sizeof(text), f->rip),
		  stray ? " from " : "", stray ? place(from, sizeof(from), stray) : "", detail,
		  f->error);
	told = true;
	log_error("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	log_error("  rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
	log_error("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
	log_error("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
	log_error("  rip %016lx cs %04lx rflags %08lx ss %04lx core %u", f->rip, f->cs, f->rflags,
		  f->ss, this_pcpu()->id);
	end(f->rbp);
}

static _Noreturn void tell(const char *what, u64 at, u64 rbp)
{
	char where[80];

	log_error("panic: %s, in %s", what, place(where, sizeof(where), at));
	told = true;
	end(rbp);
}

_Noreturn void __stack_chk_fail(void)
{
	begin();
	/* its frame holds no caller that could be trusted */
	tell("the stack was smashed", (u64)__builtin_return_address(0) - 1, 0);
}

_Noreturn void panic(const char *fmt, ...)
{
	char text[160];

	begin();
	STR_FORMAT_REST(text, sizeof(text), fmt);
	tell(text, (u64)__builtin_return_address(0) - 1, (u64)__builtin_frame_address(0));
}
