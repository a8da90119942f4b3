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

/* Why a VM's vCPUs must leave their run loop; bits of vm->requests. */
enum { VM_REQUEST_RESET = 1, VM_REQUEST_END = 2 };

struct vm {
	char name[VM_NAME_MAX];
	char guest_name[VM_NAME_MAX];
	struct space space;
	struct virt_vm *virt;
	struct region_table regions;
	struct mem_object *ram;
	u64 ram_below_4g, ram_above_4g;
	struct vm_module modules[VM_MODULES_MAX];
	unsigned module_count;

	u64 clock_start; /* host TSC at the VM's clock 0 */
	u64 boot_epoch;
	struct vtimer_queue *timers;

	struct spinlock device_lock; /* guards devices, buses, lines, extint_pending */
	struct bus ports, mmio;
	struct vdev *devices;
	struct irq_sink *irq_sinks;
	struct extint_source extint;
	bool extint_pending;

	struct console_stream *console; /* stays when the VM goes */
	struct vcpu *vcpu; /* vCPU 0; there is one until guests have local APICs */
	struct cpuid_table cpuid;

	u32 requests;	     /* VM_REQUEST_*, set by anyone, atomic */
	char end_reason[96]; /* in words, once VM_REQUEST_END stands; the first one counts */
	u32 exit_code;
	u64 resets;
	bool started; /* its clock runs */
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

/* Sets the VM's clock to 0; before the guest's first instruction. */
void vm_start_clock(struct vm *vm);

/*
 * Stops all vCPUs of a VM at the top of their run loops, out of every pCPU: what
 * changes or looks at the whole VM stands between these two. They nest, and wait
 * as sched_hold does.
 */
void vm_stop(struct vm *vm);
void vm_go(struct vm *vm);

/* Ends the VM with a reason in words; the first reason counts. Any CPU. */
void vm_end(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The guest did what cannot be emulated: as vm_end, and logs vCPU 0's state. */
void vm_kill(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
