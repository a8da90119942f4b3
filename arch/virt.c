/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is common to all virtualization back ends: which one is in use, and the
 * names of exits.
 */
#include "arch/virt.h"

#include "arch/lib/string.h"

const struct virt_ops *virt;

static const char *const exit_names[EXIT_REASONS] = {
#define X(name, text) text,
	VIRT_EXITS(X)
#undef X
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
