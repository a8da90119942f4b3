/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's life, its clock, and what it offers to its devices.
 */
#include "vmm/vm.h"

#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "vmm/job.h"
#include "vmm/mem.h"
#include "vmm/msr.h"
#include "vmm/pcpu.h"
#include "vmm/vcpu.h"
#include "vmm/vdev_life.h"
#include "vmm/vtimer.h"

#define RESETS_TOLD 8
#define SCRUB_STEP  KIB(128) /* 16,384 stores of 8 bytes */
#define VM_PAGES (ALIGN_UP(sizeof(struct vm), PAGE_SIZE) / PAGE_SIZE)

/* To be called with the new relation of clock and TSC in place. */
static void move_timers(struct vm *vm, struct vtimer_queue *to)
{
	struct vtimer_queue *from;

	SPIN_HOLD(&vm->device_lock);
	from = vm->timers;
	vm->timers = to;
	vtimer_requeue_vm(vm, from, to);
}

struct vcpu *vm_vcpu(const struct vm *vm, u64 id)
{
	struct vcpu *vcpu = id < vm->vcpu_count ? vm->vcpus[id] : NULL;

	return vcpu && !vcpu->parked ? vcpu : NULL;
}

void vm_set_clock(struct vm *vm, u64 clock)
{
	vm->clock_at = clock;
	vm->clock_start = rdtsc() - clock;
	move_timers(vm, vm->timers);
}

void vm_run_clock(struct vm *vm)
{
	if (vm->clock_runs)
		return;
	vm->clock_start = rdtsc() - vm->clock_at;
	vm->clock_runs = true;
	move_timers(vm, vm->timers);
}

void vm_pause_clock(struct vm *vm)
{
	if (!vm->clock_runs)
		return;
	vm->clock_at = vm_now(vm);
	vm->clock_runs = false;
	move_timers(vm, vm->timers);
}

void vm_move_timers(struct vm *vm)
{
	struct vtimer_queue *here = &pcpu_vmm()->timers;

	if (vm->timers != here)
		move_timers(vm, here);
}

int vm_create(const char *name, struct vm **out)
{
	struct vm *vm = pages_alloc(VM_PAGES);

	if (!vm)
		return -ENOMEM;
	str_format(vm->name, sizeof(vm->name), "%s", name);
	bus_init(&vm->ports, BUS_PORT_TOP);
	bus_init(&vm->mmio, BUS_MMIO_TOP);
	vm->timers = pcpu_vmm() ? &pcpu_vmm()->timers : NULL;
	if (vm->timers && !space_create(&vm->space)) {
		if (!virt->vm_create(&vm->virt)) {
			job_yield();
			vm->console = console_open(name); /* last, since it stays */
			if (vm->console) {
				cpuid_table_init(&vm->cpuid, tsc_hz);
				*out = vm;
				return 0;
			}
			virt->vm_destroy(vm->virt);
		}
		space_destroy(&vm->space);
	}
	pages_free(vm, VM_PAGES);
	return -ENOMEM;
}

int vm_scrub(struct vm *vm, const bool *cancel)
{
	for (unsigned i = 0; i < vm->regions.count; i++) {
		const struct region *r = &vm->regions.region[i];

		if (r->mem->kind != MEM_ANONYMOUS)
			continue;
		for (u64 done = 0, step; done < r->size; done += step) {
			step = MIN(SCRUB_STEP, r->size - done);
			window_fill((void *)(WINDOW_BASE + r->gpa + done), 0, step);
			region_mark_dirty(r, r->gpa + done, step);
			job_yield();
			if (cancel && __atomic_load_n(cancel, __ATOMIC_ACQUIRE))
				return -ECANCELED;
		}
	}
	return 0;
}

/* No VM sees what another one left: frames are scrubbed before they go. */
static void free_memory(struct vm *vm)
{
	space_enter(&vm->space);
	vm_scrub(vm, NULL);
	space_leave();
	while (vm->regions.count) {
		struct region *r = &vm->regions.region[0];

		job_yield();
		if (vm_set_memory_region(vm, r->slot, 0, GPA(0), 0, NULL, 0))
			break; /* no memory to split a page: the frames stay with the dead */
	}
	if (vm->ram)
		mem_put(vm->ram);
}

