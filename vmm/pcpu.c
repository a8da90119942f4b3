/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm's part of a physical CPU, made when it is first asked for.
 */
#include "vmm/pcpu.h"

#include "arch/memory.h"
#include "arch/percpu.h"

_Static_assert(sizeof(struct vtimer_queue) <= PAGE_SIZE, "one page");

struct vtimer_queue *pcpu_timers(void)
{
	struct pcpu *pcpu = this_pcpu();

	if (!pcpu->vmm)
		pcpu->vmm = pages_alloc(1);
	return pcpu->vmm;
}
