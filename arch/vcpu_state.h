/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Architectural state of a vCPU as KVM's KVM_SET_REGS and KVM_SET_SREGS group
 * it. Neutral to the virtualization back end.
 */
#pragma once

#include "arch/lib/types.h"

/* Numbering as in ModRM and REX: the order of the instruction encoding. */
enum gpr {
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	GPR_COUNT
};

struct vcpu_regs {
	u64 gpr[GPR_COUNT];
	u64 rip, rflags;
};

/* Numbering as in the sreg field of MOV Sreg. */
enum sreg { SREG_ES, SREG_CS, SREG_SS, SREG_DS, SREG_FS, SREG_GS, SREG_COUNT };

struct vcpu_segment {
	u64 base;
	u32 limit; /* in bytes, granularity applied */
	u16 selector;
	u8 type;     /* descriptor type, bits 43:40 */
	bool s;	     /* code or data */
	u8 dpl;
	bool present, avl;
	bool l, db, g; /* 64-bit code, default size, granularity */
	bool unusable; /* null selector loaded */
};

struct vcpu_dtable {
	u64 base;
	u16 limit;
};

struct vcpu_sregs {
	struct vcpu_segment seg[SREG_COUNT];
	struct vcpu_segment tr, ldtr;
	struct vcpu_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8, efer;
	u64 pdpte[4]; /* with PAE paging: the loaded page directory pointers */
};
