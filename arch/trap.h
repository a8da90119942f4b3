/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts that reach Trivet in root mode. Exceptions are
 * fixed up by arch/extable.h or are bugs; interrupts go to whoever registered
 * for the vector, whether they came through the IDT or were acknowledged by a
 * VM exit.
 */
#pragma once

#include "arch/lib/types.h"

/* What trap_entry.asm leaves on the stack. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error; /* error is 0 for vectors that have none */
	u64 rip, cs, rflags, rsp, ss;
};

/* Names of the exceptions, "#PF"; other vectors "interrupt". */
const char *trap_name(u64 vector);

/*
 * Calls fn for every interrupt on `vector` (32 to 255), on the CPU that got
 * it, interrupts off; fn also sends the EOI. Registering twice is a bug.
 */
void irq_register(u8 vector, void (*fn)(void));
/* Hands an acknowledged interrupt to its handler, or to the one for strays. */
void irq_dispatch(u8 vector);
/* Who gets what nobody registered for: it has to be ended all the same. */
void irq_set_stray(void (*fn)(void));
