/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recognises Trivet by its CPUID leaf.
 */
#include "guest/lib/cpu.h"
#include "vmm/abi.h"

bool cpu_on_trivet(void)
{
	struct cpuid leaf = cpuid(ABI_CPUID_TRIVET, 0);

	return cpu_has_hypervisor() && !memcmp(&leaf.ebx, ABI_CPUID_TRIVET_NAME, 12);
}
