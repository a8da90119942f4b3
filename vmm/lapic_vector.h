/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two halves of the local APIC share: vmm/lapic.c has the registers,
 * vmm/lapic_vector.c the way of a vector from IRR by the CPU to its end.
 */
#pragma once

#include "vmm/lapic.h"

#define LAPIC_VECTOR_MIN 16 /* those below are illegal */

enum { BASE_BSP = BIT(8), BASE_X2APIC = BIT(10), BASE_ENABLE = BIT(11) };
enum { ICR_ASSERT = BIT(14) };
enum { SVR_ENABLE = BIT(8) };
enum { LVT_MASKED = BIT(16) };
enum { ESR_SEND_ILLEGAL = BIT(5), ESR_RECEIVE_ILLEGAL = BIT(6), ESR_ILLEGAL_REGISTER = BIT(7),
       ESR_ALL = BITS(7, 5) };

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
/* The processor priority. */
u32 lapic_ppr(const struct vcpu *vcpu);
/* After a change of mode: looks at the bits anew, and hands them to the CPU where it delivers. */
void lapic_resume(struct vcpu *vcpu);
