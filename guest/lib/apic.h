/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of the CPU that asks, in xAPIC or x2APIC mode by the same calls, and
 * the I/O APIC. SDM volume 3, "Advanced Programmable Interrupt Controller (APIC)";
 * "82093AA I/O Advanced Programmable Interrupt Controller" data sheet.
 */
#ifndef GUEST_LIB_APIC_H
#define GUEST_LIB_APIC_H

#include "guest/lib/cpu.h"

/* Registers by their offset in the page; that of the MSR is 800h + offset / 16. */
enum {
	APIC_ID = 0x020, APIC_VERSION = 0x030, APIC_TPR = 0x080, APIC_APR = 0x090,
	APIC_PPR = 0x0a0, APIC_EOI = 0x0b0, APIC_RRD = 0x0c0, APIC_LDR = 0x0d0, APIC_DFR = 0x0e0,
	APIC_SVR = 0x0f0, APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_IRR = 0x200, APIC_ESR = 0x280,
	APIC_LVT_CMCI = 0x2f0, APIC_ICR = 0x300, APIC_ICR_HIGH = 0x310, APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330, APIC_LVT_PERFORMANCE = 0x340, APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360, APIC_LVT_ERROR = 0x370, APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390, APIC_TIMER_DIVIDE = 0x3e0, APIC_SELF_IPI = 0x3f0,
};
#define APIC_MSR(offset) (0x800u + (offset) / 16)
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_TSC_ADJUST	 0x3b

#define APIC_BASE_BSP  BIT(8)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN   BIT(11)
#define APIC_PAGE      0xfee00000u

#define APIC_SVR_ENABLE 0x100
#define APIC_SPURIOUS	0xff /* the vector that apic_enable sets */

/* ICR, and the same fields of the LVT and of the I/O APIC's entries. */
#define APIC_FIXED	0x000
#define APIC_LOWEST	0x100
#define APIC_SMI	0x200
#define APIC_NMI	0x400
#define APIC_INIT	0x500
#define APIC_STARTUP	0x600
#define APIC_EXTINT	0x700
#define APIC_LOGICAL	0x800
#define APIC_PENDING	0x1000 /* delivery status */
#define APIC_ASSERT	0x4000 /* of the ICR */
#define APIC_LEVEL	0x8000
#define APIC_MASKED	0x10000 /* of LVT and I/O APIC */
#define APIC_TO_SELF	0x40000
#define APIC_TO_ALL	0x80000
#define APIC_TO_OTHERS	0xc0000

#define APIC_ONE_SHOT 0x00000
#define APIC_PERIODIC 0x20000
#define APIC_DEADLINE 0x40000

/* Where the page is, and whether this program works in x2APIC mode. */
extern unsigned long apic_page;
extern bool apic_x2;
extern volatile unsigned apic_spurious;

bool apic_present(void);      /* CPUID.1:EDX.APIC */
bool apic_has_x2(void);	      /* CPUID.1:ECX.x2APIC */
bool apic_has_deadline(void); /* CPUID.1:ECX.TSC-Deadline */

u32 apic_read(unsigned offset);
void apic_write(unsigned offset, u32 value);

/*
 * The mode that the program's word `x2apic` asks for. False: the CPU has no APIC, or
 * not this mode; a line `skip all` has been printed.
 */
bool apic_mode_of_words(void);
/* Switches this CPU's APIC on in the mode that apic_x2 names: by IA32_APIC_BASE and by software,
 * TPR 0, spurious vector APIC_SPURIOUS, which is counted and needs no EOI. */
void apic_enable(void);
/* The id as a destination names it, in both modes. */
u32 apic_id(void);
static inline void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}
/* Sends by the ICR: its low half, and a destination of 8 or 32 bits. */
void apic_send(u32 dest, u32 low);
/* Whether a vector's bit is set in ISR, TMR or IRR. */
bool apic_bit(unsigned offset, u8 vector);

/* The timer's LVT entry (mode, vector, mask), what it divides by (1 to 128), then its count. */
void apic_timer(u32 lvt, unsigned divide, u32 count);
/* The value of the divide register for 1, 2, 4 ... 128. */
u32 apic_divide(unsigned by);

#define IOAPIC_PAGE 0xfec00000u
#define IOAPIC_ID	   0
#define IOAPIC_VERSION	   1
#define IOAPIC_ARBITRATION 2
#define IOAPIC_ENTRY(pin)  (0x10 + 2 * (pin)) /* low half; the high one follows */
#define IOAPIC_LOW	   0x2000 /* polarity */
#define IOAPIC_REMOTE_IRR  0x4000
#define IOAPIC_LEVEL	   0x8000
u32 ioapic_read(unsigned index);
void ioapic_write(unsigned index, u32 value);
/* A pin's redirection entry: low half, and the destination for bits 63 to 56. */
void ioapic_route(unsigned pin, u32 low, u8 dest);

#endif
