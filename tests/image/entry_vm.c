/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small VM of the tests on VM entries.
 */
#include "tests/image/entry_vm.h"

#include "arch/lib/string.h"
#include "arch/vmcs.h"

#define NAME(name, encoding) {#name, encoding},
static const struct {
	const char *name;
	u32 field;
} fields[] = {VMCS_FIELDS(NAME)};

bool entry_vm_create(struct vm **out)
{
	struct vm *vm;

	if (vm_create("entry", &vm))
		return false;
	if (vcpu_create(vm, 0, &vm->vcpu)) {
		vm_destroy(vm);
		return false;
	}
	vcpu_load(vm->vcpu);
	vcpu_reset(vm->vcpu);
	*out = vm;
	return true;
}

void entry_vm_destroy(struct vm *vm)
{
	vcpu_put(vm->vcpu);
	vm_destroy(vm);
}

u32 entry_vm_field(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (strlen(fields[i].name) == len && !strncmp(fields[i].name, name, len))
			return fields[i].field;
	return 0;
}

const char *entry_vm_name(u32 field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].field == field)
			return fields[i].name;
	return "?";
}
