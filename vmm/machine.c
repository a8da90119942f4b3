/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One PC. The table of devices is the machine; the start-up of a guest is the
 * list of calls in machine_start.
 */
#include "vmm/machine.h"

#include "arch/lib/audit.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/tsc.h"
#include "vmm/acpi.h"
#include "vmm/guestmap.h"
#include "vmm/job.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"
#include "vmm/vdev_life.h"

static const struct {
	const char *type;
	struct vdev_args args;
} devices[] = {
	{"8259", {0}},
	{"ioapic", {0}},
	{"8254", {0}},
	{"rtc", {0}},
	{"i8042", {.irq = 1}},
	{"port92", {0}},
	{"cf9", {0}},
	{"acpi-pm", {.port = GUEST_PM_PORT}},
	{"16550", {.port = 0x3f8, .irq = 4, .index = 0}},
	{"16550", {.port = 0x2f8, .irq = 3, .index = 1}},
	{"debugcon", {0}},
	{"pci-host", {0}},
};

static int create_devices(struct vm *vm, const struct machine_config *config)
{
	int error = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(devices) && !error; i++, job_yield())
		error = vdev_create(vm, devices[i].type, devices[i].args);
	if (!error && config->debug_exit)
		error = vdev_create(vm, "debug-exit", (struct vdev_args){0});
	if (!error && config->pci_testdev)
		error = vdev_create(vm, "pci-testdev", (struct vdev_args){0});
	if (error)
		log_error("[%s] %s for its devices", vm->name,
			  error == -ENOMEM ? "no memory" : "no place on its buses");
	return error;
}

/*
 * All that is free, less what the tables that map it need and a reserve. Host
 * and nested tables take 8 bytes for each page, at the worst 4 KiB ones.
 */
static u64 all_memory(void)
{
	u64 available = frames_available(), reserve = available / 256 + MIB(4);

	return available > reserve ? ALIGN_DOWN(available - reserve, MIB(2)) : 0;
}

/* RAM as vmm/guestmap.h draws it; one object, its offsets the guest's addresses
 * up to the hole below 4 GiB. */
static int create_memory(struct vm *vm, u64 size)
{
	u64 low = MIN(size, GUEST_RAM_LOW_MAX), high = size - low;
	u64 bios = GUEST_BIOS_BASE + GUEST_ACPI_SIZE;
	const struct {
		u64 gpa, end, offset;
		unsigned flags;
	} slots[] = {
		{0, GUEST_LOW_RAM_END, 0, 0},
		/* The places of option ROMs and BIOS, which kernels search word by word: an
		 * open bus, ACPI tables and empty memory, without an exit for each look. */
		{GUEST_ROM_BASE, GUEST_BIOS_BASE, GUEST_ROM_BASE, REGION_READ_ONLY},
		{GUEST_BIOS_BASE, bios, GUEST_BIOS_BASE, 0},
		{bios, GUEST_RAM_1M, bios, REGION_READ_ONLY},
		{GUEST_RAM_1M, MAX(low, GUEST_RAM_1M), GUEST_RAM_1M, 0},
		{GUEST_RAM_4G, GUEST_RAM_4G + high, low, 0},
	};
	int error = mem_create(size, &vm->ram);

	vm->ram_below_4g = low;
	vm->ram_above_4g = high;
	for (unsigned i = 0; i < ARRAY_SIZE(slots) && !error; i++)
		if (slots[i].end > slots[i].gpa)
			error = vm_set_memory_region(vm, i, slots[i].flags, GPA(slots[i].gpa),
						     slots[i].end - slots[i].gpa, vm->ram,
						     slots[i].offset);
	return error;
}

/* What stood behind a module in its last page is none of the guest's business. */
static int clear_tail(struct vm *vm, hpa_t hpa, u64 size)
{
	u64 used = size & (PAGE_SIZE - 1), page = ALIGN_DOWN(hpa.v + size, PAGE_SIZE);
	int error = used ? space_map(&vm->space, MODULE_WINDOW_BASE + page, HPA(page), PAGE_SIZE,
				     SPACE_USER | SPACE_WRITE) : 0;

	if (error || !used)
		return error;
	job_yield();
	space_enter(&vm->space);
	window_fill((void *)(MODULE_WINDOW_BASE + page + used), 0, PAGE_SIZE - used);
	space_leave();
	job_yield();
	return space_unmap(&vm->space, MODULE_WINDOW_BASE + page, PAGE_SIZE);
}

