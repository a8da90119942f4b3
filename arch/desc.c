/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GDT, TSS and IDT. All 256 gates are interrupt gates, so handlers run with
 * interrupts off; NMI, #DF, #MC and #DB get stacks of their own because they
 * can strike where the stack is not to be trusted.
 */
#include "arch/desc.h"

#include "arch/cpu.h"
#include "arch/percpu.h"

#define GDT_CODE 0x00af9b000000ffffull /* 64-bit, ring 0, accessed */
#define GDT_DATA 0x00cf93000000ffffull
#define GDT_TSS	 0x0000890000000000ull /* available 64-bit TSS */

#define IDT_GATE 0x8e00ull /* present, ring 0, interrupt gate: bits 47:32 */
#define VECTORS	 256
/* Every entry stub of trap_entry.asm takes this much. */
#define STUB_SIZE 16

struct gate {
	u64 lo, hi;
};

extern const u8 trap_stubs[VECTORS * STUB_SIZE];

static struct gate idt[VECTORS];

static const u8 vector_ist[VECTORS] = {
	[VECTOR_NMI] = IST_NMI, [VECTOR_DF] = IST_DF, [VECTOR_MC] = IST_MC, [VECTOR_DB] = IST_DB,
};

/* Every CPU writes the same values, so repeating it does no harm. */
static NO_STACK_GUARD void idt_fill(void)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		u64 stub = (u64)trap_stubs + i * STUB_SIZE;

		idt[i].lo = FIELD_GET(BITS(15, 0), stub) | (u64)SEL_CODE << 16 |
			    (u64)vector_ist[i] << 32 | IDT_GATE << 32 |
			    FIELD_GET(BITS(31, 16), stub) << 48;
		idt[i].hi = stub >> 32;
	}
}

NO_STACK_GUARD void desc_init(struct desc *desc, const struct pcpu_stacks *stacks)
{
	u64 base = (u64)&desc->tss;

	desc->tss = (struct tss){.io_map = sizeof(struct tss)};
	for (unsigned i = 0; i < IST_COUNT; i++)
		desc->tss.ist[i + 1] = (u64)&stacks->ist[i + 1]; /* the top of stack i */
	desc->gdt[0] = 0;
	desc->gdt[SEL_CODE / 8] = GDT_CODE;
	desc->gdt[SEL_DATA / 8] = GDT_DATA;
	desc->gdt[SEL_TSS / 8] = GDT_TSS | (sizeof(struct tss) - 1) |
				 FIELD_PREP(BITS(39, 16), base) |
				 FIELD_PREP(BITS(63, 56), base >> 24);
	desc->gdt[SEL_TSS / 8 + 1] = base >> 32;
	if (idt[0].lo == 0)
		idt_fill();
}

NO_STACK_GUARD void desc_load(struct desc *desc)
{
	struct desc_pointer gdtr = {sizeof(desc->gdt) - 1, (u64)desc->gdt};
	struct desc_pointer idtr = {sizeof(idt) - 1, (u64)idt};

	/* A TSS that is in use has the busy type, with which LTR would fault. */
	desc->gdt[SEL_TSS / 8] &= ~BIT(41);
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmovl %2, %%ss\n\t"
			 "movl %3, %%ds\n\t"
			 "movl %3, %%es\n\t"
			 "movl %3, %%fs\n\t"
			 "movl %3, %%gs\n\t"
			 "ltr %w4\n\t"
			 "lidt %5"
			 :
			 : "m"(gdtr), "i"(SEL_CODE), "r"(SEL_DATA), "r"(0), "r"(SEL_TSS), "m"(idtr)
			 : "rax", "memory");
}
