/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panic: one line that says what happened and where, the registers, and the
 * callers as far as the chain of frame pointers can be trusted. It works from
 * the first log sink on and needs no memory; a second panic on the way, on
 * this CPU or another, only halts.
 */
#include "arch/panic.h"

#include "arch/cpu.h"
#include "arch/ksyms.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"

#define CALLERS 12

void (*panic_stop_others)(void);
void (*panic_flush)(void);

static u32 panicking;

static _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Returns in the first panic only, with everybody else stopped. */
static void begin(void)
{
	interrupts_off();
	if (__atomic_exchange_n(&panicking, 1, __ATOMIC_ACQ_REL))
		halt();
	if (panic_stop_others)
		panic_stop_others();
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

/* Frames go up the stack; anything else ends the walk. */
static void log_callers(u64 rbp)
{
	char text[80];

	for (unsigned i = 0; i < CALLERS; i++) {
		const u64 *frame = (const u64 *)rbp;

		if (rbp < DIRECT_BASE || !IS_ALIGNED(rbp, 8) || frame[1] < IMAGE_BASE)
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
	log_callers(rbp);
	if (panic_flush)
		panic_flush();
	halt();
}

/* What compilers put where the program has no meaning: UD2, and UD1 with its reason. */
static bool is_trap(const u8 *code)
{
	return (code[0] == 0x0f && code[1] == 0x0b) ||
	       (code[0] == 0x67 && code[1] == 0x0f && code[2] == 0xb9);
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	char text[80], detail[40] = "";

	begin();
	if (f->vector == VECTOR_PF)
		str_format(detail, sizeof(detail), ", address 0x%lx", read_cr2());
	else if (f->vector == VECTOR_UD && is_trap((const u8 *)f->rip))
		str_format(detail, sizeof(detail), ", undefined behaviour");
	else if (f->vector == VECTOR_CP)
		str_format(detail, sizeof(detail), ", no ENDBR64 for an indirect branch");
	log_error("panic: %s in %s%s, error code 0x%lx", trap_name(f->vector),
		  place(text, sizeof(text), f->rip), detail, f->error);
	log_error("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	log_error("  rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
	log_error("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
	log_error("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
	log_error("  rip %016lx cs %04lx rflags %08lx ss %04lx", f->rip, f->cs, f->rflags, f->ss);
	end(f->rbp);
}

_Noreturn void __stack_chk_fail(void)
{
	char where[80];

	begin();
	log_error("panic: the stack was smashed in %s",
		  place(where, sizeof(where), (u64)__builtin_return_address(0) - 1));
	end(0); /* its frame holds no caller that could be trusted */
}

_Noreturn void panic(const char *fmt, ...)
{
	char text[160], where[80];

	begin();
	STR_FORMAT_REST(text, sizeof(text), fmt);
	log_error("panic: %s, in %s", text,
		  place(where, sizeof(where), (u64)__builtin_return_address(0) - 1));
	end((u64)__builtin_frame_address(0));
}