/* Page by page, as GRUB placed it; others run in between. */
static int map_module(struct vm *vm, hpa_t hpa, u64 size)
{
	int error = 0;

	for (u64 at = hpa.v, next; at < hpa.v + size && !error; at = next) {
		job_yield();
		next = MIN(ALIGN_DOWN(at, KIB(512)) + KIB(512), hpa.v + size);
		error = space_map(&vm->space, MODULE_WINDOW_BASE + at, HPA(at), next - at,
				  SPACE_USER);
	}
	return error;
}

static int create_modules(struct vm *vm, const struct machine_config *config)
{
	for (unsigned i = 0; i < config->module_count; i++) {
		struct vm_module *module = &vm->modules[i];
		hpa_t hpa = config->modules[i].start;
		u64 size = ALIGN_UP(config->modules[i].size, PAGE_SIZE);
		int error;

		*module = config->modules[i];
		vm->module_count = i + 1;
		job_yield();
		error = mem_create_module(hpa, module->size, &module->mem) ?:
			clear_tail(vm, hpa, module->size) ?: map_module(vm, hpa, size);
		if (error) {
			log_error("[%s] no memory to map module %u", vm->name, module->number);
			return error;
		}
	}
	return 0;
}

static int identify(struct vm *vm)
{
	struct load_error why;
	int error;

	space_enter(&vm->space);
	error = load_identify(vm, vm->modules, vm->module_count, &why);
	space_leave();
	if (error)
		log_error("[%s] %s", vm->name, why.text);
	return error;
}

/* As at power-up the page of the local APICs is where the CPU can serve it. */
static int show_apic_page(struct vm *vm)
{
	if (!vm->apic_page && virt->vm_apic_page(vm->virt, true)) {
		vm_end(vm, "no memory for its local APICs");
		return -ENOMEM;
	}
	vm->apic_page = true;
	return 0;
}

static int create_vcpus(struct vm *vm, u64 count)
{
	struct vcpu *vcpu;

	for (unsigned i = 0; i < count; i++, job_yield())
		if (vcpu_create(vm, i, &vcpu)) {
			log_error("[%s] no memory for vCPU %u", vm->name, i);
			return -ENOMEM;
		}
	cpuid_set_cpus(&vm->cpuid, count);
	return 0;
}

static void list_low_ports(struct vm *vm)
{
	const struct bus *ports = &vm->ports;

	for (unsigned i = 0; i < ports->count; i++)
		for (u64 port = ports->range[i].first;
		     port <= MIN(ports->range[i].last, VM_LOW_PORTS - 1ull); port++)
			if (ports->range[i].ops->in)
				vm->low_ports[port] = i + 1;
}

static int build(struct vm *vm, const struct machine_config *config)
{
	u64 size = config->mem ? config->mem : all_memory();
	int error = create_modules(vm, config);

	if (error)
		return error;
	job_yield();
	error = create_memory(vm, size);
	if (error == -ENOMEM && vm->ram)
		log_error("[%s] no memory to map its %lu MiB", vm->name, size >> 20);
	else if (error)
		log_error("[%s] no room for %lu MiB of memory: %lu MiB are free, say mem= with less",
			  vm->name, size >> 20, all_memory() >> 20);
	error = error ?: identify(vm) ?: create_devices(vm, config) ?:
		create_vcpus(vm, MAX(config->cpus, 1));
	if (error)
		return error;
	list_low_ports(vm);
	error = show_apic_page(vm);
	if (error)
		log_error("[%s] %s", vm->name, vm->end_reason);
	return error;
}