void vm_destroy(struct vm *vm)
{
	struct vtimer_queue limbo = {0};

	job_yield();
	console_detach(vm);
	while (!console_settle())
		job_yield();
	move_timers(vm, &limbo);
	/* Another pCPU may just be on its way into a timer of this VM. */
	smp_sync();
	vdev_destroy_all(vm);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i])
			vcpu_destroy(vm->vcpus[i]);
	job_yield();
	free_memory(vm);
	for (unsigned i = 0; i < vm->module_count; i++)
		if (vm->modules[i].mem)
			mem_put(vm->modules[i].mem);
	job_yield();
	virt->vm_destroy(vm->virt);
	job_yield();
	space_destroy(&vm->space);
	pages_free(vm, VM_PAGES);
}

int vm_set_cpuid(struct vm *vm, const struct cpuid_entry *entries, unsigned count, char *why,
		 size_t size)
{
	return vm->ran ? -EBUSY : cpuid_table_cut(&vm->cpuid, entries, count, why, size);
}

int vm_set_msr_policy(struct vm *vm, bool allow, const struct vm_msr_range *ranges, unsigned count)
{
	struct vm_msr_policy old = vm->msr_policy, new = {.deny = !allow, .count = count};
	int error;

	if (vm->ran)
		return -EBUSY;
	if (count > VM_MSR_RANGES)
		return -E2BIG;
	for (unsigned i = 0; i < count; i++) {
		if (ranges[i].first > ranges[i].last)
			return -EINVAL;
		new.range[i] = ranges[i];
	}
	vm->msr_policy = new;
	error = virt->vm_filter_msrs(vm->virt, msr_allowed, vm);
	if (error)
		vm->msr_policy = old;
	return error;
}

struct vdev *vm_device(struct vm *vm, const char *type, unsigned index)
{
	for (struct vdev *dev = vm->devices; dev; dev = dev->next)
		if (!strcmp(dev->type->name, type) && index-- == 0)
			return dev;
	return NULL;
}

int vm_save_device(struct vm *vm, const char *type, unsigned index, void *blob, size_t size)
{
	const struct vdev *dev = vm_device(vm, type, index);

	if (!dev)
		return -ENOENT;
	if (size < dev->type->save_size)
		return -ENOSPC;
	SPIN_HOLD(&vm->device_lock);
	return (int)vdev_save(dev, blob);
}

int vm_restore_device(struct vm *vm, const char *type, unsigned index, const void *blob, size_t size)
{
	struct vdev *dev = vm_device(vm, type, index);

	if (!dev)
		return -ENOENT;
	SPIN_HOLD(&vm->device_lock);
	return vdev_restore(dev, blob, size);
}

/* Of several vCPUs that end it at once, the first gives the reason. */
static bool may_end(struct vm *vm)
{
	return !(__atomic_fetch_or(&vm->requests, VM_REQUEST_ENDING, __ATOMIC_ACQ_REL) &
		 VM_REQUEST_ENDING);
}

static void tell_end(struct vm *vm)
{
	__atomic_or_fetch(&vm->requests, VM_REQUEST_END, __ATOMIC_RELEASE);
	this_pcpu()->attention = 1;
	if (vm->vcpu)
		vcpu_wake(vm->vcpu); /* which may wait: somebody has to tell of it */
}

void vm_end(struct vm *vm, const char *fmt, ...)
{
	if (!may_end(vm))
		return;
	STR_FORMAT_REST(vm->end_reason, sizeof(vm->end_reason), fmt);
	tell_end(vm);
}

void vm_kill(struct vm *vm, const char *fmt, ...)
{
	if (!may_end(vm))
		return;
	STR_FORMAT_REST(vm->end_reason, sizeof(vm->end_reason), fmt);
	vm->crashed = true;
	log_error("[%s] killed: %s", vm->name, vm->end_reason);
	tell_end(vm);
}

