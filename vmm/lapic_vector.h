/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two halves of the local APIC share: vmm/lapic.c has the registers,
 * vmm/lapic_vector.c the way of a vector from IRR by the CPU to its end.
 */
#pragma once

#include "vmm/lapic.h"
#include "vmm/vcpu.h"

#define LAPIC_VECTOR_MIN 16 /* those below are illegal */

enum { BASE_BSP = BIT(8), BASE_X2APIC = BIT(10), BASE_ENABLE = BIT(11) };
enum { ICR_ASSERT = BIT(14), ICR_SHORTHAND = BITS(19, 18) };
enum { SVR_ENABLE = BIT(8) };
enum { LVT_MASKED = BIT(16) };
enum { ESR_SEND_ILLEGAL = BIT(5), ESR_RECEIVE_ILLEGAL = BIT(6), ESR_ILLEGAL_REGISTER = BIT(7),
       ESR_ALL = BITS(7, 5) };

#define BITMAP_WORDS 8
#define ALL_WORDS    BITS(BITMAP_WORDS - 1, 0)

/* The word of a bitmap of 256 that a vector is in: each has 16 bytes for itself. */
static inline u32 *lapic_word(const struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	return &vcpu->virt->apic[bitmap / 4 + vector / 32 * 4];
}

static inline bool lapic_test(const struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	return __atomic_load_n(lapic_word(vcpu, bitmap, vector), __ATOMIC_RELAXED) &
	       BIT(vector % 32);
}

/* The highest vector in the words of a bitmap that a mask names, or -1. */
static inline int lapic_highest(const struct vcpu *vcpu, unsigned bitmap, u32 words)
{
	for (; words; words &= ~BIT(31 - __builtin_clz(words))) {
		int i = 31 - __builtin_clz(words);
		u32 word = vcpu->virt->apic[bitmap / 4 + i * 4];

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

/* Takes a vector into service, above all that are. */
static inline void lapic_begin(struct vcpu *vcpu, u8 vector)
{
	*lapic_word(vcpu, LAPIC_ISR, vector) |= BIT(vector % 32);
	vcpu->lapic.isr_words |= BIT(vector / 32);
	vcpu->lapic.isr_highest = vector;
}

/* Takes the highest vector out of ISR; the next one there, or -1. */
static inline int lapic_end(struct vcpu *vcpu, u8 vector)
{
	struct lapic *lapic = &vcpu->lapic;
	u32 *word = lapic_word(vcpu, LAPIC_ISR, vector);
	int next = -1;

	*word &= ~BIT(vector % 32);
	if (!*word)
		lapic->isr_words &= ~BIT(vector / 32);
	if (vcpu->virt->apic_delivers)
		next = lapic_highest(vcpu, LAPIC_ISR, ALL_WORDS);
	else if (lapic->isr_words)
		next = lapic_highest(vcpu, LAPIC_ISR, lapic->isr_words);
	lapic->isr_highest = next < 0 ? 0 : next;
	return next;
}

/* The highest vector in service, or 0. */
static inline u8 lapic_in_service(const struct vcpu *vcpu)
{
	int vector;

	if (!vcpu->virt->apic_delivers)
		return vcpu->lapic.isr_highest;
	vector = lapic_highest(vcpu, LAPIC_ISR, ALL_WORDS);
	return vector < 0 ? 0 : vector;
}

/* The processor priority. */
static inline u32 lapic_ppr(const struct vcpu *vcpu)
{
	u32 tpr = vcpu->virt->apic[LAPIC_TPR / 4] & 0xff;
	u8 isr = lapic_in_service(vcpu);

	return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

/* Whether it takes vectors: it is enabled, by IA32_APIC_BASE and by software. */
static inline bool lapic_listens(const struct vcpu *vcpu)
{
	return (vcpu->lapic.base & BASE_ENABLE) && (vcpu->virt->apic[LAPIC_SVR / 4] & SVR_ENABLE);
}

/* The modes of LVT Timer. */
enum { LAPIC_TIMER_ONE_SHOT, LAPIC_TIMER_PERIODIC, LAPIC_TIMER_DEADLINE };

/* The destination shorthands of ICR. */
enum { IPI_DEST, IPI_SELF, IPI_ALL, IPI_OTHERS };
/* Delivers an IPI of a vCPU; vmm/deliver.c. */
void vm_deliver_ipi(struct vcpu *from, const struct apic_msg *msg, unsigned shorthand);

/* Notes an error, and raises the vector of LVT Error. Any pCPU. */
void lapic_error(struct vcpu *vcpu, u32 error);
/* Raises what an LVT entry, by its register, says; a masked one nothing. */
void lapic_local(struct vcpu *vcpu, unsigned lvt);
/* Brings what others have sent into IRR; or forgets it. */
void lapic_take_posted(struct vcpu *vcpu);
void lapic_drop_posted(struct vcpu *vcpu);
/* After a change of mode: looks at the bits anew, and hands them to the CPU where it delivers. */
void lapic_resume(struct vcpu *vcpu);
