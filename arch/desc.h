/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segment descriptors, task state segment and interrupt table. Each CPU has
 * its own GDT and TSS, all share the IDT. Source: Intel SDM volume 3,
 * "Segment Descriptor Types", "64-Bit Mode TSS", "64-Bit Mode IDT Gates".
 */
#pragma once

#include "arch/lib/types.h"

enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18 };

/* Interrupt stacks, the TSS's IST fields 1 to 4. */
enum desc_ist { IST_NMI = 1, IST_DF, IST_MC, IST_DB, IST_COUNT = IST_DB };

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 ist[8]; /* ist[0] is reserved */
	u64 reserved1;
	u16 reserved2;
	u16 io_map;
} __attribute__((packed));

/* What LGDT, LIDT, SGDT and SIDT work on. */
struct desc_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* One CPU's own descriptors. */
struct desc {
	u64 gdt[SEL_TSS / 8 + 2];
	struct tss tss;
};

struct pcpu_stacks;

/* Fills the tables for a CPU with these stacks. */
void desc_init(struct desc *desc, const struct pcpu_stacks *stacks);
/* Loads GDT, TSS, IDT and all segment registers on this CPU; GS base becomes 0. */
void desc_load(struct desc *desc);
