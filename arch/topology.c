/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The APIC id's low bits number the threads of a core; CPUID tells how many
 * bits, leaf 1Fh before 0Bh, and on CPUs that have neither leaves 1 and 4.
 */
#include "arch/topology.h"

#include "arch/cpu.h"
#include "arch/percpu.h"

#define LEVEL_TYPE	BITS(15, 8)
#define LEVEL_SMT	1
#define LEVEL_SHIFT	BITS(4, 0)
#define CPUID_1_EDX_HTT BIT(28)
#define LOGICAL_COUNT	BITS(23, 16) /* leaf 1 EBX: ids in a package */
#define CORE_COUNT	BITS(31, 26) /* leaf 4 EAX: less one */

/* Bits that number `count` things. */
static unsigned bits_for(unsigned count)
{
	return count > 1 ? 32 - (unsigned)__builtin_clz(count - 1) : 0;
}

static unsigned thread_bits(void)
{
	static const u32 leaves[] = {0x1f, 0x0b};
	u32 last = cpuid(0, 0).eax;
	unsigned logical, cores;

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct cpuid_regs r = cpuid(leaves[i], 0);

		if (last >= leaves[i] && r.ebx && FIELD_GET(LEVEL_TYPE, r.ecx) == LEVEL_SMT)
			return FIELD_GET(LEVEL_SHIFT, r.eax);
	}
	if (!(cpuid(1, 0).edx & CPUID_1_EDX_HTT))
		return 0;
	logical = FIELD_GET(LOGICAL_COUNT, cpuid(1, 0).ebx);
	cores = last >= 4 ? FIELD_GET(CORE_COUNT, cpuid(4, 0).eax) + 1 : 1;
	return bits_for(logical) > bits_for(cores) ? bits_for(logical) - bits_for(cores) : 0;
}

u64 topology_cpus(bool threads)
{
	unsigned bits = thread_bits();
	u64 cpus = 0;

	for (unsigned i = 0; i < pcpu_count; i++) {
		bool first = true;

		for (unsigned j = 0; j < i; j++)
			first &= !pcpus[j]->virt ||
				 pcpus[i]->apic_id >> bits != pcpus[j]->apic_id >> bits;
		if (pcpus[i]->virt && (first || threads))
			cpus |= BIT(i);
	}
	return cpus;
}
