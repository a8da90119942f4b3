/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is common to all virtualization back ends: which one is in use, and the
 * names of exits.
 */
#include "arch/virt.h"

#include "arch/lib/string.h"

const struct virt_ops *virt;

static const char *const exit_names[EXIT_REASONS] = {
	[EXIT_HOST] = "host",
	[EXIT_DEADLINE] = "deadline",
	[EXIT_INTR_WINDOW] = "interrupt-window",
	[EXIT_NMI_WINDOW] = "nmi-window",
	[EXIT_IO] = "io",
	[EXIT_MEMORY] = "memory",
	[EXIT_CPUID] = "cpuid",
	[EXIT_RDMSR] = "rdmsr",
	[EXIT_WRMSR] = "wrmsr",
	[EXIT_CR] = "cr",
	[EXIT_DR] = "dr",
	[EXIT_HLT] = "hlt",
	[EXIT_SHUTDOWN] = "shutdown",
	[EXIT_HYPERCALL] = "hypercall",
	[EXIT_XSETBV] = "xsetbv",
	[EXIT_CACHE] = "cache",
	[EXIT_UNDEFINED] = "undefined",
	[EXIT_PROTECTED] = "protected",
	[EXIT_EXCEPTION] = "exception",
	[EXIT_STEP] = "step",
	[EXIT_TASK_SWITCH] = "task-switch",
	[EXIT_INIT] = "init",
	[EXIT_ENTRY_FAILED] = "entry-failed",
	[EXIT_MACHINE_CHECK] = "machine-check",
	[EXIT_UNKNOWN] = "unknown",
};

const char *virt_exit_name(enum vcpu_exit_reason reason)
{
	return reason < EXIT_REASONS ? exit_names[reason] : "?";
}

bool virt_supports(const char *name)
{
	unsigned count;
	const struct virt_feature *feature = virt->features(&count);

	for (unsigned i = 0; i < count; i++)
		if (!strcmp(feature[i].name, name))
			return feature[i].used;
	return false;
}
