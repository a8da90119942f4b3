/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine: memory, clock, devices, vCPUs and the requests that end
 * or restart it. What devices may ask of it stands in vmm/vdev.h.
 */
#pragma once

#include "arch/lib/lock.h"
#include "arch/memory.h"
#include "arch/virt.h"
#include "vmm/bus.h"
#include "vmm/console.h"
#include "vmm/cpuid.h"
#include "vmm/load.h"
#include "vmm/once.h"
#include "vmm/region.h"
#include "vmm/vdev.h"

struct vcpu;
struct vtimer_queue;

#define VM_MODULES_MAX 64
#define VM_VCPUS_MAX   32
#define VM_MSR_RANGES  16

/* Why a VM's vCPUs must leave their run loop; bits of vm->requests. */
enum { VM_REQUEST_RESET = 1, VM_REQUEST_END = 2,
       VM_REQUEST_ENDING = 4 /* somebody is about to give the reason */ };

/* Whether HLT exits: only where the vCPU has no pCPU for itself, always, or never. */
enum vm_halt { HALT_AUTO, HALT_EXITS, HALT_PASSES };

/* MSRs [first, last] that the guest may read, write. */
struct vm_msr_range {
	u32 first, last;
	bool read, write;
};

#define VM_LOW_PORTS 0x400

struct vm {
	char name[VM_NAME_MAX], guest_name[VM_NAME_MAX];
	struct space space;
	struct virt_vm *virt;
	struct region_table regions;
	struct mem_object *ram;
	u64 ram_below_4g, ram_above_4g;
	struct vm_module modules[VM_MODULES_MAX];
	unsigned module_count;

	u64 clock_start; /* while the clock runs: host TSC at the VM's clock 0 */
	u64 clock_at;	 /* while it stands still: what it shows */
	bool clock_runs;
	u64 boot_epoch;
	struct vtimer_queue *timers;

	struct spinlock device_lock; /* guards devices, buses, lines, extint_pending */
	struct bus ports, mmio;
	u8 low_ports[VM_LOW_PORTS]; /* 1 + the range in `ports` of an 8-bit device, or 0 */
	struct vdev *devices;
	struct irq_sink *irq_sinks;
	struct extint_source extint;
	bool extint_pending;
	struct eoi_sink eoi_sink;
	struct power_button power_button;
	bool nmi_expected; /* vm_expect_nmi */
	u32 lowest_last;   /* vCPU that took the last lowest-priority interrupt */
	bool apic_page;	   /* as virt->vm_apic_page was told last; guarded by apic_lock */
	struct spinlock apic_lock;

	struct console_stream *console; /* stays when the VM goes */
	u64 allowed_cpus;  /* BIT(pCPU id) of where its vCPUs may run; 0: anywhere */
	enum vm_halt halt;
	unsigned weight;   /* the share of each; 0: the default */
	union {
		struct vcpu *vcpu; /* vCPU 0, with which the machine starts */
		struct vcpu *vcpus[VM_VCPUS_MAX]; /* by id, parked ones too */
	};
	unsigned vcpu_count; /* ids of vCPUs are below it */
	struct cpuid_table cpuid;
	struct vm_msr_policy {
		bool deny; /* what is in no range */
		unsigned count;
		struct vm_msr_range range[VM_MSR_RANGES];
	} msr_policy;

	u32 requests;	     /* VM_REQUEST_*, set by anyone, atomic */
	/* Told by a vCPU that has left its run loop because of them; may come more than once. */
	void (*on_request)(struct vm *vm);
	void *owner;	     /* for on_request */
	char end_reason[192]; /* in words, once VM_REQUEST_END stands; the first one counts */
	u32 exit_code;
	u64 resets;
	bool takes_hypercalls; /* its embedder: vcpu_run returns VCPU_HYPERCALL for those of CPL 0 */
	bool crashed; /* the guest did what cannot be emulated */
	bool ran;     /* a vCPU of it, at least once */
	bool hinted; /* that it writes nothing */
	struct once unknown_ports, unknown_msrs, unknown_gpas;
};