int machine_create(const struct machine_config *config, struct vm **out)
{
	struct vm *vm;
	int error;

	if (config->module_count > VM_MODULES_MAX) {
		log_error("[%s] has more than %u modules", config->vm, VM_MODULES_MAX);
		return -E2BIG;
	}
	error = vm_create(config->vm, &vm);
	if (error) {
		log_error("[%s] no memory for another VM", config->vm);
		return error;
	}
	str_format(vm->guest_name, sizeof(vm->guest_name), "%s", config->name);
	vm->boot_epoch = config->epoch + (rdtsc() - config->epoch_tsc) / tsc_hz;
	vm->allowed_cpus = config->allowed_cpus;
	vm->weight = config->weight;
	vm->halt = config->halt;
	error = build(vm, config);
	if (error) {
		vm_destroy(vm);
		return error;
	}
	log_info("[%s] %lu MiB, %u vCPU%s, %u modules", vm->name,
		 (vm->ram_below_4g + vm->ram_above_4g) >> 20, vm->vcpu_count,
		 vm->vcpu_count > 1 ? "s" : "", vm->module_count);
	*out = vm;
	return 0;
}

static u64 write_acpi(struct vm *vm)
{
	u64 above = vm->ram_above_4g;

	return acpi_write(vm, &(struct acpi_config){
		.cpus = MAX(vm->vcpu_count, 1),
		.pci64_base = guest_pci64_base(above),
		.pci64_size = guest_pci64_size(above, vm->cpuid.maxphyaddr)});
}

/* Loads the guest into memory that holds nothing. */
static int load(struct vm *vm, struct load_result *state)
{
	struct load_input in = {
		.vm = vm, .name = vm->guest_name, .rsdp = write_acpi(vm),
		.modules = vm->modules, .module_count = vm->module_count,
		.ram_below_4g = vm->ram_below_4g, .ram_above_4g = vm->ram_above_4g,
	};
	struct load_error why;

	job_yield();
	window_fill((void *)(WINDOW_BASE + GUEST_ROM_BASE), 0xff, GUEST_BIOS_BASE - GUEST_ROM_BASE);
	if (!load_guest(&in, state, &why))
		return 0;
	vm_end(vm, "%s", why.text);
	return -ENOEXEC;
}

/* The boot CPU is to run, the others wait for it. */
static void reset_vcpus(struct vm *vm, const struct load_result *state)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		job_yield();
		vcpu_load(vm->vcpus[i]);
		vcpu_reset(vm->vcpus[i]);
		if (i == 0) {
			lapic_virtual_wire(vm->vcpu);
			vcpu_set_state(vm->vcpu, state);
		}
		vcpu_put(vm->vcpus[i]);
	}
}

int machine_start(struct vm *vm, const bool *cancel)
{
	struct load_result state;
	int error;

	space_enter(&vm->space);
	error = vm_scrub(vm, cancel) ?: load(vm, &state) ?: show_apic_page(vm);
	if (!error) {
		__atomic_and_fetch(&vm->requests, ~VM_REQUEST_RESET, __ATOMIC_ACQ_REL);
		vm->nmi_expected = false;
		job_yield();
		vdev_reset_all(vm);
		reset_vcpus(vm, &state);
		space_enter(&vm->space); /* which vcpu_put has left */
		audit(AUDIT_VM_START, vm);
	}
	space_leave();
	return error;
}

void machine_log_costs(const struct vm *vm)
{
	u64 lived = vm_now(vm), ran = 0, exits[EXIT_REASONS] = {0}, ticks[EXIT_REASONS] = {0};

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		ran += vm->vcpus[i]->task.ran;
		for (unsigned k = 0; k < EXIT_REASONS; k++)
			exits[k] += vcpu_exits(vm->vcpus[i], k),
				ticks[k] += vm->vcpus[i]->exit_ticks[k];
	}
	log_debug("[%s] lived %lu ticks, idle %lu", vm->name, lived, lived * vm->vcpu_count - ran);
	for (unsigned k = 0; k < EXIT_REASONS; k++, job_yield())
		if (exits[k])
			log_debug("[%s] exits %s %lu, %lu ticks each", vm->name,
				  virt_exit_name(k), exits[k], ticks[k] / exits[k]);
	log_debug("Trivet's own memory: %lu KiB", pages_in_use() * PAGE_SIZE >> 10);
	log_debug("[%s] unknown: ports %lu, MSRs %lu, addresses %lu", vm->name,
		  vm->unknown_ports.count, vm->unknown_msrs.count, vm->unknown_gpas.count);
}
