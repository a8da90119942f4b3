/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log: which 4 KiB pages a guest writes. The page-modification log
 * tells it where the CPU has one, the dirty flags of the EPT where it has those,
 * and elsewhere each page faults at its first write. The flags are on only
 * while a log is, since with them walks of the guest's tables count as writes,
 * which tables in a read-only region refuse. Source: Intel SDM volume 3,
 * "Accessed and Dirty Flags for EPT", "Page-Modification Logging" and "EPT
 * Violations".
 */
#include "arch/vmx.h"

/* Exit qualification: a write; for a linear address; to where that leads, else to a table. */
enum { VIOLATION_WRITE = BIT(1), VIOLATION_LINEAR = BIT(7), VIOLATION_FINAL = BIT(8) };

static struct vmx_log *find(struct virt_vm *vm, u64 gpa)
{
	for (unsigned i = 0; i < vm->logs; i++)
		if (gpa - vm->log[i].gpa < vm->log[i].size)
			return &vm->log[i];
	return NULL;
}

static void note(const struct vmx_log *log, u64 gpa)
{
	bit_set_atomic(log->bitmap, (gpa - log->gpa) / PAGE_SIZE);
}

static u64 *entry_of(struct virt_vm *vm, u64 gpa)
{
	unsigned level;

	return pt_leaf(&vm->ept, gpa, &level);
}

/* The first log decides how all are kept. */
static void choose(struct virt_vm *vm)
{
	bool flags = vmx_caps.ept_vpid_use & EPT_CAP_AD;

	vm->protect = !flags;
	vm->scan = flags && !vmx_uses(VMX_PROC2, PROC2_PML);
	if (flags)
		vm->ept_pointer |= EPTP_AD;
}

/* The next write to the page is to be seen again. */
static void watch(struct virt_vm *vm, u64 *entry)
{
	u64 gone = EPT_ACCESSED | EPT_DIRTY | (vm->protect ? EPT_WRITE : 0);

	__atomic_fetch_and(entry, ~gone, __ATOMIC_ACQ_REL);
}

static int begin(struct virt_vm *vm, u64 gpa, u64 size, u64 *bitmap)
{
	if (vm->logs == VIRT_LOGS_MAX)
		return -ENOSPC;
	if (pt_split(&vm->ept, gpa, size)) {
		pt_merge(&vm->ept, gpa, size);
		return -ENOMEM;
	}
	if (vm->logs == 0)
		choose(vm);
	vm->log[vm->logs++] = (struct vmx_log){gpa, size, bitmap};
	for (u64 done = 0; done < size; done += PAGE_SIZE)
		watch(vm, entry_of(vm, gpa + done));
	pt_downgraded(&vm->ept);
	return 0;
}

static void take(struct virt_vm *vm, const struct vmx_log *log)
{
	for (u64 page = 0; page < log->size / PAGE_SIZE; page++) {
		u64 gpa = log->gpa + page * PAGE_SIZE, *entry;

		if (!vm->scan && log->bitmap[page / 64] == 0) {
			page |= 63; /* nor the rest of the word */
			continue;
		}
		entry = entry_of(vm, gpa);
		if (vm->scan && (*entry & EPT_DIRTY))
			note(log, gpa);
		if (log->bitmap[page / 64] & BIT(page % 64))
			watch(vm, entry);
	}
	pt_downgraded(&vm->ept);
}

static void end(struct virt_vm *vm, struct vmx_log *log)
{
	take(vm, log);
	for (u64 done = 0; done < log->size; done += PAGE_SIZE) {
		u64 *entry = entry_of(vm, log->gpa + done);

		*entry = (*entry | EPT_WRITE) & ~(u64)(EPT_ACCESSED | EPT_DIRTY);
	}
	pt_merge(&vm->ept, log->gpa, log->size);
	*log = vm->log[--vm->logs];
	if (vm->logs == 0)
		vm->ept_pointer &= ~(u64)EPTP_AD;
}

int vmx_dirty_log(struct virt_vm *vm, gpa_t gpa, u64 size, u64 *bitmap)
{
	struct vmx_log *log = find(vm, gpa.v);

	if (bitmap)
		return begin(vm, gpa.v, size, bitmap);
	if (log)
		end(vm, log);
	return 0;
}

void vmx_dirty_take(struct virt_vm *vm, gpa_t gpa)
{
	const struct vmx_log *log = find(vm, gpa.v);

	if (log)
		take(vm, log);
}

/*
 * Goes on without the dirty flags. Other vCPUs may run with them until their next
 * exit: what they write has its flag, now or by then, so the flags are read too.
 */
static void protect(struct virt_vm *vm)
{
	vm->scan = true;
	vm->protect = true;
	for (unsigned i = 0; i < vm->logs; i++)
		for (u64 done = 0; done < vm->log[i].size; done += PAGE_SIZE) {
			u64 *entry = entry_of(vm, vm->log[i].gpa + done);

			if (!(__atomic_load_n(entry, __ATOMIC_ACQUIRE) & EPT_DIRTY))
				__atomic_fetch_and(entry, ~EPT_WRITE, __ATOMIC_ACQ_REL);
		}
	vm->ept_pointer &= ~EPTP_AD;
	pt_downgraded(&vm->ept);
}

bool vmx_dirty_fault(struct vmx_vcpu *v, gpa_t gpa, u64 qualification)
{
	const struct vmx_log *log = find(v->vm, gpa.v);
	bool walk = (qualification & (VIOLATION_LINEAR | VIOLATION_FINAL)) == VIOLATION_LINEAR;
	u64 *entry;

	if (v->vm->logs == 0 || !(qualification & VIOLATION_WRITE))
		return false;
	entry = entry_of(v->vm, gpa.v);
	if (log && v->vm->protect) {
		note(log, gpa.v);
		__atomic_fetch_or(entry, EPT_WRITE, __ATOMIC_ACQ_REL);
		return true;
	}
	/* Reading the guest's tables, in a region that is read-only, counted as a write,
	 * now or when this vCPU entered. */
	if (log || !entry || !walk)
		return false;
	if (!(v->vm->ept_pointer & EPTP_AD))
		return v->generation != __atomic_load_n(&v->vm->ept.generation, __ATOMIC_ACQUIRE);
	protect(v->vm);
	return true;
}

/* The index is that of the next free entry, FFFFh when there is none. */
void vmx_dirty_drain(struct vmx_vcpu *v)
{
	u16 index = vmread16(PML_INDEX);

	if (index == PML_LAST)
		return;
	for (u16 i = index + 1; i <= PML_LAST; i++) {
		const struct vmx_log *log = find(v->vm, v->pml[i]);

		if (log)
			note(log, v->pml[i]);
	}
	vmwrite16(PML_INDEX, PML_LAST);
}