void vm_request_reset(struct vm *vm, const char *how)
{
	if (__atomic_fetch_or(&vm->requests, VM_REQUEST_RESET, __ATOMIC_ACQ_REL))
		return;
	this_pcpu()->attention = 1;
	/* A guest in a reboot loop must not fill the log: ever fewer are told. */
	if (vm->resets++ < RESETS_TOLD || !(vm->resets & (vm->resets - 1)))
		log_info("[%s] reset by %s", vm->name, how);
}

void vm_request_exit(struct vm *vm, u32 code)
{
	vm->exit_code = code;
	vm_end(vm, "exit code %u", code);
}

HOT_PATH u64 vm_now(const struct vm *vm)
{
	return vm->clock_runs ? rdtsc() - vm->clock_start : vm->clock_at;
}

u64 vm_clock_hz(const struct vm *vm)
{
	return tsc_hz;
}

u64 vm_clock_to_tsc(const struct vm *vm, u64 clock)
{
	u64 tsc = clock + vm->clock_start;
	bool ahead = (s64)vm->clock_start < 0; /* the clock was set to more than the TSC shows */

	if (!vm->clock_runs || (!ahead && tsc < clock))
		return VTIMER_NEVER;
	return ahead && tsc > clock ? 0 : tsc;
}

struct vtimer_queue *vm_timer_queue(struct vm *vm)
{
	return vm->timers;
}

void vm_device_lock(struct vm *vm)
{
	spin_lock(&vm->device_lock);
}

void vm_device_unlock(struct vm *vm)
{
	spin_unlock(&vm->device_lock);
}

u64 vm_boot_epoch(const struct vm *vm)
{
	return vm->boot_epoch;
}

u64 vm_ram_below_4g(const struct vm *vm)
{
	return vm->ram_below_4g;
}

u64 vm_ram_above_4g(const struct vm *vm)
{
	return vm->ram_above_4g;
}

int bus_claim_ports(struct vdev *dev, u16 first, u32 count, const struct bus_ops *ops)
{
	return bus_claim(&dev->vm->ports, first, count, dev, ops);
}

int bus_claim_mmio(struct vdev *dev, gpa_t first, u64 size, const struct bus_ops *ops)
{
	return bus_claim(&dev->vm->mmio, first.v, size, dev, ops);
}

void vm_irq_line(struct vm *vm, unsigned line, bool level)
{
	for (struct irq_sink *sink = vm->irq_sinks; sink; sink = sink->next)
		sink->set(sink->dev, line, level);
}

void vm_add_irq_sink(struct vm *vm, struct irq_sink *sink)
{
	sink->next = vm->irq_sinks;
	vm->irq_sinks = sink;
}

void vm_set_extint_source(struct vm *vm, const struct extint_source *source)
{
	vm->extint = *source;
}

void vm_extint_changed(struct vm *vm, bool pending)
{
	__atomic_store_n(&vm->extint_pending, pending, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i] && pending)
			lapic_lint0(vm->vcpus[i], pending);
}

void vm_set_eoi_sink(struct vm *vm, const struct eoi_sink *sink)
{
	vm->eoi_sink = *sink;
}

void vm_expect_nmi(struct vm *vm)
{
	vm->nmi_expected = true;
}

void vm_set_power_button(struct vm *vm, const struct power_button *button)
{
	vm->power_button = *button;
}

int vm_press_power(struct vm *vm)
{
	if (!vm->power_button.press)
		return -ENODEV;
	SPIN_HOLD(&vm->device_lock);
	vm->power_button.press(vm->power_button.dev);
	return 0;
}

void vm_request_poweroff(struct vm *vm)
{
	vm_end(vm, "powered off");
}

void vm_stop(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]) {
			sched_hold(&vm->vcpus[i]->task);
			/* It looks again, at what may be another state. */
			__atomic_store_n(&vm->vcpus[i]->dead, false, __ATOMIC_SEQ_CST);
		}
}

void vm_go(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]) {
			sched_release(&vm->vcpus[i]->task);
			sched_wake(&vm->vcpus[i]->task);
		}
}
