/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dispatch of exceptions and interrupts in root mode.
 */
#include "arch/trap.h"

#include "arch/cpu.h"
#include "arch/extable.h"
#include "arch/lib/log.h"
#include "arch/panic.h"
#include "arch/percpu.h"

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
static void (*handlers[VECTORS])(u8 vector);
static bool (*nmi_handler)(struct trap_frame *frame);
static u64 spurious;

const char *trap_name(u64 vector)
{
	return vector < EXCEPTIONS ? names[vector] : "interrupt";
}

void irq_register(u8 vector, void (*fn)(u8 vector))
{
	if (vector < EXCEPTIONS || (handlers[vector] && handlers[vector] != fn))
		panic("irq_register: vector %u is taken", vector);
	handlers[vector] = fn;
}

void irq_dispatch(u8 vector)
{
	if (handlers[vector])
		handlers[vector](vector);
	else
		__atomic_fetch_add(&spurious, 1, __ATOMIC_RELAXED);
}

u64 irq_spurious(void)
{
	return __atomic_load_n(&spurious, __ATOMIC_RELAXED);
}

void trap_set_nmi(bool (*fn)(struct trap_frame *frame))
{
	nmi_handler = fn;
}

static bool fix_up(struct trap_frame *frame)
{
	u64 to = 0;

	if (frame->vector == VECTOR_GP || frame->vector == VECTOR_PF)
		to = extable_find(frame->rip);
	if (!to)
		return false;
	frame->rip = to;
	if (frame->vector == VECTOR_PF)
		write_cr2(this_pcpu()->guest_cr2);
	return true;
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector >= EXCEPTIONS) {
		irq_dispatch((u8)frame->vector);
		return;
	}
	if (frame->vector == VECTOR_NMI && nmi_handler && nmi_handler(frame))
		return;
	if (!fix_up(frame))
		panic_trap(frame);
}
