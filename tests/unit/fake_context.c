/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/context.asm for the host's compiler: what vmm/job.c needs to run its
 * jobs on stacks of their own in a process.
 */
#include "arch/context.h"

__asm__(".text\n"
	".globl context_switch\n"
	"context_switch:\n\t"
	"push %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov %rsp, (%rdi)\n\t"
	"mov %rsi, %rsp\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\t"
	"ret\n");

u64 context_new(void *stack_top, void (*entry)(void))
{
	u64 *top = stack_top;

	top[-1] = 0;
	top[-2] = (u64)entry;
	return (u64)(top - 8);
}
