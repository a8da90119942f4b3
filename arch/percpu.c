/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU data and stacks, with a hole below each stack. The boot CPU's are in
 * the image, since they are needed before there is memory; the others' come from
 * pages_alloc and are never given back.
 */
#include "arch/percpu.h"

#include "arch/cpu.h"
#include "arch/cpu_setup.h"
#include "arch/desc.h"
#include "arch/memory.h"
#include "arch/msr.h"
#include "arch/space.h"

/* entry.asm counts on it. */
_Static_assert(offsetof(struct pcpu_stacks, ist) == PAGE_SIZE + 16384, "main stack's top");

#define RANDOM_TRIES 10

struct own {
	struct pcpu pcpu;
	struct desc desc;
};

struct pcpu_stacks boot_stacks __attribute__((aligned(4096)));
unsigned pcpu_count = 1;

static struct own boot_own;
struct pcpu *pcpus[PCPU_MAX] = {&boot_own.pcpu};

/*
 * Differs between boots and CPUs: by the CPU's own random numbers where it has them, by
 * the time in any case. Its lowest byte is 0, so that no text can hold it.
 */
static NO_STACK_GUARD u64 random_guard(u32 id)
{
	u64 guard = 0;

	for (unsigned i = 0; i < RANDOM_TRIES && cpuid(1, 0).ecx & BIT(30); i++)
		if (rdrand(&guard))
			break;
	guard = (guard ^ rdtsc() ^ BIT(63) >> id) * 0x9e3779b97f4a7c15;
	return (guard ^ guard >> 29) << 8;
}

static NO_STACK_GUARD void init_own(struct own *own, u32 id, u32 apic_id,
				     const struct pcpu_stacks *stacks)
{
	own->pcpu.self = &own->pcpu;
	own->pcpu.stack_guard = random_guard(id);
	own->pcpu.stack_top = (u64)&stacks->ist[0];
	own->pcpu.id = id;
	own->pcpu.apic_id = apic_id;
	own->pcpu.space = boot_own.pcpu.space;
	desc_init(&own->desc, stacks);
}

NO_STACK_GUARD void pcpu_init_boot(void)
{
	init_own(&boot_own, 0, cpuid(1, 0).ebx >> 24, &boot_stacks);
	boot_own.pcpu.shared.started = 1;
	pcpu_load(&boot_own.pcpu);
}

NO_STACK_GUARD void pcpu_load(struct pcpu *pcpu)
{
	struct own *own = CONTAINER_OF(pcpu, struct own, pcpu);

	desc_load(&own->desc);
	wrmsr(MSR_GS_BASE, (u64)pcpu);
	cpu_setup();
}

struct pcpu *pcpu_create(u32 apic_id)
{
	struct own *own = pcpu_count < PCPU_MAX ? pages_alloc(1) : NULL;
	struct pcpu_stacks *stacks = own ? pages_alloc(sizeof(*stacks) / PAGE_SIZE) : NULL;

	_Static_assert(sizeof(struct own) <= PAGE_SIZE, "one page for each CPU's own data");
	/* Its holes need memory only for the first, which splits a large page. */
	if (!stacks || space_guard(stacks)) {
		pages_free(stacks, sizeof(*stacks) / PAGE_SIZE);
		pages_free(own, 1);
		return NULL;
	}
	init_own(own, pcpu_count, apic_id, stacks);
	pcpus[pcpu_count++] = &own->pcpu;
	return &own->pcpu;
}

void pcpu_cancel(void)
{
	pcpu_count--;
}
