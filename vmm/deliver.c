/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus between the I/O APIC, the senders of MSIs and the local APICs: which
 * vCPUs a message is for. Source: Intel SDM volume 3, "Determining IPI
 * Destination", "Interrupt Distribution Mechanisms" and "Message Signalled
 * Interrupts".
 */
#include "vmm/lapic_vector.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* Address and data of an MSI. */
#define MSI_ADDRESS	  0xfee00000ull
enum { MSI_LOGICAL = BIT(2), MSI_REDIRECT = BIT(3), MSI_ASSERT = BIT(14), MSI_LEVEL = BIT(15) };
#define MSI_DEST   BITS(19, 12)
#define MSI_VECTOR BITS(7, 0)
#define MSI_MODE   BITS(10, 8)
#define XAPIC_BROADCAST 0xff

/* Lower than that of any other is taken first; of equals, the next behind the last one. */
static unsigned rank(const struct vm *vm, const struct vcpu *vcpu)
{
	unsigned tpr = vcpu->virt->apic[LAPIC_TPR / 4] >> 4 & 15;

	return tpr * VM_VCPUS_MAX + (vcpu->id - vm->lowest_last - 1) % VM_VCPUS_MAX;
}

static bool deliver_lowest(struct vm *vm, const struct apic_msg *msg)
{
	struct apic_msg fixed = *msg;
	struct vcpu *vcpu, *best = NULL;

	VM_FOR_EACH_VCPU(vcpu, vm)
		if (lapic_matches(vcpu, msg->dest, msg->logical) && lapic_listens(vcpu) &&
		    (!best || rank(vm, vcpu) < rank(vm, best)))
			best = vcpu;
	fixed.mode = APIC_FIXED;
	if (!best)
		return false;
	__atomic_store_n(&vm->lowest_last, best->id, __ATOMIC_RELAXED);
	return lapic_accept(best, &fixed);
}

bool vm_deliver(struct vm *vm, const struct apic_msg *msg)
{
	struct vcpu *vcpu;
	bool taken = false;

	if (msg->mode == APIC_LOWEST)
		return deliver_lowest(vm, msg);
	/* Mostly one: no need to ask all. */
	if (!msg->logical && msg->dest != APIC_BROADCAST) {
		vcpu = vm_vcpu(vm, msg->dest);
		return vcpu && lapic_accept(vcpu, msg);
	}
	VM_FOR_EACH_VCPU(vcpu, vm)
		if (lapic_matches(vcpu, msg->dest, msg->logical))
			taken |= lapic_accept(vcpu, msg);
	return taken;
}

void vm_deliver_ipi(struct vcpu *from, const struct apic_msg *msg, unsigned shorthand)
{
	struct vm *vm = from->vm;
	struct vcpu *vcpu;
	struct apic_msg all = {.dest = APIC_BROADCAST, .mode = APIC_LOWEST, .vector = msg->vector};

	if (shorthand == IPI_DEST) {
		vm_deliver(vm, msg);
		return;
	}
	/* "[...] can be redirected back to the issuing APIC, which is essentially the same as the
	 * "all including self" destination mode" */
	if (shorthand == IPI_OTHERS && msg->mode == APIC_LOWEST) {
		vm_deliver(vm, &all);
		return;
	}
	/* "Valid Combinations": to itself a CPU can send vectors only. */
	if (shorthand != IPI_OTHERS && msg->mode != APIC_FIXED)
		return;
	if (shorthand == IPI_SELF) {
		lapic_accept(from, msg);
		return;
	}
	VM_FOR_EACH_VCPU(vcpu, vm)
		if (vcpu != from || shorthand != IPI_OTHERS)
			lapic_accept(vcpu, msg);
}

int vm_signal_msi(struct vm *vm, u64 address, u32 data)
{
	struct apic_msg msg = {
		.dest = FIELD_GET(MSI_DEST, address), .logical = address & MSI_LOGICAL,
		.mode = FIELD_GET(MSI_MODE, data), .vector = FIELD_GET(MSI_VECTOR, data),
		.level = data & MSI_LEVEL,
	};

	if ((address & ~BITS(19, 0)) != MSI_ADDRESS)
		return -EINVAL;
	/* "Deassert" of a level is no interrupt. */
	if (msg.level && !(data & MSI_ASSERT))
		return 0;
	if (!msg.logical && msg.dest == XAPIC_BROADCAST)
		msg.dest = APIC_BROADCAST;
	/* "Redirection hint": one of those that the destination means. */
	if ((address & MSI_REDIRECT) && msg.mode == APIC_FIXED)
		msg.mode = APIC_LOWEST;
	vm_deliver(vm, &msg);
	return 0;
}