/*
 * Makes an empty VM: no memory, no devices, its clock at 0. 0 or -ENOMEM with
 * nothing left behind. vm_destroy frees all that belongs to it, frames
 * scrubbed; no vCPU of it is loaded anywhere.
 */
int vm_create(const char *name, struct vm **vm);
void vm_destroy(struct vm *vm);

/* That vCPU, where it takes part in the machine: there, and not parked. Else NULL. */
struct vcpu *vm_vcpu(const struct vm *vm, u64 id);
#define VM_FOR_EACH_VCPU(vcpu, vm)                                                                \
	for (unsigned vcpu##_id = 0; vcpu##_id < (vm)->vcpu_count; vcpu##_id++)                   \
		if ((vcpu = vm_vcpu(vm, vcpu##_id)))

/*
 * KVM_SET_CLOCK, as vm_now is KVM_GET_CLOCK: the VM's clock in ticks of vm_clock_hz.
 * The VM is stopped; the TSCs of its vCPUs follow when they are loaded.
 */
void vm_set_clock(struct vm *vm, u64 clock);

/*
 * Clears all its memory; in its space, vCPUs stopped, in a job that yields in
 * between. 0, or -ECANCELED once *cancel (where given) is true.
 */
int vm_scrub(struct vm *vm, const bool *cancel);

/* Lets the VM's clock go on, or stand still; it is created still, at 0. With its vCPUs stopped:
 * their TSC follows when they are loaded. */
void vm_run_clock(struct vm *vm);
void vm_pause_clock(struct vm *vm);

/* Has the timers of its devices served by this pCPU from now on. */
void vm_move_timers(struct vm *vm);

/*
 * KVM_SET_CPUID2, before the first run: the guest sees these leaves only; it
 * starts from vm->cpuid, what Trivet offers, of which only bits may go (of the
 * highest leaves and the address width, the number may be lower; what
 * describes state must be the same). 0, -EBUSY after the first run, or -EINVAL
 * with the leaf and register in `why`, nothing changed.
 */
int vm_set_cpuid(struct vm *vm, const struct cpuid_entry *entries, unsigned count, char *why,
		 size_t size);
/*
 * KVM_X86_SET_MSR_FILTER, before the first run: an MSR in a range has the rights
 * of the first such range, any other one all or none; an access without right is
 * #GP. Adds no MSR to those that Trivet has. 0, -EBUSY after the first run,
 * -E2BIG for more than VM_MSR_RANGES, -EINVAL for one that is upside down,
 * -ENOMEM. No vCPU is loaded.
 */
int vm_set_msr_policy(struct vm *vm, bool allow, const struct vm_msr_range *ranges,
		      unsigned count);

/*
 * KVM_GET_IRQCHIP, KVM_GET_PIT2 and their SETs for any device: the `index`th one
 * of a type by name, in the order of creation. The VM is stopped. Save: bytes
 * written, -ENOENT or -ENOSPC; restore, at the same clock: 0, -ENOENT, or -EINVAL
 * for a blob that no save can have made, nothing changed.
 */
int vm_save_device(struct vm *vm, const char *type, unsigned index, void *blob, size_t size);
int vm_restore_device(struct vm *vm, const char *type, unsigned index, const void *blob,
		      size_t size);

/*
 * Stops all vCPUs of a VM at the top of their run loops, out of every pCPU: what
 * changes or looks at the whole VM stands between these two. They nest, and wait
 * as sched_hold does. vm_go has each vCPU look for work, halted or not.
 */
void vm_stop(struct vm *vm);
void vm_go(struct vm *vm);

/* Presses the power button; -ENODEV where the machine has none. Any pCPU, no locks. */
int vm_press_power(struct vm *vm);

/* Ends the VM with a reason in words; the first reason counts. Any CPU. */
void vm_end(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The guest did what cannot be emulated: as vm_end, and its life logs vCPU 0's state. */
void vm_kill(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
