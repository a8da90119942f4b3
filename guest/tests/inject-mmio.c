/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: an interrupt whose stack lies where no memory is pushes into nothing and its
 * handler runs, once, as on a bare machine; a hypervisor that cannot do that ends this VM by
 * name and nothing else. SDM volume 3, "Information for VM Exits During Event Delivery".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

static volatile unsigned events __attribute__((used));
static volatile unsigned long good_stack __attribute__((used));

/* Comes here on a stack of nothing: takes the good one and goes on behind the INT3. */
extern char bare_event[];

__asm__("bare_event:\n"
	"	mov good_stack, %rsp\n"
	"	incl events\n"
	"	jmp *resume_at\n");
static volatile unsigned long resume_at __attribute__((used));

static void deliver(unsigned long stack)
{
	__asm__ volatile("push %%rbx; push %%rbp; mov %%rsp, good_stack\n\t"
			 "movq $1f, resume_at\n\t"
			 "mov %0, %%rsp; int3\n"
			 "1: pop %%rbp; pop %%rbx"
			 : : "r"(stack) : "memory");
}

void test_main(void)
{
	trap_gate_set(&trap_idt[TRAP_BP], (unsigned long)bare_event, 0x8e);
	deliver(0xd0001000);
	test_equal("stack-of-nothing", events, 1);
	deliver(0xd0000ff8);
	test_equal("unaligned-stack-of-nothing", events, 2);
}
