/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dispatch of exceptions and interrupts in root mode.
 */
#include "arch/trap.h"

#include "arch/cpu.h"
#include "arch/extable.h"
#include "arch/lib/log.h"
#include "arch/panic.h"

#define EXCEPTIONS 32
#define VECTORS	   256

void trap_dispatch(struct trap_frame *frame);

static const char *const names[EXCEPTIONS] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "vector 9", "#TS",
	"#NP", "#SS", "#GP", "#PF", "vector 15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	"vector 22", "vector 23", "vector 24", "vector 25", "vector 26", "vector 27", "#HV",
	"#VC", "#SX", "vector 31",
};

/* Written while booting, read by all CPUs. */
static void (*handlers[VECTORS])(void);
static void (*stray_handler)(void);

const char *trap_name(u64 vector)
{
	return vector < EXCEPTIONS ? names[vector] : "interrupt";
}

void irq_register(u8 vector, void (*fn)(void))
{
	if (vector < EXCEPTIONS || (handlers[vector] && handlers[vector] != fn))
		panic("irq_register: vector %u is taken", vector);
	handlers[vector] = fn;
}

void irq_dispatch(u8 vector)
{
	if (handlers[vector])
		handlers[vector]();
	else if (stray_handler)
		stray_handler();
}

void irq_set_stray(void (*fn)(void))
{
	stray_handler = fn;
}

void trap_dispatch(struct trap_frame *frame)
{
	bool fixable = frame->vector == VECTOR_GP || frame->vector == VECTOR_PF;
	u64 fixed = fixable ? extable_find(frame->rip) : 0;

	if (frame->vector >= EXCEPTIONS)
		irq_dispatch((u8)frame->vector);
	else if (fixed)
		frame->rip = fixed;
	else if (frame->vector != VECTOR_NMI || !panic_nmi())
		panic_trap(frame);
}
