/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU data and stacks. The boot CPU's are in the image, since they are
 * needed before there is memory; the others' come from pages_alloc, and their
 * stacks are mapped in the stack area with a hole below each.
 */
#include "arch/percpu.h"

#include "arch/cpu.h"
#include "arch/cpu_setup.h"
#include "arch/desc.h"
#include "arch/memory.h"
#include "arch/msr.h"

/* entry.asm counts on it. */
_Static_assert(offsetof(struct pcpu_stacks, ist) == PAGE_SIZE + 16384, "main stack's top");

/* Room for one CPU in the stack area. */
#define STACKS_STRIDE ALIGN_UP(sizeof(struct pcpu_stacks), KIB(64))

struct own {
	struct pcpu pcpu;
	struct desc desc;
};

struct pcpu_stacks boot_stacks __attribute__((aligned(4096)));
unsigned pcpu_count = 1;

static struct own boot_own;
struct pcpu *pcpus[PCPU_MAX] = {&boot_own.pcpu};

static void init_own(struct own *own, u32 id, u32 apic_id, const struct pcpu_stacks *stacks)
{
	u64 ist[IST_COUNT];

	for (unsigned i = 0; i < IST_COUNT; i++)
		ist[i] = (u64)&stacks->ist[i + 1];
	own->pcpu.self = &own->pcpu;
	own->pcpu.stack_top = (u64)&stacks->ist[0];
	own->pcpu.id = id;
	own->pcpu.apic_id = apic_id;
	own->pcpu.space = boot_own.pcpu.space;
	desc_init(&own->desc, ist);
}

void pcpu_init_boot(void)
{
	init_own(&boot_own, 0, cpuid(1, 0).ebx >> 24, &boot_stacks);
	boot_own.pcpu.shared.started = 1;
	pcpu_load(&boot_own.pcpu);
}

void pcpu_load(struct pcpu *pcpu)
{
	struct own *own = CONTAINER_OF(pcpu, struct own, pcpu);

	desc_load(&own->desc);
	wrmsr(MSR_GS_BASE, (u64)pcpu);
	cpu_setup();
}

/* Main stack and interrupt stacks, each by itself: the guards stay holes. */
static int map_stacks(const struct pcpu_stacks *stacks)
{
	int error = stack_map(stacks->main, sizeof(stacks->main));

	for (unsigned i = 0; i < ARRAY_SIZE(stacks->ist) && !error; i++)
		error = stack_map(stacks->ist[i].stack, sizeof(stacks->ist[i].stack));
	return error;
}

static void unmap_stacks(const struct pcpu_stacks *stacks)
{
	stack_unmap(stacks->main, sizeof(stacks->main));
	for (unsigned i = 0; i < ARRAY_SIZE(stacks->ist); i++)
		stack_unmap(stacks->ist[i].stack, sizeof(stacks->ist[i].stack));
}

static struct pcpu_stacks *stacks_of(u32 id)
{
	return (struct pcpu_stacks *)(STACK_BASE + id * STACKS_STRIDE);
}

struct pcpu *pcpu_create(u32 apic_id)
{
	struct own *own;
	u32 id = pcpu_count;

	_Static_assert(sizeof(struct own) <= PAGE_SIZE, "one page for each CPU's own data");
	if (id == PCPU_MAX)
		return NULL;
	own = pages_alloc(1);
	if (!own)
		return NULL;
	if (map_stacks(stacks_of(id))) {
		unmap_stacks(stacks_of(id));
		pages_free(own, 1);
		return NULL;
	}
	init_own(own, id, apic_id, stacks_of(id));
	pcpus[id] = &own->pcpu;
	pcpu_count = id + 1;
	return &own->pcpu;
}

void pcpu_cancel(struct pcpu *pcpu)
{
	unmap_stacks(stacks_of(pcpu->id));
	pcpus[pcpu->id] = NULL;
	pcpu_count--;
	pages_free(CONTAINER_OF(pcpu, struct own, pcpu), 1);
}
