/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID tells a guest: a table for each VM, made of the host's answers
 * and an allow-list, default deny; the bits that follow the vCPU's state are
 * put in at each read.
 */
#pragma once

#include "arch/cpu.h"

#define CPUID_ENTRIES_MAX 64
#define CPUID_ANY_SUBLEAF ~0u

struct cpuid_entry {
	u32 leaf;
	u32 subleaf; /* or CPUID_ANY_SUBLEAF */
	struct cpuid_regs regs;
};

/* Sorted by leaf, then subleaf. */
struct cpuid_table {
	unsigned count;
	u32 max_basic, max_extended;
	struct cpuid_entry entry[CPUID_ENTRIES_MAX];
	/* Made of the entries, for the checks of control registers and MSRs. */
	u64 cr4_valid, efer_valid, xcr0_valid, spec_ctrl_valid, pred_cmd_valid;
	bool arch_capabilities;
	unsigned maxphyaddr;
};

/* State of a vCPU that shows in CPUID. */
struct cpuid_state {
	u64 cr4, xcr0;
	u32 apic_id;
	bool apic_on; /* IA32_APIC_BASE.EN */
};

/* Fills the table for VMs of one vCPU on this host, whose TSC has this frequency. */
void cpuid_table_init(struct cpuid_table *table, u64 tsc_hz);
/* The VM has so many vCPUs, 1 to 32: cores of one package. Before cpuid_table_cut. */
void cpuid_set_cpus(struct cpuid_table *table, unsigned count);
/* The clock of the local APIC's timer, which leaf 15h calls the core crystal clock, is the TSC's
 * divided by 1 << this: 0 where the frequency fits the leaf. */
unsigned cpuid_crystal_shift(u64 tsc_hz);
/* Cuts the table down to these entries: vm_set_cpuid of vmm/vm.h. */
int cpuid_table_cut(struct cpuid_table *table, const struct cpuid_entry *entries, unsigned count,
		    char *why, size_t size);
/* The answer to CPUID with EAX = leaf and ECX = subleaf. */
struct cpuid_regs cpuid_query(const struct cpuid_table *table, u32 leaf, u32 subleaf,
			      const struct cpuid_state *state);
