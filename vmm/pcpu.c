/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm's part of a physical CPU, made when it is first asked for.
 */
#include "vmm/pcpu.h"

#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/smp.h"

_Static_assert(sizeof(struct pcpu_vmm) <= PAGE_SIZE, "one page");

/* A timer of another pCPU's VM is due earlier than that pCPU has programmed. */
static void timers_earlier(struct vtimer_queue *queue)
{
	struct pcpu_vmm *owner = CONTAINER_OF(queue, struct pcpu_vmm, timers);

	__atomic_store_n(&owner->due, 0, __ATOMIC_SEQ_CST);
	if (owner == this_pcpu()->vmm)
		this_pcpu()->attention = 1;
	for (unsigned i = 0; i < pcpu_count; i++)
		if (pcpu_vmm_of(i) == owner)
			smp_kick(i);
}

struct pcpu_vmm *pcpu_vmm(void)
{
	struct pcpu *pcpu = this_pcpu();
	struct pcpu_vmm *made;

	if (pcpu->vmm)
		return pcpu->vmm;
	made = pages_alloc(1);
	if (made)
		made->timers.earlier = timers_earlier;
	pcpu->vmm = made;
	return made;
}

struct pcpu_vmm *pcpu_vmm_of(unsigned id)
{
	return __atomic_load_n(&pcpus[id]->vmm, __ATOMIC_ACQUIRE);
}
