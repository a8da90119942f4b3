/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts of a guest program: an IDT of 256 vectors, capture
 * of faults with the instruction skipped, hooks for everything else.
 */
#ifndef GUEST_LIB_TRAP_H
#define GUEST_LIB_TRAP_H

#include "guest/lib/types.h"

#define TRAP_DE	  0
#define TRAP_DB	  1
#define TRAP_NMI  2
#define TRAP_BP	  3
#define TRAP_UD	  6
#define TRAP_NM	  7
#define TRAP_DF	  8
#define TRAP_NP	  11
#define TRAP_SS	  12
#define TRAP_GP	  13
#define TRAP_PF	  14
#define TRAP_IRQ0 0x20
#define TRAP_VECTORS 256
#define TRAP_NONE 0xffff /* no exception happened */

#define SEL_CODE32 0x08
#define SEL_DATA   0x10
#define SEL_CODE64 0x18
#define SEL_CODE16 0x20
#define SEL_DATA16 0x28
#define SEL_UCODE  0x33 /* ring 3, of the program's own width */
#define SEL_UDATA  0x3b
#define SEL_TSS	   0x40
#ifdef __x86_64__
#define SEL_CODE SEL_CODE64
#define TRAP_REGS 15
#else
#define SEL_CODE SEL_CODE32
#define TRAP_REGS 8
#endif

/* What the entry stubs push; ss and sp are there in 64-bit mode and from ring 3. */
struct trap_frame {
	unsigned long regs[TRAP_REGS];
	unsigned long vector, error, ip, cs, flags, sp, ss;
};

struct trap {
	unsigned vector; /* TRAP_NONE: nothing yet */
	unsigned long error, ip, cr2;
};

/* The newest exception, and how many there were. */
extern volatile struct trap trap_last;
extern volatile unsigned trap_count;
/* Where a fault resumes; TRY sets it for one instruction. */
extern volatile unsigned long trap_resume;
/* Called for a vector instead of the rules above. */
typedef void (*trap_hook_fn)(struct trap_frame *frame);
extern trap_hook_fn trap_hook[TRAP_VECTORS];

/* A gate of the IDT as the CPU reads it. */
struct trap_gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_mid;
#ifdef __x86_64__
	u32 offset_high, reserved;
#endif
} __attribute__((packed));

struct trap_table {
	u16 limit;
	unsigned long base;
} __attribute__((packed));

extern struct trap_gate trap_idt[TRAP_VECTORS];
/* The program's GDT (start*.asm). */
extern u64 gdt[];

void trap_gate_set(struct trap_gate *gate, unsigned long handler, u8 type);
/* Loads the IDT; exceptions are captured from then on. */
void trap_init(void);
static inline void idt_load(const void *base, u16 limit)
{
	struct trap_table table = {limit, (unsigned long)base};

	__asm__ volatile("lidt %0" : : "m"(table) : "memory");
}

#ifdef __x86_64__
#define TRAP_ARM "movq $771f, trap_resume\n\t"
#else
#define TRAP_ARM "movl $771f, trap_resume\n\t"
#endif

/*
 * Runs assembly whose fault, wherever in it, skips the rest; the value is the
 * vector, or TRAP_NONE. Operands follow as in an asm statement.
 */
#define TRY(code, ...)                                                                            \
	({                                                                                        \
		trap_last.vector = TRAP_NONE;                                                     \
		__asm__ volatile(TRAP_ARM code "\n771:" __VA_ARGS__);                             \
		trap_resume = 0;                                                                  \
		trap_last.vector;                                                                 \
	})

static inline unsigned try_rdmsr(u32 msr, u64 *value)
{
	u32 low = 0, high = 0;
	unsigned vector = TRY("rdmsr", : "+a"(low), "+d"(high) : "c"(msr) : "memory");

	*value = (u64)high << 32 | low;
	return vector;
}

static inline unsigned try_wrmsr(u32 msr, u64 value)
{
	return TRY("wrmsr", : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

#define TRY_CR_WRITE(n, value) \
	TRY("mov %0, %%cr" #n, : : "r"((unsigned long)(value)) : "memory")

#endif
