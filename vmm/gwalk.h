/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walker of the guest's own page tables, for what Trivet does in the guest's
 * name: fetching an instruction, reaching its memory operand. It gives the
 * guest physical address, or the error code of the page fault that the CPU
 * would raise. No paging, two-level, PAE and four-level tables; five levels
 * and protection keys are hidden from guests.
 */
#pragma once

#include "arch/lib/types.h"

struct vm;

/* The guest's view of the registers that rule a walk. */
struct gwalk_ctx {
	u64 cr0, cr3, cr4, efer;
	const u64 *pdpte; /* PAE: the four loaded entries; NULL reads them at CR3 */
	unsigned cpl;
	unsigned maxphyaddr;	  /* of the guest's CPUID, 32 to 52 */
	bool ac;		  /* EFLAGS.AC */
	bool implicit_supervisor; /* access to a descriptor table, TSS and the like */
};

/* Kinds of access; 0 is a data read. */
enum { GWALK_WRITE = BIT(0), GWALK_FETCH = BIT(1) };
/* No access at all: rights are not checked, accessed and dirty bits stay (a debugger's look);
 * *error tells the rights of a translation that was found: PF_WRITE, PF_USER. */
#define GWALK_PEEK BIT(2)

/* Page-fault error code: SDM volume 3, "Page-Fault Exceptions". */
enum { PF_PRESENT = BIT(0), PF_WRITE = BIT(1), PF_USER = BIT(2), PF_RSVD = BIT(3), PF_FETCH = BIT(4) };

/*
 * Translates a linear address of the VM whose space is loaded. Returns 0 with
 * *gpa set and the accessed and dirty bits of the entries used, or -EFAULT
 * with *error the page fault's error code. A canonical address is the caller's
 * business; outside IA-32e mode the address is cut to 32 bits. Tables in no
 * RAM read as all ones and ignore writes. Each entry is fetched once.
 * Source: SDM volume 3, chapter "Paging".
 */
int gwalk_translate(struct vm *vm, const struct gwalk_ctx *ctx, gva_t gva, unsigned access,
		    gpa_t *gpa, u32 *error);
