/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended page tables: a VM's guest physical address space. Entries are
 * write-back for RAM, with the guest's PAT ignored, as RAM is also mapped
 * write-back in Trivet's window. Source: Intel SDM volume 3, "The Extended Page
 * Table Mechanism (EPT)".
 */
#include "arch/vmx.h"

#include "arch/lib/audit.h"
#include "arch/mitigate.h"

#define EPT_MEMTYPE	BITS(5, 3)
#define EPT_IGNORE_PAT	BIT(6)
#define EPT_LARGE	BIT(7)
#define EPT_END		BIT(48) /* what four levels translate; beyond it all is a violation */
#define INVEPT_SINGLE	1

_Static_assert(sizeof(struct virt_vm) <= PAGE_SIZE, "a VM is one page");

/* The rest is as the CPUs want it. */
static struct pt_format format = {
	.present = EPT_READ | EPT_WRITE | EPT_EXEC, .table = EPT_READ | EPT_WRITE | EPT_EXEC,
	.large = EPT_LARGE, .held = EPT_EXEC_HELD,
};

int ept_vm_create(struct virt_vm **out)
{
	u64 caps = vmx_caps.ept_vpid_use;
	struct virt_vm *vm = pages_alloc(1);

	if (!vm)
		return -ENOMEM;
	/* Each time the same. */
	format.max_leaf = caps & EPT_CAP_2M ? (caps & EPT_CAP_1G ? 3 : 2) : 1;
	format.small = mitigate_needs(MITIGATE_MULTIHIT) ? EPT_EXEC : 0;
	if (pt_create(&vm->ept, &format)) {
		pages_free(vm, 1);
		return -ENOMEM;
	}
	vm->ept_pointer = virt_to_phys(vm->ept.root).v | MEMORY_TYPE_WB | EPTP_WALK_4;
	*out = vm;
	return 0;
}

void ept_vm_destroy(struct virt_vm *vm)
{
	pt_destroy(&vm->ept, 0, 511);
	pages_free(vm->msr_bitmap, 2);
	pages_free(vm->apic_frame, 1);
	pages_free(vm, 1);
}

int ept_vm_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, u64 size, unsigned rights,
	       enum virt_memtype type)
{
	u64 bits = (rights & MAP_READ ? EPT_READ : 0) | (rights & MAP_WRITE ? EPT_WRITE : 0) |
		   (rights & MAP_EXEC ? EPT_EXEC : 0);

	bits |= FIELD_PREP(EPT_MEMTYPE, type == MEMTYPE_RAM ? MEMORY_TYPE_WB : MEMORY_TYPE_UC);
	if (type == MEMTYPE_RAM)
		bits |= EPT_IGNORE_PAT;
	return pt_map(&vm->ept, gpa.v, hpa, size, bits);
}

int ept_vm_unmap(struct virt_vm *vm, gpa_t gpa, u64 size)
{
	return pt_unmap(&vm->ept, gpa.v, size);
}

/*
 * No flush: this violation has dropped what led to it, and elsewhere an old translation gives
 * less, and at worst leads here too. Source: "Operations that Invalidate Cached Mappings".
 */
int ept_fetch(struct virt_vm *vm, gpa_t gpa)
{
	unsigned level;
	u64 *entry;
	int error = 0;

	SPIN_HOLD(&vm->ept_lock);
	if (gpa.v >= EPT_END)
		return -EFAULT;
	while ((entry = pt_leaf(&vm->ept, gpa.v, &level)) && (*entry & EPT_EXEC_HELD) && !error)
		error = pt_split_leaf(&vm->ept, gpa.v);
	return error ?: entry && (*entry & EPT_EXEC) ? 0 : -EFAULT;
}

/* For all vCPUs of the VM, whatever their VPIDs. */
static void invept(struct virt_vm *vm, u64 ept_pointer)
{
	struct {
		u64 ept_pointer, reserved;
	} descriptor = {ept_pointer, 0};

	AUDIT(AUDIT_INVEPT, vm);
	__asm__ volatile("invept %0, %1" ::"m"(descriptor), "r"((u64)INVEPT_SINGLE) : "cc", "memory");
}

/* A new VM's record is empty: what the CPUs keep of an earlier one with the same root goes. */
void ept_flush(struct vmx_vcpu *v)
{
	struct virt_vm *vm = v->vm;
	u64 *flushed = &vm->flushed[this_pcpu()->id];
	u64 generation = __atomic_load_n(&vm->ept.generation, __ATOMIC_ACQUIRE);
	u64 ept_pointer = __atomic_load_n(&vm->ept_pointer, __ATOMIC_ACQUIRE);

	v->generation = generation;
	vmwrite64(EPT_POINTER, ept_pointer);
	if (*flushed == generation)
		return;
	invept(vm, ept_pointer);
	*flushed = generation;
}
