/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IDT and what happens behind it. An exception that nobody expects is
 * printed and ends the program with exit code 3.
 */
#include "guest/lib/trap.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

#define GATE_INTERRUPT 0x8e

volatile struct trap trap_last = {.vector = TRAP_NONE};
volatile unsigned trap_count;
volatile unsigned long trap_resume;
trap_hook_fn trap_hook[TRAP_VECTORS];
struct trap_gate trap_idt[TRAP_VECTORS] __attribute__((aligned(16)));

extern const unsigned long trap_stubs[TRAP_VECTORS];
void trap_dispatch(struct trap_frame *frame);

void trap_gate_set(struct trap_gate *gate, unsigned long handler, u8 type)
{
	*gate = (struct trap_gate){
		.offset_low = (u16)handler,
		.selector = SEL_CODE,
		.type = type,
		.offset_mid = (u16)(handler >> 16),
#ifdef __x86_64__
		.offset_high = (u32)(handler >> 32),
#endif
	};
}

void trap_init(void)
{
	for (unsigned v = 0; v < TRAP_VECTORS; v++)
		trap_gate_set(&trap_idt[v], trap_stubs[v], GATE_INTERRUPT);
	idt_load(trap_idt, sizeof(trap_idt) - 1);
}

/* Called by the stubs with interrupts off; the frame is theirs and may be changed. */
void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector < TRAP_VECTORS && trap_hook[frame->vector]) {
		trap_hook[frame->vector](frame);
		return;
	}
	trap_last.error = frame->error;
	trap_last.ip = frame->ip;
	trap_last.cr2 = cr2_read();
	trap_last.vector = (unsigned)frame->vector;
	trap_count++;
	if (trap_resume) {
		frame->ip = trap_resume;
		trap_resume = 0;
		return;
	}
	print("FAIL unexpected exception %lu, error %lx, at %lx, cr2 %lx\n", frame->vector,
	      frame->error, frame->ip, trap_last.cr2);
	test_exit(3);
}
